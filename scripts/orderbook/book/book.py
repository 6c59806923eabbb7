"""A book that follows a stream: segments, gaps, snapshots, and diffs that wait for one.

The compiled `advance` applies diffs as long as nothing is missing; what is rare is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from scripts.orderbook.book.advance import (
    AT_RESTART,
    AT_SNAPSHOT,
    COUNTS,
    FULL,
    GAP,
    HEAD,
    ROOM,
    UNSOUND,
    Rows,
    Rules,
    State,
    advance,
    empty_rows,
    restart,
)
from scripts.orderbook.book.checksums import LEVELS
from scripts.orderbook.book.levels import new_levels, with_room
from scripts.orderbook.book.sequence import continues_snapshot, reaches
from scripts.orderbook.capture.records import DIFF, REPLACE, SNAPSHOT
from scripts.orderbook.capture.stream import Batch, copied, messages_of, size

MAX_WAITING = 10_000  # diffs kept for the next snapshot: minutes, while a snapshot is late by seconds
ROWS = 1_024  # states handed over at once


@dataclass(slots=True)
class Waiting:
    """Diffs that wait for a snapshot; where none ever comes, memory must not grow with the stream."""

    pieces: list[Batch] = field(default_factory=list)
    messages: int = 0

    def add(self, batch: Batch, start: int, stop: int) -> int:
        """Keep the messages start … stop - 1; the number of old ones given up for them."""
        given_up = max(stop - start - MAX_WAITING, 0)
        if stop > start:
            self.pieces.append(copied(batch, start + given_up, stop))
            self.messages += stop - start - given_up
        while self.messages > MAX_WAITING:
            given_up += self._shorten(self.messages - MAX_WAITING)
        return given_up

    def _shorten(self, excess: int) -> int:
        """Give up at most `excess` of the oldest messages."""
        oldest = self.pieces.pop(0)
        dropped = min(excess, size(oldest))
        if dropped < size(oldest):
            self.pieces.insert(0, copied(oldest, dropped, size(oldest)))
        self.messages -= dropped
        return dropped

    def take(self) -> list[Batch]:
        """All of them; none is left."""
        pieces, self.pieces, self.messages = self.pieces, [], 0
        return pieces


class Book:
    """A book that follows a stream; `head` and `counts` tell where it is and what has happened."""

    def __init__(self, depth: int = 24, rules: Rules | None = None) -> None:
        """An empty book.

        Args:
            depth: levels a side of each state.
            rules: what is done with crossed books, and which states become rows.
        """
        self.rules = rules or Rules()
        self.head = np.zeros(1, HEAD)
        self.head["segment"] = -1
        self.counts = np.zeros(1, COUNTS)
        self.levels = new_levels(max(depth, LEVELS[self.rules.checksum]))
        self.waiting = Waiting()
        self.spare: Batch | None = None  # the last snapshot that came while nothing was missing
        self._rows = empty_rows(ROWS, depth)

    def follow(self, batch: Batch) -> Iterator[Rows]:
        """Apply a batch; yields its states, in arrays that are used again afterwards."""
        diffs = messages_of(batch)
        diffs = diffs[(diffs["kind"] == DIFF) | (diffs["kind"] == REPLACE)]
        self.counts["messages"] += len(diffs)
        self.counts["updates"] += (diffs["end"] - diffs["begin"]).sum()
        yield from self._follow(batch)
        yield from self._hand_over()

    def _follow(self, batch: Batch, has_waited: bool = False) -> Iterator[Rows]:
        """Apply a batch of the stream, or one of diffs that waited.

        Of those, the ones that do not continue the book wait on: either they were out of place, or the snapshot is too
        old for them. Which of the two, the next message of the stream tells: it continues the book, or it does not.
        """
        at, end = 0, size(batch)
        while at < end:
            if not self.head["valid"][0]:
                at = self._wait(batch, at)
                if at < end:
                    yield from self._restart(copied(batch, at, at + 1), _arrival(batch, at))
                    at += 1
                continue
            state, applied = State(self.levels, self.head, self.counts), int(self.head["stamp"][0])
            at, reason = advance(state, batch, at, self.rules, self._rows)
            if not has_waited and self.head["stamp"][0] > applied:
                self._pass_over()
            if reason == FULL:
                yield from self._hand_over()
            elif reason == ROOM:
                message = batch.messages[at]
                self.levels = with_room(self.levels, int(message["end"] - message["begin"]))
            elif reason == UNSOUND:
                yield from self._part(_arrival(batch, at - 1))
            elif reason == AT_RESTART:
                self.head["valid"] = 0
                yield from self._restart(copied(batch, at, at + 1), _arrival(batch, at))
                at += 1
            elif reason == AT_SNAPSHOT:
                self.spare = copied(batch, at, at + 1)
                if self._is_too_old():
                    self.counts["gaps"] += 1
                    yield from self._restart(self.spare, _arrival(batch, at))
                at += 1
            elif reason == GAP and has_waited:
                self.waiting.add(batch, at, at + 1)
                at += 1
            elif reason == GAP:
                self.counts["gaps"] += 1
                yield from self._part(_arrival(batch, at), copied(batch, at, at + 1))
                at += 1

    def _pass_over(self) -> None:
        """The stream goes on: diffs that still wait were out of place."""
        self.counts["without_snapshot"] += self.waiting.messages
        self.waiting.take()

    def _is_too_old(self) -> bool:
        """Whether the book is too old for diffs that wait, while the spare snapshot is not."""
        assert self.spare is not None
        spare_id = self.spare.messages[0]["final_id"]
        waiting = [message for piece in self.waiting.pieces for message in messages_of(piece)]
        return bool(spare_id > self.head["update_id"][0] and any(continues_snapshot(one, spare_id) for one in waiting))

    def _wait(self, batch: Batch, start: int) -> int:
        """Keep the diffs up to the next snapshot; the snapshot's place, or the end of the batch."""
        snapshots = np.flatnonzero(messages_of(batch)["kind"][start:] != DIFF)
        stop = start + int(snapshots[0]) if len(snapshots) else size(batch)
        self.counts["without_snapshot"] += self.waiting.add(batch, start, stop)
        return stop

    def _part(self, now: int, diff: Batch | None = None) -> Iterator[Rows]:
        """End the segment; `diff` is the message before which something is missing, `now` the local time of that.

        A collector that connects anew may store the snapshot before the first diff, so the last one may be of use.
        """
        self.head["valid"] = 0
        if diff:
            self.waiting.add(diff, 0, 1)
        spare, self.spare = self.spare, None
        if spare is None:
            return
        spare_id = spare.messages[0]["final_id"]
        if spare_id > self.head["update_id"][0] and (diff is None or reaches(diff.messages[0], spare_id)):
            yield from self._restart(spare, now)

    def _restart(self, snapshot: Batch, now: int) -> Iterator[Rows]:
        """Begin a segment at a snapshot, and let the diffs that waited follow it: all came before one of the stream.

        Nothing of that was known before `now`, the local time of the message that brought it about, so no state of it
        bears an earlier one.
        """
        yield from self._hand_over()
        if snapshot.messages[0]["kind"] != SNAPSHOT:
            self._pass_over()
        self.levels = with_room(self.levels, len(snapshot.levels))
        self.spare = None
        _delay(snapshot, now)
        if not restart(State(self.levels, self.head, self.counts), snapshot, self.rules, self._rows):
            return
        for piece in self.waiting.take():
            _delay(piece, now)
            yield from self._follow(piece, has_waited=True)

    def _hand_over(self) -> Iterator[Rows]:
        """The states so far, if there are any."""
        if count := int(self._rows.filled[0]):
            yield Rows(self._rows.integers[:count], self._rows.levels[:count], self._rows.filled)
            self._rows.filled[0] = 0

    def finish(self, carries: bool = False) -> dict[str, int]:
        """Counts at the end of the stream; messages that wait in vain are told, unless the next part takes them.

        Where the book is not proven wrong, they count as a gap: nothing came after that would show them out of place.
        """
        counts = {name: int(self.counts[name][0]) for name in COUNTS.names or ()}
        if not carries:
            counts["without_snapshot"] += self.waiting.messages
            counts["gaps"] += int(self.head["valid"][0] == 1 and self.waiting.messages > 0)
        return counts


def _arrival(batch: Batch, at: int) -> int:
    """Local time of a message."""
    return int(batch.messages["local_time"][at])


def _delay(batch: Batch, now: int) -> None:
    """Let the messages of a batch have arrived at `now`, if they came earlier."""
    times = batch.messages["local_time"]
    np.maximum(times, now, out=times)
