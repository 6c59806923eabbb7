"""The account beside everything else that was ever tried on its data: what choosing it from so many says."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.backtest.judging.comparison import Comparison
from scripts.backtest.judging.evidence import FLAT, Evidence, Figures, is_random, moves
from scripts.backtest.prices.panel import Array
from scripts.backtest.statistics import metrics
from scripts.backtest.statistics.bootstrap import block_length
from scripts.backtest.statistics.overfitting import overfitting, superior
from scripts.lib import ledger as trial_ledger
from scripts.lib.progress import track

MIN_BLOCK = 10  # periods of a block of time
WORK = 200_000  # draws x trials of a test of superior ability; more trials get fewer draws
FEWEST_DRAWS = 200
FAMILY = "random"  # all random runs as one benchmark: their mean


class Trials(NamedTuple):
    """What the ledger holds of the account's data."""

    counted: int  # configurations ever run
    returns: Array  # (T, K) over the account's periods, its own the first; 0 where a trial has none
    short: int  # trials left out: their returns cover too little of the account's time
    idle: int  # trials left out: they never move


def trials_of(evidence: Evidence, ledger: Path) -> Trials:
    """All trials of the account's data over its periods."""
    data, own = evidence.description.data, evidence.description.trial
    counted = max(trial_ledger.trials(ledger, data), 1)
    found = trial_ledger.trial_returns(ledger, data)
    others = np.array([name != own for name in found.names], bool)
    returns = np.full((len(evidence.dates), int(others.sum())), np.nan)
    if len(found.dates):
        places = np.minimum(np.searchsorted(found.dates, evidence.dates), len(found.dates) - 1)
        same = found.dates[places] == evidence.dates
        returns[same] = found.returns[places[same]][:, others]
    covered = np.isfinite(returns).mean(axis=0) >= evidence.settings.coverage if len(returns) else ~others[others]
    kept = np.nan_to_num(returns[:, covered])
    moving = moves(kept)
    table = np.hstack([evidence.returns[:, None], kept[:, moving]])
    return Trials(counted, table, int((~covered).sum()), int((~moving).sum()))


def trial_figures(evidence: Evidence, trials: Trials, comparison: Comparison, reasons: dict[str, str]) -> Figures:
    """Deflated Sharpe ratios, probability of overfitting, superior ability; the reasons of what is undefined."""
    returns, count = evidence.returns, trials.counted
    spread = spread_of(trials.returns)
    if spread is None:
        reasons["deflated_sharpe_of_trials"] = "fewer than two trials with returns of the account's time"
    tests = superiority(evidence, trials, comparison, reasons)
    best = family_of(comparison.names[comparison.best]) if comparison.best else None
    return {
        "trials": count, "trials_with_returns": trials.returns.shape[1], "trials_short": trials.short,
        "trials_idle": trials.idle,
        "probabilistic_sharpe": metrics.deflated_sharpe(returns, 1),
        "deflated_sharpe": metrics.deflated_sharpe(returns, count),
        "deflated_sharpe_of_trials": metrics.deflated_sharpe(returns, count, spread) if spread is not None else None,
        **overfitting_figures(trials.returns, evidence.settings.blocks, reasons),
        "spa_pvalue": tests[best]["pvalue"] if best in tests else None, "superiority": tests,
        "spa_draws": draws_for(evidence, trials),
    }  # fmt: skip


def spread_of(returns: Array) -> float | None:
    """Standard deviation (ddof 1) of the trials' Sharpe ratios of a period."""
    ratios = np.array([metrics.sharpe(column, 1) for column in returns.T])
    known = ratios[np.isfinite(ratios)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None


def overfitting_figures(returns: Array, most: int, reasons: dict[str, str]) -> Figures:
    """Probability of overfitting of the trials that move in more than half of the blocks, so in every half."""
    blocks = min(most, len(returns) // MIN_BLOCK // 2 * 2)
    found: Figures = {"pbo": None, "pbo_blocks": None, "pbo_trials": None}
    if blocks < 4:
        reasons["pbo"] = f"{len(returns)} periods: too few for 4 blocks of {MIN_BLOCK}"
        return found
    length = len(returns) // blocks
    pieces = np.abs(returns[: length * blocks].reshape(blocks, length, -1))
    lively = (pieces.max(axis=1) > FLAT).sum(axis=0) > blocks // 2
    if lively.sum() < 2:
        reasons["pbo"] = f"{int(lively.sum())} trials that move: there is nothing to choose from"
        return found
    try:
        chance = overfitting(returns[:, lively], blocks).probability
    except ValueError as error:
        reasons["pbo"] = str(error)
        return found
    return {"pbo": chance, "pbo_blocks": blocks, "pbo_trials": int(lively.sum())}


def superiority(evidence: Evidence, trials: Trials, comparison: Comparison, reasons: dict[str, str]) -> Figures:
    """By benchmark: p-value that no trial beats it, how many do, and whether the account is one of them."""
    if len(evidence.returns) < metrics.MIN_RETURNS:
        reasons["spa_pvalue"] = f"{len(evidence.returns)} periods are fewer than {metrics.MIN_RETURNS}"
        return {}
    if not moves(trials.returns)[0]:
        reasons["spa_pvalue"] = "the account never moves"
        return {}
    families = families_of(comparison)
    found = {name: against(path, evidence, trials)
             for name, path in track(families.items(), "superiority", len(families))}  # fmt: skip
    if not found:
        reasons["spa_pvalue"] = "no benchmark"
    return found


def against(benchmark: Array, evidence: Evidence, trials: Trials) -> Figures:
    """Hansen's and Romano and Wolf's tests against one benchmark, of the trials that differ from it."""
    different = moves(trials.returns - benchmark[:, None])
    if not different.any():
        return {"pvalue": None, "superior_trials": 0, "strategy": False}
    settings, size = evidence.settings, 1 - evidence.settings.confidence
    block = block_length(evidence.returns)
    value, better = superior(
        trials.returns[:, different], benchmark, draws_for(evidence, trials), settings.seed, size, block
    )
    named = np.flatnonzero(different)[better]
    return {"pvalue": value, "superior_trials": len(named), "strategy": bool((named == 0).any())}


def draws_for(evidence: Evidence, trials: Trials) -> int:
    """Draws of the tests: those of the settings, fewer for very many trials."""
    count: int = trials.returns.shape[1]
    return min(evidence.settings.draws, max(WORK // count, FEWEST_DRAWS))


def families_of(comparison: Comparison) -> dict[str, Array]:
    """(T,) returns of each benchmark, and of the random runs their mean."""
    random = [place for place, name in enumerate(comparison.names) if is_random(name)]
    found = {name: comparison.returns[:, place] for place, name in enumerate(comparison.names)
             if place and not is_random(name)}  # fmt: skip
    return found | ({FAMILY: comparison.returns[:, random].mean(axis=1)} if random else {})


def family_of(name: str) -> str:
    return FAMILY if is_random(name) else name
