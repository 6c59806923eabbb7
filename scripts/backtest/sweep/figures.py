"""What a sweep says: overfitting, settings better than cash, and how the best one scatters over seeds and folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scripts.backtest.prices.panel import Array
from scripts.backtest.statistics import metrics
from scripts.backtest.statistics.bootstrap import block_length
from scripts.backtest.statistics.overfitting import Overfitting, overfitting, superior
from scripts.backtest.sweep.accounts import MOVES, Account, Grid, Joined, sharpes
from scripts.backtest.sweep.settings import SweepSettings

Figures = dict[str, Any]


class Sweep(NamedTuple):
    """All trials with what was found."""

    grid: Grid
    accounts: Sequence[Account]
    joined: Joined
    sharpes: Array  # (settings, seeds, folds)
    means: Array  # (settings,) mean Sharpe ratio of a setting's trials, NaN where none is defined
    best: int | None  # setting of the highest mean
    median: int | None  # setting in the middle, of two the lower
    overfitting: Overfitting | None
    figures: Figures  # sweep.json


def judge(grid: Grid, accounts: Sequence[Account], joined: Joined, settings: SweepSettings) -> Sweep:
    """Everything that is said of a sweep; what is undefined is null, with its reason."""
    found = sharpes(grid, accounts)
    means = means_of(found)
    ranked = [int(place) for place in np.argsort(-means, kind="stable") if np.isfinite(means[place])]
    best, median = (ranked[0], ranked[len(ranked) // 2]) if ranked else (None, None)
    reasons: dict[str, str] = {} if ranked else {"best": "no trial moves", "median": "no trial moves"}
    chance, overfitted = judge_overfitting(joined, settings.blocks, reasons)
    states = [account.state for account in accounts]
    return Sweep(grid, accounts, joined, found, means, best, median, chance, {
        "settings": len(grid.settings), "seeds": len(grid.seeds), "folds": len(grid.folds), "trials": len(accounts),
        "keys": list(grid.keys), "n": len(joined.dates), "sessions_left_out": joined.left_out,
        "start": str(joined.dates[0])[:10] if len(joined.dates) else None,
        "end": str(joined.dates[-1])[:10] if len(joined.dates) else None,
        "ruined": states.count("ruined"), "motionless": states.count("motionless"),
        "positive_share": float((means > 0).mean()),
        **overfitted, **judge_superior(grid, joined, settings, reasons),
        "best": None if best is None else figures_of(best, grid, joined, found, settings, reasons),
        "median": None if median is None else figures_of(median, grid, joined, found, settings, reasons),
        "reasons": reasons,
        "draws": settings.draws, "confidence": settings.confidence, "seed": settings.seed,
    })  # fmt: skip


def means_of(values: Array) -> Array:
    """(settings,) mean of the defined values of (settings, …), NaN where there is none."""
    flat = values.reshape(len(values), -1)
    count = np.isfinite(flat).sum(axis=1)
    return np.where(count > 0, np.nansum(flat, axis=1) / np.maximum(count, 1), np.nan)


def judge_overfitting(joined: Joined, blocks: int, reasons: dict[str, str]) -> tuple[Overfitting | None, Figures]:
    """Probability of overfitting of the settings that move in more than half of the blocks, so in every half."""
    returns = joined.means.T
    length = len(returns) // blocks
    pieces = np.abs(returns[: length * blocks].reshape(blocks, length, returns.shape[1]))
    lively = (pieces.max(axis=1, initial=0) > MOVES).sum(axis=0) > blocks // 2
    found = None
    try:
        found = overfitting(returns[:, lively], blocks)
    except ValueError as error:
        few = f"{int(lively.sum())} of {len(lively)} settings move in more than half of the {blocks} blocks"
        reasons["pbo"] = f"{few}: too few to compare" if length and lively.sum() < 2 else str(error)
    return found, {
        "pbo": found.probability if found else None, "pbo_blocks": blocks, "pbo_settings": int(lively.sum()),
        "pbo_sessions": length * blocks,
    }  # fmt: skip


def judge_superior(grid: Grid, joined: Joined, settings: SweepSettings, reasons: dict[str, str]) -> Figures:
    """Settings that earn more than cash without interest, the search being accounted for."""
    returns = joined.means.T
    moving = np.flatnonzero(np.std(returns, axis=0) > MOVES) if len(returns) else np.zeros(0, int)
    undefined = {"superior": None, "superior_count": None, "superior_size": settings.size, "spa_pvalue": None}
    if len(returns) < metrics.MIN_RETURNS or not len(moving):
        reasons["superior"] = reasons["spa_pvalue"] = (
            f"{len(returns)} sessions are fewer than {metrics.MIN_RETURNS}"
            if len(returns) < metrics.MIN_RETURNS
            else "no setting moves"
        )
        return undefined
    block = round(float(np.median([block_length(returns[:, place]) for place in moving])))
    cash = np.zeros(len(returns))
    chance, better = superior(returns[:, moving], cash, settings.draws, settings.seed, settings.size, block)
    values = [_values(grid, int(moving[place])) for place in better]
    return undefined | {"superior": values, "superior_count": len(values), "spa_pvalue": chance}


def _values(grid: Grid, setting: int) -> Figures:
    return dict(zip(grid.keys, grid.settings[setting], strict=True))


def figures_of(
    setting: int, grid: Grid, joined: Joined, found: Array, settings: SweepSettings, reasons: dict[str, str]
) -> Figures:
    """A setting's Sharpe ratios: their mean, how they scatter, and that of its joined returns with an interval."""
    own, returns, year = found[setting], joined.means[setting], settings.sessions_a_year
    interval = metrics.sharpe_interval(returns, settings.draws, settings.confidence, settings.seed, year)
    return {
        "values": _values(grid, setting),
        "mean_sharpe": float(np.nanmean(own)), "lowest_sharpe": float(np.nanmin(own)),
        "highest_sharpe": float(np.nanmax(own)),
        "spread_over_seeds": _spread(means_of(own), "seed", reasons),
        "spread_over_folds": _spread(means_of(own.T), "fold", reasons),
        "joined_sharpe": metrics.sharpe(returns, year), "joined_sharpe_interval": interval,
        "joined_total_return": float(np.prod(1 + returns) - 1) if len(returns) else None,
    }  # fmt: skip


def _spread(means: Array, what: str, reasons: dict[str, str]) -> float | None:
    """Standard deviation (ddof 1) of the means of the seeds, or of the folds."""
    means = means[np.isfinite(means)]
    if len(means) < 2:
        reasons[f"spread_over_{what}s"] = f"fewer than two {what}s with a Sharpe ratio"
        return None
    return float(np.std(means, ddof=1))
