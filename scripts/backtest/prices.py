"""Raw prices in long form to a panel, with what was wrong with them; splits, dividends and delistings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts.backtest.panel import Array, Event, Events, Panel, last_sessions
from scripts.backtest.tables import HEADER_ROWS, dates, names, numbers, read_table
from scripts.lib.errors import InputError
from scripts.lib.joblog import log

SPLIT_RATIO = 1.9  # a move by this factor or more between two closes may be a split that nobody told
SPLIT_TOLERANCE = 0.02  # of the nearest ratio 2, 3, 4 …: an unadjusted split looks like one


def read_panel(path: Path, calendar: str | None = None) -> tuple[Panel, dict[str, int]]:
    """Read prices.

    Args:
        path: CSV or Parquet with date, asset, open, close; high, low, volume and currency where there are any.
        calendar: exchange whose sessions count; rows of other days are left out.

    Returns:
        the panel, and counts: rows left out as no session, identical duplicates, missing opens or closes inside of an
        asset's life, bars whose high or low contradicts open and close.

    Raises:
        InputError: an unreadable cell, two different prices for one asset and day, several currencies.
    """
    table = read_table(path, ["date", "asset", "open", "close"])
    _check_currency(path, table)
    frame = pd.DataFrame({"date": dates(path, table), "asset": names(path, table).to_numpy()})
    for column in ("open", "high", "low", "close", "volume"):
        frame[column] = numbers(path, table, column) if column in table.columns else np.nan
    frame, duplicates = _without_duplicates(path, frame)
    frame, outside = _sessions_only(path, frame, calendar)
    panel = _pivot(frame)
    counts = {
        "price_rows": len(frame),
        "rows_outside_sessions": outside,
        "duplicate_rows": duplicates,
        "missing_prices": _missing(panel),
        "contradicting_bars": _contradicting(frame),
    }
    return panel, counts


def _check_currency(path: Path, table: pd.DataFrame) -> None:
    if "currency" not in table.columns:
        return
    found = sorted(table["currency"].dropna().astype(str).unique())
    if len(found) > 1:
        raise InputError(f"{path}: prices in several currencies ({', '.join(found)}): convert them to one first")


def _without_duplicates(path: Path, frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Drop rows that are there twice; two vintages of a price that differ are refused, none is the right one."""
    again = frame.duplicated(["date", "asset"]).to_numpy()
    if not again.any():
        return frame, 0
    different = again & ~frame.duplicated().to_numpy()
    if different.any():
        row = int(np.argmax(different))
        date, asset = frame["date"].iloc[row], frame["asset"].iloc[row]
        first = int(np.argmax(((frame["date"] == date) & (frame["asset"] == asset)).to_numpy()))
        raise InputError(
            f"{path}: row {row + HEADER_ROWS}: {asset} on {date:%Y-%m-%d} has other prices than in row"
            f" {first + HEADER_ROWS}: two vintages in one file"
        )
    return frame[~again], int(again.sum())


def _sessions_only(path: Path, frame: pd.DataFrame, calendar: str | None) -> tuple[pd.DataFrame, int]:
    if calendar is None:
        return frame, 0
    days = frame["date"].to_numpy("datetime64[D]")
    known = np.isin(days, sessions_of(calendar, days.min(), days.max()))
    if not known.any():
        raise InputError(f"{path}: no row on a session of {calendar}")
    if not known.all():
        first = frame[~known].iloc[0]
        log.warning("%s: %d rows are on no session of %s and left out, the first: %s on %s", path, int((~known).sum()),
                    calendar, first["asset"], f"{first['date']:%Y-%m-%d}")  # fmt: skip
    return frame[known], int((~known).sum())


def sessions_of(calendar: str, first: Array, last: Array) -> Array:
    """Sessions of an exchange from `first` to `last`, datetime64[D]."""
    sessions: Array = _calendar(calendar, first, last).sessions.to_numpy("datetime64[D]")
    return sessions


def openings(calendar: str | None, sessions: Array) -> Array:
    """Instants, datetime64[ns] UTC, at which sessions open; without a calendar at midnight UTC."""
    if calendar is None:
        return sessions.astype("datetime64[ns]")
    found = _calendar(calendar, sessions[0], sessions[-1]).opens
    opens: Array = found.loc[pd.DatetimeIndex(sessions)].dt.tz_convert(None).to_numpy("datetime64[ns]")
    return opens


def _calendar(name: str, first: Array, last: Array) -> Any:
    import exchange_calendars  # takes a second

    try:
        return exchange_calendars.get_calendar(name, start=pd.Timestamp(first), end=pd.Timestamp(last))
    except exchange_calendars.errors.InvalidCalendarName:
        raise InputError(f"calendar: '{name}' is no exchange calendar (XNYS, XLON, XETR …)") from None
    except ValueError as error:
        raise InputError(f"calendar: {name} from {first} to {last}: {str(error).splitlines()[0]}") from None


def _pivot(frame: pd.DataFrame) -> Panel:
    days, row = np.unique(frame["date"].to_numpy("datetime64[D]"), return_inverse=True)
    assets, column = np.unique(frame["asset"].to_numpy(str), return_inverse=True)

    def wide(name: str) -> Array:
        values = np.full((len(days), len(assets)), np.nan)
        values[row, column] = frame[name].to_numpy()
        return values

    return Panel(days, tuple(map(str, assets)), wide("open"), wide("close"), wide("volume"))


def _missing(panel: Panel) -> int:
    """Cells without an open or a close from an asset's first close to its last."""
    known = np.isfinite(panel.close)
    first, rows = np.argmax(known, axis=0), np.arange(len(known))[:, None]
    alive = (rows >= first) & (rows <= last_sessions(panel))
    return int((alive & ~(known & np.isfinite(panel.open))).sum())


def _contradicting(frame: pd.DataFrame) -> int:
    """Bars with a high under, or a low over, open or close."""
    high, low = frame["high"], frame["low"]
    over = high < np.maximum(frame["open"], frame["close"])
    return int((over | (low > np.minimum(frame["open"], frame["close"]))).sum())


def read_events(
    panel: Panel, splits: Path | None, dividends: Path | None, delistings: Path | None, default: float, after: int
) -> Events:
    """Read corporate actions and find the assets whose prices end.

    Args:
        panel: the prices that they belong to.
        splits: date, asset, ratio: new units for one old (0.5 is a reverse split 1:2), from that date's open on.
        dividends: date (ex), asset, amount: currency a unit.
        delistings: date, asset, return: from the last price to what holders got.
        default: return of delisted assets that `delistings` does not name.
        after: sessions without a price up to the panel's end after which an asset counts as delisted.
    """
    found = _delisted(panel, default, after)
    if delistings:
        for asset, value in _values(panel, delistings, "return"):
            found[asset] = value
    last = last_sessions(panel)
    ends = [Event(int(last[asset]) + 1, asset, value) for asset, value in found.items()]
    return Events(
        _events(panel, splits, "ratio"),
        _events(panel, dividends, "amount"),
        tuple(sorted(event for event in ends if 0 < event.session < len(panel.sessions))),
    )


def _delisted(panel: Panel, default: float, after: int) -> dict[int, float]:
    quiet = len(panel.sessions) - 1 - last_sessions(panel)
    return {int(asset): default for asset in np.flatnonzero(quiet >= after)}


def _values(panel: Panel, path: Path, column: str) -> list[tuple[int, float]]:
    """Delistings: their dates must not come before the asset's last price."""
    table = read_table(path, ["date", "asset", column])
    days, assets, values = dates(path, table), names(path, table), numbers(path, table, column)
    places = {asset: place for place, asset in enumerate(panel.assets)}
    last, found = last_sessions(panel), []
    for row, (day, asset, value) in enumerate(zip(days, assets, values, strict=True)):
        if asset not in places:
            continue
        where = f"{path}: row {row + HEADER_ROWS}: {asset}"
        if not value >= -1:
            raise InputError(f"{where}: {column} {value:g} is under -1")
        if panel.sessions[last[places[asset]]] > day:
            raise InputError(
                f"{where}: delisted on {day}, but it has prices up to {panel.sessions[last[places[asset]]]}"
            )
        found.append((places[asset], float(value)))
    return found


def _events(panel: Panel, path: Path | None, column: str) -> tuple[Event, ...]:
    """Events of assets and days of the panel; one on a day without a session counts from the next one on."""
    if path is None:
        return ()
    table = read_table(path, ["date", "asset", column])
    days, assets, values = dates(path, table), names(path, table), numbers(path, table, column)
    wrong = ~(values > 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"{path}: row {row + HEADER_ROWS}: {column} {values[row]:g}: must be above 0")
    places = {asset: place for place, asset in enumerate(panel.assets)}
    sessions = np.searchsorted(panel.sessions, days)
    return tuple(
        sorted(
            Event(int(session), places[asset], float(value))
            for session, asset, value in zip(sessions, assets, values, strict=True)
            if asset in places and session < len(panel.sessions)
        )
    )


def suspected_splits(panel: Panel, events: Events) -> list[tuple[str, str, float]]:
    """(asset, date, factor) of moves between closes by 2, 3, 4 … or their reciprocals that no split explains.

    Raw prices of a split that is not in the events look like this, and so do two vintages of adjusted prices joined.
    """
    told = {(event.session, event.asset) for event in events.splits}
    with np.errstate(invalid="ignore", divide="ignore"):
        factors = panel.close[1:] / panel.close[:-1]
        sizes = np.where(factors < 1, 1 / factors, factors)
        near = np.abs(sizes / np.round(sizes) - 1) < SPLIT_TOLERANCE
        suspect = (sizes >= SPLIT_RATIO) & near & np.isfinite(sizes)
    return [
        (panel.assets[asset], str(panel.sessions[row + 1]), float(factors[row, asset]))
        for row, asset in np.argwhere(suspect)
        if (row + 1, asset) not in told
    ]
