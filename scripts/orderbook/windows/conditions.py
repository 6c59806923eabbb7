"""Market conditions of windows, and the draw of as many windows of each.

A condition is a bin of each measure, named after them: `v0-t2-s1-d1` is low volatility, a rising mid, middle spread,
middle depth. The edges of the bins are quantiles over the training windows. A value on an edge belongs to the lower
bin: equal values, such as spreads of one tick, are never parted, and wider ones are told from them; bins may then
differ in size or be empty.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from dataclasses import dataclass
from itertools import product

import numpy as np

from scripts.orderbook.windows.scan import MEASURES
from scripts.orderbook.windows.settings import BalanceSettings


@dataclass(frozen=True)
class Conditions:
    """Bins of the measures.

    Attributes:
        edges: measure -> (bins - 1,) ascending
    """

    edges: dict[str, np.ndarray]

    @property
    def bins(self) -> list[tuple[int, ...]]:
        """The bins of each condition, in order of their codes."""
        return list(product(*(range(len(edges) + 1) for edges in self.edges.values())))

    @property
    def names(self) -> list[str]:
        return ["-".join(f"{name[0]}{at}" for name, at in zip(self.edges, bins, strict=True)) for bins in self.bins]

    def codes(self, windows: np.ndarray) -> np.ndarray:
        """The condition of each window, as a number."""
        shape = [len(edges) + 1 for edges in self.edges.values()]
        places = [np.searchsorted(edges, windows[name]) for name, edges in self.edges.items()]
        codes: np.ndarray = np.ravel_multi_index(places, shape)
        return codes


def fit_conditions(windows: np.ndarray, settings: BalanceSettings) -> Conditions:
    """Edges at the quantiles of the windows' measures."""
    bins = {name: getattr(settings, f"{name}_bins") for name in MEASURES}
    return Conditions({name: np.quantile(windows[name], np.arange(1, n) / n) for name, n in bins.items()})


def draw(codes: np.ndarray, names: list[str], split: str, settings: BalanceSettings) -> np.ndarray:
    """Places of the windows of a split that are taken, ascending.

    Args:
        codes: (n,) condition of each window of the split
        names: the conditions
        split: its name
    """
    most = settings.max_train_windows if split == "train" else settings.max_evaluation_windows
    if split != "train" and settings.evaluation == "natural":
        return np.sort(_random(settings.seed, split).permutation(len(codes))[:most])
    available = np.bincount(codes, minlength=len(names))
    taken = balanced(available, settings.min_windows, settings.rare, most)
    chosen = [
        _random(settings.seed, f"{split} {name}").permutation(np.flatnonzero(codes == code))[: taken[code]]
        for code, name in enumerate(names)
        if taken[code]
    ]
    return np.sort(np.concatenate([np.empty(0, np.int64), *chosen]))


def balanced(available: np.ndarray, min_windows: int, rare: str, most: int) -> np.ndarray:
    """How many windows are taken of each condition.

    All conditions with at least `min_windows` get the same number, that of the least common one of them. If `most`
    windows are not enough for that, all conditions share them alike.
    """
    common = available >= min_windows
    each = int(available[common].min()) if common.any() else 0
    taken = np.where(common, each, available if rare == "keep" else 0)
    limits = range(int(taken.max()) + 1)
    limit = bisect_right(limits, most, key=lambda limit: int(np.minimum(taken, limit).sum())) - 1
    return np.minimum(taken, limit)


def _random(seed: int, name: str) -> np.random.Generator:
    """A generator of its own for each name: what is drawn of one condition does not depend on the others."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
