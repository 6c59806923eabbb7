"""A simulated market: an order book that is rebuilt around a mid price which moves by chance, on ticks and lots.

The mid does not come out of the orders, it is drawn: so what it can be predicted from is known exactly. Its change
from one depth message to the next is σ (s z + √(1 − s²) ε) ticks, rounded to a whole number at random so that its
expectation stays the same: ε is standard normal, z the pressure, an AR(1) process of unit variance that makes the sizes
of the bids e^(+TILT z) and of the asks e^(−TILT z) times as large, and s the setting `signal`. Without signal the mid
is a random walk that has nothing to do with the book: its changes given the past are symmetric around zero.

σ, the mean spread and the mean size of a level each follow a Markov chain over their regimes. As in a real book, levels
stand on each tick near the best price and on ever rounder prices further away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial

import numpy as np

from scripts.lib.errors import InputError
from scripts.orderbook.simulation.settings import SimulateSettings

TILT = 0.5
SHAPE = 4.0  # of the gamma distribution of sizes
TOUCHED = 0.08  # parameter of the geometric distance of an event from the best price, in ticks
CANCELLED = 0.1  # share of the events behind the best level that remove one
NEW_SPREAD = 0.2  # share of the intervals that bring another spread
DENSEST, DENSE_SHARE = 64, 5  # ticks a side with a level on each; part of a snapshot's levels
BATCH = 4_096  # random numbers drawn at a time
FARTHEST = 2**60  # key of no level

Changes = list[list[str]]
Lots = Callable[[], int]


class Market:
    """Levels in ticks and lots; `update_id` counts events as the venue's update ids do."""

    def __init__(self, settings: SimulateSettings, random: np.random.Generator) -> None:
        self._tick, self._lot = Decimal(repr(settings.tick)), Decimal(repr(settings.lot))
        self._random, self._draws = random, Draws(random)
        self.update_id = 1_000_000
        middle = round(settings.start_price / settings.tick)
        span = 2 * settings.snapshot_levels + 10
        if middle <= span:
            raise InputError(
                f"simulate: start_price {settings.start_price} is under {span} ticks: no room for the bids"
            )
        self._signal = settings.signal
        self._memory = math.exp(-1.0 / settings.pressure_messages)
        self._pressure = random.standard_normal()
        stay = settings.regime_messages
        self._volatility = Regimes(settings.volatility_ticks, stay, random)
        self._mean_spread = Regimes(settings.spread_ticks, stay, random)
        self._depth = Regimes(settings.depth_lots, stay, random)
        self._spread = self._draw_spread()
        bid = middle - self._spread // 2
        bands = Bands(settings.snapshot_levels, middle)
        self._sides = (Side(-bid, -1, bands), Side(bid + self._spread, FARTHEST, bands))
        for side, levels in enumerate(self._sides):
            levels.fill(partial(self._lots, side))

    def move(self) -> bool:
        """Draw the next mid and spread, and rebuild the book around them; True if the best quote changed."""
        before = self.best_quote()
        pull = self._signal * self._pressure
        noise = math.sqrt(1.0 - self._signal**2) * self._random.standard_normal()
        step = math.floor(self._volatility.value * (pull + noise) + self._draws.uniform())
        bid, ask = self._moved(before[0][0] + before[1][0], step)
        for side, best in enumerate((-bid, ask)):
            self._sides[side].move(best, partial(self._lots, side))
        return self._after_event(before)

    def touch(self) -> bool:
        """An order comes or goes near the best prices; True if the best quote changed."""
        before = self.best_quote()
        side = int(self._draws.uniform() < 0.5)
        distance = int(math.log1p(-self._draws.uniform()) / math.log1p(-TOUCHED))
        if distance and self._draws.uniform() < CANCELLED:
            self._sides[side].cancel(distance)
        else:
            self._sides[side].renew(distance, self._lots(side))
        return self._after_event(before)

    def pass_time(self) -> None:
        """An interval ends: the pressure and the regimes go on."""
        fresh = math.sqrt(1.0 - self._memory**2) * self._random.standard_normal()
        self._pressure = self._memory * self._pressure + fresh
        for regimes in (self._volatility, self._mean_spread, self._depth):
            regimes.pass_time(self._random)

    def _moved(self, middle: int, step: int) -> tuple[int, int]:
        """Best prices after a step of the mid. `middle` is twice the mid, which half ticks make a whole number."""
        spread = self._draw_spread() if self._draws.uniform() < NEW_SPREAD else self._spread
        # a spread that becomes odd or even moves the mid by half a tick: to either side alike
        fair = (1 if self._draws.uniform() < 0.5 else -1) * ((middle + spread) % 2)
        self._spread = spread
        for moved in (middle + 2 * step + fair, middle - 2 * step + fair):
            if moved - spread >= 2:
                return (moved - spread) // 2, (moved + spread) // 2
        return 1, 1 + spread  # bids end at one tick

    def _draw_spread(self) -> int:
        return 1 + int(self._random.poisson(self._mean_spread.value - 1.0))

    def _after_event(self, before: tuple[tuple[int, int], tuple[int, int]]) -> bool:
        self.update_id += 1 + int(self._draws.uniform() * 3)
        return self.best_quote() != before

    def _lots(self, side: int) -> int:
        tilt = TILT if side == 0 else -TILT
        return 1 + int(self._depth.value * math.exp(tilt * self._pressure) * self._draws.gamma())

    def best_quote(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """((bid ticks, lots), (ask ticks, lots))."""
        bids, asks = self._sides
        return (-bids.best, bids.lots[bids.best]), (asks.best, asks.lots[asks.best])

    def take_changes(self) -> tuple[Changes, Changes]:
        """Levels changed since the last call, as [price, size] texts; size 0 means removed."""
        bids, asks = (
            [[self.price_text(price), self.size_text(lots)] for price, lots in sorted(levels.take_changes())]
            for levels in self._sides
        )
        return bids, asks

    def snapshot(self, levels: int) -> tuple[Changes, Changes]:
        """The best levels of both sides, best first, as [price, size] texts."""
        bids, asks = (
            [[self.price_text(abs(key)), self.size_text(lots)] for key, lots in sorted(side.lots.items())[:levels]]
            for side in self._sides
        )
        return bids, asks

    def price_text(self, ticks: int) -> str:
        return f"{self._tick * ticks:f}"

    def size_text(self, lots: int) -> str:
        return f"{self._lot * lots:f}"


class Bands:
    """Where levels stand: on each tick at distances below `edges[0]`, on multiples of 2^j from `edges[j - 1]` on."""

    def __init__(self, snapshot_levels: int, middle: int) -> None:
        """For a book whose mid is at `middle` ticks: reaches about half of that, and has enough for a snapshot."""
        dense = DENSEST
        while dense < snapshot_levels // DENSE_SHARE:
            dense *= 2
        self.edges = [dense]
        while 2 * self.edges[-1] <= middle // 2:
            self.edges.append(2 * self.edges[-1])


class Side:
    """One side's lots by key: the price of an ask, the negative price of a bid, so that the best key is the least."""

    def __init__(self, best: int, last: int, bands: Bands) -> None:
        self.best, self._last, self._edges = best, last, bands.edges
        self.lots: dict[int, int] = {}
        self._changes: dict[int, int] = {}

    def fill(self, draw: Lots) -> None:
        """Put a level where each one belongs."""
        near = 0
        for j, edge in enumerate(self._edges):
            self._add(self.best + near, self.best + edge, 1 << j, draw)
            near = edge
        self._changes.clear()

    def move(self, best: int, draw: Lots) -> None:
        """Let the side begin at another key: levels before it go, levels in its place come, those behind follow."""
        before, self.best = self.best, best
        if best > before:
            self._remove(before, best, 1)
            for j, edge in enumerate(self._edges):
                self._add(max(before + edge, best), best + edge, 1 << j, draw)
        else:
            self._add(best, before, 1, draw)
            for j, edge in enumerate(self._edges):
                keep = 2 << j if edge != self._edges[-1] else FARTHEST
                self._remove(best + edge, before + edge, 1 << j, keep)
        self._add(best, best + 1, 1, draw)  # it may have been cancelled

    def renew(self, distance: int, lots: int) -> None:
        if distance < self._edges[0] and self.best + distance <= self._last:
            self._set(self.best + distance, lots)

    def cancel(self, distance: int) -> None:
        if self.best + distance in self.lots:
            self._set(self.best + distance, 0)

    def take_changes(self) -> list[tuple[int, int]]:
        """(price, lots) of the levels changed since the last call; 0 lots: removed."""
        changes, self._changes = self._changes, {}
        return [(abs(key), lots) for key, lots in changes.items()]

    def _add(self, start: int, stop: int, step: int, draw: Lots) -> None:
        """Levels where none is, on the multiples of `step` in [start, stop)."""
        for key in range(-(-start // step) * step, min(stop, self._last + 1), step):
            if key not in self.lots:
                self._set(key, draw())

    def _remove(self, start: int, stop: int, step: int, keep: int = FARTHEST) -> None:
        """Remove levels on the multiples of `step` in [start, stop) that are none of `keep`."""
        for key in range(-(-start // step) * step, stop, step):
            if key % keep and key in self.lots:
                self._set(key, 0)

    def _set(self, key: int, lots: int) -> None:
        if lots:
            self.lots[key] = lots
        else:
            del self.lots[key]
        self._changes[key] = lots


class Regimes:
    """A Markov chain over the values of a quantity; after a mean stay it jumps to one of the others."""

    def __init__(self, values: list[float], stay: float, random: np.random.Generator) -> None:
        self._values, self._leaves = values, 1.0 / stay
        self._at = int(random.integers(len(values)))

    @property
    def value(self) -> float:
        return self._values[self._at]

    def pass_time(self, random: np.random.Generator) -> None:
        if len(self._values) > 1 and random.random() < self._leaves:
            self._at = (self._at + 1 + int(random.integers(len(self._values) - 1))) % len(self._values)


class Draws:
    """Random numbers one at a time, drawn many at a time: else that would cost most of the run."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._uniforms: Iterator[float] = iter(())
        self._gammas: Iterator[float] = iter(())

    def uniform(self) -> float:
        """Between 0 and 1."""
        value = next(self._uniforms, None)
        if value is None:
            self._uniforms = iter(self._random.random(BATCH).tolist())
            value = next(self._uniforms)
        return value

    def gamma(self) -> float:
        """A positive number with mean 1."""
        value = next(self._gammas, None)
        if value is None:
            self._gammas = iter(self._random.gamma(SHAPE, 1.0 / SHAPE, BATCH).tolist())
            value = next(self._gammas)
        return value
