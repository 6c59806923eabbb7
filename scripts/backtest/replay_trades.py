"""Replay an account's trades in a second simulator, and compare the two account values day by day."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scripts.backtest.prices.panel import Array, Panel
from scripts.backtest.prices.reader import read_events, read_panel
from scripts.backtest.prices.tables import HEADER_ROWS
from scripts.backtest.trading import second_simulator as peer
from scripts.backtest.trading.planning import until
from scripts.backtest.trading.settings import ReplaySettings
from scripts.lib import job
from scripts.lib import ledger as trial_ledger
from scripts.lib.account import TRADES, EquityTable, TradeTable, read_equity, read_trades, write_rows
from scripts.lib.documents import write_object
from scripts.lib.errors import InputError
from scripts.lib.joblog import log

REPLAY = ("date", "equity", "replayed", "difference")
ORDER, DELISTING = "order", "delisting"


class Claims(NamedTuple):
    """What trades.csv says."""

    orders: dict[int, list[peer.Order]]  # by session of the prices
    closed: Array  # (S,) currency that delistings paid, by session of the account


def main(
    equity: job.InputFile,
    trades: job.InputFile,
    prices: job.InputFile,
    report: job.OutputFile,
    table: job.OutputFile,
    settings: ReplaySettings,
    splits: job.InputFile | None = None,
    dividends: job.InputFile | None = None,
    delistings: job.InputFile | None = None,
) -> None:
    """Replay an account's trades in a second simulator, and compare the two account values day by day.

    The second simulator is bt. It takes units, fill price and fee of each order from the account; cash, positions and
    marks are its own, and so is what splits, dividends, delistings, interest and borrow fees do to them. Closing at a
    delisting is no order: bt closes what it holds, and the money is compared with that of the account's trades. A
    difference is no error: it is told in the report, and what it means is for judge_backtest and the gate to say.

    Args:
        equity: equity.csv of the account
        trades: trades.csv of the account
        prices: raw prices that it traded, CSV or Parquet with date, asset, open, close
        report: JSON with simulator, version, sessions, largest relative difference and its date, both final values
        table: CSV with date, equity, replayed (currency, at the close), difference (of the account values, or of what
            the session's delistings paid where that is larger; fraction of the account value)
        settings: tolerance; cash, rates and calendar as in the backtest
        splits: CSV with date, asset, ratio (new units for one old)
        dividends: CSV with date (ex), asset, amount (currency a unit)
        delistings: CSV with date, asset, return (from the last price to what holders got)
    """
    panel, _ = read_panel(prices, settings.calendar)
    events = read_events(panel, splits, dividends, delistings, settings.delisting_return, settings.delisted_after)
    account = read_equity(equity)
    first, end = stretch(equity, account, prices, panel)
    panel, events = until(panel, events, end)
    closes = peer.carried_closes(panel, events.splits)
    claims = claims_of(read_trades(trades, account.dates), trades, prices, closes, first)
    terms = peer.Terms(settings.initial_cash, settings.cash_rate, settings.borrow_rate)
    found = peer.replay(closes, claims.orders, events, terms, first)
    ours = account.equity[1:]
    difference = differences(ours, found, claims)
    days = [str(day) for day in panel.sessions[first:]]
    write_rows(table, REPLAY, zip(days, ours, found.equity, difference, strict=True))
    told = summary(days, ours, found.equity, difference, settings.tolerance)
    write_object(report, told | {"account": trial_ledger.digest(equity)})
    if told["first_beyond"]:
        log.warning("%s: bt does not agree from %s on: up to %.3g of the account value", trades, told["first_beyond"],
                    told["largest_difference"])  # fmt: skip
    log.info("%d sessions, largest relative difference %.3g", len(days), told["largest_difference"])


def stretch(path: Path, account: EquityTable, prices: Path, panel: Panel) -> tuple[int, int]:
    """First session of the prices that the account has, and the one after its last.

    Raises:
        InputError: the account's dates are not those of sessions that follow one another.
    """
    sessions, dates = panel.sessions.astype("datetime64[ns]"), account.dates[1:]
    first = int(np.searchsorted(sessions, dates[0]))
    expected = sessions[first : first + len(dates)]
    wrong = dates[: len(expected)] != expected
    if account.intraday or wrong.any() or len(expected) < len(dates):
        row = 0 if account.intraday else int(np.argmax(wrong)) if wrong.any() else len(expected)
        what = f"{path}: row {row + 1 + HEADER_ROWS}: {dates[row].astype('datetime64[s]')}"
        raise InputError(f"{what} is not the session of {prices} that follows the row before")
    return first, first + len(dates)


def claims_of(table: TradeTable, path: Path, prices: Path, closes: pd.DataFrame, first: int) -> Claims:
    """Orders and what delistings paid.

    Args:
        table: of trades.csv.
        path: its path, named in errors.
        prices: named in errors.
        closes: (T, N) of `carried_closes`, up to the account's last session.
        first: the account's first session.

    Raises:
        InputError: an asset without prices, a date that is no session of the account, a kind that is not known, an
            order of an asset that no close up to then can value.
    """
    claims = Claims({}, np.zeros(len(closes) - first))
    sessions = closes.index.get_indexer(pd.DatetimeIndex(table.dates))
    places = {name: place for place, name in enumerate(closes.columns)}
    known = np.isfinite(closes.to_numpy())
    for row, session in enumerate(sessions.tolist()):
        name, kind = table.assets[row], table.kind[row]
        if reason := _wrong(table, row, name in places, session >= first, prices):
            raise InputError(f"{path}: row {row + HEADER_ROWS}: {reason}")
        units, price, fee = (float(getattr(table, column)[row]) for column in TRADES[2:5])
        if kind == DELISTING:
            claims.closed[session - first] -= units * price + fee
        elif not known[session, places[name]]:
            raise InputError(f"{path}: row {row + HEADER_ROWS}: {prices} has no close of {name} up to then to value it")
        else:
            claims.orders.setdefault(session, []).append(peer.Order(name, units, price, fee))
    return claims


def _wrong(table: TradeTable, row: int, priced: bool, inside: bool, prices: Path) -> str:
    """What is wrong with a trade; nothing where it can be replayed."""
    if not priced:
        return f"asset {table.assets[row]!r} is not in {prices}"
    if not inside:
        return f"date {table.dates[row].astype('datetime64[s]')} is no session of the account and of {prices}"
    if table.kind[row] not in (ORDER, DELISTING):
        return f"kind {table.kind[row]!r}: neither {ORDER} nor {DELISTING}"
    return ""


def differences(ours: Array, found: peer.Replay, claims: Claims) -> Array:
    """(S,) by session: the larger of the differences of account value and delisting money, over the account value."""
    apart = np.maximum(np.abs(ours - found.equity), np.abs(claims.closed - found.closed))
    scale = np.maximum(np.abs(ours), np.abs(found.equity))
    relative: Array = apart / np.where(scale > 0, scale, 1.0)
    return relative


def summary(days: list[str], ours: Array, theirs: Array, difference: Array, tolerance: float) -> dict[str, Any]:
    """The figures of the report."""
    worst, beyond = int(np.argmax(difference)), np.flatnonzero(difference > tolerance)
    return {
        "simulator": peer.NAME, "version": peer.VERSION, "sessions": len(days),
        "largest_difference": float(difference[worst]), "largest_on": days[worst],
        "tolerance": tolerance, "first_beyond": days[beyond[0]] if len(beyond) else None,
        "final_equity": float(ours[-1]), "replayed_final_equity": float(theirs[-1]),
    }  # fmt: skip


if __name__ == "__main__":
    job.run(main)
