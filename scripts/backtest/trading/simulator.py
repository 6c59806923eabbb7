"""The account: target weights, prices and events to positions, cash and equity.

The contract, in the order of a session:
1. Interest on cash and the fee for borrowed units accrue for the calendar days since the session before (actual/365).
2. Splits change the units held, dividends pay cash a unit (a short position pays them), and a delisted asset is closed
   at its last price times (1 + delisting return).
3. Orders fill, at the session's open or close. Units = weight x account value / price, both at the fill instant's
   unslipped price and before any order of that session. Slippage moves the fill price against the order, fees are
   charged on the traded notional at that price.
4. Positions are marked at the session's close, or at the last one known.

Between two sessions with orders or events nothing but prices changes, so equity there is one matrix product: the loop
runs over the sessions where something happens, with vectors over the assets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from scripts.backtest.prices.panel import Array, Event, Events, Panel, marks
from scripts.backtest.trading.costs import Costs, Market, fill

NO_EVENTS = Events()
DAYS_A_YEAR = 365.0  # of accruals: actual/365 fixed

TRADE = np.dtype(
    [("session", np.int64), ("asset", np.int64)]
    + [(name, np.float64) for name in ("units", "price", "fee", "slippage")]
    + [("delisting", np.bool_)]
)
POSITION = np.dtype(
    [("session", np.int64), ("asset", np.int64), ("units", np.float64), ("value", np.float64)]
)  # value in currency, at the close


class Plan(NamedTuple):
    """Target weights, each held until the next."""

    sessions: Array  # (R,) the sessions at which they are traded, strictly ascending
    weights: Array  # (R, N) fractions of the account value, negative for short positions


class Contract(NamedTuple):
    """How orders become positions."""

    initial_cash: float = 1_000_000.0
    at_close: bool = False  # fills at the session's close instead of its open
    whole_units: bool = False
    wait: bool = True  # an order without a price waits for the asset's next one, until the next target
    max_turnover: float | None = None  # traded value over account value, each time a target is traded
    costs: Costs = Costs()


class Path(NamedTuple):
    """The account at each session's close, from the session `first` of the panel on."""

    first: int
    equity: Array  # (S,)
    cash: Array
    gross: Array  # sum of the absolute position values over equity
    net: Array  # sum of the position values over equity
    turnover: Array  # traded value over the account value before the orders
    trades: Array  # of TRADE
    borrow: float  # paid in all
    interest: float  # received in all
    dividends: float  # received in all
    unfilled: int  # orders that found no price before the next target or the end
    ruined: bool  # whether the account value fell to zero: all positions were closed, no order followed
    positions: Array  # of POSITION, after each session with orders or events; empty unless they were asked for


class Fills(NamedTuple):
    """What was traded at one instant."""

    session: int
    assets: Array  # (orders,)
    units: Array
    prices: Array
    fees: Array
    slippage: Array
    delisting: bool = False


@dataclass(slots=True)
class Account:
    """What is held now."""

    cash: float
    units: Array  # (N,)
    pending: Array  # (N,) bool: assets whose target waits for a price
    target: Array  # (N,) weights traded last
    fills: list[Fills] = field(default_factory=list)
    borrow: float = 0.0
    interest: float = 0.0
    dividends: float = 0.0
    unfilled: int = 0
    ruined: bool = False


def simulate(
    panel: Panel, plan: Plan, contract: Contract, events: Events = NO_EVENTS, first: int = 0, positions: bool = False
) -> Path:
    """Let an account follow a plan.

    Args:
        panel: raw prices.
        plan: what it should hold, and from when on.
        contract: fill instant, costs and limits.
        events: splits, dividends and delistings.
        first: session with which the path begins.
        positions: whether the path tells what was held.
    """
    count = len(panel.assets)
    account = Account(contract.initial_cash, np.zeros(count), np.zeros(count, bool), np.zeros(count))
    run = _Run(panel, plan, contract, events, first, account)
    for begin, end in run.stretches():
        run.act(begin)
        run.hold(begin, end)
        if positions:
            run.note_positions(begin)
    return run.path()


class _Run:
    """One simulation: its inputs, indexed by session, and the path so far."""

    def __init__(
        self, panel: Panel, plan: Plan, contract: Contract, events: Events, first: int, account: Account
    ) -> None:
        self.panel, self.contract, self.first, self.account = panel, contract, first, account
        self.marks = marks(panel, events.splits)
        self.market = Market(panel, contract.costs, events.splits)
        self.fills = panel.close if contract.at_close else panel.open
        self.complete = bool(self.fills.min() > 0 and self.marks.min() > 0)  # no hole anywhere: no need to look again
        if not self.complete:  # what was bought before its first close could not be valued
            self.fills = np.where(self.marks > 0, self.fills, np.nan)
        self.targets = {int(session): weights for session, weights in zip(plan.sessions, plan.weights, strict=True)}
        self.splits, self.dividends, self.delistings = map(_by_session, events)
        self.positions: list[Array] = []
        length = len(panel.sessions) - first
        self.cash, self.longs, self.shorts, self.turnover = (np.zeros(length) for _ in range(4))
        self.accrues = bool(contract.costs.borrow_rate or contract.costs.cash_rate)
        self.days = np.diff(panel.sessions.astype("datetime64[D]").astype(np.int64), prepend=np.nan)

    def stretches(self) -> list[tuple[int, int]]:
        """Sessions in runs (begin, end) of which only the first one may bring orders or events.

        Waiting orders are looked for at the sessions where a price comes back.
        """
        acts = {*self.targets, *self.splits, *self.dividends, *self.delistings, self.first}
        if self.contract.wait and not self.complete:
            known = np.isfinite(self.fills)
            acts.update((np.flatnonzero((known[1:] & ~known[:-1]).any(axis=1)) + 1).tolist())
        begins = sorted(session for session in acts if session >= self.first)
        return list(zip(begins, [*begins[1:], len(self.panel.sessions)], strict=True))

    def act(self, session: int) -> None:
        """What comes before a session's close: events, then orders."""
        account = self.account
        if session > self.first:
            self._accrue(session)
        for event in self.splits.get(session, ()):
            account.units[event.asset] *= event.value
        for event in self.dividends.get(session, ()):
            paid = account.units[event.asset] * event.value
            account.cash += paid
            account.dividends += paid
        for event in self.delistings.get(session, ()):
            self._delist(session, event)
        if session in self.targets:
            account.unfilled += int(np.count_nonzero(account.pending))
            account.target = self.targets[session]
            account.pending = (account.target != 0) | (account.units != 0)
            self._order(session, limited=True)
        elif account.pending.any():
            self._order(session, limited=False)

    def _delist(self, session: int, event: Event) -> None:
        account, asset = self.account, event.asset
        account.pending[asset] = False
        units = account.units[asset]
        if units == 0:
            return
        price = self._marks_before(session)[asset] * (1 + event.value)
        account.cash += units * price
        account.units[asset] = 0.0
        free = np.zeros(1)
        account.fills.append(Fills(session, np.array([asset]), np.array([-units]), np.array([price]), free, free, True))

    def _order(self, session: int, limited: bool) -> None:
        """Trade the waiting targets that have a price now."""
        account, contract, prices = self.account, self.contract, self.fills[session]
        tradable = account.pending if self.complete else account.pending & (prices > 0)  # NaN is not
        if account.ruined or not tradable.any():
            return
        value = account.cash + self._worth(session)
        if value <= 0:
            account.ruined = True
            account.target = np.zeros_like(account.target)
        safe = prices if self.complete else np.where(tradable, prices, 1.0)
        wanted = account.target * value / safe
        change = (np.trunc(wanted) if contract.whole_units else wanted) - account.units
        if not self.complete:
            change = np.where(tradable, change, 0.0)
        if limited and contract.max_turnover is not None and not account.ruined:
            change *= min(1.0, contract.max_turnover * value / max(float(np.abs(change) @ safe), 1e-300))
            change = np.trunc(change) if contract.whole_units else change
        account.pending = account.pending & ~tradable if contract.wait else np.zeros_like(tradable)
        account.units = account.units + change
        assets = (change != 0).nonzero()[0]
        if len(assets):
            self._book(session, assets, change[assets], value)

    def _book(self, session: int, assets: Array, change: Array, value: float) -> None:
        """Pay for what was traded."""
        account, impact = self.account, self.market.impact(session, assets, change)
        filled, fees, slippage = fill(change, self.fills[session][assets], impact, self.contract.costs)
        account.fills.append(Fills(session, assets, change, filled, fees, slippage))
        account.cash -= float(change @ filled) + float(fees.sum())
        if value > 0:
            self.turnover[session - self.first] += float(np.abs(change) @ filled) / value

    def _worth(self, session: int) -> float:
        """Value of the positions at the fill instant's unslipped prices, or at the last marks where there is none."""
        units, prices = self.account.units, self.fills[session]
        if self.complete:
            return float(units @ prices)
        held = units.nonzero()[0]
        prices = np.where(np.isfinite(prices), prices, self._marks_before(session))
        return float(units[held] @ prices[held])  # what is not held needs no price

    def _marks_before(self, session: int) -> Array:
        """(N,) marks of the session before, in units after the splits of `session`."""
        before: Array = self.marks[max(session - 1, 0)].copy()
        for event in self.splits.get(session, ()):
            before[event.asset] /= event.value
        return before

    def _accrue(self, session: int) -> None:
        """Interest and borrow fee from the close before up to `session`."""
        if not self.accrues:
            return
        account, costs, at = self.account, self.contract.costs, session - self.first
        years = self.days[session] / DAYS_A_YEAR
        interest = account.cash * costs.cash_rate * years
        borrow = -self.shorts[at - 1] * costs.borrow_rate * years
        account.cash += interest - borrow
        account.interest += interest
        account.borrow += borrow

    def hold(self, begin: int, end: int) -> None:
        """Mark the positions at the closes of a stretch."""
        account, at = self.account, begin - self.first
        units, closes = account.units, self.marks[begin:end]
        if not self.complete:
            held = units.nonzero()[0]
            units, closes = units[held], closes[:, held]
        stretch = slice(at, at + end - begin)
        self.longs[stretch] = closes @ np.maximum(units, 0.0)
        self.shorts[stretch] = closes @ np.minimum(units, 0.0)
        self.cash[at] = account.cash
        if not self.accrues:
            self.cash[stretch] = account.cash
            return
        for session in range(begin + 1, end):
            self._accrue(session)
            self.cash[session - self.first] = account.cash

    def note_positions(self, session: int) -> None:
        held = np.flatnonzero(self.account.units)
        rows = np.zeros(len(held), POSITION)
        rows["session"], rows["asset"], rows["units"] = session, held, self.account.units[held]
        rows["value"] = rows["units"] * self.marks[session, held]
        self.positions.append(rows)

    def path(self) -> Path:
        account = self.account
        value = self.longs + self.shorts
        equity = self.cash + value
        safe = np.where(equity == 0, np.nan, equity)
        return Path(
            self.first, equity, self.cash, (self.longs - self.shorts) / safe, value / safe, self.turnover,
            _trades(account.fills),
            account.borrow, account.interest, account.dividends, account.unfilled + int(account.pending.sum()),
            account.ruined, np.concatenate([np.zeros(0, POSITION), *self.positions]),
        )  # fmt: skip


def _trades(fills: list[Fills]) -> Array:
    """(trades,) of TRADE."""
    counts = [len(part.assets) for part in fills]
    trades = np.zeros(sum(counts), TRADE)
    if fills:
        trades["session"] = np.repeat([part.session for part in fills], counts)
        trades["delisting"] = np.repeat([part.delisting for part in fills], counts)
        columns = zip(*(part[1:6] for part in fills), strict=True)
        for name, parts in zip(("asset", "units", "price", "fee", "slippage"), columns, strict=True):
            trades[name] = np.concatenate(parts)
    return trades


def _by_session(events: tuple[Event, ...]) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {}
    for event in events:
        found.setdefault(event.session, []).append(event)
    return found
