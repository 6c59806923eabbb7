"""Taker fills from book states: when an order that takes liquidity arrives, and what it then pays.

Contract. An order decided at state k arrives at the first state that is at least `states` later and whose event time
is at least `ms` after the moment at which state k was known here; if the segment ends before, it never does. There it
walks the opposite side's known levels, best first, until it is filled; what the book shows no liquidity for is
cancelled, as with immediate-or-cancel orders.
It never waits in a queue, so no queue model is needed. What it takes stands in the book again at the next state: its
own impact beyond the levels walked is not modelled, so keep orders small beside the sizes shown. The fee is charged
on the traded notional.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

NS_PER_MS = 1_000_000
BPS = 1e-4


@dataclass(frozen=True)
class Latency:
    """The way from a decision to the venue: at least this many states after the one decided on, and at least this much
    time after it was known here."""

    states: int
    ms: float


class Fill(NamedTuple):
    """What an order got: `size` signed (positive bought), `notional` = Σ size · price, signed alike, `fee` >= 0."""

    size: float
    notional: float
    fee: float

    @property
    def price(self) -> float:
        """Volume-weighted mean price; NaN for an order that got nothing."""
        return self.notional / self.size if self.size else np.nan


NOTHING = Fill(0.0, 0.0, 0.0)


def take(prices: Sequence[float], sizes: Sequence[float], wanted: float) -> tuple[float, float]:
    """Take up to `wanted` (> 0) from one side's levels.

    Args:
        prices: of the levels, best first; from the first NaN on they are unknown, and not taken from.
        sizes: of the levels, as many.
        wanted: size of the order.

    Returns:
        size filled, at most `wanted`; Σ size · price over the levels.
    """
    left, notional = wanted, 0.0
    for price, size in zip(prices, sizes, strict=True):
        if price != price or size != size:  # NaN
            break
        part = min(size, left)
        notional += part * price
        left -= part
        if left <= 0:
            return wanted, notional
    return wanted - left, notional


def fill_order(size: float, bids: np.ndarray, asks: np.ndarray, fee_bps: float) -> Fill:
    """Fill a taker order at one book state.

    Args:
        size: signed, positive buys from the asks, negative sells to the bids.
        bids: (2, depth): prices, then sizes, best first, NaN where unknown.
        asks: likewise.
        fee_bps: fee on the traded notional, basis points.
    """
    if size == 0:
        return NOTHING
    side, sign = (asks, 1.0) if size > 0 else (bids, -1.0)
    filled, notional = take(side[0].tolist(), side[1].tolist(), abs(size))
    return Fill(sign * filled, sign * notional, fee_bps * BPS * abs(notional))


def arrivals(event_time: np.ndarray, known_at: np.ndarray, latency: Latency) -> np.ndarray:
    """Row at which an order decided at each row of one segment arrives.

    Nobody can send an order before the state that it is decided on is known to him. The two clocks differ: where that
    of the capture lags behind the venue's, a state counts as known at its event time; where it is ahead, orders arrive
    the later for it, never earlier.

    Args:
        event_time: (n,) int64 ns of one segment's consecutive states. Where the venue's clock goes back, the latest
            time so far counts: an order does not arrive in the past.
        known_at: (n,) int64 ns when each state was known here. Where it goes back, the latest time so far counts: an
            order does not overtake the one sent before it.
        latency: of the way to the venue.

    Returns:
        (n,) int64, the number of rows n where the segment ends before.
    """
    times = np.maximum.accumulate(event_time)
    due = np.maximum(times, np.maximum.accumulate(known_at)) + round(latency.ms * NS_PER_MS)
    by_time = np.searchsorted(times, due, side="left")
    by_count = np.arange(len(times)) + latency.states
    return np.minimum(np.maximum(by_time, by_count), len(times)).astype(np.int64)
