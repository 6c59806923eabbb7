"""An account's path to its figures, each with its definition."""

from __future__ import annotations

import warnings

import numpy as np

from scripts.backtest.prices.panel import Array
from scripts.backtest.statistics.bootstrap import interval

PERIODS = 252  # sessions a year; 1 where figures are those of a period
MIN_RETURNS = 20  # under these an interval or a deflated ratio says nothing


def returns_of(equity: Array) -> Array:
    """Simple returns from close to close; after a ruin there are none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        returns: Array = equity[1:] / equity[:-1] - 1
    ruined = np.flatnonzero(equity <= 0)
    return returns[: ruined[0]] if len(ruined) else returns


def sharpe(returns: Array, periods: float = PERIODS) -> float:
    """Sharpe ratio a year: mean / standard deviation (ddof 1) x sqrt(periods), risk-free rate 0; NaN if nothing moves.

    Sharpe (1994), The Sharpe ratio.
    """
    spread = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return float(np.mean(returns)) / spread * np.sqrt(periods) if spread > 1e-15 else float("nan")


def max_drawdown(equity: Array) -> float:
    """Largest fall from a peak so far, the start included, as a negative fraction."""
    return float(np.min(equity / np.maximum.accumulate(equity) - 1))


def volatility(returns: Array, periods: float = PERIODS) -> float:
    """Standard deviation (ddof 1) x sqrt(periods)."""
    return float(np.std(returns, ddof=1) * np.sqrt(periods)) if len(returns) > 1 else float("nan")


def growth_rate(equity: Array, periods: float = PERIODS) -> float:
    """Compound return a year of so many periods."""
    years = (len(equity) - 1) / periods
    return float((equity[-1] / equity[0]) ** (1 / years) - 1) if years and equity[-1] > 0 else float("nan")


def annual_turnover(traded: float, equity: Array, periods: float = PERIODS) -> float:
    """Sum of |traded value| over mean equity, a year of so many periods."""
    years = max(len(equity) - 1, 1) / periods
    return traded / float(np.mean(equity)) / years


def sharpe_interval(
    returns: Array, draws: int, confidence: float, seed: int, periods: float = PERIODS
) -> list[float | None]:
    """Percentile interval of the Sharpe ratio by the stationary bootstrap; [None, None] where there is too little.

    Politis and Romano (1994); block length by Politis and White (2004) with the correction of Patton et al. (2009).
    """
    if len(returns) < MIN_RETURNS or np.std(returns) < 1e-15:
        return [None, None]
    return list(interval(returns, lambda drawn: sharpe(drawn, periods), draws, confidence, seed))


def deflated_sharpe(returns: Array, trials: int, spread: float | None = None) -> float | None:
    """Probability that the true Sharpe ratio is above what the best of `trials` worthless ones would show.

    Bailey and López de Prado (2014), The deflated Sharpe ratio.

    Args:
        returns: (T,).
        trials: how many configurations were tried.
        spread: standard deviation of the trials' Sharpe ratios a session; None: that of worthless ones,
            1 / sqrt(T - 1), so that the figure depends on the number of trials and not on which of them ran first.
    """
    if len(returns) < MIN_RETURNS or np.std(returns) < 1e-15:
        return None
    from skfolio.measures import probabilistic_sharpe_ratio

    hurdle = best_of_worthless(trials, 1 / np.sqrt(len(returns) - 1) if spread is None else spread)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(probabilistic_sharpe_ratio(returns, benchmark_sharpe_ratio=hurdle))


def best_of_worthless(trials: int, spread: float) -> float:
    """Expected largest of the Sharpe ratios, a session, of `trials` without skill that scatter by `spread`."""
    from skfolio.measures import expected_max_sharpe_ratio

    return float(expected_max_sharpe_ratio(trials, spread)) if trials > 1 else 0.0
