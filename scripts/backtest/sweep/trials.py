"""Names and order of the backtests of a sweep: for its rules and for its judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from scripts.backtest.sweep.settings import SweepTrial, Value


def all_trials(grid: Mapping[str, Sequence[Value]], seeds: Sequence[int], folds: int) -> list[SweepTrial]:
    """Every setting with every seed and fold, named SETTING-SEED-FOLD; the last key of the grid changes fastest."""
    settings = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    return [
        SweepTrial(name=f"{number:03d}-{seed}-{fold}", values=values, seed=seed, fold=fold)
        for number, values in enumerate(settings)
        for seed in seeds
        for fold in range(folds)
    ]
