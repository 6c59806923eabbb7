"""Compiled kernels of the features: columns of one batch of consecutive states in, columns out.

They work on columns, as Parquet gives them: level after level over a few hundred states, so that the compiler makes
vector instructions of the inner loops. No fast-math, which may assume that there are no NaN: here NaN means "no level".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scripts.lib.kernels import Array, inlined, kernel

STATES = 256  # states a step: the sums of a step stay in the processor's first cache
LEVELS = 4  # levels added at once, which spares three of four reads and writes of the sums
SUMS = 7  # sums a state: the next seven
SIZE, WEIGHTED, COUNT, STEP, STEP_SQUARED, CUMULATED, STEP_CUMULATED = (i * STATES for i in range(SUMS))
BEST = SUMS * STATES  # the best prices, after the sums
SHAPES = 4  # what side_shape tells of a state
SCRATCH = (SUMS + 1) * STATES  # numbers that side_shape needs, in one row: so the compiler sees that they don't overlap


@kernel
def side_shape(
    prices: Array, sizes: Array, start: int, stop: int, away: float, near: int, sums: Array, out: Array
) -> None:
    """What one side of the book looks like, seen from its best price.

    Args:
        prices: (levels, n), best first, NaN where no level is known
        sizes: (levels, n)
        start: first state to look at
        stop: state after the last one, at most STATES later
        away: direction in which prices leave the best one: -1 for bids, 1 for asks
        near: levels that count as near
        sums: (SCRATCH,)
        out: (4, STATES): size of the near levels; size of all levels; size-weighted mean distance from the best price;
            slope of the cumulated size over the distance from the best price by least squares
    """
    count, levels = stop - start, prices.shape[0]
    sums[:BEST], out[0, :count] = 0.0, 0.0
    for i in range(count):
        sums[BEST + i] = prices[0, start + i]
    for level in range(near):
        _add_size(prices[level, start:stop], sizes[level, start:stop], prices[0, start:stop], out[0])
    whole = levels - levels % LEVELS
    for level in range(0, whole, LEVELS):
        _add_levels(prices, sizes, level, start, stop, away, sums)
    for level in range(whole, levels):
        price, size = prices[level, start:stop], sizes[level, start:stop]
        for i in range(count):
            _put(sums, i, _with_level(_get(sums, i), price[i], size[i], sums[BEST + i], away))
    total, distance, slope = out[1], out[2], out[3]
    for i in range(count):
        total[i] = sums[SIZE + i]
        distance[i] = sums[WEIGHTED + i] / sums[SIZE + i]
    for i in range(count):
        steps = sums[STEP + i] / sums[COUNT + i]
        variation = sums[STEP_SQUARED + i] - sums[STEP + i] * steps
        slope[i] = (sums[STEP_CUMULATED + i] - steps * sums[CUMULATED + i]) / variation


@inlined
def _add_size(price: Array, size: Array, best: Array, out: Array) -> None:
    for i in range(price.size):
        known = price[i] - best[i] == price[i] - best[i]
        out[i] += size[i] if known else 0.0


@inlined
def _add_levels(prices: Array, sizes: Array, level: int, start: int, stop: int, away: float, sums: Array) -> None:
    """Add LEVELS levels to the sums."""
    price_0, size_0 = prices[level, start:stop], sizes[level, start:stop]
    price_1, size_1 = prices[level + 1, start:stop], sizes[level + 1, start:stop]
    price_2, size_2 = prices[level + 2, start:stop], sizes[level + 2, start:stop]
    price_3, size_3 = prices[level + 3, start:stop], sizes[level + 3, start:stop]
    for i in range(stop - start):
        best, found = sums[BEST + i], _get(sums, i)
        found = _with_level(found, price_0[i], size_0[i], best, away)
        found = _with_level(found, price_1[i], size_1[i], best, away)
        found = _with_level(found, price_2[i], size_2[i], best, away)
        found = _with_level(found, price_3[i], size_3[i], best, away)
        _put(sums, i, found)


@inlined
def _with_level(sums: Any, price: float, size: float, best: float, away: float) -> Any:
    """The sums of a state with one more level."""
    total, weighted, count, steps, squares, cumulated, products = sums
    step = away * (price - best)
    known = step == step
    step = step if known else 0.0
    here = size if known else 0.0
    total += here
    return (
        total, weighted + step * here, count + (1.0 if known else 0.0), steps + step, squares + step * step,
        cumulated + (total if known else 0.0), products + step * total,
    )  # fmt: skip


@inlined
def _get(sums: Array, i: int) -> Any:
    return (
        sums[SIZE + i], sums[WEIGHTED + i], sums[COUNT + i], sums[STEP + i], sums[STEP_SQUARED + i],
        sums[CUMULATED + i], sums[STEP_CUMULATED + i],
    )  # fmt: skip


@inlined
def _put(sums: Array, i: int, found: Any) -> None:
    (
        sums[SIZE + i], sums[WEIGHTED + i], sums[COUNT + i], sums[STEP + i], sums[STEP_SQUARED + i],
        sums[CUMULATED + i], sums[STEP_CUMULATED + i],
    ) = found  # fmt: skip


@kernel
def best_prices(
    bid: Array, ask: Array, bid_size: Array, ask_size: Array,
    mid: Array, spread: Array, microprice: Array,
) -> None:  # fmt: skip
    """Mid, spread and microprice from the best prices and their sizes, all (n,)."""
    for i in range(mid.size):
        mid[i] = (bid[i] + ask[i]) / 2
        spread[i] = ask[i] - bid[i]
    for i in range(mid.size):
        microprice[i] = (bid[i] * ask_size[i] + ask[i] * bid_size[i]) / (bid_size[i] + ask_size[i])


@kernel
def imbalance(bids: Array, asks: Array, mid: Array, out: Array) -> None:
    """(bids − asks) / (bids + asks), NaN where one of the sides is empty and so the mid unknown; all (n,)."""
    for i in range(out.size):
        out[i] = (bids[i] - asks[i]) / (bids[i] + asks[i]) + (mid[i] - mid[i])


@kernel
def state_shapes(bids: Array, asks: Array, near: int, sums: Array, sides: Array, out: Array) -> None:
    """Features of each state by itself.

    Args:
        bids: (2, levels, n), prices and sizes, best first, NaN where no level is known
        asks: as bids
        near: levels that count as near
        sums: (SCRATCH,)
        sides: (2, SHAPES, STATES), scratch
        out: (10, n): mid, spread, microprice, imbalance of the best, of the near and of all levels, slope of bids and
            asks, distance of the mean price of bids and asks from the mid
    """
    count = bids.shape[2]
    for start in range(0, count, STATES):
        stop = min(start + STATES, count)
        side_shape(bids[0], bids[1], start, stop, -1.0, near, sums, sides[0])
        side_shape(asks[0], asks[1], start, stop, 1.0, near, sums, sides[1])
        bid, bid_size = bids[0, 0, start:stop], bids[1, 0, start:stop]
        ask, ask_size = asks[0, 0, start:stop], asks[1, 0, start:stop]
        best_prices(bid, ask, bid_size, ask_size, out[0, start:stop], out[1, start:stop], out[2, start:stop])
        mid = out[0, start:stop]
        imbalance(bid_size, ask_size, mid, out[3, start:stop])
        imbalance(sides[0, 0], sides[1, 0], mid, out[4, start:stop])
        imbalance(sides[0, 1], sides[1, 1], mid, out[5, start:stop])
        for i in range(stop - start):
            out[6, start + i] = sides[0, 3, i]
            out[7, start + i] = sides[1, 3, i]
        for i in range(stop - start):
            out[8, start + i] = sides[0, 2, i] + (mid[i] - bid[i])
            out[9, start + i] = sides[1, 2, i] + (ask[i] - mid[i])


@kernel
def add_flow(prices: Array, sizes: Array, last: Array, towards: float, levels: int, out: Array) -> None:
    """Add one side's part of the order flow imbalance, summed over its best levels.

    A level that is not known counts as size 0 at a price infinitely far away, so that a level that goes takes its size
    along and one that comes brings it.

    Args:
        prices: (all levels, n), NaN where no level is known
        sizes: (all levels, n)
        last: (2, all levels), prices and sizes of the state before the first one
        towards: direction of a better price, and sign of the side: 1 for bids, -1 for asks
        levels: how many levels to sum
        out: (n,), to which the flow is added
    """
    count = prices.shape[1]
    for level in range(levels):
        price, size = prices[level], sizes[level]
        out[0] += towards * flow(towards * price[0], size[0], towards * last[0, level], last[1, level])
        for i in range(1, count):
            out[i] += towards * flow(towards * price[i], size[i], towards * price[i - 1], size[i - 1])


@inlined
def flow(price: float, size: float, last_price: float, last_size: float) -> float:
    """Flow at one level whose larger price is the better one (Cont, Kukanov and Stoikov 2014)."""
    price = price if price == price else -np.inf
    last_price = last_price if last_price == last_price else -np.inf
    size = size if size == size else 0.0
    last_size = last_size if last_size == last_size else 0.0
    return (size if price >= last_price else 0.0) - (last_size if price <= last_price else 0.0)


@kernel
def log_returns(mid: Array, last: float, out: Array) -> None:
    """ln(mid of a state / mid of the state before), NaN where one of them is unknown or not positive.

    As log1p of the relative change: the difference of two logarithms of prices keeps ten digits of a return less.
    """
    for i in range(mid.size):
        change = mid[i] - last
        if not (mid[i] > 0 and last > 0):
            out[i] = np.nan
        elif change == 0:
            out[i] = 0.0
        else:
            out[i] = np.log1p(change / last)
        last = mid[i]


@kernel
def rolling_sums(values: Array, starts: Array, block: Array, place: Array, head: Array, out: Array) -> None:
    """Sums over the last `window` values, by additions alone, so that no error builds up and no value leaves a trace.

    A segment's values are cut into blocks as long as the window. A window is the end of one block, whose sums from each
    place to the block's end are made once when the block is full, and the beginning of the next one. NaN until
    the segment has as many values, and while a NaN is among them.

    Args:
        values: (n,)
        starts: rows at which a segment begins, rising
        block: (window + 1,), carried on: below the place the values of the present block, from it on the sums to the
            end of the block before, or NaN where there is none; the last one is 0
        place: (1,) int64, carried on: values in the present block
        head: (1,), carried on: sum of the present block's values
        out: (n,)
    """
    window, count = block.size - 1, values.size
    at, total, row, next_start = place[0], head[0], 0, 0
    while row < count:
        if next_start < starts.size and starts[next_start] == row:
            block[:window] = np.nan
            at, total, next_start = 0, 0.0, next_start + 1
        end = starts[next_start] if next_start < starts.size else count
        length = min(end - row, window - at)
        for i in range(length):
            total += values[row + i]
            out[row + i] = total + block[at + i + 1]
            block[at + i] = values[row + i]
        row, at = row + length, at + length
        if at == window:
            for i in range(window - 2, -1, -1):
                block[i] += block[i + 1]
            at, total = 0, 0.0
    place[0], head[0] = at, total
