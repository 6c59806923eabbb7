"""A gymnasium environment over book states: target positions, taker fills with latency, rewards net of costs.

Time. At a decision row k the agent sees the states up to k and chooses a target position. The order arrives some
states later (taker_fills.py beside it) and the environment goes on to the next decision row. The reward is what equity,
marked at the mid, changed in between.

Ends. An episode is truncated when its stretch of states or its number of decisions ends, and terminated when it has
lost `max_loss_bps`; either way the position is closed at that row's book and the cost of it is in the last reward.
Episodes lie within one stretch.
"""

from __future__ import annotations

from typing import Any, Protocol, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces

from scripts.orderbook.trading.account import Account
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.taker_fills import BPS
from scripts.orderbook.trading.tape import Tape

ACCOUNT = 3
LIMIT = 10.0  # of the unrealised gain in observations, in reward units

Observation = dict[str, np.ndarray]


class View(Protocol):
    """How the book looks to the agent at a decision row."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one view."""

    def at(self, row: int) -> np.ndarray:
        """float32, from the states up to `row` alone."""


class Windows:
    """The last `length` scaled states, oldest first: (length, features)."""

    def __init__(self, features: np.ndarray, length: int) -> None:
        self._features, self._length = features, length

    @property
    def shape(self) -> tuple[int, ...]:
        return (self._length, self._features.shape[1])

    def at(self, row: int) -> np.ndarray:
        window: np.ndarray = self._features[row + 1 - self._length : row + 1]
        return window


class Vectors:
    """A vector for each decision row, computed beforehand: (width,)."""

    def __init__(self, rows: np.ndarray, vectors: np.ndarray) -> None:
        self._vectors = vectors
        self._place = {int(row): place for place, row in enumerate(rows)}

    @property
    def shape(self) -> tuple[int, ...]:
        return (self._vectors.shape[1],)

    def at(self, row: int) -> np.ndarray:
        vector: np.ndarray = self._vectors[self._place[row]]
        return vector


def observe(account: Account, view: View, rules: TradingRules, notional: float, reward_bps: float) -> Observation:
    """What the agent sees: the book, and its position, its committed position (both in −1 … 1) and its unrealised gain
    in reward units, cut off at ±10."""
    largest = rules.unit * rules.max_position
    gain = account.unrealised / (notional * BPS * reward_bps)
    numbers = [account.position / largest, account.committed / largest, min(max(gain, -LIMIT), LIMIT)]
    # sizes are sums of roundings: −1.0000000000000002 would lie outside of the space
    clipped = np.clip(np.array(numbers, dtype=np.float32), [-1, -1, -LIMIT], [1, 1, LIMIT])
    return {"book": view.at(account.row).astype(np.float32), "account": clipped.astype(np.float32)}


def observation_space(view: View) -> spaces.Dict:
    """Of `observe`."""
    limits = np.array([1, 1, LIMIT], dtype=np.float32)
    return spaces.Dict(
        {
            "book": spaces.Box(-np.inf, np.inf, view.shape, np.float32),
            "account": spaces.Box(-limits, limits, (ACCOUNT,), np.float32),
        }
    )


class TradingEnv(gymnasium.Env[Observation, int]):
    """One trader on one tape.

    Args:
        tape: states to trade on.
        view: how the book looks to the agent.
        rows: decision rows, a range a stretch.
        rules: costs, latency and inventory.
        episode: decisions an episode at most.
        reward_bps: what counts as a reward of 1, basis points of the largest position's notional.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self, tape: Tape, view: View, rows: list[range], rules: TradingRules, episode: int, reward_bps: float
    ) -> None:
        if not rows:
            raise ValueError("no stretch is long enough for two decisions")
        self._tape, self._view, self._rows, self._rules = tape, view, rows, rules
        self._episode, self._reward_bps = episode, reward_bps
        self._starts = np.cumsum([0, *(len(found) - 1 for found in rows)])
        self.cost_weight = 1.0
        """Share of the costs that the reward counts; less than 1 only while training begins."""
        self.observation_space = observation_space(view)
        self.action_space = spaces.Discrete(2 * rules.max_position + 1)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode at a random decision row, or at `options["row"]`, which must be one."""
        super().reset(seed=seed)
        if options and "row" in options:
            self._stretch = next(i for i, rows in enumerate(self._rows) if options["row"] in rows[:-1])
            first = self._rows[self._stretch].index(options["row"])
        else:
            # every decision row but a stretch's last is as likely as any other
            drawn = int(self.np_random.integers(self._starts[-1]))
            self._stretch = int(np.searchsorted(self._starts, drawn, side="right")) - 1
            first = drawn - int(self._starts[self._stretch])
        self._first = self._now = first
        self._begin(self._rows[self._stretch][first])
        return self._observe(), {}

    def _begin(self, row: int) -> None:
        self._account = Account(self._tape, self._rules, row)
        self._notional = self._rules.unit * self._rules.max_position * float(self._tape.mid[row])
        self._last = min(self._first + self._episode, len(self._rows[self._stretch]) - 1)

    def step(self, action: int) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Aim at position `action` − max_position and go on to the next decision row."""
        account = self._account
        gross, costs = account.gross, account.costs
        account.aim((int(action) - self._rules.max_position) * self._rules.unit)
        self._now += 1
        account.advance(self._rows[self._stretch][self._now])
        terminated = account.equity <= -self._rules.max_loss_bps * BPS * self._notional
        truncated = not terminated and self._now >= self._last
        if terminated or truncated:
            account.close()
        earned = account.gross - gross - self.cost_weight * (account.costs - costs)
        info = {"equity_bps": account.equity / (self._notional * BPS), "row": account.row}
        return self._observe(), earned / (self._notional * BPS * self._reward_bps), terminated, truncated, info

    def _observe(self) -> Observation:
        return observe(self._account, self._view, self._rules, self._notional, self._reward_bps)

    @property
    def account(self) -> Account:
        """Of the present episode."""
        return self._account

    def state(self) -> dict[str, Any]:
        """All that the environment's future depends on, as JSON can hold it exactly."""
        return {
            "stretch": self._stretch, "first": self._first, "now": self._now, "cost_weight": self.cost_weight,
            "account": self._account.state(), "random": self.np_random.bit_generator.state,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> Observation:
        """Become what `state` says, and look."""
        self._stretch, self._first, self._now = state["stretch"], state["first"], state["now"]
        self.cost_weight = state["cost_weight"]
        self._begin(self._rows[self._stretch][self._first])
        self._account.restore(state["account"])
        self.np_random.bit_generator.state = state["random"]
        return self._observe()


def reward_unit(tape: Tape, rows: list[range], rules: TradingRules) -> float:
    """What a reward of 1 is worth, basis points: the mid's mean move (root mean square) from decision to decision, or
    the mean cost of a taker fill at the best price, if that is more. From training states only."""
    moves = np.concatenate([np.diff(np.log(tape.mid[np.array(found)])) for found in rows])
    half_spread = float(np.mean(tape.spread / 2 / tape.mid))
    return max(float(np.sqrt(np.mean(moves**2))) / BPS, half_spread / BPS + rules.fee_bps, 1e-6)
