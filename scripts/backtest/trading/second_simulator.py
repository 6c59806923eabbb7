"""An account that bt keeps: its own cash, positions and marks, from nothing but orders, raw prices and events.

bt (https://github.com/pmorissette/bt) shares no code with `scripts.backtest.trading.simulator`. It is told what was
ordered (units, fill price, fee); what events, interest and borrow fees do follows from bt's own positions, in the order
of the simulator's contract: accruals, splits, dividends, delistings, orders.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import bt
import numpy as np
import pandas as pd

from scripts.backtest.prices.panel import Array, Event, Events, Panel
from scripts.lib.errors import InputError
from scripts.lib.progress import track

NAME, VERSION = "bt", str(bt.__version__)
DAYS_A_YEAR = 365  # actual/365, of accruals


class Order(NamedTuple):
    """What was filled."""

    asset: str
    units: float  # signed
    price: float  # currency a unit
    fee: float  # currency


class Terms(NamedTuple):
    """What cash and short positions earn and cost."""

    initial_cash: float
    cash_rate: float  # a year
    borrow_rate: float  # a year, on the value of short positions


class Replay(NamedTuple):
    """bt's account at each session's close."""

    equity: Array  # (S,)
    closed: Array  # (S,) currency that the session's delistings paid


@dataclass
class Day:
    """What happens in a session; events are (asset, value)."""

    splits: list[tuple[str, float]] = field(default_factory=list)
    dividends: list[tuple[str, float]] = field(default_factory=list)
    delistings: list[tuple[str, float]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)


def carried_closes(panel: Panel, splits: tuple[Event, ...]) -> pd.DataFrame:
    """(T, N) raw closes; where there is none the last one, in units after the splits since."""
    ratios = np.ones(panel.close.shape)
    for event in splits:
        ratios[event.session, event.asset] *= event.value
    units = np.cumprod(ratios, axis=0)
    raw = pd.DataFrame(panel.close, pd.DatetimeIndex(panel.sessions), list(panel.assets))
    return raw.fillna((raw * units).ffill() / units)


def replay(closes: pd.DataFrame, orders: dict[int, list[Order]], events: Events, terms: Terms, first: int) -> Replay:
    """Let bt trade orders.

    Args:
        closes: (T, N) of `carried_closes`, up to the account's last session.
        orders: by session, in the order in which they filled.
        events: splits, dividends and delistings of these sessions and assets.
        terms: initial cash and rates.
        first: the account's first session.

    Raises:
        InputError: bt refuses a session, such as one that leaves a position without any price.
    """
    traded = {order.asset for found in orders.values() for order in found}
    prices = closes.iloc[first:][sorted(traded)]
    diary = _diary(closes, orders, events, traded)
    accrue, settle = _Accrue(terms), _Settle(diary)
    algos = [accrue, _Events(diary), settle, _Fill(diary), accrue.note]
    strategy = bt.Strategy("replay", algos, [bt.Security(name) for name in prices.columns])
    strategy.use_integer_positions(False)
    strategy.setup(prices, bidoffer=prices * 0.0)  # without bid-offers bt takes no fill prices
    strategy.adjust(terms.initial_cash)
    strategy.bankrupt = True  # or bt would close an account below 0 by itself; what is not called then is called here
    for day in track(prices.index, "replay", len(prices), "sessions"):
        try:
            strategy.update(day)
            strategy.run()
            strategy.update(day)
        except (ValueError, ZeroDivisionError) as error:
            raise InputError(f"bt cannot replay {day:%Y-%m-%d}: {error}") from None
    return Replay(
        strategy.values.to_numpy(np.float64), np.array([settle.paid[day] for day in prices.index], np.float64)
    )


def _diary(
    closes: pd.DataFrame, orders: dict[int, list[Order]], events: Events, traded: set[str]
) -> dict[pd.Timestamp, Day]:
    """What happens in each session in which something does to assets that are ever traded."""
    found: dict[pd.Timestamp, Day] = defaultdict(Day)
    for session, filled in orders.items():
        found[closes.index[session]].orders.extend(filled)
    for kind in Events._fields:
        for event in getattr(events, kind):
            if (name := closes.columns[event.asset]) in traded:
                getattr(found[closes.index[event.session]], kind).append((name, event.value))
    return found


class _Accrue(bt.Algo):
    """Interest on cash and the fee for borrowed units, for the calendar days since the close before."""

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self.terms, self.before, self.shorts = terms, None, 0.0

    def __call__(self, target: Any) -> bool:
        if self.before is not None:
            years = (target.now - self.before).days / DAYS_A_YEAR
            earned = target.capital * self.terms.cash_rate - self.shorts * self.terms.borrow_rate
            target.adjust(earned * years, flow=False)
        self.before = target.now
        return True

    def note(self, target: Any) -> bool:
        """After all else: the value of short positions at this close, by which the next days are charged."""
        if self.terms.borrow_rate:
            target.update(target.now)
            self.shorts = -sum(min(child.value, 0.0) for child in target.children.values())
        return True


class _Events(bt.Algo):
    """Splits, as units for nothing, and dividends, which short positions pay."""

    def __init__(self, diary: dict[pd.Timestamp, Day]) -> None:
        super().__init__()
        self.diary = diary

    def __call__(self, target: Any) -> bool:
        today = self.diary.get(target.now, Day())
        for name, ratio in today.splits:
            held = target.children[name]
            held.transact(held.position * (ratio - 1.0), price=0.0)
        for name, amount in today.dividends:
            target.adjust(target.children[name].position * amount, flow=False)
        return True


class _Settle(bt.Algo):
    """Delistings close what bt holds at its last price times (1 + return)."""

    def __init__(self, diary: dict[pd.Timestamp, Day]) -> None:
        super().__init__()
        self.diary = diary
        self.paid: dict[pd.Timestamp, float] = defaultdict(float)

    def __call__(self, target: Any) -> bool:
        for name, change in self.diary.get(target.now, Day()).delistings:
            held = target.children[name]
            if units := held.position:
                price = held.price * (1.0 + change)
                held.transact(-units, price=price)
                self.paid[target.now] += units * price
        return True


class _Fill(bt.Algo):
    """Orders at the prices and fees that they were filled at."""

    def __init__(self, diary: dict[pd.Timestamp, Day]) -> None:
        super().__init__()
        self.diary = diary

    def __call__(self, target: Any) -> bool:
        for order in self.diary.get(target.now, Day()).orders:
            target.children[order.asset].transact(order.units, price=order.price)
            target.adjust(-order.fee, flow=False, fee=order.fee)
        return True
