"""What a model has to beat at hidden entries: copying the last known value, and the line between its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Windows = NDArray[np.float32]
"""(windows, time, features), NaN where hidden."""


def copy_last(windows: Windows) -> Windows:
    """The last known value of the feature; before the first, the first; 0, the mean, where none is known."""
    before, after = nearest_known(windows)
    return _taken(windows, np.where(before >= 0, before, after))


def interpolate(windows: Windows) -> Windows:
    """The straight line, in states, from the last known value to the next; beyond the ends as `copy_last`."""
    before, after = nearest_known(windows)
    length = windows.shape[1]
    left = _taken(windows, np.where(before >= 0, before, after))
    right = _taken(windows, np.where(after < length, after, before))
    steps = np.arange(length, dtype=np.float32)[None, :, None]
    inside = (before >= 0) & (after < length) & (after > before)
    share = np.where(inside, (steps - before) / np.maximum(after - before, 1), 0).astype(np.float32)
    return left + share * (right - left)


def nearest_known(windows: Windows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Time of the last and of the next known value of each entry's feature, its own where it is known.

    -1 and `time` where there is none.
    """
    length = windows.shape[1]
    steps = np.arange(length)[None, :, None]
    known = ~np.isnan(windows)
    before = np.maximum.accumulate(np.where(known, steps, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, steps, length)[:, ::-1], axis=1)[:, ::-1]
    return before, after


def _taken(windows: Windows, times: NDArray[np.int64]) -> Windows:
    """Values at the times (windows, time, features), 0 where the time lies outside or nothing is known there."""
    inside = (times >= 0) & (times < windows.shape[1])
    values = np.take_along_axis(windows, np.where(inside, times, 0), axis=1)
    return np.where(inside, values, np.float32(0))
