"""Compiled kernels of the features: columns of one batch of consecutive states in, columns out.

They work on columns, as Parquet gives them: one level after the other over a few hundred states, so that the compiler
makes vector instructions of the inner loops. No fast-math: it may assume that there are no NaN, and here NaN means
"no level". The compiled code is kept in `__pycache__`; numba renews it when this file changes and does not look at
others, so kernels and their constants stand in this file alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numba import njit

Function = TypeVar("Function", bound=Callable[..., None])

STATES = 256  # states a step: the sums of a step stay in the processor's first cache
SUMS = 7  # sums a side: the next seven
SIZE, WEIGHTED, COUNT, STEP, STEP_SQUARED, CUMULATED, STEP_CUMULATED = range(SUMS)


def kernel(function: Function) -> Function:
    """Compile at the first call and keep the result; a division by zero is NaN or infinite, not an error."""
    compiled: Function = njit(cache=True, error_model="numpy")(function)
    return compiled


@kernel
def side_shape(
    prices: np.ndarray, sizes: np.ndarray, start: int, stop: int, away: float, near: int, out: np.ndarray
) -> None:
    """What one side of the book looks like, seen from its best price.

    Args:
        prices: (levels, n), best first, NaN where no level is known
        sizes: (levels, n)
        start: first state to look at
        stop: state after the last one, at most STATES later
        away: direction in which prices leave the best one: -1 for bids, 1 for asks
        near: levels that count as near
        out: (4, STATES): size of the near levels; size of all levels; size-weighted mean distance from the best price;
            slope of the cumulated size over the distance from the best price by least squares
    """
    count = stop - start
    best = prices[0, start:stop]
    sums = np.zeros((SUMS, STATES))
    for level in range(prices.shape[0]):
        price, size = prices[level, start:stop], sizes[level, start:stop]
        for i in range(count):
            step = away * (price[i] - best[i])
            known = step == step
            step = step if known else 0.0
            here = size[i] if known else 0.0
            cumulated = sums[SIZE, i] + here
            sums[SIZE, i] = cumulated
            sums[WEIGHTED, i] += step * here
            sums[COUNT, i] += 1.0 if known else 0.0
            sums[STEP, i] += step
            sums[STEP_SQUARED, i] += step * step
            sums[CUMULATED, i] += cumulated if known else 0.0
            sums[STEP_CUMULATED, i] += step * cumulated
        if level == near - 1:
            out[0, :count] = sums[SIZE, :count]
    total, distance, slope = out[1], out[2], out[3]
    for i in range(count):
        total[i] = sums[SIZE, i]
        distance[i] = sums[WEIGHTED, i] / sums[SIZE, i]
    for i in range(count):
        steps = sums[STEP, i] / sums[COUNT, i]
        variation = sums[STEP_SQUARED, i] - sums[STEP, i] * steps
        slope[i] = (sums[STEP_CUMULATED, i] - steps * sums[CUMULATED, i]) / variation


@kernel
def best_prices(
    bid: np.ndarray, ask: np.ndarray, bid_size: np.ndarray, ask_size: np.ndarray,
    mid: np.ndarray, spread: np.ndarray, microprice: np.ndarray,
) -> None:  # fmt: skip
    """Mid, spread and microprice from the best prices and their sizes, all (n,)."""
    for i in range(mid.size):
        mid[i] = (bid[i] + ask[i]) / 2
        spread[i] = ask[i] - bid[i]
    for i in range(mid.size):
        microprice[i] = (bid[i] * ask_size[i] + ask[i] * bid_size[i]) / (bid_size[i] + ask_size[i])


@kernel
def imbalance(bids: np.ndarray, asks: np.ndarray, mid: np.ndarray, out: np.ndarray) -> None:
    """(bids − asks) / (bids + asks), NaN where one of the sides is empty and so the mid unknown; all (n,)."""
    for i in range(out.size):
        out[i] = (bids[i] - asks[i]) / (bids[i] + asks[i]) + (mid[i] - mid[i])


@kernel
def state_shapes(bids: np.ndarray, asks: np.ndarray, near: int, out: np.ndarray) -> None:
    """Features of each state by itself.

    Args:
        bids: (2, levels, n), prices and sizes, best first, NaN where no level is known
        asks: as bids
        near: levels that count as near
        out: (10, n): mid, spread, microprice, imbalance of the best, of the near and of all levels, slope of bids and
            asks, distance of the mean price of bids and asks from the mid
    """
    count = bids.shape[2]
    sides = np.empty((2, 4, STATES))
    for start in range(0, count, STATES):
        stop = min(start + STATES, count)
        side_shape(bids[0], bids[1], start, stop, -1.0, near, sides[0])
        side_shape(asks[0], asks[1], start, stop, 1.0, near, sides[1])
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
def add_flow(
    prices: np.ndarray, sizes: np.ndarray, last: np.ndarray, towards: float, levels: int, out: np.ndarray
) -> None:
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


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def flow(price: float, size: float, last_price: float, last_size: float) -> float:
    """Flow at one level whose larger price is the better one (Cont, Kukanov and Stoikov 2014)."""
    price = price if price == price else -np.inf
    last_price = last_price if last_price == last_price else -np.inf
    size = size if size == size else 0.0
    last_size = last_size if last_size == last_size else 0.0
    return (size if price >= last_price else 0.0) - (last_size if price <= last_price else 0.0)


@kernel
def log_returns(mid: np.ndarray, last: float, out: np.ndarray) -> None:
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
def rolling_sums(
    values: np.ndarray, starts: np.ndarray, block: np.ndarray, place: np.ndarray, head: np.ndarray, out: np.ndarray
) -> None:
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
