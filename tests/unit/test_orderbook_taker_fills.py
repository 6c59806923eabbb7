"""Taker fills: books worked by hand, a slow oracle in exact fractions, and when orders arrive."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from scripts.orderbook.trading.taker_fills import NS_PER_MS, Latency, arrivals, fill_order

NAN = np.nan
BIDS = np.array([[99.0, 98.0, 97.0], [1.0, 2.0, 4.0]])
ASKS = np.array([[101.0, 102.0, 104.0], [2.0, 1.0, 5.0]])


@pytest.mark.parametrize(
    ("size", "filled", "notional"),
    [
        (1.0, 1.0, 101.0),  # inside the best level
        (2.0, 2.0, 202.0),  # the whole of it
        (3.5, 3.5, 2 * 101 + 102 + 0.5 * 104),  # three levels
        (20.0, 8.0, 2 * 101 + 102 + 5 * 104),  # more than the book shows
        (-1.0, -1.0, -99.0),
        (-2.5, -2.5, -(99 + 1.5 * 98)),
        (-9.0, -7.0, -(99 + 2 * 98 + 4 * 97)),
        (0.0, 0.0, 0.0),
    ],
)
def test_books_worked_by_hand(size: float, filled: float, notional: float) -> None:
    fill = fill_order(size, BIDS, ASKS, fee_bps=5.0)
    assert (fill.size, fill.notional) == (filled, notional)
    assert fill.fee == pytest.approx(0.0005 * abs(notional), rel=1e-15)
    assert np.isnan(fill.price) if size == 0 else fill.price == notional / filled


def test_unknown_levels_are_not_taken_from() -> None:
    asks = np.array([[101.0, NAN, 104.0], [2.0, NAN, 5.0]])
    assert fill_order(3.0, BIDS, asks, 0.0)[:2] == (2.0, 202.0)
    empty = np.full((2, 3), NAN)
    assert fill_order(3.0, BIDS, empty, 5.0) == (0.0, 0.0, 0.0)
    assert fill_order(-3.0, empty, ASKS, 5.0)[2] == 0.0


def slow_fill(size: Fraction, bids: np.ndarray, asks: np.ndarray) -> tuple[Fraction, Fraction]:
    """Oracle: lot by lot, in exact fractions."""
    side = asks if size > 0 else bids
    lot = Fraction(1, 8)
    shelf = []
    for price, amount in side.T:
        if np.isnan(price):
            break
        shelf += [Fraction(float(price))] * int(Fraction(float(amount)) / lot)
    taken = shelf[: int(abs(size) / lot)]
    sign = 1 if size > 0 else -1
    return sign * len(taken) * lot, sign * sum(taken, Fraction(0)) * lot


def test_equals_an_oracle_that_takes_lot_by_lot() -> None:
    random = np.random.default_rng(5)
    for _ in range(500):
        depth = int(random.integers(1, 6))
        gaps = random.integers(1, 9, (2, depth)).cumsum(axis=1) / 4
        sizes = random.integers(1, 30, (2, depth)) / 8
        bids, asks = np.array([100 - gaps[0], sizes[0]]), np.array([100 + gaps[1], sizes[1]])
        known = int(random.integers(0, depth + 1))
        bids[:, known:] = NAN
        size = Fraction(int(random.integers(-100, 101)), 8)
        fill = fill_order(float(size), bids, asks, 1.0)
        filled, notional = slow_fill(size, bids, asks)
        assert fill.size == filled  # eighths are exact in binary
        assert fill.notional == pytest.approx(float(notional), rel=1e-13)


def test_fills_never_beat_the_best_price_and_grow_worse_with_size() -> None:
    prices = [fill_order(size, BIDS, ASKS, 0.0).price for size in (0.5, 2.0, 2.5, 3.0, 8.0)]
    assert prices[0] == 101.0
    assert prices == sorted(prices)
    prices = [fill_order(-size, BIDS, ASKS, 0.0).price for size in (0.5, 1.0, 2.5, 7.0)]
    assert prices[0] == 99.0
    assert prices == sorted(prices, reverse=True)


def slow_arrivals(times: np.ndarray, known: np.ndarray, latency: Latency) -> list[int]:
    found = []
    for k in range(len(times)):
        now = max(*times[: k + 1], *known[: k + 1])
        due = [j for j in range(k + latency.states, len(times)) if max(times[: j + 1]) >= now + latency.ms * NS_PER_MS]
        found.append(due[0] if due else len(times))
    return found


@pytest.mark.parametrize("latency", [Latency(0, 0), Latency(1, 0), Latency(3, 0), Latency(0, 7), Latency(2, 15)])
def test_orders_arrive_as_a_search_state_by_state_finds(latency: Latency) -> None:
    random = np.random.default_rng(1)
    times = NS_PER_MS * random.integers(-2, 9, 200).cumsum()  # a clock that goes back at times
    for ahead in (0, 20, -20):  # of the capture's clock, with the way of the data
        known = times + NS_PER_MS * (ahead + random.integers(0, 30, 200))
        assert arrivals(times, known, latency).tolist() == slow_arrivals(times, known, latency)


def test_latency_in_states_and_in_time_both_hold() -> None:
    times = NS_PER_MS * np.array([0, 10, 20, 30, 130, 140])
    assert arrivals(times, times, Latency(1, 0)).tolist() == [1, 2, 3, 4, 5, 6]
    assert arrivals(times, times, Latency(1, 25)).tolist() == [3, 4, 4, 4, 6, 6]
    assert arrivals(times, times, Latency(2, 1)).tolist() == [2, 3, 4, 5, 6, 6]


def test_an_order_leaves_when_its_state_was_known_here() -> None:
    times = NS_PER_MS * np.arange(0, 100, 10)
    late = times + 25 * NS_PER_MS
    assert arrivals(times, late, Latency(1, 0)).tolist() == [3, 4, 5, 6, 7, 8, 9, 10, 10, 10]
    assert arrivals(times, late, Latency(1, 5)).tolist() == [3, 4, 5, 6, 7, 8, 9, 10, 10, 10]
    assert arrivals(times, late, Latency(1, 6)).tolist() == [4, 5, 6, 7, 8, 9, 10, 10, 10, 10]
    behind = times - 1_000 * NS_PER_MS  # a local clock behind the venue's: nothing is known before it was
    assert arrivals(times, behind, Latency(1, 0)).tolist() == arrivals(times, times, Latency(1, 0)).tolist()


def test_no_order_overtakes_the_one_sent_before_it() -> None:
    """Not even where the local clock is set back between the two."""
    times = NS_PER_MS * np.arange(0, 100, 10)
    known = times.copy()
    known[2] += 40 * NS_PER_MS
    found = arrivals(times, known, Latency(1, 0))
    assert found.tolist() == [1, 2, 6, 6, 6, 6, 7, 8, 9, 10]
    assert (np.diff(found) >= 0).all()
