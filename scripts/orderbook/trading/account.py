"""Cash, position and orders on their way while a trader walks along a tape."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.taker_fills import fill_order
from scripts.orderbook.trading.tape import NEVER, Tape


class Trade(NamedTuple):
    """A fill: rows of the tape at which it was decided and filled, sizes signed (base currency), money in quote
    currency. `spread_cost` is what was paid beyond the mid of the fill's state."""

    decided: int
    row: int
    wanted: float
    size: float
    notional: float
    spread_cost: float
    fee: float


class Account:
    """What a trader of target positions holds; money in quote currency, equity 0 at the start.

    Equity is marked at the mid: cash + position · mid. It equals `gross` − `costs`, where gross is what a position
    earned by moves of the mid, and costs are the fees and what fills paid beyond the mid.
    """

    def __init__(self, tape: Tape, rules: TradingRules, row: int) -> None:
        self._tape, self._rules, self._mid = tape, rules, tape.mid
        self.row = row
        self.cash = 0.0
        self.position = 0.0
        self.costs = 0.0
        self.entry = 0.0  # mean price at which the position was opened
        self._on_the_way: deque[tuple[int, int, float]] = deque()  # decided, arrival, size
        self.trades: list[Trade] = []

    @property
    def equity(self) -> float:
        """Net of all costs so far, marked at the mid."""
        return self.cash + self.position * float(self._mid[self.row])

    @property
    def gross(self) -> float:
        """What the positions earned by moves of the mid."""
        return self.equity + self.costs

    @property
    def unrealised(self) -> float:
        """Gain of the open position since its mean entry price, marked at the mid."""
        return self.position * (float(self._mid[self.row]) - self.entry)

    @property
    def committed(self) -> float:
        """Position once all orders on their way are filled."""
        return self.position + sum(size for _, _, size in self._on_the_way)

    def aim(self, target: float) -> None:
        """Send the order that makes the committed position `target` (base currency, signed)."""
        size = target - self.committed
        arrival = int(self._tape.arrival[self.row])
        # sums of sizes such as 0.1 leave crumbs of rounding, which are no orders
        if abs(size) > 1e-9 * self._rules.unit and arrival != NEVER:
            self._on_the_way.append((self.row, arrival, size))
            self._deliver(self.row)

    def advance(self, row: int) -> None:
        """Go on to a later row of the same stretch; orders that arrive on the way there are filled."""
        self._deliver(row)
        self.row = row

    def close(self) -> None:
        """Cancel what is on its way and close the position at this row's book, as far as that reaches."""
        self._on_the_way.clear()
        if self.position:
            self._fill(self.row, self.row, -self.position)

    def _deliver(self, row: int) -> None:
        while self._on_the_way and self._on_the_way[0][1] <= row:
            decided, arrival, size = self._on_the_way.popleft()
            self._fill(decided, arrival, size)

    def _fill(self, decided: int, row: int, wanted: float) -> None:
        levels = self._tape.levels[row]
        fill = fill_order(wanted, levels[:2], levels[2:], self._rules.fee_bps)
        if not fill.size:
            return
        spread_cost = fill.notional - fill.size * float(self._mid[row])
        self.cash -= fill.notional + fill.fee
        self.costs += spread_cost + fill.fee
        self._enter(fill.size, fill.price)
        self.trades.append(Trade(decided, row, wanted, fill.size, fill.notional, spread_cost, fill.fee))

    def _enter(self, size: float, price: float) -> None:
        """Book a fill: the mean entry price changes where the position grows or changes its side."""
        before, after = self.position, self.position + size
        if before * size < 0 and abs(after) <= 1e-9 * self._rules.unit:  # closed but for a crumb of rounding
            after = 0.0
        if before * size >= 0:
            self.entry = (self.entry * before + price * size) / after
        elif before * after < 0:
            self.entry = price
        elif after == 0:
            self.entry = 0.0
        self.position = after

    def state(self) -> dict[str, Any]:
        """All that the account's future depends on, as JSON can hold it exactly; not the list of trades."""
        return {
            "row": self.row, "cash": self.cash, "position": self.position, "costs": self.costs, "entry": self.entry,
            "on_the_way": [list(order) for order in self._on_the_way],
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Become what `state` says."""
        self.row, self.cash, self.position = state["row"], state["cash"], state["position"]
        self.costs, self.entry = state["costs"], state["entry"]
        self._on_the_way = deque((decided, arrival, size) for decided, arrival, size in state["on_the_way"])
