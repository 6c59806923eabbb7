"""From single orders to price levels: the compiled replay of market-by-order records.

Orders are kept by their ids in one hash table, the sizes of price levels in another. Records between two that bear the
flag F_LAST are one event, which becomes one message of the normalised stream: the levels that it changed, with their
new sizes. A clear record begins the book anew; the event that holds it becomes a message with the whole book. Meaning
of the records: Databento, "MBO" and its examples "Order tracking" and "Limit order book".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scripts.lib.kernels import Array, kernel
from scripts.orderbook.capture.records import DIFF, RESTART, WHOLE_BOOK
from scripts.orderbook.capture.stream import ASK, BID, NO_CHECKSUM, NO_ID, Batch

ADD, CANCEL, MODIFY, CLEAR, TRADE, FILL, NOTHING = (ord(letter) for letter in "ACMRTFN")
ASK_LETTER, BID_LETTER = (ord(letter) for letter in "AB")
F_LAST, F_TOB, F_SNAPSHOT, F_MAYBE_BAD_BOOK = 128, 64, 32, 4
UNDEFINED = 2**63 - 1  # price of none
PRICE_STEP = 10  # units of a record's price (1e-9) in one of ours (1e-8)
LOST = -2  # `previous_id` of an event before which something is missing
SMALLEST_TABLE = 8_192  # slots; a power of two
GOLDEN = 11400714819323198485  # 2^64 divided by the golden ratio: Fibonacci hashing
FREE, GONE = -1, -2  # `side` of a slot that never held an order, and of one whose order has left

ORDER = np.dtype([("id", np.uint64), ("price", np.int64), ("size", np.int64), ("side", np.int64)])
TOTAL = np.dtype([("price", np.int64), ("size", np.int64)])  # price FREE: a slot that never held a level
EVENT = np.dtype(
    [(name, np.int64) for name in (
        "begin",      # first of its levels in the batch
        "touched",    # whether it may have changed the book
        "restarts",   # whether it began the book anew
        "broken",     # whether a record of it, or before it, is missing
        "last_id",    # id of the event before
        "used",       # slots of the table of orders taken, by orders or by what left
        "used_bid", "used_ask",  # slots of the tables of levels taken
    )]
)  # fmt: skip
TALLY = np.dtype(
    [(name, np.int64) for name in (
        "unknown",    # cancels and changes of orders that are not there
        "repeated",   # orders added that are there
        "overdrawn",  # cancels of more than there is
        "flagged",    # records that the vendor flags as of a book that may be bad
        "resets",     # sequence numbers smaller than the one before
    )]
)  # fmt: skip


class Orders(NamedTuple):
    """All orders of one instrument."""

    table: Array  # (slots,) of ORDER, open addressing
    totals: Array  # (2, slots) of TOTAL, open addressing; size 0 marks a level that has left
    event: Array  # one record of EVENT
    tally: Array  # one record of TALLY


def new_orders(orders: int = 0, levels: int = 0) -> Orders:
    """No orders, with room for so many in half of the table."""
    table, totals = np.zeros(_slots(orders), ORDER), np.zeros((2, _slots(levels)), TOTAL)
    table["side"], totals["price"] = FREE, FREE
    return Orders(table, totals, np.zeros(1, EVENT), np.zeros(1, TALLY))


def _slots(entries: int) -> int:
    slots = SMALLEST_TABLE
    while slots < 4 * entries:
        slots *= 2
    return slots


def live_orders(orders: Orders) -> Array:
    """Orders that are there."""
    table: Array = orders.table[orders.table["side"] >= 0]
    return table


def live_totals(orders: Orders, side: int) -> Array:
    """Levels of a side that are there."""
    totals = orders.totals[side]
    live: Array = totals[(totals["price"] != FREE) & (totals["size"] > 0)]
    return live


def with_room(orders: Orders, more: int) -> Orders:
    """The same orders in tables with room for `more` of them; themselves if there is room."""
    event = orders.event[0]
    most = max(int(event["used_bid"]), int(event["used_ask"])) + 2 * more
    if 2 * (int(event["used"]) + more) <= len(orders.table) and 2 * most <= orders.totals.shape[1]:
        return orders
    live, totals = live_orders(orders), [live_totals(orders, side) for side in (BID, ASK)]
    return restored(live, totals, orders.event, orders.tally, more)


def restored(live: Array, totals: list[Array], event: Array, tally: Array, more: int = 0) -> Orders:
    """Tables of orders and of the levels that they make, with room for `more` orders."""
    larger = new_orders(len(live) + more, max(map(len, totals)) + 2 * more)
    larger.event[:], larger.tally[:] = event, tally
    _put_back(larger, live, totals[BID], totals[ASK])
    return larger


@kernel
def _put_back(orders: Orders, live: Array, bids: Array, asks: Array) -> None:
    event = orders.event[0]
    event.used, event.used_bid, event.used_ask = live.size, bids.size, asks.size
    for i in range(live.size):
        place = _find(orders.table, live[i].id)
        orders.table[place] = live[i]
    for i in range(bids.size):
        orders.totals[BID, _find_level(orders.totals, BID, bids[i].price)] = bids[i]
    for i in range(asks.size):
        orders.totals[ASK, _find_level(orders.totals, ASK, asks[i].price)] = asks[i]


@kernel
def replay(records: Array, bad: Array, orders: Orders, batch: Batch) -> None:
    """Apply records, and append a message for each event that ends and may have changed the book.

    Args:
        records: of MBO_RECORD, of one instrument.
        bad: which of them cannot be applied.
        orders: with room for as many more.
        batch: with room for as many messages, and for the levels of `room_for`.
    """
    event, tally, filled = orders.event[0], orders.tally[0], batch.filled[0]
    for i in range(records.size):
        record = records[i]
        if record.flags & F_MAYBE_BAD_BOOK:
            tally.flagged += 1
            event.broken = 1
        if bad[i]:
            event.broken = 1
        elif record.action == CLEAR:
            _clear(orders)
            event.touched, event.restarts, event.broken = 1, 1, 0
            filled.levels = event.begin
        elif record.action == ADD or record.action == CANCEL or record.action == MODIFY:
            event.touched = 1
            _apply(record, orders, batch)
        if record.flags & F_LAST:
            _close(record, orders, batch)


@kernel
def _apply(record: Any, orders: Orders, batch: Batch) -> None:
    side = BID if record.side == BID_LETTER else ASK
    price: Any = record.price // PRICE_STEP
    size: Any = np.int64(record.size)
    if record.action == ADD and record.flags & F_TOB:  # a feed of best prices alone: each one replaces its side
        _empty_side(orders, side, batch)
        if record.price != UNDEFINED:
            _change(orders, side, price, size, batch)
        return
    tally, slot = orders.tally[0], orders.table[_find(orders.table, record.order_id)]
    is_there = slot.side >= 0 and slot.id == record.order_id
    if record.action == CANCEL:
        if not is_there:
            tally.unknown += 1
            return
        if size > slot.size:
            tally.overdrawn += 1
            size = slot.size
        slot.size -= size
        _change(orders, slot.side, slot.price, -size, batch)
        if slot.size == 0:
            slot.side = GONE
        return
    if is_there:
        tally.repeated += record.action == ADD
        _change(orders, slot.side, slot.price, -slot.size, batch)
    else:
        tally.unknown += record.action == MODIFY
        if slot.side == FREE:
            orders.event[0].used += 1
    slot.id, slot.side, slot.price, slot.size = record.order_id, side, price, size
    _change(orders, side, price, size, batch)


@kernel
def _change(orders: Orders, side: int, price: int, change: int, batch: Batch) -> None:
    """Change the size of a level, and note the new one in the batch."""
    total = orders.totals[side, _find_level(orders.totals, side, price)]
    if total.price == FREE:
        total.price = price
        if side == BID:
            orders.event[0].used_bid += 1
        else:
            orders.event[0].used_ask += 1
    total.size += change
    _note(batch, side, price, total.size)


@kernel
def _empty_side(orders: Orders, side: int, batch: Batch) -> None:
    for i in range(orders.totals.shape[1]):
        total = orders.totals[side, i]
        if total.price != FREE and total.size > 0:
            total.size = 0
            _note(batch, side, total.price, 0)


@kernel
def _note(batch: Batch, side: int, price: int, size: int) -> None:
    entry, filled = batch.levels[batch.filled[0].levels], batch.filled[0]
    entry.side, entry.price, entry.size, entry.digits = side, price, size, 0
    filled.levels += 1


@kernel
def _clear(orders: Orders) -> None:
    event = orders.event[0]
    for i in range(orders.table.size):
        orders.table[i].side = FREE
    for side in range(2):
        for i in range(orders.totals.shape[1]):
            orders.totals[side, i].price, orders.totals[side, i].size = FREE, 0
    event.used, event.used_bid, event.used_ask = 0, 0, 0


@kernel
def _close(record: Any, orders: Orders, batch: Batch) -> None:
    """End an event: append its message, if it may have changed the book."""
    event, tally, filled = orders.event[0], orders.tally[0], batch.filled[0]
    sequence = np.int64(record.sequence)
    if sequence < event.last_id:
        tally.resets += 1
    if event.touched or event.broken:
        message = batch.messages[filled.messages]
        message.kind, message.previous_id, message.limit = DIFF, event.last_id, WHOLE_BOOK
        if event.broken:
            sequence = max(sequence, event.last_id + 1)  # else it would pass for one that came twice
            message.previous_id = LOST
            filled.levels = event.begin
        elif event.restarts:
            message.kind, message.previous_id = RESTART, NO_ID
            filled.levels = event.begin
            _note_all(orders, batch)
        message.event_time, message.local_time = np.int64(record.ts_event), np.int64(record.ts_recv)
        message.first_id, message.final_id, message.checksum = sequence, sequence, NO_CHECKSUM
        message.begin, message.end = event.begin, filled.levels
        filled.messages += 1
        event.last_id = sequence
    event.begin = filled.levels
    event.touched, event.restarts, event.broken = 0, 0, 0


@kernel
def _note_all(orders: Orders, batch: Batch) -> None:
    for side in range(2):
        for i in range(orders.totals.shape[1]):
            total = orders.totals[side, i]
            if total.price != FREE and total.size > 0:
                _note(batch, side, total.price, total.size)


def room_for(orders: Orders, records: int) -> int:
    """Level entries that so many records can make: two each, and once more each level that is or comes there."""
    live = sum(len(live_totals(orders, side)) for side in (BID, ASK))
    return 2 * records + 2 * (live + 2 * records)


@kernel
def _find(table: Array, order_id: int) -> Any:
    """Index of an order's slot, or of the free one where it belongs."""
    last = table.size - 1
    at: Any = np.int64((np.uint64(order_id) * np.uint64(GOLDEN)) >> np.uint64(32)) & last
    while table[at].side != FREE and (table[at].side == GONE or table[at].id != order_id):
        at = (at + 1) & last
    return at


@kernel
def _find_level(totals: Array, side: int, price: int) -> Any:
    """Index of a level's slot, or of the free one where it belongs."""
    last = totals.shape[1] - 1
    at: Any = np.int64((np.uint64(price) * np.uint64(GOLDEN)) >> np.uint64(32)) & last
    while totals[side, at].price != price and totals[side, at].price != FREE:
        at = (at + 1) & last
    return at
