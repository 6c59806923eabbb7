"""The account beside its benchmarks, in draws of the bootstrap that take the same periods of all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from arch.bootstrap import StationaryBootstrap

from scripts.backtest.judging.evidence import FLAT, MARKETS, Evidence, Figures, is_random
from scripts.backtest.prices.panel import Array
from scripts.backtest.statistics import metrics
from scripts.backtest.statistics.bootstrap import block_length
from scripts.lib.progress import track

STRATEGY = "strategy"
COLUMNS = ("name", "total_return", "growth_rate", "sharpe", "low", "high", "max_drawdown", "turnover",
           "excess_sharpe_low", "excess_sharpe_high")  # fmt: skip
NONE: list[float | None] = [None, None]


@dataclass(frozen=True)
class Comparison:
    """The account and its benchmarks; the account is the first of them."""

    names: tuple[str, ...]
    returns: Array  # (T, K)
    sharpe: Array  # (K,), NaN where nothing moves
    bounds: list[list[float | None]]  # of the Sharpe ratio of each
    excess: list[list[float | None]]  # of the account's Sharpe ratio less that of each
    market: str | None  # benchmark that a beta is taken against
    alpha: float | None
    alpha_bounds: list[float | None]
    beta: float | None

    @property
    def best(self) -> int | None:
        """Place of the benchmark with the highest Sharpe ratio; a random run only where there is nothing else.

        One that did just what the account did, such as momentum beside momentum, is no benchmark of it.
        """
        other = (self.returns != self.returns[:, :1]).any(axis=0)
        found = [place for place in range(1, len(self.names)) if np.isfinite(self.sharpe[place]) and other[place]]
        named = [place for place in found if not is_random(self.names[place])]
        return max(named or found, key=lambda place: float(self.sharpe[place]), default=None)


def compare(evidence: Evidence) -> Comparison:
    """Sharpe ratios, their differences, and alpha and beta to the market, with intervals.

    All are computed of the same draws of the stationary bootstrap (Politis and Romano 1994), whose blocks are those
    that the account's returns ask for: pairs stay pairs. Alpha and beta are those of least squares on one factor.
    """
    names = (STRATEGY, *evidence.benchmarks)
    returns = aligned(evidence)
    sharpe = np.array([metrics.sharpe(column, evidence.periods) for column in returns.T])
    market = next((name for name in MARKETS if name in evidence.benchmarks), None)
    place = names.index(market) if market else None
    moving = place is not None and np.isfinite(sharpe[place])
    alpha, beta = regression(returns[:, 0], returns[:, place]) if moving else (None, None)
    bounds, excess, alpha_bounds = [NONE] * len(names), [NONE] * len(names), NONE
    if len(returns) >= metrics.MIN_RETURNS and np.isfinite(sharpe[0]):
        ratios, alphas = resampled(returns, place or 0, evidence)
        level = evidence.settings.confidence
        bounds = [percentiles(column, level) for column in ratios.T]
        excess = [NONE, *(percentiles(ratios[:, 0] - column, level) for column in ratios.T[1:])]
        alpha_bounds = percentiles(alphas, level) if moving else NONE
    return Comparison(
        names, returns, sharpe, bounds, excess, market, None if alpha is None else alpha * evidence.periods,
        alpha_bounds, beta,
    )  # fmt: skip


def aligned(evidence: Evidence) -> Array:
    """(T, K) returns of the account and the benchmarks over the account's periods; 0 after a benchmark's ruin."""
    found = np.zeros((len(evidence.returns), 1 + len(evidence.benchmarks)))
    for place, path in enumerate([evidence.equity.equity, *evidence.benchmarks.values()]):
        own = metrics.returns_of(path)[: len(found)]
        found[: len(own), place] = own
    return found


def regression(returns: Array, market: Array) -> tuple[float, float]:
    """Intercept (a period) and slope of least squares."""
    moved = market - market.mean()
    slope = float(moved @ returns / (moved @ moved))
    return float(returns.mean() - slope * market.mean()), slope


def resampled(returns: Array, market: int, evidence: Evidence) -> tuple[Array, Array]:
    """(draws, K) Sharpe ratios, and (draws,) alphas of the first column against that of the market.

    A draw says how often each period is taken, so that its moments are one matrix product.
    """
    length, settings = len(returns), evidence.settings
    centre = returns.mean(axis=0)
    moved = returns - centre  # so that the differences of squares below keep their digits
    parts = np.hstack([moved, moved**2, moved[:, :1] * moved[:, market : market + 1]])
    draws = StationaryBootstrap(block_length(returns[:, 0]), np.arange(length), seed=settings.seed)
    sums = np.empty((settings.draws, parts.shape[1]))
    taken = track(draws.bootstrap(settings.draws), "bootstrap", settings.draws, "draws")
    for draw, ((periods,), _) in enumerate(taken):
        sums[draw] = np.bincount(periods, minlength=length).astype(float) @ parts
    first, second, cross = np.split(sums, [len(centre), 2 * len(centre)], axis=1)
    variance = second - first**2 / length
    means = centre + first / length
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.maximum(variance, 0) / (length - 1))
        ratios = np.where(spread > FLAT, means / spread, np.nan) * np.sqrt(evidence.periods)
        slopes = (cross[:, 0] - first[:, 0] * first[:, market] / length) / variance[:, market]
    return ratios, (means[:, 0] - slopes * means[:, market]) * evidence.periods


def percentiles(drawn: Array, confidence: float) -> list[float | None]:
    """Percentile interval; None where no draw is defined."""
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return NONE
    return [float(value) for value in np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])]


def comparison_rows(evidence: Evidence, found: Comparison) -> list[Figures]:
    """Rows of comparison.csv, the account first."""
    paths = [evidence.equity.equity, *evidence.benchmarks.values()]
    traded = {**evidence.traded, STRATEGY: float(evidence.trade_values.sum())}
    return [
        {
            "name": name, "total_return": float(path[-1] / path[0] - 1),
            "growth_rate": metrics.growth_rate(path, evidence.periods), "sharpe": float(found.sharpe[place]),
            "low": found.bounds[place][0], "high": found.bounds[place][1], "max_drawdown": metrics.max_drawdown(path),
            "turnover": evidence.turnover(traded[name], path) if name in traded else None,
            "excess_sharpe_low": found.excess[place][0], "excess_sharpe_high": found.excess[place][1],
        }
        for place, (name, path) in enumerate(zip(found.names, paths, strict=True))
    ]  # fmt: skip
