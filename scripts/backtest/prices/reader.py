"""Raw prices in long form to a panel, with what was wrong with them; splits, dividends and delistings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scripts.backtest.prices.checks import (
    LONG_GAP,
    SAME,
    long_gaps,
    missing_prices,
    pauses,
    price_spikes,
    stale_bars,
    vintages,
)
from scripts.backtest.prices.panel import Array, Event, Events, Panel, last_sessions
from scripts.backtest.prices.tables import HEADER_ROWS, dates, names, numbers, read_table, refuse
from scripts.lib.errors import InputError
from scripts.lib.joblog import log


class Exchange(NamedTuple):
    """Sessions of an exchange, from its assets' first price to the end of all prices."""

    sessions: Array  # (D,) datetime64[D], ascending
    opens: Array  # (D,) datetime64[ns] UTC


def read_panel(path: Path, calendar: str | None = None) -> tuple[Panel, dict[str, int]]:
    """Read prices.

    Of several exchanges, the panel's sessions are those on which any of them is open; a session opens when the first
    of these does, so that nothing is traded on what came after that.

    Args:
        path: CSV or Parquet with date, asset, open, close; high, low, volume, currency and calendar (the exchange of
            each asset, exchange_calendars' name) where there are any.
        calendar: exchange of all assets, for prices without that column; None: every date is a session.

    Returns:
        the panel, and counts: rows left out as no session of their exchange, sessions without any price, identical
        duplicates, zeros (taken as missing), missing opens or closes inside of an asset's life, bars whose high or low
        contradicts open and close, bars in which nothing moved, prices that jump and come back, long gaps.

    Raises:
        InputError: an unreadable cell, two different prices for one asset and day, a price under 0, several currencies,
            an asset with two calendars.
    """
    table = read_table(path, ["date", "asset", "open", "close"])
    _check_currency(path, table)
    frame = pd.DataFrame({"date": dates(path, table), "asset": names(path, table).to_numpy()})
    for column in ("open", "high", "low", "close", "volume"):
        frame[column] = numbers(path, table, column) if column in table.columns else np.nan
    frame["calendar"] = names(path, table, "calendar").to_numpy() if "calendar" in table.columns else calendar
    _check_calendars(path, frame)
    zeros = _without_zeros(path, frame)
    frame, duplicates = _without_duplicates(path, frame)
    frame, outside, exchanges = _sessions_only(path, frame)
    panel = _pivot(frame, exchanges)
    counts = {
        "price_rows": len(frame),
        "rows_outside_sessions": outside,
        "missing_sessions": _missing_sessions(panel, exchanges),
        "duplicate_rows": duplicates,
        "zero_prices": zeros,
        "missing_prices": missing_prices(panel),
        "contradicting_bars": _contradicting(frame),
        "stale_bars": stale_bars(panel),
        "price_spikes": _told(path, price_spikes(panel), "prices that jump and come back"),
        "long_gaps": _told(path, long_gaps(panel), "pauses of months, taken for delistings"),
    }
    return panel, counts


def compare_vintages(prices: Path, panel: Panel, earlier: Path, calendar: str | None = None) -> dict[str, int]:
    """Count what differs from an earlier vintage of the prices; the run goes on with the later one.

    Returns:
        bars of both vintages whose open or close differ, assets whose different bars all differ by one factor, and bars
        of the earlier vintage that are gone.
    """
    before, _ = read_panel(earlier, calendar)
    found = vintages(panel, before)
    _told(prices, [asset.words for asset in found if asset.words], f"assets differ from {earlier}")
    return {
        "vintage_differences": sum(asset.different for asset in found),
        "vintage_adjustments": sum(asset.adjusted for asset in found),
        "vintage_bars_gone": sum(asset.gone for asset in found),
    }


def _told(path: Path, found: list[str], what: str) -> int:
    if found:
        log.warning("%s: %d %s, the first: %s", path, len(found), what, found[0])
    return len(found)


def _check_currency(path: Path, table: pd.DataFrame) -> None:
    if "currency" not in table.columns:
        return
    found = sorted(table["currency"].dropna().astype(str).unique())
    if len(found) > 1:
        raise InputError(f"{path}: prices in several currencies ({', '.join(found)}): convert them to one first")


def _check_calendars(path: Path, frame: pd.DataFrame) -> None:
    first = frame.groupby("asset", sort=False)["calendar"].transform("first")
    different = (frame["calendar"].notna() & (frame["calendar"] != first)).to_numpy()
    if different.any():
        row = int(np.argmax(different))
        raise InputError(
            f"{path}: row {row + HEADER_ROWS}: {frame['asset'].iloc[row]} has the calendar"
            f" {frame['calendar'].iloc[row]}, in a row before {first.iloc[row]}: an asset is of one exchange"
        )


def _without_zeros(path: Path, frame: pd.DataFrame) -> int:
    """Make zeros, which vendors write for what they do not know, missing prices; a price under 0 is refused."""
    zeros = 0
    for column in ("open", "close"):
        under = (frame[column] < 0).to_numpy()
        if under.any():
            row = frame[under].iloc[0]
            raise InputError(
                f"{path}: row {int(np.argmax(under)) + HEADER_ROWS}: {row['asset']} on {row['date']:%Y-%m-%d} has the"
                f" {column} {row[column]:g}: a weight buys no units at a price under 0, leave the asset out"
            )
        zeros += int((frame[column] == 0).sum())
        frame[column] = frame[column].where(frame[column] != 0)
    return zeros


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


def _sessions_only(path: Path, frame: pd.DataFrame) -> tuple[pd.DataFrame, int, dict[str, Exchange]]:
    """Leave out the rows on days that are no session of their asset's exchange."""
    days = frame["date"].to_numpy("datetime64[D]")
    known, exchanges = np.ones(len(frame), bool), dict[str, Exchange]()
    for name, rows in frame.groupby("calendar").indices.items():
        exchanges[name] = _exchange(name, days[rows].min(), days.max())
        known[rows] = np.isin(days[rows], exchanges[name].sessions)
    if not known.any():
        raise InputError(f"{path}: no row on a session of {', '.join(exchanges)}")
    if not known.all():
        first = frame[~known].iloc[0]
        log.warning("%s: %d rows are on no session of their exchange and left out, the first: %s on %s (%s)", path,
                    int((~known).sum()), first["asset"], f"{first['date']:%Y-%m-%d}", first["calendar"])  # fmt: skip
    return frame[known], int((~known).sum()), exchanges


def _exchange(name: str, first: Array, last: Array) -> Exchange:
    found = _calendar(name, first, last)
    opens = found.opens.dt.tz_convert(None).to_numpy("datetime64[ns]")
    return Exchange(found.sessions.to_numpy("datetime64[D]"), opens)


def _calendar(name: str, first: Array, last: Array) -> Any:
    import exchange_calendars  # takes a second

    try:
        return exchange_calendars.get_calendar(name, start=pd.Timestamp(first), end=pd.Timestamp(last))
    except exchange_calendars.errors.InvalidCalendarName:
        raise InputError(f"calendar: '{name}' is no exchange calendar (XNYS, XLON, XETR …)") from None
    except ValueError as error:
        raise InputError(f"calendar: {name} from {first} to {last}: {str(error).splitlines()[0]}") from None


def _pivot(frame: pd.DataFrame, exchanges: dict[str, Exchange]) -> Panel:
    days, row = np.unique(frame["date"].to_numpy("datetime64[D]"), return_inverse=True)
    assets, first, column = np.unique(frame["asset"].to_numpy(str), return_index=True, return_inverse=True)

    def wide(name: str) -> Array:
        values = np.full((len(days), len(assets)), np.nan)
        values[row, column] = frame[name].to_numpy()
        return values

    panel = Panel(days, tuple(map(str, assets)), wide("open"), wide("close"), wide("volume"))
    return _scheduled(panel, frame["calendar"].iloc[first].tolist(), exchanges) if exchanges else panel


def _scheduled(panel: Panel, of_assets: list[str], exchanges: dict[str, Exchange]) -> Panel:
    """The panel with the times of its exchanges: a session opens when the first of them does."""
    opens = np.full(len(panel.sessions), np.datetime64("NaT", "ns"))
    trading = np.zeros(panel.close.shape, bool)
    for name, exchange in exchanges.items():
        shared = np.isin(panel.sessions, exchange.sessions)
        trading[:, [other == name for other in of_assets]] = shared[:, None]
        places = np.searchsorted(exchange.sessions, panel.sessions[shared])
        opens[shared] = np.fmin(opens[shared], exchange.opens[places])
    return panel._replace(opens=opens, trading=trading)


def _missing_sessions(panel: Panel, exchanges: dict[str, Exchange]) -> int:
    """Sessions of the exchanges on which none of all assets has a row."""
    if not exchanges:
        return 0
    sessions = np.unique(np.concatenate([exchange.sessions for exchange in exchanges.values()]))
    return int((~np.isin(sessions, panel.sessions)).sum())


def _contradicting(frame: pd.DataFrame) -> int:
    """Bars with a high under, or a low over, open or close, by more than the digits of adjusting."""
    high, low = frame["high"], frame["low"]
    over = high < np.maximum(frame["open"], frame["close"]) * (1 - SAME)
    return int((over | (low > np.minimum(frame["open"], frame["close"]) * (1 + SAME))).sum())


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
        after: sessions without a price up to the panel's end after which an asset counts as delisted; one that comes
            back after 60 or more does, too: its name is another company's.
    """
    found = _delisted(panel, default, after)
    if delistings:
        found |= _told_ends(panel, delistings)
    ends = [Event(session, asset, value) for (session, asset), value in found.items()]
    return Events(
        _events(panel, splits, "ratio"),
        _events(panel, dividends, "amount"),
        tuple(sorted(event for event in ends if 0 < event.session < len(panel.sessions))),
    )


def _delisted(panel: Panel, default: float, after: int) -> dict[tuple[int, int], float]:
    """{(session after the last price, asset): return} of assets whose prices end, or pause for months."""
    last = last_sessions(panel)
    later = np.arange(len(panel.sessions))[:, None] > last
    quiet = (later if panel.trading is None else later & panel.trading).sum(axis=0)
    ends = {(int(last[asset]) + 1, int(asset)): default for asset in np.flatnonzero(quiet >= after)}
    return ends | {(before + 1, asset): default for asset, before, _ in pauses(panel)}


def _told_ends(panel: Panel, path: Path) -> dict[tuple[int, int], float]:
    """The same from a file: no price may follow, unless after months under the name of another company."""
    table = read_table(path, ["date", "asset", "return"])
    days, assets, values = dates(path, table), names(path, table), numbers(path, table, "return")
    places, found = {asset: place for place, asset in enumerate(panel.assets)}, {}
    for row, (day, name, value) in enumerate(zip(days, assets, values, strict=True)):
        if name not in places:
            continue
        where = f"{path}: row {row + HEADER_ROWS}: {name}"
        if not value >= -1:
            raise InputError(f"{where}: return {value:g} is under -1")
        known = np.flatnonzero(np.isfinite(panel.close[:, places[name]]))
        count = int(np.searchsorted(panel.sessions[known], day, side="right"))  # prices up to the day
        if count < len(known) and (count == 0 or known[count] - known[count - 1] <= LONG_GAP):
            raise InputError(f"{where}: delisted on {day}, but it has prices up to {panel.sessions[known[-1]]}")
        if len(known):
            found[int(known[count - 1]) + 1, places[name]] = float(value)
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
    told = pd.DataFrame({"day": days, "asset": assets.to_numpy(), "value": values})
    kinds = ["day", "asset", "value"] if column == "amount" else ["day", "asset"]  # a special dividend beside another
    again = told.duplicated(kinds).to_numpy()
    refuse(path, again, "asset", assets, f"a second {column} on {days[int(np.argmax(again))]}")
    places = {asset: place for place, asset in enumerate(panel.assets)}
    sessions = np.searchsorted(panel.sessions, days)
    return tuple(
        sorted(
            Event(int(session), places[asset], float(value))
            for session, asset, value in zip(sessions, assets, values, strict=True)
            if asset in places and session < len(panel.sessions)
        )
    )
