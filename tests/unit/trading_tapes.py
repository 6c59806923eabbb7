"""Tapes for the tests of the agent: books with a planted signal, or a random walk that nothing predicts."""

from __future__ import annotations

import numpy as np

from scripts.orderbook.trading.taker_fills import Latency
from scripts.orderbook.trading.tape import Tape, make_tape

TICK = 0.1
MS = 1_000_000
NOW = Latency(1, 0)


def imbalance_chain(random: np.random.Generator, states: int, stay: float) -> np.ndarray:
    """−1 or 1, which keeps its value from state to state with probability `stay`."""
    switches = random.random(states) >= stay
    chain: np.ndarray = np.where(np.cumsum(switches) % 2, 1.0, -1.0)
    return chain


def book_levels(mid_ticks: np.ndarray, half_spread_ticks: np.ndarray, first: np.ndarray, depth: int) -> np.ndarray:
    """(n, 4, depth): one level a tick, size 5 beyond the best ones, whose sizes are `first` (n, 2)."""
    n = len(mid_ticks)
    levels = np.full((n, 4, depth), 5.0)
    steps = np.arange(depth)
    levels[:, 0] = TICK * (mid_ticks - half_spread_ticks)[:, None] - TICK * steps
    levels[:, 2] = TICK * (mid_ticks + half_spread_ticks)[:, None] + TICK * steps
    levels[:, 1, 0], levels[:, 3, 0] = first.T
    return levels


def tape_of(levels: np.ndarray, run: np.ndarray | None = None, latency: Latency = NOW) -> Tape:
    """A tape of 100 ms states with simple features: logs of the sizes, and prices in ticks from the mid."""
    n, _, depth = levels.shape
    mid = (levels[:, 0, 0] + levels[:, 2, 0]) / 2
    prices = np.abs(levels[:, [0, 2]] - mid[:, None, None]) / TICK / depth
    sizes = np.log(levels[:, [1, 3]] / 5)
    features = np.concatenate([prices[:, 0], sizes[:, 0], prices[:, 1], sizes[:, 1]], axis=1).astype(np.float32)
    time = 1_704_067_200_000 * MS + 100 * MS * np.arange(n)
    return make_tape(time, time + 2 * MS, np.zeros(n) if run is None else run, levels, features, latency)


def simulated_tape(
    seed: int, states: int = 4_000, drift: float = 0.0, noise: float = 1.0, depth: int = 3, stay: float = 0.95
) -> Tape:
    """The mid moves by Gaussian noise (ticks a state) plus `drift` in the direction of the best sizes' imbalance; with
    drift 0 the imbalance is there as well and means nothing."""
    random = np.random.default_rng(seed)
    chain = imbalance_chain(random, states, stay)
    moves = noise * random.standard_normal(states)
    moves[1:] += drift * chain[:-1]
    ticks = 10_000 + np.round(np.cumsum(moves) * 2) / 2  # mids lie on half ticks
    first = 5.0 * np.exp(np.outer(chain, [1.0, -1.0]) + 0.3 * random.standard_normal((states, 2)))
    return tape_of(book_levels(ticks, np.full(states, 0.5), first, depth))
