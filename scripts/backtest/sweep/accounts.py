"""A sweep's accounts as settings x seeds x folds: what each earned, and each setting's returns joined over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.backtest.prices.panel import Array
from scripts.backtest.statistics import metrics
from scripts.backtest.sweep.settings import SweepTrial, Value
from scripts.lib.account import read_equity
from scripts.lib.errors import InputError

FIGURES = ("trial", "seed", "fold", "sharpe", "total_return", "max_drawdown", "turnover", "sessions", "state")
MOVES = 1e-15  # a standard deviation of returns below it is that of an account at rest


class Account(NamedTuple):
    """What one trial earned."""

    dates: Array  # (T,) datetime64[ns], of the returns
    returns: Array  # (T,) simple returns; 0 after a ruin, when nothing is left to trade
    sharpe: float  # a year; NaN where it never moved
    total_return: float
    max_drawdown: float
    turnover: float  # a year
    state: str  # ruined, motionless, or nothing to tell


class Grid(NamedTuple):
    """Which trial is which setting, seed and fold."""

    keys: tuple[str, ...]
    settings: tuple[tuple[Value, ...], ...]  # values in the order of the keys
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    places: Array  # (settings, seeds, folds) number of the trial


class Joined(NamedTuple):
    """Returns of all settings at the dates that all of them have, folds one behind the other."""

    dates: Array  # (T,) datetime64[ns]
    returns: Array  # (settings, seeds, T)
    left_out: int  # dates that some setting lacks, for instance since its first signal came later

    @property
    def means(self) -> Array:
        """(settings, T) mean of the seeds: an account split evenly among them each session."""
        means: Array = self.returns.mean(axis=1)
        return means


def grid_of(trials: Sequence[SweepTrial]) -> Grid:
    """The trials as a complete grid.

    Raises:
        InputError: a trial has other keys than the first, stands there twice, or a setting lacks a seed or fold; a key
            has the name of a column of sweep.csv.
    """
    keys = tuple(trials[0].values)
    if taken := [key for key in keys if key in FIGURES]:
        raise InputError(f"trials: {trials[0].name}: key '{taken[0]}' has the name of a column of the table")
    found: dict[tuple[tuple[Value, ...], int, int], int] = {}
    for number, trial in enumerate(trials):
        if set(trial.values) != set(keys):
            raise InputError(f"trials: {trial.name}: its keys are {_listed(trial.values)}, not {_listed(keys)}")
        place = (tuple(trial.values[key] for key in keys), trial.seed, trial.fold)
        if place in found:
            raise InputError(f"trials: {trial.name}: the same setting, seed and fold as {trials[found[place]].name}")
        found[place] = number
    settings = tuple(dict.fromkeys(setting for setting, _, _ in found))
    seeds, folds = tuple(sorted({seed for _, seed, _ in found})), tuple(sorted({fold for _, _, fold in found}))
    for setting, seed, fold in product(settings, seeds, folds):
        if (setting, seed, fold) not in found:
            values = worded(keys, setting)
            raise InputError(f"trials: {values}: no trial of seed {seed} and fold {fold}, which other trials have")
    places = np.array([found[place] for place in product(settings, seeds, folds)])
    return Grid(keys, settings, seeds, folds, places.reshape(len(settings), len(seeds), len(folds)))


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(keys)


def worded(keys: Sequence[str], setting: Sequence[Value]) -> str:
    """A setting in words, such as "lookback 60, quantile 0.1"."""
    return ", ".join(f"{short(key, keys)} {shown(value)}" for key, value in zip(keys, setting, strict=True))


def short(key: str, keys: Sequence[str]) -> str:
    """The last part of a dotted key, where no other key ends in it."""
    last = key.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in keys) == 1 else key


def shown(value: Value) -> str:
    """A value as YAML writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def levels(grid: Grid, key: str) -> list[Value]:
    """The values of a key: numbers ascending, others in the order of the trials."""
    found = list(dict.fromkeys(setting[grid.keys.index(key)] for setting in grid.settings))
    numbers = [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
    return [*sorted(numbers)] if len(numbers) == len(found) else found


def read_account(path: Path, sessions_a_year: float) -> Account:
    """Figures and returns of an equity.csv.

    Raises:
        InputError: it cannot be read, starts without money, or holds a value that is not finite.
    """
    table = read_equity(path)
    earned = metrics.returns_of(table.equity)
    returns = np.zeros(len(table.equity) - 1)
    returns[: len(earned)] = earned
    moved = float(np.ptp(table.equity)) > 0
    traded = float(np.abs(table.turnover) @ np.maximum(table.equity, 0))
    return Account(
        table.dates[1:], returns, metrics.sharpe(earned, sessions_a_year),
        float(table.equity[-1] / table.equity[0] - 1), metrics.max_drawdown(table.equity),
        metrics.annual_turnover(traded, table.equity, sessions_a_year),
        "ruined" if (table.equity <= 0).any() else "" if moved else "motionless",
    )  # fmt: skip


def sharpes(grid: Grid, accounts: Sequence[Account]) -> Array:
    """(settings, seeds, folds) Sharpe ratio of each trial, NaN where it is undefined."""
    return np.array([account.sharpe for account in accounts])[grid.places]


def join(grid: Grid, accounts: Sequence[Account], paths: Sequence[Path]) -> Joined:
    """Join the folds of each setting and seed by date; dates that not all of them have are left out.

    Left out and not filled with 0: a setting whose first signal comes later would seem to have rested.

    Raises:
        InputError: folds of a setting overlap.
    """
    series = [_in_order(places, accounts, paths) for places in grid.places.reshape(-1, len(grid.folds))]
    common = every = series[0][0]
    for dates, _ in series[1:]:
        if not np.array_equal(dates, every):
            common = np.intersect1d(common, dates, assume_unique=True)
            every = np.union1d(every, dates)
    returns = np.array([values[np.isin(dates, common, assume_unique=True)] for dates, values in series])
    shape = (len(grid.settings), len(grid.seeds), len(common))
    return Joined(common, returns.reshape(shape), len(every) - len(common))


def _in_order(places: Array, accounts: Sequence[Account], paths: Sequence[Path]) -> tuple[Array, Array]:
    order = sorted(places, key=lambda place: accounts[place].dates[0])
    for before, after in pairwise(order):
        begins, ends = accounts[after].dates[0], accounts[before].dates[-1]
        if begins <= ends:
            raise InputError(
                f"{paths[after]}: begins on {day(begins)}, when {paths[before]}, another fold of the same setting, has"
                f" not ended ({day(ends)})"
            )
    return (
        np.concatenate([accounts[place].dates for place in order]),
        np.concatenate([accounts[place].returns for place in order]),
    )


def day(moment: np.datetime64) -> str:
    return str(np.datetime_as_string(moment, "D"))


def table_rows(grid: Grid, trials: Sequence[SweepTrial], accounts: Sequence[Account]) -> Iterator[dict[str, object]]:
    """sweep.csv: one row a trial."""
    for trial, account in zip(trials, accounts, strict=True):
        values = {key: shown(trial.values[key]) for key in grid.keys}
        yield {
            "trial": trial.name, **values, "seed": trial.seed, "fold": trial.fold, "sharpe": account.sharpe,
            "total_return": account.total_return, "max_drawdown": account.max_drawdown, "turnover": account.turnover,
            "sessions": len(account.returns), "state": account.state,
        }  # fmt: skip
