"""A market made up for tests: it knows its true book after each message, whatever the venue's format says of it.

A venue's test writes the messages in the venue's format; `expected` says which states must come out of them. Nothing
here is shared with the programs: books are dictionaries, prices and sizes decimal texts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from tests.unit.orderbook_streams import DAY_MS, MS, Parsed

SIDES = ("bid", "ask")
Change = tuple[str, str, str]
"""Side, price, new absolute size; "0" removes the level."""
Side = dict[Decimal, str]


@dataclass(frozen=True)
class Update:
    """A depth message: the levels that it changes, and the true book after it."""

    number: int  # of the message, from 1; 0 is the snapshot before all
    changes: list[Change]
    book: dict[str, Side]

    @property
    def event_ms(self) -> int:
        """Time at the venue, ms."""
        return DAY_MS + 100 * self.number

    @property
    def local_ns(self) -> int:
        """Time at the collector, ns: not a round number of microseconds."""
        return self.event_ms * MS + 7_654_321


@dataclass
class Market:
    """A random market of one instrument."""

    seed: int
    tick: str = "0.1"
    lot: str = "0.001"
    middle: int = 1_000  # ticks
    updates: list[Update] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._book: dict[str, Side] = {"bid": {}, "ask": {}}
        for side in SIDES:
            for distance in self.random.sample(range(1, 60), 30):
                self._book[side][self.price(side, distance)] = self.size()
        self._note([])

    def price(self, side: str, distance: int) -> Decimal:
        """A price so many ticks away from the middle: the sides never cross."""
        ticks = self.middle - distance if side == "bid" else self.middle + distance
        return ticks * Decimal(self.tick)

    def size(self) -> str:
        return str(self.random.randint(1, 99_999) * Decimal(self.lot))

    def run(self, messages: int) -> list[Update]:
        """Let so many more messages come; those of them alone."""
        for _ in range(messages):
            self._note([self._change() for _ in range(self.random.choice([0, 1, 1, 2, 3, 8]))])
        return self.updates[-messages:]

    def _change(self) -> Change:
        side = self.random.choice(SIDES)
        levels = self._book[side]
        distance = min(int(self.random.expovariate(0.08)) + 1, 200)
        price = (
            self.random.choice(list(levels)) if levels and self.random.random() < 0.5 else self.price(side, distance)
        )
        removed = price in levels and len(levels) > 5 and self.random.random() < 0.5
        size = "0" if removed else self.size()
        levels.pop(price, None)
        if not removed:
            levels[price] = size
        return side, str(price), size

    def _note(self, changes: list[Change]) -> None:
        book = {side: dict(levels) for side, levels in self._book.items()}
        self.updates.append(Update(len(self.updates), changes, book))


def best_first(book: dict[str, Side], side: str) -> list[tuple[str, str]]:
    """Levels as texts of price and size, the best one first."""
    prices = sorted(book[side], reverse=side == "bid")
    return [(str(price), book[side][price]) for price in prices]


def best(book: dict[str, Side], depth: int) -> dict[str, Side]:
    """A book's best levels alone."""
    return {side: {Decimal(price): size for price, size in best_first(book, side)[:depth]} for side in SIDES}


def difference(before: dict[str, Side], after: dict[str, Side]) -> list[Change]:
    """What a venue tells that keeps a part of its book in step: levels that are new, changed or no longer in it."""
    changes: list[Change] = []
    for side in SIDES:
        gone = [(side, str(price), "0") for price in before[side] if price not in after[side]]
        new = [(side, str(price), size) for price, size in after[side].items() if before[side].get(price) != size]
        changes += gone + new
    return changes


def entries(changes: list[Change], side: str) -> list[list[str]]:
    """[price, size] pairs of a side."""
    return [[price, size] for where, price, size in changes if where == side]


@dataclass(frozen=True)
class State:
    """A state that must come out: the book that it shows and where it stands in the stream."""

    event_time: int  # ns
    local_time: int  # ns
    update_id: int
    segment: int
    known: int
    book: dict[str, Side]


def levels_known(book: dict[str, Side], start: dict[str, Side] | None = None) -> int:
    """Levels of the side that has fewer; with the book of a snapshot only those inside its outermost prices."""
    if start is None:
        return min(len(book["bid"]), len(book["ask"]))
    bids = sum(price >= min(start["bid"]) for price in book["bid"])
    asks = sum(price <= max(start["ask"]) for price in book["ask"])
    return min(bids, asks)


def check_states(parsed: Parsed, states: list[State]) -> None:
    """Compare all columns of the states with what they must be."""
    for name in ("event_time", "local_time", "update_id", "segment"):
        assert list(parsed.states[name]) == [getattr(state, name) for state in states], name
    assert list(parsed.states["known_levels"]) == [state.known for state in states]
    depth = sum(name.startswith("bid_px_") for name in parsed.states)
    for side in SIDES:
        ranked = [best_first(state.book, side) for state in states]
        for position in range(depth):
            for what, place in (("px", 0), ("sz", 1)):
                found = parsed.states[f"{side}_{what}_{position:02d}"]
                wanted = [float(levels[position][place]) if position < len(levels) else np.nan for levels in ranked]
                assert np.array_equal(found, wanted, equal_nan=True), f"{side} {what} {position}"


def mutated(lines: list[bytes], at: int, damage: str) -> list[bytes]:
    """Lines of which the one at a place is dropped, doubled or swapped with the next one."""
    if damage == "dropped":
        return [*lines[:at], *lines[at + 1 :]]
    if damage == "doubled":
        return [*lines[: at + 1], lines[at], *lines[at + 1 :]]
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
