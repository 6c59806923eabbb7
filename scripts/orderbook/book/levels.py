"""All levels of one book in two tiers: a hash table of the whole book, and a sorted window of the best levels.

Half of a venue's updates are far from the best prices: these touch the table alone. The window holds the best levels
of each side without a hole, best last, and is filled again from the table when it has become too short.

A level's key is its price on the bid side and the negative price on the ask side, so that the best key is the largest.

The horizon: a snapshot of n levels says nothing about prices beyond its outermost levels. Beyond them the book holds
only what has changed since, so a level may be missing there; `known` counts the levels that are certain. Of a venue
that tells of all levels, or of all that it keeps in step, there is no horizon.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scripts.lib.kernels import Array, inlined, kernel
from scripts.orderbook.capture.records import EXACT, PRICE_SCALE
from scripts.orderbook.capture.stream import ASK, BID

SLOT = np.dtype([("price", np.int64), ("size", np.float64), ("stamp", np.int64), ("digits", np.int64)])
SIDE = np.dtype(
    [(name, np.int64) for name in (
        "near",     # levels in the window
        "floor",    # the window holds all levels of this key and above
        "used",     # slots of the table taken, by levels or by what is left of removed ones
        "live",     # levels
        "horizon",  # smallest key that the snapshot tells of
        "known",    # levels of that key and above
    )]
)  # fmt: skip

EMPTY = -1  # price of a free slot
LOWEST, HIGHEST = -(2**62), 2**62  # beyond all keys: prices are under 2^62
SMALLEST_TABLE = 8_192  # slots a side; a power of two
SMALLEST_WINDOW = 256  # levels a side
LINEAR_STEPS = 16  # most updates lie this near to the best price
GOLDEN = 11400714819323198485  # 2^64 divided by the golden ratio: Fibonacci hashing


class Levels(NamedTuple):
    """Both sides of a book."""

    table: Array  # (2, slots) of SLOT, open addressing; size 0 marks a removed level
    near_key: Array  # (2, window), ascending
    near_size: Array  # (2, window)
    sides: Array  # (2,) of SIDE
    shortest: Array  # (1,): levels that the window must hold where the book has them


def new_levels(shortest: int, expected: int = 0) -> Levels:
    """An empty book.

    Args:
        shortest: levels a side that `top` will be asked for.
        expected: levels a side that the table must have room for.
    """
    slots = SMALLEST_TABLE
    while slots < 4 * expected:
        slots *= 2
    window = max(SMALLEST_WINDOW, 4 * shortest)
    levels = Levels(
        np.empty((2, slots), SLOT),
        np.zeros((2, window), np.int64),
        np.zeros((2, window)),
        np.zeros(2, SIDE),
        np.array([shortest], np.int64),
    )
    levels.table["price"] = EMPTY
    levels.sides["floor"], levels.sides["horizon"] = LOWEST, HIGHEST
    return levels


@inlined
def has_room(levels: Levels, more: int) -> bool:
    """Whether `more` new levels of each side keep the table half empty."""
    most = levels.table.shape[1] // 2
    return bool(levels.sides[BID].used + more <= most and levels.sides[ASK].used + more <= most)


def with_room(levels: Levels, more: int) -> Levels:
    """The same book in a table with room for `more` new levels of each side; what removed levels left is dropped."""
    live = int(levels.sides["live"].max())
    larger = new_levels(int(levels.shortest[0]), live + more)
    larger.sides["horizon"] = levels.sides["horizon"]
    for side in (BID, ASK):
        slots = levels.table[side]
        restore(larger, side, slots[(slots["price"] != EMPTY) & (slots["size"] > 0)])
    return larger


@kernel
def restore(levels: Levels, side: int, slots: Array) -> None:
    """Put levels (SLOT records) into a book; the horizon must be set before."""
    for i in range(slots.size):
        set_level(levels, side, slots[i].price, slots[i].size, slots[i].stamp, slots[i].digits)


@kernel
def clear(levels: Levels) -> None:
    """Remove all levels."""
    for side in range(2):
        for i in range(levels.table.shape[1]):
            levels.table[side, i].price = EMPTY
        state = levels.sides[side]
        state.near, state.floor, state.used = 0, LOWEST, 0
        state.live, state.horizon, state.known = 0, HIGHEST, 0


@kernel
def take_snapshot(levels: Levels, entries: Array, stamp: int, is_whole: bool = False) -> None:
    """Become the book of a snapshot; its outermost prices become the horizon. The table must have room.

    Args:
        entries: levels (LEVEL records) of both sides.
        stamp: number of the message.
        is_whole: whether there are no levels beyond, so that there is no horizon.
    """
    clear(levels)
    for side in range(2):
        outermost = HIGHEST
        for i in range(entries.size):
            entry = entries[i]
            if entry.side == side and entry.size > 0:
                set_level(levels, side, entry.price, entry.size, stamp, entry.digits)
                outermost = min(outermost, _key(side, entry.price))
        levels.sides[side].horizon = LOWEST if is_whole else outermost
        levels.sides[side].known = levels.sides[side].live


@kernel
def remove_all(levels: Levels) -> None:
    """Remove the levels one by one, which for a short book is faster than to clear the table."""
    for side in range(2):
        state = levels.sides[side]
        if state.floor > LOWEST:
            clear(levels)
            return
        while state.near > 0:
            set_level(levels, side, _key(side, levels.near_key[side, state.near - 1]), 0.0, 0)


@kernel
def set_horizon(levels: Levels) -> None:
    """Nothing is known beyond the levels that are there now."""
    for side in range(2):
        state = levels.sides[side]
        state.horizon = _worst(levels, side) if state.live > 0 else HIGHEST
        state.known = state.live


@kernel
def truncate(levels: Levels, limit: int) -> None:
    """Keep the best `limit` levels of each side."""
    for side in range(2):
        while levels.sides[side].live > limit:
            set_level(levels, side, _key(side, _worst(levels, side)), 0.0, 0)


@kernel
def _worst(levels: Levels, side: int) -> Any:
    """Key of the last level."""
    if levels.sides[side].floor == LOWEST:
        return levels.near_key[side, 0]
    worst: Any = np.int64(HIGHEST)
    for i in range(levels.table.shape[1]):
        slot = levels.table[side, i]
        if slot.price != EMPTY and slot.size > 0:
            worst = min(worst, _key(side, slot.price))
    return worst


@inlined
def set_level(levels: Levels, side: int, price: int, size: float, stamp: int, digits: int = 0) -> None:
    """Set a level's size, or remove it (size 0; removing an unknown level is normal).

    Args:
        stamp: number of the message, from which the older one of two levels is told.
        digits: of its texts, for checksums (scripts/orderbook/book/checksums.py).
    """
    state, slot = levels.sides[side], levels.table[side, _find(levels.table, side, price)]
    lived = slot.price == price and slot.size > 0
    if size > 0:
        if slot.price != price:
            slot.price = price
            state.used += 1
        slot.stamp, slot.digits = stamp, digits
    elif not lived:
        return
    slot.size = size
    key = _key(side, price)
    change = (1 if size > 0 else 0) - (1 if lived else 0)
    state.live += change
    if key >= state.horizon:
        state.known += change
    if key < state.floor:
        return
    if size > 0:
        _set_near(state, levels.near_key, levels.near_size, side, key, size)
    else:
        _remove_near(state, levels.near_key, levels.near_size, side, key)
        if state.near < levels.shortest[0] and state.floor > LOWEST:
            _refill(levels, side)


@inlined
def _key(side: int, price: int) -> int:
    return price if side == BID else -price


@inlined
def _find(table: Array, side: int, price: int) -> Any:
    """Index of a price's slot, or of the free one where it belongs."""
    last = table.shape[1] - 1
    at: Any = np.int64((np.uint64(price) * np.uint64(GOLDEN)) >> np.uint64(32)) & last
    while table[side, at].price != price and table[side, at].price != EMPTY:
        at = (at + 1) & last
    return at


@inlined
def digits_at(levels: Levels, side: int, price: int) -> Any:
    """Digits of a level's texts."""
    return levels.table[side, _find(levels.table, side, price)].digits


# the window: arrays of both sides and the side are handed on, since each view of an array costs more than its use


@inlined
def _set_near(state: Any, keys: Array, sizes: Array, side: int, key: int, size: float) -> None:
    """Set a level of the window."""
    at = _place(keys, side, state.near, key)
    if at > 0 and keys[side, at - 1] == key:
        sizes[side, at - 1] = size
        return
    if state.near == keys.shape[1]:
        _shed(state, keys, sizes, side)
        if key < state.floor:
            return
        at = _place(keys, side, state.near, key)
    _insert(keys, sizes, side, at, state.near, key, size)
    state.near += 1


@inlined
def _remove_near(state: Any, keys: Array, sizes: Array, side: int, key: int) -> None:
    at = _place(keys, side, state.near, key)
    for i in range(at, state.near):
        keys[side, i - 1], sizes[side, i - 1] = keys[side, i], sizes[side, i]
    state.near -= 1


@inlined
def _insert(keys: Array, sizes: Array, side: int, at: int, count: int, key: int, size: float) -> None:
    for i in range(count, at, -1):
        keys[side, i], sizes[side, i] = keys[side, i - 1], sizes[side, i - 1]
    keys[side, at], sizes[side, at] = key, size


@inlined
def _place(keys: Array, side: int, count: int, key: int) -> int:
    """Number of keys that are not larger: a few steps from the best one, then bisection."""
    at = count
    while at > 0 and keys[side, at - 1] > key:
        at -= 1
        if count - at == LINEAR_STEPS:
            break
    if at == 0 or keys[side, at - 1] <= key:
        return at
    low, high = 0, at
    while low < high:
        middle = (low + high) >> 1
        if keys[side, middle] <= key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _shed(state: Any, keys: Array, sizes: Array, side: int) -> None:
    """Drop the worse half of a full window: room for many insertions, which one by one would each move all levels."""
    kept = keys.shape[1] // 2
    dropped = state.near - kept
    for i in range(kept):
        keys[side, i], sizes[side, i] = keys[side, dropped + i], sizes[side, dropped + i]
    state.near, state.floor = kept, keys[side, 0]


@kernel
def _refill(levels: Levels, side: int) -> None:
    """Fill half of the window with the best levels of the table."""
    state, keys, sizes = levels.sides[side], levels.near_key, levels.near_size
    count: Any = np.int64(0)  # of the type that it will have, or numba compiles for a constant first
    most = keys.shape[1] // 2
    for i in range(levels.table.shape[1]):
        slot = levels.table[side, i]
        if slot.price == EMPTY or slot.size == 0:
            continue
        key = _key(side, slot.price)
        at = _place(keys, side, count, key)
        if count < most:
            _insert(keys, sizes, side, at, count, key, slot.size)
            count += 1
        elif at > 0:  # better than the worst one, which makes room
            for j in range(1, at):
                keys[side, j - 1], sizes[side, j - 1] = keys[side, j], sizes[side, j]
            keys[side, at - 1], sizes[side, at - 1] = key, slot.size
    state.near = count
    state.floor = keys[side, 0] if count < state.live else LOWEST


@inlined
def is_crossed(levels: Levels) -> bool:
    """Whether the best bid is not under the best ask."""
    bids, asks = levels.sides[BID].near, levels.sides[ASK].near
    return bool(bids > 0 and asks > 0 and levels.near_key[BID, bids - 1] >= -levels.near_key[ASK, asks - 1])


@kernel
def drop_older(levels: Levels) -> int:
    """Remove the older one of the best bid and the best ask until the book is not crossed.

    Of equal age the bid goes: within a message the asks come last.

    Returns:
        number of levels removed.
    """
    dropped = 0
    while is_crossed(levels):
        bid = levels.near_key[BID, levels.sides[BID].near - 1]
        ask = -levels.near_key[ASK, levels.sides[ASK].near - 1]
        bid_stamp = levels.table[BID, _find(levels.table, BID, bid)].stamp
        ask_stamp = levels.table[ASK, _find(levels.table, ASK, ask)].stamp
        side, price = (BID, bid) if bid_stamp <= ask_stamp else (ASK, ask)
        set_level(levels, side, price, 0.0, bid_stamp)
        dropped += 1
    return dropped


@inlined
def quoted(price: int) -> Any:
    """The float64 nearest to a scaled price, which has at most 53 significant bits (records.scaled)."""
    scale = PRICE_SCALE
    while price > EXACT and price % 10 == 0 and scale > 1:
        price //= 10
        scale //= 10
    return price / scale


@inlined
def write_top(levels: Levels, row: Array) -> None:
    """Write the best levels into a row of bid prices, bid sizes, ask prices, ask sizes, NaN where there is none."""
    depth = row.size // 4
    for side in range(2):
        count = levels.sides[side].near
        for i in range(depth):
            at, place = count - 1 - i, 2 * side * depth + i
            if at >= 0:
                row[place] = quoted(_key(side, levels.near_key[side, at]))
                row[place + depth] = levels.near_size[side, at]
            else:
                row[place], row[place + depth] = np.nan, np.nan
