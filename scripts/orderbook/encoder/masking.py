"""Which entries of a window are hidden while pretraining: cells, whole states, or levels.

Books hardly change from one message to the next, so a hidden cell is mostly given away by the states beside it. Hence
two modes hide runs of consecutive states: `step` all that is in them, `level` price and size of one level of one side.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scripts.lib.training.order import sample_generator

Mode = Literal["cell", "step", "level"]
Mask = NDArray[np.bool_]

MODES: tuple[Mode, ...] = ("cell", "step", "level")
EVALUATION = 2**40  # no training has so many epochs: the masks that are evaluated on are never trained on


def draw_mode(modes: list[Mode], seed: int, epoch: int, index: int) -> Mode:
    """The mode of a window in an epoch, each as likely."""
    return modes[int(sample_generator(seed, epoch, index).integers(len(modes)))]


def draw_mask(
    mode: Mode, length: int, features: int, fraction: float, span: int, seed: int, epoch: int, index: int
) -> Mask:
    """Hidden entries (length, features) of a window; they depend on the arguments alone.

    Args:
        mode: what is hidden together.
        length: states of the window.
        features: 4 * levels, in the order bid prices, bid sizes, ask prices, ask sizes.
        fraction: share of the entries that is hidden, on average; at least one is hidden and one is not.
        span: states in a run of `step` and `level`.
        seed: of the training.
        epoch: pass over the data.
        index: the window's row.
    """
    generator = sample_generator(seed, epoch, index)
    generator.integers(len(MODES))  # the draw of the mode
    if mode == "cell":
        return some_cells(length, features, fraction, generator)
    runs = runs_of(length, span, int(generator.integers(span)))
    count = int(runs[-1]) + 1
    if mode == "step":
        return np.repeat(choose(count, fraction, generator)[runs][:, None], features, axis=1)
    levels = features // 4
    bids, asks = choose(count * 2 * levels, fraction, generator).reshape(count, 2, levels)[runs].swapaxes(0, 1)
    return np.concatenate([bids, bids, asks, asks], axis=1)


def runs_of(length: int, span: int, shift: int) -> NDArray[np.int64]:
    """Number of the run that each state lies in (length,); the first run is `shift` states shorter than `span`."""
    runs: NDArray[np.int64] = (np.arange(length) + shift) // span
    return runs


def some_cells(length: int, features: int, fraction: float, generator: np.random.Generator) -> Mask:
    """Each cell by itself: a quarter of the time of choosing an exact number of them."""
    mask = generator.random((length, features), dtype=np.float32) < np.float32(fraction)
    if not mask.any():
        mask[generator.integers(length), generator.integers(features)] = True
    return mask


def choose(count: int, fraction: float, generator: np.random.Generator) -> Mask:
    """A random choice of fraction * count, rounded at random to the whole number below or above it; at least one and,
    where there are two, not all."""
    chosen = min(max(int(fraction * count + generator.random()), 1), max(count - 1, 1))
    mask = np.zeros(count, bool)
    mask[generator.permutation(count)[:chosen]] = True
    return mask


def hide(windows: NDArray[np.float32], mask: Mask) -> NDArray[np.float32]:
    """The windows with NaN where the mask is."""
    return np.where(mask, np.float32(np.nan), windows)
