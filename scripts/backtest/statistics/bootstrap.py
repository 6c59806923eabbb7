"""The stationary bootstrap, with the block length that the data ask for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from arch.bootstrap import StationaryBootstrap, optimal_block_length

from scripts.backtest.prices.panel import Array

FEWEST = 8  # values of which arch can estimate a block length


def block_length(values: Array) -> int:
    """Mean block length: Politis and White (2004) with the correction of Patton, Politis and White (2009).

    Fewer than 8 values tell nothing of how they hang together: 1.
    """
    if len(values) < FEWEST:
        return 1
    block = float(optimal_block_length(values)["stationary"].iloc[0])
    return max(round(block), 1) if np.isfinite(block) else 1


def interval(
    values: Array, statistic: Callable[[Array], float], draws: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Percentile interval of a statistic of a series. Politis and Romano (1994), The stationary bootstrap.

    Args:
        values: (T,) in order of time.
        statistic: what is computed of each draw.
        draws: number of draws.
        confidence: such as 0.95.
        seed: of the random numbers.
    """
    drawn = StationaryBootstrap(block_length(values), values, seed=seed).apply(statistic, draws)
    low, high = np.nanquantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
