"""Whether choosing the best of many backtests chose skill: probability of backtest overfitting, superior ability.

The probability is computed here and not by ffn, whose function gives the same figure: sums over blocks make it faster
by two orders of magnitude (tests/bench/backtests.py), and a sweep is judged each time that it grows.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from arch.bootstrap import SPA

from scripts.backtest.prices.panel import Array
from scripts.backtest.statistics.bootstrap import block_length
from scripts.lib.progress import track

CHUNK = 512  # combinations at once: bounds the memory by 512 x trials


class Overfitting(NamedTuple):
    """PBO and the logits it is made of."""

    probability: float  # share of the combinations in which the in-sample winner is at or below the median
    logits: Array  # (combinations,)


def overfitting(returns: Array, blocks: int = 16) -> Overfitting:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation.

    Bailey, Borwein, López de Prado and Zhu (2017), The probability of backtest overfitting, Journal of Computational
    Finance 20(4). The measure is the Sharpe ratio (ddof 1); sessions beyond a multiple of `blocks` are left out at the
    end; ties share their mean rank.

    Args:
        returns: (T, trials) of every configuration that was tried.
        blocks: even number of contiguous blocks.

    Raises:
        ValueError: fewer than two trials, an odd number of blocks, too few sessions, a trial that never moves in
            one half.
    """
    if blocks < 2 or blocks % 2:
        raise ValueError(f"blocks: {blocks} is not an even number of at least 2")
    length, trials = len(returns) // blocks, returns.shape[1]
    if trials < 2 or length * blocks < 4:
        raise ValueError(f"{trials} trials over {len(returns)} sessions: too few for {blocks} blocks")
    pieces = returns[: length * blocks].reshape(blocks, length, trials)
    sums, squares = pieces.sum(axis=1), (pieces**2).sum(axis=1)
    halves = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(halves), blocks))
    np.put_along_axis(chosen, halves, 1.0, axis=1)
    count = length * blocks // 2
    parts = np.split(chosen, range(CHUNK, len(chosen), CHUNK))
    logits = np.concatenate([_logits(part, sums, squares, count) for part in parts])
    if not np.isfinite(logits).all():
        raise ValueError("a trial does not move in one half of the sessions: its Sharpe ratio there is undefined")
    return Overfitting(float((logits <= 0).mean()), logits)


def _logits(chosen: Array, sums: Array, squares: Array, count: int) -> Array:
    """(combinations,) logit of the out-of-sample rank of each combination's in-sample winner."""
    inside = _sharpes(chosen @ sums, chosen @ squares, count)
    outside = _sharpes((1 - chosen) @ sums, (1 - chosen) @ squares, count)
    undefined = ~(np.isfinite(inside).all(axis=1) & np.isfinite(outside).all(axis=1))
    winner = np.argmax(inside, axis=1)
    found = np.take_along_axis(outside, winner[:, None], axis=1)
    rank = (outside < found).sum(axis=1) + ((outside == found).sum(axis=1) + 1) / 2
    share = rank / (sums.shape[1] + 1)
    return np.where(undefined, np.nan, np.log(share / (1 - share)))


def _sharpes(sums: Array, squares: Array, count: int) -> Array:
    mean = sums / count
    variance = (squares - count * mean**2) / (count - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios: Array = mean / np.sqrt(np.where(variance > 1e-24, variance, np.nan))
    return ratios


def superior(
    returns: Array, benchmark: Array, draws: int, seed: int, size: float, block: int | None = None
) -> tuple[float, list[int]]:
    """Whether any trial beats a benchmark once the search is accounted for, and which ones do.

    Hansen (2005), A test for superior predictive ability (consistent p-value); Romano and Wolf (2005), Stepwise
    multiple testing. Losses are negative returns; blocks as optimal for the benchmark (Politis and White 2004).

    Args:
        returns: (T, trials).
        benchmark: (T,).
        draws: bootstrap draws.
        seed: of the bootstrap.
        size: family-wise error of the second answer.
        block: mean length of the bootstrap's blocks; None: the benchmark's.
    """
    test = SPA(-benchmark, -returns, block or block_length(benchmark), draws, seed=seed)
    test.compute()
    return float(test.pvalues["consistent"]), _stepwise(test, returns.shape[1], size)


def _stepwise(test: SPA, trials: int, size: float) -> list[int]:
    """Trials that a stepwise test calls superior: each step leaves out those already found.

    As arch's StepM, which draws everything a second time, and fails where several steps find every trial superior.
    """
    found: list[int] = []
    while len(found) < trials:
        left = np.ones(trials, np.bool_)
        left[found] = False
        test.subset(left)
        test.compute()
        better = [int(trial) for trial in test.better_models(size)]
        if not better:
            break
        found += better
    return sorted(found)


def permutation_value(ranks: Array, outcomes: Array, draws: int, seed: int) -> float:
    """One-sided p-value of the mean rank IC, signals being dealt anew among the assets of each date.

    The random orders are drawn once for all dates with as many assets, and each date applies them to signals that it
    has shuffled first, in an order of draws of its own: each draw is uniform, and independent of its other dates and of
    each other draw of its date, at a tenth of the time.

    Args:
        ranks: (R, N) ranks of the signals, NaN where there is none.
        outcomes: (R, N) ranks of the returns, NaN at the same places.
    """
    random = np.random.default_rng(seed)
    rows = [(row[np.isfinite(row)], other[np.isfinite(row)]) for row, other in zip(ranks, outcomes, strict=True)]
    rows = [(_standard(x), _standard(y)) for x, y in rows if len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0]
    rows.sort(key=lambda row: len(row[0]))  # dates of as many assets behind one another share their orders
    observed = sum(float(x @ y) for x, y in rows)
    dealt, orders = np.zeros(draws), np.zeros((draws, 0), np.int64)
    for x, y in track(rows, "permute", len(rows), "dates"):
        if orders.shape[1] != len(x):
            orders = random.permuted(np.tile(np.arange(len(x)), (draws, 1)), axis=1)
        dealt += (random.permutation(x)[orders] @ y)[random.permutation(draws)]
    return float((1 + (dealt >= observed).sum()) / (draws + 1))


def _standard(values: Array) -> Array:
    centred = values - values.mean()
    scaled: Array = centred / np.sqrt(float(centred @ centred))
    return scaled
