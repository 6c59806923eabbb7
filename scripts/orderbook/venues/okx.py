"""OKX captures (spot, swaps, futures, options): the channels books, books-l2-tbt and books50-l2-tbt.

OKX API documentation, "WS / Order book channel": a message names its seqId and the prevSeqId that it follows, -1 in a
snapshot. A message without changes repeats the id (a sign of life after 60 s). After maintenance ids may go on from a
smaller one: that message's prevSeqId still is the id before. Checksums: until June 2026, then always 0.
"""

from __future__ import annotations

from typing import ClassVar

from scripts.orderbook.venues.books_channel import BooksChannel


class Okx(BooksChannel):
    """Books of 400 or 50 levels, chained by their ids; in captures of before 2022, which have none, by checksums."""

    ids_restart: ClassVar[bool] = True
    limits: ClassVar[dict[str, int]] = {"books": 400, "books-l2-tbt": 400, "books50-l2-tbt": 50}
    own_id: ClassVar[str] = "seqId"
    previous_id: ClassVar[str] = "prevSeqId"
