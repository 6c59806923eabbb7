"""The account by asset: who earned it, and which share of a market its trades would be."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.backtest.judging.evidence import Evidence, Figures
from scripts.backtest.prices.panel import Array, Events, Panel, marks
from scripts.backtest.prices.reader import read_events, read_panel
from scripts.backtest.prices.tables import read_table
from scripts.backtest.trading.planning import until
from scripts.lib.errors import InputError
from scripts.lib.joblog import log

CONTRIBUTIONS = ("asset", "category", "profit", "share", "trades")
SIZES = (1, 10, 100)  # million, account value
BEST = 3  # names


class Ledger(NamedTuple):
    """Trades of an account by asset."""

    assets: Array  # (A,) names, ascending
    place: Array  # (K,) asset of each trade
    paid: Array  # (A,) currency received in all trades less what was paid, fees among it
    trades: Array  # (A,) number of them


class Market(NamedTuple):
    """Prices of the account's time, and its assets among theirs."""

    panel: Panel
    events: Events
    columns: Array  # (A,) place of each asset in the panel
    sessions: Array  # (K,) session of each trade


def ledger_of(evidence: Evidence) -> Ledger:
    trades = evidence.trades
    assets, place = np.unique(trades.assets.astype(str), return_inverse=True)
    paid = np.bincount(place, -trades.units * trades.price - trades.fee, len(assets))
    return Ledger(assets, place, paid, np.bincount(place, minlength=len(assets)))


def read_market(
    prices: Path, splits: Path | None, dividends: Path | None, evidence: Evidence, ledger: Ledger
) -> Market:
    """Prices up to the account's last date.

    Raises:
        InputError: see `read_panel`; an asset or a date of the account has none.
    """
    panel, _ = read_panel(prices, evidence.description.settings.get("calendar"))
    length = int(np.searchsorted(panel.sessions, evidence.equity.dates[-1], side="right"))
    panel, events = until(panel, read_events(panel, splits, dividends, None, 0.0, 1), length)
    columns = np.searchsorted(panel.assets, ledger.assets)
    columns[columns == len(panel.assets)] = 0
    missing = ledger.assets[np.array(panel.assets)[columns] != ledger.assets]
    if len(missing):
        raise InputError(f"{prices}: no prices of {missing[0]}, which the account traded")
    days = evidence.trades.dates.astype("datetime64[D]")
    sessions = np.minimum(np.searchsorted(panel.sessions, days), max(length - 1, 0))
    wrong = days != panel.sessions[sessions] if length else np.ones(len(days), bool)
    if wrong.any() or not length:
        raise InputError(f"{prices}: no session on {days[wrong][0] if len(days) else 'the account’s dates'}")
    return Market(panel, events, columns, sessions)


def profits(evidence: Evidence, ledger: Ledger, market: Market | None, positions: Path | None) -> Array:
    """(A,) currency: what each asset brought in trades and dividends, and what is held of it at the end.

    Interest and borrow fees are of no asset. Without prices positions are valued at their last marks, or at their last
    trades.
    """
    if market is not None:
        held = _held(evidence, ledger, market)
    elif len(ledger.assets) == 1:
        held = evidence.equity.equity[-1:] - evidence.equity.cash[-1:]
    else:
        log.warning("no prices: positions are valued as of the last session with trades")
        held = _marked(positions, ledger) if positions else _as_traded(evidence, ledger)
    profit: Array = ledger.paid + held
    return profit


def _held(evidence: Evidence, ledger: Ledger, market: Market) -> Array:
    """(A,) value of the positions at the end, and the dividends on the way."""
    panel, events = market.panel, market.events
    shape = len(panel.sessions), len(ledger.assets)
    place = {int(column): at for at, column in enumerate(market.columns)}
    factor, paid = np.ones(shape), np.zeros(shape)
    for event in events.splits:
        if event.asset in place:
            factor[event.session :, place[event.asset]] *= event.value
    for event in events.dividends:
        if event.asset in place:
            paid[event.session, place[event.asset]] += event.value
    bought = np.zeros(shape)  # in units of the beginning, so that splits change nothing
    np.add.at(bought, (market.sessions, ledger.place), evidence.trades.units / factor[market.sessions, ledger.place])
    held = np.cumsum(bought, axis=0)
    before = held - bought
    value = held[-1] * factor[-1] * np.nan_to_num(marks(panel, events.splits)[-1, market.columns])
    earned: Array = value + (before * factor * paid).sum(axis=0)
    return earned


def _marked(path: Path, ledger: Ledger) -> Array:
    """(A,) last value of each position in positions.parquet."""
    table = read_table(path, ["date", "asset", "value"])
    last = table[table["date"] == table["date"].max()]
    values = dict(zip(last["asset"].astype(str), last["value"].astype(float), strict=True))
    return np.array([values.get(str(name), 0.0) for name in ledger.assets])


def _as_traded(evidence: Evidence, ledger: Ledger) -> Array:
    """(A,) units traded in all, at the price of the last trade."""
    price = np.zeros(len(ledger.assets))
    price[ledger.place] = evidence.trades.price  # the last one stays
    values: Array = np.bincount(ledger.place, evidence.trades.units, len(price)) * price
    return values


def contribution_rows(ledger: Ledger, profit: Array, categories: dict[str, str]) -> list[Figures]:
    """Rows of contributions.csv, the largest profit first; a share is that of the sum of all |profits|."""
    total = float(np.abs(profit).sum())
    order = np.lexsort((ledger.assets, -profit))
    return [
        {
            "asset": str(ledger.assets[at]),
            "category": categories.get(str(ledger.assets[at]), "none" if categories else ""),
            "profit": float(profit[at]), "share": float(profit[at] / total) if total else None,
            "trades": int(ledger.trades[at]),
        }
        for at in order
    ]  # fmt: skip


def without_best_names(evidence: Evidence, profit: Array) -> float | None:
    """Total return less the profit of the three best names; None where there are no others."""
    if len(profit) <= BEST:
        return None
    equity = evidence.equity.equity
    return float((equity[-1] - np.sort(profit)[-BEST:].sum()) / equity[0] - 1)


def capacity(evidence: Evidence, ledger: Ledger, market: Market | None) -> Figures:
    """Share of the mean daily traded value of its asset that an order of median share takes, by account value.

    Orders are taken as fractions of the account value before them; volumes are means over the account's time.
    """
    found: Figures = {f"capacity_adv_{size}m": None for size in SIZES}
    orders = evidence.trades.kind == "order"
    if market is None or not orders.any():
        return found
    panel, first = market.panel, int(np.searchsorted(market.panel.sessions, evidence.equity.dates[0]))
    traded = (panel.close * panel.volume)[first:, market.columns]
    known = np.isfinite(traded)
    mean = np.where(known, traded, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    before = evidence.equity.equity[evidence.trade_periods]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (evidence.trade_values / before / mean[ledger.place])[orders & (before > 0)]
    shares = shares[np.isfinite(shares)]
    return {f"capacity_adv_{size}m": float(np.median(shares)) * size * 1e6 if len(shares) else None for size in SIZES}
