"""Messages of every venue as Python objects: snapshots, diffs and best quotes.

Adapters make them of rare messages and of those that only a JSON parser can judge; see stream.py beside it.

Prices are integers in units of 1e-8 of the quote currency, so that a level is found again exactly; dividing by
`PRICE_SCALE` gives the float64 nearest to the venue's decimal text. Times are ns UTC.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from decimal import Decimal

PRICE_DECIMALS = 8
PRICE_SCALE = 100_000_000  # 10 ** PRICE_DECIMALS
LARGEST = 2**63 - 1  # of ids and times
LONGEST_STAMP = len(str(LARGEST))  # digits
EXACT = 2**53  # integers up to here are float64 without rounding
SAFE = 2**51  # scaled prices under this are exact when computed in float64
NO_TIME = -1  # local time of a line that bears none

# kinds of messages: changes; the book at some update id, taken beside the stream, which the diffs around it must
# reach; the book at a place of the stream itself, from which it begins anew; the book in each message of the stream
DIFF, SNAPSHOT, RESTART, REPLACE = range(4)
WHOLE_BOOK = 2**31  # `limit` of venues that tell of all levels

Level = tuple[int, float]
"""Scaled price, absolute size; size 0 removes the level."""


@dataclass(slots=True, frozen=True)
class Snapshot:
    """The whole book (or its best levels) at update `update_id`.

    `limit`: levels a side that the venue keeps in step; after each message those beyond are dropped, and all others
    are known. 0: it is a copy of the best levels, about the prices beyond which nothing is known.
    `checksum`: of the book after this message, as an unsigned number of 32 bits. `digits`: of the texts of each bid,
    then each ask, where checksums are taken over texts (scripts/orderbook/book/checksums.py).
    """

    local_time: int
    event_time: int
    update_id: int
    bids: list[Level]
    asks: list[Level]
    _: KW_ONLY
    kind: int = SNAPSHOT
    limit: int = 0
    checksum: int | None = None
    digits: list[int] | None = None


@dataclass(slots=True, frozen=True)
class Diff:
    """Levels changed by updates `first_id` … `final_id`; `previous_id` where the venue names the message before.

    The last fields are as of a snapshot.
    """

    local_time: int
    event_time: int
    first_id: int
    final_id: int
    previous_id: int | None
    bids: list[Level]
    asks: list[Level]
    _: KW_ONLY
    limit: int = 0
    checksum: int | None = None
    digits: list[int] | None = None


@dataclass(slots=True, frozen=True)
class Quote:
    """Best bid and ask as of `update_id`, from a stream that is independent of the diffs."""

    update_id: int
    bid: int
    bid_size: float
    ask: int
    ask_size: float


def scaled(price: str) -> int:
    """Decimal text to scaled integer, from which division gives back the very float64 of the text.

    Raises:
        ValueError: the price is no number, negative, too large, or finer than the scale or a float64 can tell.
        OverflowError: the price is infinite.
    """
    value = float(price)
    units = round(value * PRICE_SCALE)
    if units / PRICE_SCALE != value or units >= SAFE:  # the product was rounded, or the price is finer than the scale
        exact = Decimal(price) * PRICE_SCALE
        units = int(exact) if exact == int(exact) and float_holds(int(exact)) else -1
    if not 0 <= units <= LARGEST // 2:
        raise ValueError(f"price {price:.40} (books hold those from 0 to 4e10 with at most 8 decimals)")
    return units


def float_holds(units: int) -> bool:
    """Whether a scaled price has at most 53 significant bits, so that no two of them have one float64."""
    scale = PRICE_SCALE
    while units > EXACT and units % 10 == 0 and scale > 1:
        units, scale = units // 10, scale // 10
    return units <= EXACT
