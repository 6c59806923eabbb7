"""Book states to trade on: prices and sizes for fills, scaled features for the agent, and where orders arrive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from scripts.orderbook.trading.taker_fills import Latency, arrivals

NEVER = -1
"""Arrival of an order that the end of its stretch overtakes."""


@dataclass(frozen=True)
class Tape:
    """Usable book states of one stretch of time, oldest first; n of them.

    A state is usable if all levels that the features need are known and the best bid is below the best ask. A stretch
    is a run of usable states that follow one another in one segment of one part: nothing spans two.
    """

    event_time: np.ndarray
    """(n,) int64 ns: when the book was in this state at the venue."""
    known_at: np.ndarray
    """(n,) int64 ns: when the state could be acted on here, the later of event time and local time."""
    levels: np.ndarray
    """(n, 4, depth) float64: bid prices, bid sizes, ask prices, ask sizes, best first, NaN where unknown."""
    features: np.ndarray
    """(n, features) float32: scaled, from scripts/orderbook/windows/inputs.py."""
    stretch: np.ndarray
    """(n,) int64: number of the state's stretch, from 0."""
    arrival: np.ndarray
    """(n,) int64: row at which an order decided in this row arrives, NEVER where its stretch ends before."""

    def __len__(self) -> int:
        return len(self.event_time)

    @cached_property
    def mid(self) -> np.ndarray:
        """(n,) mid prices."""
        mid: np.ndarray = (self.levels[:, 0, 0] + self.levels[:, 2, 0]) / 2
        return mid

    @property
    def spread(self) -> np.ndarray:
        """(n,) best ask minus best bid, price."""
        spread: np.ndarray = self.levels[:, 2, 0] - self.levels[:, 0, 0]
        return spread

    def stretches(self) -> list[range]:
        """The rows of each stretch."""
        edges = np.flatnonzero(np.diff(self.stretch)) + 1
        starts, stops = [0, *edges.tolist()], [*edges.tolist(), len(self)]
        return [range(start, stop) for start, stop in zip(starts, stops, strict=True) if stop > start]


def make_tape(
    event_time: np.ndarray,
    local_time: np.ndarray,
    run: np.ndarray,
    levels: np.ndarray,
    features: np.ndarray,
    latency: Latency,
) -> Tape:
    """A tape of usable states; `run` (n,) says by equal consecutive numbers what follows one another in the feed."""
    stretch = np.zeros(len(run), dtype=np.int64)
    np.cumsum(run[1:] != run[:-1], out=stretch[1:])
    known_at = np.maximum(event_time, local_time)
    nowhere = np.full(len(run), NEVER, dtype=np.int64)
    return with_latency(Tape(event_time, known_at, levels, features, stretch, nowhere), latency)


def with_latency(tape: Tape, latency: Latency) -> Tape:
    """The same states with another way from decisions to the venue."""
    arrival = np.full(len(tape), NEVER, dtype=np.int64)
    for rows in tape.stretches():
        span = slice(rows.start, rows.stop)
        place = arrivals(tape.event_time[span], tape.known_at[span], latency)
        arrival[span] = np.where(place < len(rows), rows.start + place, NEVER)
    return replace(tape, arrival=arrival)


def decision_rows(tape: Tape, length: int, every: int) -> list[range]:
    """Rows at which the agent decides, by stretch: every `every` states from the first that has `length` states to look
    back on. Stretches with fewer than two such rows are left out: nothing could be earned there."""
    found = [range(rows.start + length - 1, rows.stop, every) for rows in tape.stretches()]
    return [rows for rows in found if len(rows) >= 2]
