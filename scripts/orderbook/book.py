"""One order book, and its reconstruction from a snapshot and diffs.

The horizon: a snapshot of n levels says nothing about prices beyond its outermost levels. Beyond them the book holds
only what has changed since, so a level may be missing there; `known_levels` counts the levels that are certain.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from sortedcontainers import SortedDict

from scripts.orderbook.binance import continues_diff, continues_snapshot, precedes_snapshot
from scripts.orderbook.records import Diff, Level, Snapshot

MAX_WAITING = 10_000  # diffs kept for the next snapshot: minutes, while a snapshot is late by seconds


class Side:
    """Levels of one side, best first; `sign` is -1 for bids (highest first) and +1 for asks."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self._levels: SortedDict = SortedDict()
        self._horizon = -math.inf

    def reset(self, levels: list[Level]) -> None:
        """Take over a snapshot's levels; its outermost price becomes the horizon."""
        self._levels = SortedDict({self.sign * price: size for price, size in levels if size > 0})
        self._horizon = self._levels.peekitem()[0] if self._levels else -math.inf

    def apply(self, levels: list[Level]) -> None:
        for price, size in levels:
            if size == 0:
                self._levels.pop(self.sign * price, None)  # removing an unknown level is normal
            else:
                self._levels[self.sign * price] = size

    def known_levels(self) -> int:
        """Number of levels inside the horizon."""
        return int(self._levels.bisect_right(self._horizon))

    def best(self) -> Level | None:
        return next(self.top(1), None)

    def top(self, count: int) -> Iterator[Level]:
        """The best `count` levels as (scaled price, size), beyond the horizon too."""
        return ((self.sign * key, size) for key, size in islice(self._levels.items(), count))


@dataclass(slots=True)
class Counts:
    """What happened while a stream was rebuilt; see the quality report of parse_book."""

    messages: int = 0
    updates: int = 0
    states: int = 0
    gaps: int = 0
    resyncs: int = 0
    crossed: int = 0
    duplicates: int = 0
    segments: int = 0
    time_going_back: int = 0
    without_snapshot: int = 0


@dataclass(slots=True)
class Book:
    """A book that follows a stream; `segment` counts the unbroken stretches, from 0."""

    bids: Side = field(default_factory=lambda: Side(-1))
    asks: Side = field(default_factory=lambda: Side(+1))
    update_id: int = 0
    event_time: int = 0
    local_time: int = 0
    segment: int = -1
    counts: Counts = field(default_factory=Counts)
    _valid: bool = False
    _at_snapshot: bool = False
    _waiting: deque[Diff] = field(default_factory=deque)
    _spare: Snapshot | None = None

    def follow(self, record: Snapshot | Diff) -> Iterator[None]:
        """Apply a record; yields once for each state that the book then has, none while it is not valid."""
        if isinstance(record, Snapshot):
            yield from self._restart(record)
            return
        self.counts.messages += 1
        self.counts.updates += len(record.bids) + len(record.asks)
        if self._valid:
            yield from self._continue(record)
        else:
            self._wait(record)

    def _wait(self, diff: Diff) -> None:
        """Keep a diff for the next snapshot; where none ever comes, memory must not grow with the stream."""
        self._waiting.append(diff)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.counts.without_snapshot += 1

    def _restart(self, snapshot: Snapshot) -> Iterator[None]:
        """Begin a segment at a snapshot; while the book is whole, only keep it for the case that a gap comes next."""
        if self._valid:
            self._spare = snapshot
            return
        self.segment += 1
        self.counts.segments += 1
        self.counts.resyncs += self.segment > 0
        self.bids.reset(snapshot.bids)
        self.asks.reset(snapshot.asks)
        self.update_id = snapshot.update_id
        self._valid, self._at_snapshot, self._spare = True, True, None
        yield from self._state(snapshot)
        waiting, self._waiting = self._waiting, deque()
        for diff in waiting:
            if self._valid:
                yield from self._continue(diff)
            else:
                self._wait(diff)

    def _continue(self, diff: Diff) -> Iterator[None]:
        """Apply a diff if it is the next one; end the segment if something is missing before it."""
        if self._at_snapshot and precedes_snapshot(diff, self.update_id):
            self.counts.without_snapshot += 1
            return
        if not self._at_snapshot and diff.final_id <= self.update_id:
            self.counts.duplicates += 1
            return
        follows = continues_snapshot if self._at_snapshot else continues_diff
        if not follows(diff, self.update_id):
            self.counts.gaps += 1
            self._valid, self._waiting = False, deque([diff])
            spare, self._spare = self._spare, None
            if spare and spare.update_id > self.update_id and _reaches(diff, spare.update_id):
                yield from self._restart(spare)  # a collector that connects anew may store it before the first diff
            return
        self._at_snapshot = False
        self.bids.apply(diff.bids)
        self.asks.apply(diff.asks)
        self.update_id = diff.final_id
        yield from self._state(diff)

    def _state(self, record: Snapshot | Diff) -> Iterator[None]:
        self.counts.states += 1
        self.counts.time_going_back += record.event_time < self.event_time
        self.event_time, self.local_time = record.event_time, record.local_time
        bid, ask = self.bids.best(), self.asks.best()
        self.counts.crossed += bool(bid and ask and bid[0] >= ask[0])
        yield

    def finish(self) -> Counts:
        """Counts at the end of the stream; messages that no snapshot ever reached are told."""
        self.counts.without_snapshot += len(self._waiting)
        return self.counts


def _reaches(diff: Diff, snapshot_id: int) -> bool:
    """Whether no update is missing between a snapshot and a diff."""
    return continues_snapshot(diff, snapshot_id) or precedes_snapshot(diff, snapshot_id)
