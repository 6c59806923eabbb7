"""Let a book advance over a run of diffs, and note its states: the compiled inner loop of book.py beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scripts.lib.kernels import Array, inlined, kernel
from scripts.orderbook.book.checksums import FAILED, NOT_SENT, UNVERIFIABLE, VERIFIED, verify
from scripts.orderbook.book.levels import (
    Levels,
    drop_older,
    has_room,
    is_crossed,
    remove_all,
    set_horizon,
    set_level,
    take_snapshot,
    truncate,
    write_top,
)
from scripts.orderbook.book.sequence import continues_diff, continues_snapshot, is_old, precedes_snapshot
from scripts.orderbook.capture.digits import NONE
from scripts.orderbook.capture.records import DIFF, REPLACE, RESTART, SNAPSHOT
from scripts.orderbook.capture.stream import ASK, BID, NO_CHECKSUM, Batch

END, AT_SNAPSHOT, AT_RESTART, GAP, FULL, ROOM, UNSOUND = range(7)  # why `advance` stopped
DROP_OLDER, FLAG, RESYNC = range(3)  # what is done with crossed books

HEAD = np.dtype(
    [(name, np.int64) for name in (
        "update_id", "event_time", "local_time",  # of the message applied last
        "segment",         # unbroken stretches so far, from 0; -1 before the first
        "valid",           # 1 while nothing is missing
        "fresh",           # 1 as long as no diff has followed the snapshot, if that came from beside the stream
        "stamp",           # messages applied so far
        "unwritten",       # messages since the last row
        "row_time",        # event time of the last row
    )]
)  # fmt: skip
COUNTS = np.dtype(
    [(name, np.int64) for name in (
        "messages", "updates", "states", "gaps", "resyncs", "crossed", "crossed_levels_dropped", "duplicates",
        "segments", "time_going_back", "without_snapshot", "verified", "failed", "unverifiable",
    )]
)  # fmt: skip


class Rules(NamedTuple):
    """What is done with crossed books, which states become rows, and what the venue's messages tell."""

    crossed: int = DROP_OLDER
    every_messages: int = 1
    every_ns: int = 0  # 0: by messages
    checksum: int = NONE  # over what checksums are taken
    ids_restart: bool = False  # whether ids may begin again from a smaller one


class Rows(NamedTuple):
    """States as rows; only the first `filled` count."""

    integers: Array  # (rows, 5): event time, local time, update id, segment, known levels
    levels: Array  # (rows, 4 * depth): bid prices, bid sizes, ask prices, ask sizes
    filled: Array  # (1,)


class State(NamedTuple):
    """All that a book is, beside the diffs that wait for a snapshot."""

    levels: Levels
    head: Array  # one record of HEAD
    counts: Array  # one record of COUNTS


def empty_rows(rows: int, depth: int) -> Rows:
    return Rows(np.empty((rows, 5), np.int64), np.empty((rows, 4 * depth)), np.zeros(1, np.int64))


@kernel
def advance(state: State, batch: Batch, start: int, rules: Rules, rows: Rows) -> tuple[int, int]:
    """Apply the diffs of a batch from message `start` on, as long as each continues the one before.

    Returns:
        the message where it stopped, and why: END of the batch; AT_SNAPSHOT, a snapshot from beside the stream;
        AT_RESTART, one out of it; GAP, something is missing before it; FULL, no row is left for its state; ROOM, the
        table has no room for its levels; UNSOUND, the one before it left a book that is not the venue's (its checksum
        failed) or that the rules do not allow (it is crossed).
    """
    head, counts = state.head[0], state.counts[0]
    count = batch.filled[0].messages
    for i in range(start, count):
        message = batch.messages[i]
        if message.kind == SNAPSHOT:
            return i, AT_SNAPSHOT
        if message.kind == RESTART:
            return i, AT_RESTART
        if message.kind == DIFF:
            if head.fresh and precedes_snapshot(message, head.update_id):
                counts.without_snapshot += 1
                continue
            if not head.fresh and is_old(message, head.update_id, head.event_time, rules.ids_restart):
                counts.duplicates += 1
                continue
            if not _follows(head, message):
                return i, GAP
        if rows.filled[0] == rows.integers.shape[0]:
            return i, FULL
        if not has_room(state.levels, message.end - message.begin):
            return i, ROOM
        head.fresh = 0
        head.stamp += 1
        if message.kind == REPLACE:
            remove_all(state.levels)
        for j in range(message.begin, message.end):
            entry = batch.levels[j]
            set_level(state.levels, entry.side, entry.price, entry.size, head.stamp, entry.digits)
        if message.kind == REPLACE and message.limit == 0:
            set_horizon(state.levels)
        proof = _compare(state, message, rules)
        if proof == FAILED or not conclude(state, message, rules, rows, proof == VERIFIED):
            return i + 1, UNSOUND
    return count, END


@inlined
def _follows(head: Any, message: Any) -> bool:
    if head.fresh:
        return continues_snapshot(message, head.update_id)
    return continues_diff(message, head.update_id)


@inlined
def _compare(state: State, message: Any, rules: Rules) -> int:
    """Drop the levels that the venue no longer keeps, and compare the others with its checksum, if there is one."""
    if message.limit > 0:
        truncate(state.levels, message.limit)
    if message.checksum == NO_CHECKSUM or rules.checksum == NONE:
        return NOT_SENT
    result, counts = verify(state.levels, rules.checksum, message.checksum), state.counts[0]
    counts.verified += result == VERIFIED
    counts.failed += result == FAILED
    counts.unverifiable += result == UNVERIFIABLE
    return result


@kernel
def restart(state: State, snapshot: Batch, rules: Rules, rows: Rows) -> bool:
    """Become the book of a snapshot, a batch of its own; False if it is crossed and the rules do not allow that, or if
    its checksum fails.

    The table must have room for it, and a row must be left.
    """
    head, message = state.head[0], snapshot.messages[0]
    head.stamp += 1
    take_snapshot(state.levels, snapshot.levels[message.begin : message.end], head.stamp, message.limit > 0)
    proof = _compare(state, message, rules)
    if proof == FAILED:
        return False
    if rules.crossed == RESYNC and is_crossed(state.levels):
        state.counts[0].crossed += 1
        return False
    head.segment += 1
    head.valid, head.fresh = 1, message.kind == SNAPSHOT
    head.unwritten = rules.every_messages  # a segment's first state is always a row
    head.row_time = message.event_time - rules.every_ns
    state.counts[0].segments += 1
    if head.segment > 0:
        state.counts[0].resyncs += 1
    return conclude(state, message, rules, rows, proof == VERIFIED)


@inlined
def conclude(state: State, message: Any, rules: Rules, rows: Rows, is_proven: bool) -> bool:
    """What follows each message that was applied: times, crossed books, the row; False if the book may not go on.

    Args:
        is_proven: whether a checksum shows that the book is the venue's: then no level is dropped, crossed or not.
    """
    head, counts = state.head[0], state.counts[0]
    if message.event_time < head.event_time:
        counts.time_going_back += 1
    head.update_id = message.final_id
    head.event_time, head.local_time = message.event_time, message.local_time
    if is_crossed(state.levels):
        counts.crossed += 1
        if rules.crossed == RESYNC:
            return False
        if rules.crossed == DROP_OLDER and not is_proven:
            counts.crossed_levels_dropped += drop_older(state.levels)
    head.unwritten += 1
    if _is_due(head, rules):
        head.unwritten, head.row_time = 0, head.event_time
        counts.states += 1
        _write_row(state, rows)
    return True


@inlined
def _is_due(head: Any, rules: Rules) -> bool:
    """Whether the present state becomes a row; a clock set back must not silence the book until it has caught up."""
    if rules.every_ns == 0:
        return bool(head.unwritten >= rules.every_messages)
    passed = head.event_time - head.row_time
    return bool(passed >= rules.every_ns or passed < 0)


@inlined
def _write_row(state: State, rows: Rows) -> None:
    row, head, sides = rows.filled[0], state.head[0], state.levels.sides
    integers = rows.integers[row]
    integers[0], integers[1], integers[2] = head.event_time, head.local_time, head.update_id
    integers[3], integers[4] = head.segment, min(sides[BID].known, sides[ASK].known)
    write_top(state.levels, rows.levels[row])
    rows.filled[0] += 1
