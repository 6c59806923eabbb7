"""Traders walk through a tape from decision to decision: agents, and the naive baselines beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scripts.lib.progress import Progress
from scripts.orderbook.trading.account import Account, Trade
from scripts.orderbook.trading.env import Observation, View, observe
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.taker_fills import BPS
from scripts.orderbook.trading.tape import Tape

NS_PER_HOUR = 3.6e12

Choice = tuple[int, float]
"""Target position in units, and the signal behind it in −1 … 1."""
Trader = Callable[[Account, float], Choice]
"""Decides at the account's row; the second argument is the largest position's notional, quote currency."""


@dataclass(frozen=True)
class Walk:
    """What one trader did and earned, decision by decision; money in basis points of the largest position's notional at
    the start of the stretch."""

    row: np.ndarray
    """(decisions,) rows of the tape."""
    target: np.ndarray
    """(decisions,) targets, units."""
    signal: np.ndarray
    """(decisions,) −1 … 1."""
    gross: np.ndarray
    """(decisions,) earned by moves of the mid until the next decision."""
    spread: np.ndarray
    """(decisions,) paid beyond the mid until then."""
    fees: np.ndarray
    """(decisions,) paid in fees until then."""
    traded: np.ndarray
    """(decisions,) traded notional until then, as a share of the largest position's."""
    trades: list[Trade]

    @property
    def net(self) -> np.ndarray:
        """(decisions,) gross less costs."""
        net: np.ndarray = self.gross - self.spread - self.fees
        return net


@dataclass(frozen=True)
class Traded:
    """All traders' runs through one split."""

    split: str
    tape: Tape
    rows: list[range]
    walks: dict[str, list[Walk]]
    """By trader; one run a seed."""

    @property
    def hours(self) -> float:
        """Event time between the first and the last decision of the stretches, summed."""
        times = self.tape.event_time
        return float(sum(times[rows[-1]] - times[rows[0]] for rows in self.rows)) / NS_PER_HOUR


def walk(tape: Tape, rows: list[range], rules: TradingRules, trader: Trader, what: str) -> Walk:
    """Let a trader decide at all rows but each stretch's last, where what it holds is closed at the book's prices."""
    found: list[tuple[float, ...]] = []
    trades: list[Trade] = []
    with Progress(what, sum(len(stretch) - 1 for stretch in rows), "decisions") as progress:
        for stretch in rows:
            account = Account(tape, rules, stretch[0])
            notional = rules.unit * rules.max_position * float(tape.mid[stretch[0]])
            for place in range(len(stretch) - 1):
                found.append(decide(account, trader, rules, notional, stretch[place + 1], place == len(stretch) - 2))
                progress.advance()
            trades += account.trades
    row, target, signal, gross, spread, fees, traded = np.array(found).T
    return Walk(row.astype(np.int64), target.astype(np.int64), signal, gross, spread, fees, traded, trades)


def decide(
    account: Account, trader: Trader, rules: TradingRules, notional: float, following: int, last: bool
) -> tuple[float, ...]:
    """One decision and what comes of it: the numbers of a `Walk`."""
    row, gross, before = account.row, account.gross, len(account.trades)
    target, signal = trader(account, notional)
    account.aim(target * rules.unit)
    account.advance(following)
    if last:
        account.close()
    new = account.trades[before:]
    money = (account.gross - gross, sum(trade.spread_cost for trade in new), sum(trade.fee for trade in new))
    traded = sum(abs(trade.notional) for trade in new) / notional
    return row, target, signal, *(amount / (notional * BPS) for amount in money), traded


def agent_trader(
    probabilities: Callable[[Observation], np.ndarray], view: View, rules: TradingRules, reward_bps: float
) -> Trader:
    """Takes the most probable action; its signal is the mean position over all actions."""
    positions = np.arange(-rules.max_position, rules.max_position + 1)

    def choose(account: Account, notional: float) -> Choice:
        found = probabilities(observe(account, view, rules, notional, reward_bps))
        return int(positions[np.argmax(found)]), float(found @ positions) / rules.max_position

    return choose


def constant_trader(rules: TradingRules, position: int) -> Trader:
    """Always the same position: 0 is flat, 1 buys and holds."""
    target = position * rules.max_position
    return lambda account, notional: (target, float(position))


def replay_trader(targets: np.ndarray, signals: np.ndarray) -> Trader:
    """Decides what someone else did, decision by decision (decisions,)."""
    choices = zip(targets.tolist(), signals.tolist(), strict=True)
    return lambda account, notional: next(choices)


def random_trader(rules: TradingRules, changes: float, random: np.random.Generator) -> Trader:
    """Changes its target as often as the agent does (`changes` a decision), to any other with equal chances."""
    count = 2 * rules.max_position + 1
    redraw = min(changes * count / (count - 1), 1.0)  # one draw in `count` changes nothing
    target = 0

    def choose(account: Account, notional: float) -> Choice:
        nonlocal target
        if random.random() < redraw:
            target = int(random.integers(count)) - rules.max_position
        return target, target / rules.max_position

    return choose


def imbalance_trader(tape: Tape, rules: TradingRules, levels: int, threshold: float) -> Trader:
    """Long where the bids outweigh the asks by more than the threshold, short where the asks do, unchanged between."""
    bids, asks = (np.nansum(tape.levels[:, side, :levels], axis=1) for side in (1, 3))
    imbalance = (bids - asks) / (bids + asks)
    target = 0

    def choose(account: Account, notional: float) -> Choice:
        nonlocal target
        if not account.committed and not account.trades:  # a new stretch
            target = 0
        now = float(imbalance[account.row])
        if abs(now) > threshold:
            target = rules.max_position if now > 0 else -rules.max_position
        return target, now

    return choose


def changes_of(found: Walk) -> float:
    """Changes of the target a decision, from flat at the start."""
    return float(np.mean(np.diff(found.target, prepend=0) != 0))
