"""Bitget captures (spot and futures, API v1 and v2): the channel books.

Bitget API documentation, "Depth Channel": the first message is a snapshot, the others change it. v2 adds `seq`, which
grows from message to message by no fixed step, so that only the checksum shows what is missing.
"""

from __future__ import annotations

from typing import ClassVar

from scripts.orderbook.venues.books_channel import BooksChannel


class Bitget(BooksChannel):
    """Books whose checksum is compared after each message."""

    limits: ClassVar[dict[str, int]] = {"books": 0}
    own_id: ClassVar[str] = "seq"
    previous_id: ClassVar[str] = "pseq"
