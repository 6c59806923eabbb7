"""The rules by which diffs continue a snapshot and one another.

Binance API documentation, "How to manage a local order book correctly", for spot and for futures. A diff tells of the
updates `first_id` … `final_id`; futures also name the message before (`previous_id`), spot does not (NO_ID).
"""

from __future__ import annotations

from typing import Any

from scripts.lib.kernels import kernel
from scripts.orderbook.stream import NO_ID


@kernel
def continues_snapshot(diff: Any, snapshot_id: int) -> bool:
    """Whether a diff is the right first one after a snapshot: its updates must reach over the snapshot's.

    Spot: U <= lastUpdateId + 1 <= u. Futures: U <= lastUpdateId <= u.
    """
    reached = snapshot_id + 1 if diff.previous_id == NO_ID else snapshot_id
    return bool(diff.first_id <= reached <= diff.final_id)


@kernel
def precedes_snapshot(diff: Any, snapshot_id: int) -> bool:
    """Whether the snapshot already holds a diff. Spot: u <= lastUpdateId. Futures: u < lastUpdateId."""
    return bool(diff.final_id < snapshot_id or (diff.final_id == snapshot_id and diff.previous_id == NO_ID))


@kernel
def continues_diff(diff: Any, final_id: int) -> bool:
    """Whether a diff follows the one that ended at `final_id`. Spot: U == u + 1. Futures: pu == u."""
    if diff.previous_id == NO_ID:
        return bool(diff.first_id == final_id + 1)
    return bool(diff.previous_id == final_id)


@kernel
def reaches(diff: Any, snapshot_id: int) -> bool:
    """Whether no update is missing between a snapshot and a diff."""
    return continues_snapshot(diff, snapshot_id) or precedes_snapshot(diff, snapshot_id)
