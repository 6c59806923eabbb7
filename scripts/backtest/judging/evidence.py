"""What a judge sees: an account of any line with its benchmarks, and what else was found out about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scripts.backtest.judging.settings import JudgeSettings
from scripts.backtest.prices.panel import Array
from scripts.backtest.prices.tables import numbers, read_table
from scripts.backtest.statistics import metrics
from scripts.lib.account import Description, EquityTable, TradeTable
from scripts.lib.documents import read_object
from scripts.lib.errors import InputError
from scripts.lib.ledger import digest

FLAT = 1e-15  # a standard deviation of returns below it is that of an account at rest
RANDOM = "random_"
MARKETS = ("index", "buy_and_hold", "hold", "equal_weight")  # what a beta is taken against: the first that there is

Figures = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """An account with its benchmarks."""

    equity: EquityTable
    trades: TradeTable
    benchmarks: dict[str, Array]
    traded: dict[str, float]  # currency in all, by benchmark; those that are known
    description: Description
    settings: JudgeSettings

    @cached_property
    def returns(self) -> Array:
        """(T,) simple returns; none after a ruin."""
        return metrics.returns_of(self.equity.equity)

    @property
    def dates(self) -> Array:
        """(T,) datetime64[ns], ends of the periods of the returns."""
        return self.equity.dates[1 : len(self.returns) + 1]

    @property
    def periods(self) -> float:
        """By which figures are annualised; 1: they are those of a period."""
        return self.description.periods_a_year or 1.0

    @cached_property
    def trade_periods(self) -> Array:
        """(K,) number of the period in which each trade falls, from 0."""
        last = len(self.equity.dates) - 2
        found: Array = np.minimum(np.searchsorted(self.equity.dates[1:], self.trades.dates), last)
        return found

    @cached_property
    def trade_values(self) -> Array:
        """(K,) currency, absolute."""
        values: Array = np.abs(self.trades.units * self.trades.price)
        return values

    def turnover(self, traded: float, equity: Array) -> float:
        """Traded value over mean account value: a year, or in all where nothing is annualised."""
        return metrics.annual_turnover(traded, equity, self.description.periods_a_year or max(len(equity) - 1, 1))

    def text(self, row: int) -> str:
        """A date of the account as its files write it."""
        date = self.equity.dates[row]
        return f"{date}Z" if self.equity.intraday else str(date.astype("datetime64[D]"))


def is_random(name: str) -> bool:
    return name.startswith(RANDOM)


def moves(returns: Array) -> Array:
    """Whether each column of (T, K) returns moves at all."""
    found: Array = np.std(returns, axis=0) > FLAT if len(returns) else np.zeros(returns.shape[1], bool)
    return found


def stress_figures(path: Path | None) -> Figures:
    """Sharpe ratios of the runs that the page compares with the account's own."""
    keys = {
        "lag_1_sharpe": ("lag", "1"), "positive_control_sharpe": ("positive_control", ""),
        "shuffled_sharpe": ("shuffled_labels", ""),
    }  # fmt: skip
    if path is None:
        return dict.fromkeys(keys)
    table = read_table(path, ["family", "setting", "sharpe"])
    ratios, family = numbers(path, table, "sharpe"), table["family"].astype(str).to_numpy()
    setting = table["setting"].astype(str).str.removesuffix(".0").to_numpy()
    return {key: _first(ratios[(family == name) & ((setting == value) | (value == ""))])
            for key, (name, value) in keys.items()}  # fmt: skip


def forecast_figures(figures: Path | None, coefficients: Path | None) -> Figures:
    """What evaluate_predictions found over all dates."""
    found: Figures = dict.fromkeys(("rank_ic", "hit_rate", "base_rate", "permutation_pvalue", "rank_ic_positive_share"))
    found["rank_ic_interval"] = [None, None]
    if figures is not None:
        table = read_table(figures, ["figure", "part", "value", "low", "high"])
        values = {name: numbers(figures, table, name) for name in ("value", "low", "high")}
        for name in ("rank_ic", "hit_rate", "base_rate", "permutation_pvalue"):
            rows = ((table["figure"] == name) & (table["part"].astype(str) == "all")).to_numpy()
            found[name] = _first(values["value"][rows])
            if name == "rank_ic":
                found["rank_ic_interval"] = [_first(values[bound][rows]) for bound in ("low", "high")]
    if coefficients is not None:
        by_date = numbers(coefficients, read_table(coefficients, ["date", "rank_ic"]), "rank_ic")
        known = by_date[np.isfinite(by_date)]
        found["rank_ic_positive_share"] = float((known > 0).mean()) if len(known) else None
    return found


def _first(values: Array) -> float | None:
    return float(values[0]) if len(values) and np.isfinite(values[0]) else None


def causality_status(path: Path | None) -> str:
    """pass, fail or not checked.

    Raises:
        InputError: the report says something else.
    """
    status = "not checked" if path is None else read_object(path).get("status")
    if status not in ("pass", "fail", "not checked"):
        raise InputError(f"{path}: status {status!r}: neither pass, fail nor not checked")
    return str(status)


def sweep_figures(path: Path | None) -> Figures | None:
    """The plain numbers of sweep.json."""
    if path is None:
        return None
    return {key: value for key, value in read_object(path).items()
            if isinstance(value, int | float) and not isinstance(value, bool)}  # fmt: skip


def replay_figures(path: Path | None, equity: Path) -> Figures:
    """What the second simulator said of the account; null where it was not asked.

    Raises:
        InputError: the report lacks a figure, or is that of another account.
    """
    keys = ("peer_difference", "peer_simulator", "peer_sessions", "peer_first_beyond")
    if path is None:
        return dict.fromkeys(keys)
    found = read_object(path)
    if found.get("account") != digest(equity):
        raise InputError(f"{path}: replays another account than {equity}")
    for key in ("largest_difference", "sessions"):
        if isinstance(found.get(key), bool) or not isinstance(found.get(key), int | float):
            raise InputError(f"{path}: {key} {found.get(key)!r}: not a number")
    name = f"{found.get('simulator')} {found.get('version')}"
    return dict(zip(keys, (found["largest_difference"], name, found["sessions"], found.get("first_beyond")),
                    strict=True))  # fmt: skip
