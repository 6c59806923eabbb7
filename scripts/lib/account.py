"""The files of an account: what every backtest ends in, whatever was traded, and what judges and pages read.

equity.csv         date, equity, cash, gross, net, turnover; the first row is the start. A date is a session's day,
                   or an instant of UTC with a Z. Gross, net and turnover are fractions of the account value.
trades.csv         date, asset, units (signed), price, fee, slippage (currency), kind (order or delisting)
benchmarks.csv     date, benchmark, equity, at the dates of equity.csv and from the same cash; where it is known, traded
                   (currency, sum of |units x price| of the row), from which the judge takes the turnover
account.json       what it is: `Description`
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from scripts.lib.documents import read_object
from scripts.lib.errors import InputError
from scripts.lib.settings import Settings, validate
from scripts.lib.tables import read_rows

Array = np.ndarray[Any, Any]

EQUITY = ("date", "equity", "cash", "gross", "net", "turnover")
TRADES = ("date", "asset", "units", "price", "fee", "slippage", "kind")
BENCHMARKS = ("date", "benchmark", "equity")
TRADED = "traded"  # optional column of the benchmarks


class Band(Settings):
    """A stretch of time with a name, such as a split."""

    name: str
    """train, validation, test, or a fold's."""
    start: str
    """Date or instant, ISO 8601."""
    end: str
    """Date or instant, ISO 8601."""


class Description(Settings):
    """account.json."""

    name: str
    """The backtest's."""
    line: str
    """Line of the workflow that it ends."""
    data: str
    """Digest of what was traded on: the key of its trials in the ledger."""
    trial: str
    """Name of its trial in the ledger."""
    periods_a_year: float | None
    """By which figures are annualised; null: figures are those of a period."""
    period: str
    """What a row of equity.csv is: session, decision."""
    contract: list[str]
    """Sentences: when the signal is known, where it fills, what is paid."""
    counts: dict[str, float]
    """What was found and done: orders without a price, rows left out."""
    settings: dict[str, Any]
    """How it was traded."""
    simulated: bool
    """Whether the prices are simulated, so that it says nothing of any market."""
    bands: list[Band] = Field(default_factory=list)
    """Splits or folds, for the timeline."""


class EquityTable(NamedTuple):
    """equity.csv as columns."""

    dates: Array  # (S,) datetime64[ns]
    intraday: bool  # whether the dates are instants
    equity: Array
    cash: Array
    gross: Array
    net: Array
    turnover: Array


class TradeTable(NamedTuple):
    """trades.csv as columns."""

    dates: Array  # (K,) datetime64[ns]
    assets: Array  # (K,) text
    units: Array
    price: Array
    fee: Array
    slippage: Array
    kind: Array  # (K,) text


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table of an account; floats with all their digits, so that what is read back is what was written."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_plain(cell) for cell in row] for row in rows)


def _plain(cell: object) -> object:
    return float(cell) if isinstance(cell, np.floating) else cell


def write_description(path: Path, description: Description) -> None:
    text = json.dumps(description.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_description(path: Path) -> Description:
    """Raises: InputError: no account.json."""
    return validate(Description, read_object(path), str(path))


def read_equity(path: Path) -> EquityTable:
    """Raises: InputError: a column or value is missing, dates do not ascend, fewer than two rows."""
    rows = read_rows(path, EQUITY)
    if len(rows) < 2:
        raise InputError(f"{path}: {len(rows)} rows: an equity needs its start and one period at least")
    dates = _dates(path, [row["date"] for row in rows])
    backwards = np.flatnonzero(dates[2:] <= dates[1:-1])  # a start may bear the date of the first fill
    if len(backwards):
        raise InputError(f"{path}: row {backwards[0] + 4}: date {rows[backwards[0] + 2]['date']} does not ascend")
    values = [_numbers(path, rows, name) for name in EQUITY[1:]]
    if values[0][0] <= 0:
        raise InputError(f"{path}: row 2: equity {values[0][0]:g}: an account begins with money")
    return EquityTable(dates, rows[-1]["date"].endswith("Z"), *values)


def read_trades(path: Path, dates: Array) -> TradeTable:
    """Trades of the account with these dates.

    Raises:
        InputError: a column or value is missing, or a trade is dated before the account begins or after it ends.
    """
    rows = read_rows(path, TRADES)
    traded = _dates(path, [row["date"] for row in rows])
    outside = np.flatnonzero((traded < dates[0]) | (traded > dates[-1]))
    if len(outside):
        place = outside[0]
        raise InputError(f"{path}: row {place + 2}: date {rows[place]['date']} lies outside of the account's dates")
    units, price, fee, slippage = (_numbers(path, rows, name) for name in ("units", "price", "fee", "slippage"))
    asset, kind = (np.array([row[name] for row in rows], object) for name in ("asset", "kind"))
    return TradeTable(traded, asset, units, price, fee, slippage, kind)


def read_benchmarks(path: Path, dates: Array) -> dict[str, Array]:
    """Equity by benchmark, in the order of the file.

    Raises:
        InputError: a benchmark's dates are not those of the account.
    """
    found = _by_benchmark(path)
    for name, part in found.items():
        if len(part) != len(dates) or (_dates(path, [row["date"] for row in part]) != dates).any():
            raise InputError(f"{path}: {name}: its dates are not those of the account")
    return {name: _numbers(path, part, "equity") for name, part in found.items()}


def read_traded(path: Path) -> dict[str, float]:
    """Traded value in all, currency, by benchmark; nothing where the file does not tell it.

    Raises:
        InputError: a cell is no number.
    """
    parts = _by_benchmark(path)
    return {name: float(_numbers(path, part, TRADED).sum()) for name, part in parts.items() if TRADED in part[0]}


def _by_benchmark(path: Path) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(path, BENCHMARKS):
        found.setdefault(row["benchmark"], []).append(row)
    return found


def _dates(path: Path, cells: list[str]) -> Array:
    try:
        found: Array = np.array([cell.removesuffix("Z") for cell in cells], "datetime64[ns]")
    except ValueError as error:
        raise InputError(f"{path}: a date cannot be read: {error}") from None
    if np.isnat(found).any():
        raise InputError(f"{path}: row {int(np.argmax(np.isnat(found))) + 2}: no date")
    return found


def _numbers(path: Path, rows: list[dict[str, str]], column: str) -> Array:
    values = np.empty(len(rows))
    for place, row in enumerate(rows):
        try:
            values[place] = float(row[column])
        except (TypeError, ValueError):
            raise InputError(f"{path}: row {place + 2}: {column} {row[column]!r}: not a number") from None
    undefined = np.flatnonzero(~np.isfinite(values))
    if len(undefined):
        raise InputError(f"{path}: row {undefined[0] + 2}: {column} {rows[undefined[0]][column]!r}: not finite")
    return values
