"""What a tear sheet is drawn from: an account, the figures of its judge, and what else was run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.backtest.tear_sheet.settings import TearSheetSettings
from scripts.lib.account import Description, EquityTable, TradeTable
from scripts.lib.errors import InputError
from scripts.lib.pages import as_number
from scripts.lib.tables import Row

Array = np.ndarray[Any, Any]

POSITIONS = ("date", "asset", "units", "value")
RANDOM = re.compile(r"random_\d+")
MARKETS = ("index", "buy_and_hold", "hold", "equal_weight")  # what a beta is taken against, the first that there is
MIN_RETURNS = 20


class NotDrawn(Exception):
    """A plot whose data are missing; the message says what is missing."""


class Positions(NamedTuple):
    """positions.parquet by session: how many names are held, and the largest of them."""

    dates: Array  # (K,) datetime64[ns], ascending
    names: Array  # (K,)
    largest: Array  # (K,) currency, absolute


@dataclass(frozen=True)
class Sheet:
    """All inputs of a page, read and checked."""

    equity: EquityTable
    trades: TradeTable
    benchmarks: dict[str, Array]
    description: Description
    metrics: dict[str, Any]
    periods: list[Row]
    drawdowns: list[Row]
    contributions: list[Row]
    comparison: list[Row]
    settings: TearSheetSettings
    positions: Positions | None = None
    stress: list[Row] = field(default_factory=list)
    figures: list[Row] = field(default_factory=list)
    coefficients: list[Row] = field(default_factory=list)
    causality: dict[str, Any] | None = None
    sweep: dict[str, Any] | None = None
    pictures: dict[str, Path] = field(default_factory=dict)  # heatmap, logits, fan of the sweep

    @cached_property
    def returns(self) -> Array:
        """(T,) simple returns; none from a ruin on."""
        return returns_of(self.equity.equity)

    @property
    def dates(self) -> Array:
        """(T,) ends of the periods of `returns`."""
        return self.equity.dates[1 : len(self.returns) + 1]

    @property
    def ruined(self) -> bool:
        return bool((self.equity.equity <= 0).any())

    @property
    def span_days(self) -> float:
        span: np.timedelta64 = self.equity.dates[-1] - self.equity.dates[0]
        return float(span / np.timedelta64(1, "D"))

    @property
    def scale(self) -> float:
        """By which a ratio of a period becomes one of a year; 1 where nothing is annualised."""
        return float(np.sqrt(self.description.periods_a_year or 1.0))

    @property
    def annualised(self) -> str:
        return "a year" if self.description.periods_a_year else f"a {self.description.period}"

    @property
    def named_benchmarks(self) -> dict[str, Array]:
        return {name: path for name, path in self.benchmarks.items() if not RANDOM.fullmatch(name)}

    @property
    def random_runs(self) -> Array:
        """(runs, S)"""
        runs = [path for name, path in self.benchmarks.items() if RANDOM.fullmatch(name)]
        return np.array(runs) if runs else np.empty((0, len(self.equity.dates)))

    @property
    def market(self) -> tuple[str, Array] | None:
        """The benchmark that stands for the market."""
        return next(((name, self.benchmarks[name]) for name in MARKETS if name in self.benchmarks), None)

    def metric(self, key: str) -> float | None:
        return as_number(self.metrics.get(key))

    def bounds(self, key: str) -> tuple[float, float] | None:
        """Low and high of an interval, None where it is undefined."""
        found = self.metrics.get(key)
        if not isinstance(found, list) or len(found) != 2:
            return None
        low, high = map(as_number, found)
        return None if low is None or high is None else (low, high)

    def stressed(self, family: str) -> list[Row]:
        return [row for row in self.stress if row["family"] == family]

    def forecast(self, figure: str) -> list[Row]:
        return [row for row in self.figures if row["figure"] == figure]


def returns_of(equity: Array) -> Array:
    """Simple returns from mark to mark, up to a ruin."""
    ruined = np.flatnonzero(equity <= 0)
    alive = equity[: ruined[0]] if len(ruined) else equity
    returns: Array = alive[1:] / alive[:-1] - 1
    return returns


def column(rows: list[Row], name: str) -> Array:
    """A column of a table as numbers, NaN where a cell is empty."""
    found = (as_number(row[name]) for row in rows)
    return np.array([np.nan if value is None else value for value in found], float)


def read_positions(path: Path) -> Positions:
    """Raises: InputError: no Parquet, or a column is missing."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    missing = [name for name in POSITIONS if name not in table.column_names]
    if missing:
        raise InputError(f"{path}: no column '{missing[0]}'")
    held = table.column("units").to_numpy() != 0
    try:
        dates = table.column("date").to_numpy().astype("datetime64[ns]")
    except ValueError as error:
        raise InputError(f"{path}: a date cannot be read: {error}") from None
    values = np.where(held, np.abs(table.column("value").to_numpy()), 0.0)
    sessions, place = np.unique(dates, return_inverse=True)
    largest = np.zeros(len(sessions))
    np.maximum.at(largest, place, np.nan_to_num(values))
    return Positions(sessions, np.bincount(place, held, len(sessions)).astype(int), largest)
