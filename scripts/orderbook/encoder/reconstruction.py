"""How well hidden entries are filled in: a model beside its baselines, with intervals.

Errors are summed by window and feature, from which tables by condition and by level follow. Windows that overlap or
follow one another are alike, so intervals come from a bootstrap of blocks of consecutive windows (Künsch 1989, "The
Jackknife and the Bootstrap for General Stationary Observations"); the same blocks are drawn for all methods, so that
the interval of a gain is that of the paired difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.lib.progress import Progress
from scripts.orderbook.encoder.mask_baselines import copy_last, interpolate
from scripts.orderbook.encoder.masking import EVALUATION, Mode, draw_mask, hide

MODEL, COPY_LAST, LINEAR = "model", "copy_last", "linear"
METHODS = (MODEL, COPY_LAST, LINEAR)
RESAMPLES = 1_000
FEWEST_WINDOWS = 8  # fewer give no interval
ALL = "all"

Array = NDArray[np.float64]
Fill = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class MaskOptions:
    """What is hidden: share of the entries, states in a run, seed."""

    fraction: float
    span: int
    seed: int


@dataclass(frozen=True)
class Errors:
    """Squared errors at hidden entries, summed over the states of each window.

    entries: number of hidden entries (windows, features); squared: by method, the same shape.
    """

    entries: Array
    squared: dict[str, Array]


@dataclass(frozen=True)
class Estimate:
    """A mean squared error at hidden entries, and how much lower than copy-last's it is, each with its 95 % interval.

    Bounds are NaN where fewer than 8 windows are at hand. `gain` is 1 - mse / mse of copy-last.
    """

    windows: int
    entries: int
    mse: tuple[float, float, float]
    gain: tuple[float, float, float]


def fill_with(model: torch.nn.Module, device: torch.device) -> Fill:
    """The model as a function of arrays with NaN where hidden."""

    def fill(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            filled: NDArray[np.float32] = model(torch.from_numpy(windows).to(device)).float().cpu().numpy()
        return filled

    return fill


def reconstruct(
    fill: Fill, windows: NDArray[np.float32], rows: NDArray[np.int64], mode: Mode, options: MaskOptions, batch: int
) -> Errors:
    """Hide entries of the rows' windows and measure what the model and the baselines put there.

    Args:
        fill: the model.
        windows: all windows (n, length, features).
        rows: which of them.
        mode: what is hidden together.
        options: how much is hidden, and the seed; masks of training are never used.
        batch: windows at a time.
    """
    shape = (len(rows), windows.shape[2])
    errors = Errors(np.zeros(shape), {method: np.zeros(shape) for method in METHODS})
    methods: dict[str, Fill] = {MODEL: fill, COPY_LAST: copy_last, LINEAR: interpolate}
    with Progress(f"reconstruct_{mode}", len(rows), "windows") as progress:
        for chosen in _batches(len(rows), batch):
            truth = np.ascontiguousarray(windows[rows[chosen]])
            mask = np.stack([_mask_of(mode, truth.shape[1:], options, int(row)) for row in rows[chosen]])
            errors.entries[chosen] = mask.sum(1)
            for method, function in methods.items():
                error = np.where(mask, function(hide(truth, mask)) - truth, 0).astype(np.float64)
                errors.squared[method][chosen] = np.square(error).sum(1)
            progress.advance(len(truth))
    return errors


def _mask_of(mode: Mode, shape: tuple[int, ...], options: MaskOptions, row: int) -> NDArray[np.bool_]:
    return draw_mask(mode, shape[0], shape[1], options.fraction, options.span, options.seed, EVALUATION, row)


def _batches(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def estimate(errors: Errors, method: str, chosen: NDArray[np.bool_] | slice, columns: list[int] | slice) -> Estimate:
    """Mean squared error and gain of a method over some windows and features, windows in their order in time."""
    entries = errors.entries[chosen][:, columns].sum(1)
    squared = errors.squared[method][chosen][:, columns].sum(1)
    copied = errors.squared[COPY_LAST][chosen][:, columns].sum(1)
    if not entries.sum():
        nothing = (math.nan, math.nan, math.nan)
        return Estimate(len(entries), 0, nothing, nothing)
    drawn = block_draws(len(entries))
    mse = _with_interval(lambda rows: _ratio(squared[rows].sum(-1), entries[rows].sum(-1)), len(entries), drawn)
    gain = _with_interval(lambda rows: 1 - _ratio(squared[rows].sum(-1), copied[rows].sum(-1)), len(entries), drawn)
    return Estimate(len(entries), int(entries.sum()), mse, gain)


def _with_interval(
    statistic: Callable[[NDArray[np.int64]], Array], count: int, drawn: NDArray[np.int64] | None
) -> tuple[float, float, float]:
    value = float(statistic(np.arange(count)))
    if drawn is None:
        return value, math.nan, math.nan
    low, high = np.nanquantile(statistic(drawn), [0.025, 0.975])
    return value, float(low), float(high)


def _ratio(over: Array, under: Array) -> Array:
    """NaN instead of a division by 0."""
    ratio: Array = np.divide(over, under, out=np.full(np.shape(over), np.nan), where=np.asarray(under) > 0)
    return ratio


def block_draws(count: int) -> NDArray[np.int64] | None:
    """Rows of the bootstrap's samples (1000, count): blocks of ceil(sqrt(count)) consecutive rows, wrapping around.

    None where there are too few rows for an interval. The draws depend on the count alone.
    """
    if count < FEWEST_WINDOWS:
        return None
    size = math.ceil(math.sqrt(count))
    starts = np.random.default_rng(count).integers(count, size=(RESAMPLES, -(-count // size)))
    rows = (starts[:, :, None] + np.arange(size)) % count
    return rows.reshape(RESAMPLES, -1)[:, :count].astype(np.int64)
