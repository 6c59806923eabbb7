"""The rules by which diffs continue a snapshot and one another.

A diff tells of the updates `first_id` … `final_id`. Some venues name the message before too (`previous_id`), others do
not (NO_ID): then ids have no holes. A snapshot out of the stream itself is followed like a diff. One from beside the
stream lies between two ids of it; these rules are Binance's (API documentation, "How to manage a local order book
correctly", for spot, which names no message before, and for futures, which does).
"""

from __future__ import annotations

from typing import Any

from scripts.lib.kernels import inlined
from scripts.orderbook.capture.stream import NO_ID


@inlined
def continues_snapshot(diff: Any, snapshot_id: int) -> bool:
    """Whether a diff is the right first one after a snapshot: its updates must reach over the snapshot's.

    Spot: U <= lastUpdateId + 1 <= u. Futures: U <= lastUpdateId <= u.
    """
    reached = snapshot_id + 1 if diff.previous_id == NO_ID else snapshot_id
    return bool(diff.first_id <= reached <= diff.final_id)


@inlined
def precedes_snapshot(diff: Any, snapshot_id: int) -> bool:
    """Whether the snapshot already holds a diff. Spot: u <= lastUpdateId. Futures: u < lastUpdateId."""
    return bool(diff.final_id < snapshot_id or (diff.final_id == snapshot_id and diff.previous_id == NO_ID))


@inlined
def continues_diff(diff: Any, final_id: int) -> bool:
    """Whether a diff follows the one that ended at `final_id`. Spot: U == u + 1. Futures: pu == u."""
    if diff.previous_id == NO_ID:
        return bool(diff.first_id == final_id + 1)
    return bool(diff.previous_id == final_id)


@inlined
def is_old(diff: Any, final_id: int, event_time: int, ids_restart: bool) -> bool:
    """Whether a diff was already applied when the book is at `final_id` of `event_time`.

    Where ids may begin again from a smaller one, only what is not younger than the book counts as old.
    """
    if diff.final_id > final_id or (diff.previous_id != NO_ID and diff.previous_id == final_id):
        return False
    return bool(not ids_restart or diff.event_time <= event_time)


@inlined
def reaches(diff: Any, snapshot_id: int) -> bool:
    """Whether no update is missing between a snapshot and a diff."""
    return continues_snapshot(diff, snapshot_id) or precedes_snapshot(diff, snapshot_id)
