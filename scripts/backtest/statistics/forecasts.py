"""How good forecasts are before any portfolio: correlations with what followed, by date, lag, quantile and asset.

A forecast of an instant is compared with the return from the price at which it could first be traded, over its
horizon. Sources: Grinold and Kahn, Active Portfolio Management (information coefficient and ratio); Murphy (1973) for
the Brier score's parts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scripts.backtest.prices.panel import Array
from scripts.backtest.statistics.bootstrap import FEWEST, interval

MIN_ASSETS = 3  # under these a correlation across assets says nothing
BINS = 10  # of the calibration


class Estimate(NamedTuple):
    """A figure with its number of observations and its interval; NaN where there is too little."""

    value: float
    low: float
    high: float
    n: int


def forward_returns(prices: Array, sessions: Array, horizons: Array, lag: int = 0) -> Array:
    """(R, N) simple returns from the fill price to the one `horizon` sessions later.

    Args:
        prices: (T, N) fill prices, adjusted for splits.
        sessions: (R,) fill sessions.
        horizons: (R,) sessions.
        lag: sessions by which the trade is late.
    """
    begin, end = sessions + lag, sessions + lag + horizons
    inside = end < len(prices)
    returns = np.full((len(sessions), prices.shape[1]), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        returns[inside] = prices[end[inside]] / prices[begin[inside]] - 1
    return np.where(np.isfinite(returns), returns, np.nan)


def correlations(signals: Array, returns: Array, ranks: bool) -> Array:
    """(R,) correlation across the assets of each date (information coefficient), of ranks or of values."""
    found = np.full(len(signals), np.nan)
    for row, (signal, outcome) in enumerate(zip(signals, returns, strict=True)):
        both = np.isfinite(signal) & np.isfinite(outcome)
        if both.sum() < MIN_ASSETS:
            continue
        x, y = signal[both], outcome[both]
        x, y = (ranked(x), ranked(y)) if ranks else (x, y)
        if np.ptp(x) > 0 and np.ptp(y) > 0:
            found[row] = np.corrcoef(x, y)[0, 1]
    return found


def ranked(values: Array) -> Array:
    """Ranks from 0, equal values sharing their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Array = (last - (counts + 1) / 2)[place]
    return ranks


def common_ranks(signals: Array, returns: Array) -> tuple[Array, Array]:
    """(R, N) ranks of signals and of returns on each date among the assets that have both; NaN where one lacks."""
    found = np.full((2, *signals.shape), np.nan)
    for row, (signal, outcome) in enumerate(zip(signals, returns, strict=True)):
        both = np.isfinite(signal) & np.isfinite(outcome)
        if both.sum() >= MIN_ASSETS:
            found[:, row, both] = ranked(signal[both]), ranked(outcome[both])
    return found[0], found[1]


def estimate_mean(values: Array, draws: int, confidence: float, seed: int) -> Estimate:
    """Mean over dates with a stationary-bootstrap interval, since horizons of neighbouring dates overlap."""
    values = values[np.isfinite(values)]
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) < FEWEST or np.ptp(values) == 0:
        return Estimate(mean, float("nan"), float("nan"), len(values))
    low, high = interval(values, np.mean, draws, confidence, seed)
    return Estimate(mean, low, high, len(values))


def by_quantile(signals: Array, returns: Array, groups: int) -> Array:
    """(R, groups) mean return of the assets in each quantile of the signal, the smallest signals first."""
    found = np.full((len(signals), groups), np.nan)
    for row, (signal, outcome) in enumerate(zip(signals, returns, strict=True)):
        both = np.flatnonzero(np.isfinite(signal) & np.isfinite(outcome))
        if len(both) < groups:
            continue
        order = both[np.argsort(signal[both], kind="stable")]
        for group, members in enumerate(np.array_split(order, groups)):
            found[row, group] = outcome[members].mean()
    return found


def monotonicity(means: Array) -> float:
    """Rank correlation of the quantiles' mean returns with their order: 1 where each earns more than the one below."""
    if not np.isfinite(means).all() or np.ptp(means) == 0:
        return float("nan")
    return float(np.corrcoef(np.arange(len(means)), ranked(means))[0, 1])


def hits(signals: Array, returns: Array) -> tuple[Array, Array]:
    """(R,) share of assets whose direction was right, and of those that went the way most went over all dates.

    The second is the base rate: what always saying the commoner direction would have scored.
    """
    both = np.isfinite(signals) & np.isfinite(returns) & (signals != 0) & (returns != 0)
    count = both.sum(axis=1)
    with np.errstate(invalid="ignore"):
        right = (both & (np.sign(signals) == np.sign(returns))).sum(axis=1) / count
        up = (both & (returns > 0)).sum(axis=1) / count
    return right, up if np.nansum(up * count) * 2 >= count.sum() else 1 - up


def calibration(probabilities: Array, returns: Array) -> list[tuple[float, float, int]]:
    """(mean forecast probability of a rise, share that rose, n) of equal bins of the probability."""
    both = np.isfinite(probabilities) & np.isfinite(returns)
    said, rose = probabilities[both], returns[both] > 0
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    return [
        (float(said[bins == b].mean()), float(rose[bins == b].mean()), int((bins == b).sum()))
        for b in range(BINS)
        if (bins == b).any()
    ]


def brier(probabilities: Array, returns: Array) -> tuple[float, float]:
    """Brier score of the probabilities, and that of always saying the share that rose."""
    both = np.isfinite(probabilities) & np.isfinite(returns)
    said, rose = probabilities[both], (returns[both] > 0).astype(float)
    if not len(said):
        return float("nan"), float("nan")
    return float(np.mean((said - rose) ** 2)), float(np.mean((rose.mean() - rose) ** 2))
