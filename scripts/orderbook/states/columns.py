"""Names of the columns of states."""

from __future__ import annotations

KEYS = ("event_time", "local_time", "segment")
"""Columns that say which state it is, in the tables of features too."""


def level_columns(depth: int) -> list[str]:
    """bid_px_00 … bid_sz_00 … ask_px_00 … ask_sz_00 …, the names of Databento's MBP-10."""
    return [f"{side}_{what}_{i:02d}" for side in ("bid", "ask") for what in ("px", "sz") for i in range(depth)]
