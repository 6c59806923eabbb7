"""A zero-intelligence market: random limit orders, cancellations and market orders on a grid of ticks and lots.

After Farmer, Patelli and Zovko, "The predictive power of zero intelligence in financial markets", PNAS 2005, much
reduced: rates are constant and the distance of an order to the best price is geometric.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import numpy as np
from sortedcontainers import SortedDict

from scripts.lib.errors import InputError
from scripts.orderbook.settings import SimulateSettings

ADD, CANCEL, MARKET = 0.50, 0.38, 0.12  # share of each kind of event
IMPROVE = 0.3  # share of the additions that step into an open spread
MEAN_LOTS = 400
NEAR = 0.08  # parameter of the geometric distance, in ticks from the best price
BATCH = 4_096  # random numbers drawn at a time

Changes = list[list[str]]


class Market:
    """Levels in ticks and lots; `update_id` counts events as the venue's update ids do."""

    def __init__(self, settings: SimulateSettings, random: np.random.Generator) -> None:
        self._tick, self._lot = Decimal(repr(settings.tick)), Decimal(repr(settings.lot))
        self._random = random
        self.update_id = 1_000_000
        middle = round(settings.start_price / settings.tick)
        span = 2 * settings.snapshot_levels + 10
        if middle <= span:
            raise InputError(
                f"simulate: start_price {settings.start_price} is under {span} ticks: no room for the bids"
            )
        # levels by side (0 bids, 1 asks); bids are kept under negative prices, so that the best is the first key
        self._sides = [
            SortedDict({-(middle - 1 - i): self._lots() for i in range(span)}),
            SortedDict({middle + 1 + i: self._lots() for i in range(span)}),
        ]
        self._changes: list[dict[int, int]] = [{}, {}]
        self._draws: Iterator[float] = iter(())

    def step(self) -> bool:
        """One random event; True if it changed the best quote."""
        before = self.best_quote()
        side = int(self._uniform() < 0.5)
        kind = self._uniform()
        if kind < ADD:
            self._add(side)
        elif kind < ADD + CANCEL:
            self._cancel(side)
        else:
            self._trade(side)
        self.update_id += 1 + int(self._uniform() * 3)
        return self.best_quote() != before

    def _add(self, side: int) -> None:
        levels = self._sides[side]
        best = levels.keys()[0]
        limit = -self._sides[1 - side].keys()[0]  # the other side's best price, in this side's keys
        improves = best - 1 > limit and self._uniform() < IMPROVE
        key = best - 1 if improves else best + self._distance()
        if side == 0 and key >= 0:  # bids end at one tick
            return
        self._set(side, key, levels.get(key, 0) + self._lots())

    def _cancel(self, side: int) -> None:
        levels = self._sides[side]
        key = levels.keys()[0] + self._distance()
        if key in levels and len(levels) > 1:
            rest = int(levels[key] * self._uniform()) if self._uniform() < 0.5 else 0
            self._set(side, key, rest)

    def _trade(self, side: int) -> None:
        levels = self._sides[side]
        key, size = levels.peekitem(0)
        rest = max(size - self._lots(), 0)
        if rest or len(levels) > 1:
            self._set(side, key, rest)

    def _set(self, side: int, key: int, lots: int) -> None:
        if lots:
            self._sides[side][key] = lots
        else:
            self._sides[side].pop(key, None)
        self._changes[side][abs(key)] = lots

    def best_quote(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """((bid ticks, lots), (ask ticks, lots))."""
        bid, bid_lots = self._sides[0].peekitem(0)
        return (-bid, bid_lots), self._sides[1].peekitem(0)

    def take_changes(self) -> tuple[Changes, Changes]:
        """Levels changed since the last call, as [price, size] texts; size 0 means removed."""
        bids, asks = (
            [[self.price_text(price), self.size_text(lots)] for price, lots in sorted(changes.items())]
            for changes in self._changes
        )
        self._changes = [{}, {}]
        return bids, asks

    def snapshot(self, levels: int) -> tuple[Changes, Changes]:
        """The best levels of both sides, best first, as [price, size] texts."""
        bids, asks = (
            [[self.price_text(abs(key)), self.size_text(lots)] for key, lots in list(side.items())[:levels]]
            for side in self._sides
        )
        return bids, asks

    def price_text(self, ticks: int) -> str:
        return f"{self._tick * ticks:f}"

    def size_text(self, lots: int) -> str:
        return f"{self._lot * lots:f}"

    def _lots(self) -> int:
        return 1 + int(self._random.exponential(MEAN_LOTS))

    def _distance(self) -> int:
        """Ticks from the best price, 0 for the best itself."""
        return int(np.log1p(-self._uniform()) / np.log1p(-NEAR))

    def _uniform(self) -> float:
        value = next(self._draws, None)
        if value is None:  # drawing one at a time would cost most of the run
            self._draws = iter(self._random.random(BATCH).tolist())
            value = next(self._draws)
        return float(value)
