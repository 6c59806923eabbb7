"""Predictions: what was known when, and from which session on it can be traded.

A date (or a naive midnight) as `known_at` means after that date's close; a zoned timestamp is an instant.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from scripts.backtest.prices.panel import Array, Panel
from scripts.backtest.prices.tables import HEADER_ROWS, names, numbers, read_table, refuse
from scripts.lib.errors import InputError

DAY = np.timedelta64(1, "D")
FIRST, LAST = pd.Timestamp(1700, 1, 1), pd.Timestamp(2262, 1, 1)  # what nanoseconds can count
ZONE = r"(?:Z|[+-]\d{2}:?\d{2})$"


class Predictions(NamedTuple):
    """Signals of each distinct `known_at`, in order of time."""

    known_at: Array  # (R,) datetime64[ns] UTC; of a date the last instant of that day
    day: Array  # (R,) datetime64[D]
    dated: Array  # (R,) bool: whether it is a date
    signals: Array  # (R, N) of the panel's assets, NaN where there is none
    horizons: Array  # (R,) sessions; 1 where the file has none
    without_prices: int  # rows of assets that the panel does not have
    no_tranches: str | None = None  # why horizons cannot be traded: none in the file, several at one instant


def read_predictions(path: Path, panel: Panel, column: str) -> Predictions:
    """Read predictions.

    Args:
        path: CSV or Parquet with known_at, asset and the signal; horizon where tranches need it.
        panel: whose assets count.
        column: the signal.

    Raises:
        InputError: an unreadable cell, a naive time of day, an asset twice at one instant, no asset with prices.
    """
    table = read_table(path, ["known_at", "asset", column])
    instants, dated = known_at(path, table["known_at"])
    assets, values = names(path, table), numbers(path, table, column)
    again = pd.DataFrame({"at": instants, "dated": dated, "asset": assets.to_numpy()}).duplicated().to_numpy()
    refuse(path, again, "asset", assets, f"a second time at known_at {table['known_at'].iloc[int(np.argmax(again))]}")
    places = np.searchsorted(panel.assets, assets.to_numpy(str))
    places[places == len(panel.assets)] = 0
    known = np.array(panel.assets)[places] == assets.to_numpy(str)
    if not known.any():
        raise InputError(f"{path}: none of its assets has prices (the first is {assets.iloc[0]!r})")
    times, row = np.unique(np.stack([instants.astype(np.int64), dated.astype(np.int64)]), axis=1, return_inverse=True)
    signals = np.full((times.shape[1], len(panel.assets)), np.nan)
    signals[row[known], places[known]] = values[known]
    at = times[0].astype("datetime64[ns]")
    return Predictions(
        at, at.astype("datetime64[D]"), times[1].astype(bool), signals, _horizons(path, table, row, times.shape[1]),
        int((~known).sum()), _no_tranches(table, row),
    )  # fmt: skip


def _no_tranches(table: pd.DataFrame, row: Array) -> str | None:
    if "horizon" not in table.columns:
        return "no column 'horizon', which tranches need"
    several = table["horizon"].groupby(row).transform("nunique").to_numpy() > 1
    if not several.any():
        return None
    place = int(np.argmax(several))
    instant = table["known_at"].iloc[place]
    return f"row {place + HEADER_ROWS}: horizon: several at known_at {instant}, of which tranches need one"


def _horizons(path: Path, table: pd.DataFrame, row: Array, count: int) -> Array:
    """The horizon of each instant, in sessions; all assets of one instant must share it."""
    if "horizon" not in table.columns:
        return np.ones(count, np.int64)
    values = numbers(path, table, "horizon")
    refuse(path, ~(values >= 1) | (values % 1 != 0), "horizon", table["horizon"], "not a number of bars >= 1")
    horizons = np.zeros(count, np.int64)
    horizons[row] = values.astype(np.int64)
    return horizons


def known_at(path: Path, cells: pd.Series) -> tuple[Array, Array]:
    """Instants, datetime64[ns] UTC, and whether each is a date, whose instant is then the last one of that day."""
    refuse(path, cells.isna().to_numpy(), "known_at", cells, "missing")
    if pd.api.types.is_numeric_dtype(cells):
        raise InputError(f"{path}: known_at holds numbers, not dates or zoned timestamps")
    if pd.api.types.is_datetime64_any_dtype(cells):
        zoned = np.full(len(cells), getattr(cells.dtype, "tz", None) is not None)
        parsed = pd.to_datetime(cells, utc=True)
    else:
        text = cells.astype(str)
        zoned = text.str.contains(ZONE).to_numpy() & text.str.contains(":").to_numpy()
        parsed = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
        refuse(path, parsed.isna().to_numpy(), "known_at", cells, "not a date or a zoned timestamp")
    plain = parsed.dt.tz_convert(None)
    refuse(path, ~plain.between(FIRST, LAST).to_numpy(), "known_at", cells, f"not within {FIRST:%Y} to {LAST:%Y}")
    instants = plain.to_numpy("datetime64[ns]")
    midnight = instants == instants.astype("datetime64[D]")
    refuse(path, ~zoned & ~midnight, "known_at", cells, "a time of day without a zone, such as +00:00")
    dated = ~zoned
    return np.where(dated, instants + DAY - np.timedelta64(1, "ns"), instants), dated


def fill_sessions(predictions: Predictions, panel: Panel, opens: Array) -> Array:
    """(R,) the first session that can trade each instant's signals, T where there is none.

    After a date it is the next session; after an instant the first that opens strictly later.
    """
    by_date = np.searchsorted(panel.sessions, predictions.day, side="right")
    by_instant = np.searchsorted(opens, predictions.known_at, side="right")
    return np.where(predictions.dated, by_date, by_instant)


def decided_sessions(predictions: Predictions, panel: Panel, opens: Array) -> Array:
    """(R,) the last session whose close is known at each instant, -1 where there is none.

    After a date it is that date's; at an instant the one before the next fill, or the one before that while the
    session is still open: a close is taken as known once the next day has begun.
    """
    by_date = np.searchsorted(panel.sessions, predictions.day, side="right") - 1
    by_instant = np.searchsorted(panel.sessions, predictions.day, side="left") - 1
    return np.where(predictions.dated, by_date, by_instant)
