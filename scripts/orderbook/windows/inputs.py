"""Book states as the inputs of models: distances to the mid in ticks, logarithms of sizes, scaled on the training part.

Of a state with the best L levels a side come 4 L features in the order of the states' columns: bid prices, bid sizes,
ask prices, ask sizes, best level first.

- A price p becomes its distance to the mid in ticks, (mid − p) / tick on the bid side and (p − mid) / tick on the ask
  side, so that it is positive on both. The level of prices, which drifts, is thereby gone.
- A size becomes its natural logarithm: sizes spread over orders of magnitude.
- Then (x − mean) / std, one mean and one standard deviation a feature, of all usable states of the training part.

An unknown level gives NaN. The files are read by NumPy alone: training and the agent's environment do without Arrow.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.lib.errors import InputError
from scripts.orderbook.states.columns import level_columns

PER_LEVEL = 4  # features: price and size of both sides
CONSTANT = 1e-9  # a smaller share of a feature's size is no spread, but rounding


def book_features(states: np.ndarray, tick: float, levels: int) -> np.ndarray:
    """Features of states before scaling.

    Args:
        states: (n, 4 * depth) prices and sizes in the order of `level_columns(depth)`, quote currency and venue's sizes
        tick: smallest price step, quote currency
        levels: levels a side to take, at most `depth`

    Returns:
        (n, 4 * levels) float64: ticks, log sizes.
    """
    depth = states.shape[1] // PER_LEVEL
    bid, bid_size, ask, ask_size = (states[:, i * depth : i * depth + levels] for i in range(PER_LEVEL))
    mid = (bid[:, :1] + ask[:, :1]) / 2
    return np.concatenate([(mid - bid) / tick, np.log(bid_size), (ask - mid) / tick, np.log(ask_size)], axis=1)


def has_levels(states: np.ndarray, known_levels: np.ndarray, levels: int, certain: int) -> np.ndarray:
    """Whether each state has its levels, and the best ones are certain.

    Args:
        states: (n, 4 * depth) as above
        known_levels: (n,) the smaller number of certain levels of both sides
        levels: levels a side that must be there
        certain: levels a side that must be certain

    Returns:
        (n,) bool.
    """
    depth = states.shape[1] // PER_LEVEL
    last = states[:, [levels - 1, 2 * depth + levels - 1]]  # nearer levels are there if the last one is
    there: np.ndarray = (known_levels >= certain) & ~np.isnan(last).any(axis=1)
    return there


def is_open(states: np.ndarray) -> np.ndarray:
    """(n,) whether the best prices of states (n, 4 * depth) neither cross nor are equal."""
    depth = states.shape[1] // PER_LEVEL
    found: np.ndarray = states[:, 2 * depth] > states[:, 0]
    return found


def usable(states: np.ndarray, known_levels: np.ndarray, levels: int, certain: int | None = None) -> np.ndarray:
    """(n,) whether features can be made of each state: `has_levels`, by default all certain, and `is_open`."""
    certain = levels if certain is None else certain
    found: np.ndarray = has_levels(states, known_levels, levels, certain) & is_open(states)
    return found


@dataclass(frozen=True)
class Scaling:
    """How features are made of states and scaled.

    Attributes:
        tick: smallest price step, quote currency
        levels: levels a side
        length: states a window
        mean, std: (4 * levels,) of the unscaled features over the usable training states; a feature that never changes
            has std 1, so that it becomes 0
    """

    tick: float
    levels: int
    length: int
    mean: np.ndarray
    std: np.ndarray

    @property
    def features(self) -> list[str]:
        """Names of the features, in order."""
        return level_columns(self.levels)

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Scale features (…, 4 * levels) of `book_features`; float32."""
        scaled: np.ndarray = ((features - self.mean) / self.std).astype(np.float32)
        return scaled

    def of_states(self, states: np.ndarray) -> np.ndarray:
        """Scaled features (n, 4 * levels) float32 of states (n, 4 * depth), one or many at a time alike."""
        return self.apply(book_features(states, self.tick, self.levels))

    def unscale(self, scaled: np.ndarray) -> np.ndarray:
        """Back to ticks and log sizes, float64."""
        features: np.ndarray = scaled.astype(np.float64) * self.std + self.mean
        return features

    def save(self, path: Path) -> None:
        """Write as JSON; `load_scaling` reads back the very same numbers."""
        features = [
            {"name": name, "mean": float(mean), "std": float(std)}
            for name, mean, std in zip(self.features, self.mean, self.std, strict=True)
        ]
        content = {"tick": self.tick, "levels": self.levels, "length": self.length, "features": features}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load_scaling(path: Path) -> Scaling:
    """Read scaling.json of balance_windows.

    Raises:
        InputError: the file is another one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        mean, std = (np.array([float(row[key]) for row in content["features"]]) for key in ("mean", "std"))
        scaling = Scaling(float(content["tick"]), int(content["levels"]), int(content["length"]), mean, std)
        if [row["name"] for row in content["features"]] != scaling.features:
            raise ValueError(f"other features than those of {scaling.levels} levels")
        if not (scaling.tick > 0 and scaling.length > 0 and np.isfinite(mean).all() and (std > 0).all()):
            raise ValueError("a number is out of range")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: not the scaling of balance_windows ({type(error).__name__}: {error})") from None
    return scaling


class Moments:
    """Mean and standard deviation of features, batch by batch.

    Chan, Golub and LeVeque (1983), Algorithms for computing the sample variance, The American Statistician 37.
    """

    def __init__(self, features: int) -> None:
        self.count = 0
        self._mean, self._squares = np.zeros(features), np.zeros(features)

    def add(self, features: np.ndarray) -> None:
        """Features (n, features) of further states."""
        count = len(features)
        if not count:
            return
        mean = features.mean(axis=0)
        delta, total = mean - self._mean, self.count + count
        self._squares += ((features - mean) ** 2).sum(axis=0) + delta**2 * (self.count * count / total)
        self._mean += delta * (count / total)
        self.count = total

    def scaling(self, tick: float, levels: int, length: int, unit: np.ndarray | float = 1.0) -> Scaling:
        """What was seen so far, at least one state, as a scaling.

        Args:
            unit: (4 * levels,) what the features seen are divided by first
        """
        mean, std = self._mean / unit, np.sqrt(self._squares / self.count) / unit
        std[std <= CONSTANT * np.maximum(np.abs(mean), 1.0)] = 1.0
        return Scaling(tick, levels, length, mean, std)
