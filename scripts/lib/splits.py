"""Splits by time, made in one place for all lines: train < validation < test, purged, with an embargo.

A sample is what one row of training data uses: from the first moment of its inputs (`start`) to the last moment of its
inputs or of its label (`end`). Times may be integers, floats or datetime64, or places in an order of time such as rows.
The samples that reach over a cut are left out (purged), and so are those that begin within an embargo after it: what is
learnt on the left side may depend on nothing that is used on the right side, nor on its near past.

López de Prado (2018), Advances in Financial Machine Learning, chapter 7, for purging and embargo.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.lib.errors import InputError

Times = NDArray[Any]
SPLITS = TRAIN, VALIDATION, TEST = range(3)
NAMES = ("train", "validation", "test")
LEFT_OUT = -1


def cut_places(count: int, train: float, validation: float) -> tuple[int, int]:
    """Places among `count` moments in order of time at which validation and test begin.

    Args:
        train, validation: shares of the moments; the rest is test.

    Raises:
        InputError: a part would be empty.
    """
    first, second = round(train * count), round((train + validation) * count)
    for name, size in zip(NAMES, (first, second - first, count - second), strict=True):
        if size <= 0:
            raise InputError(f"splits: nothing is left for {name}: {train:g} and {validation:g} of {count} moments")
    return first, second


def cut_times(times: Times, train: float, validation: float) -> tuple[Any, Any]:
    """The first moments of validation and test.

    Shares are of the different moments: rows of one moment, such as the assets of a day, are never parted.

    Args:
        times: moments in order; any number of rows may have the same one.

    Raises:
        InputError: out of order, or a part would be empty.
    """
    check_order(times)
    moments = np.unique(times)
    first, second = cut_places(len(moments), train, validation)
    return moments[first], moments[second]


def assign(start: Times, end: Times, cuts: tuple[Any, Any], embargo: Any = 0) -> NDArray[np.int8]:
    """The split of each sample.

    Args:
        start, end: (n,) first and last moment that each sample uses, the samples in order of their start
        cuts: the first moments of validation and test
        embargo: how far behind a cut samples begin, in the unit of the times (a timedelta64 for datetime64)

    Returns:
        (n,) TRAIN, VALIDATION, TEST, or LEFT_OUT for samples that are purged or in an embargo.

    Raises:
        InputError: out of order, or a sample ends before it starts.
    """
    check_order(start)
    if (bad := np.flatnonzero(~(end >= start))).size:
        at = int(bad[0])
        raise InputError(f"splits: sample {at} ends at {end[at]}, before its start {start[at]}")
    first, second = cuts
    split = np.full(len(start), LEFT_OUT, np.int8)
    split[end < first] = TRAIN
    split[(start >= first + embargo) & (end < second)] = VALIDATION
    split[start >= second + embargo] = TEST
    return split


def label_ends(times: Times, horizon: int) -> Times:
    """The moment `horizon` moments later: the end of a label that looks so many trading days or bars ahead.

    At the end of the data, where the label is not yet known, the last moment.

    Args:
        times: moments in order; any number of rows may have the same one.

    Raises:
        InputError: out of order.
    """
    check_order(times)
    moments, place = np.unique(times, return_inverse=True)
    ends: Times = moments[np.minimum(place + horizon, len(moments) - 1)]
    return ends


def check_order(times: Times) -> None:
    """Refuse times out of order: a split by place would then be none by time.

    Raises:
        InputError: with the first place.
    """
    backwards = np.flatnonzero(~(times[1:] >= times[:-1]))  # NaN and NaT neither
    if backwards.size:
        at = int(backwards[0])
        raise InputError(f"splits: not in order of time: row {at + 1} ({times[at + 1]}) after row {at} ({times[at]})")
