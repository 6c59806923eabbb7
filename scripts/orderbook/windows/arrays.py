"""The windows of balance_windows as training reads them: arrays mapped into memory and the table of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from scripts.lib.errors import InputError

COLUMNS = ("split", "index", "condition", "start_time")


@dataclass(frozen=True)
class WindowTable:
    """The windows of one split in the order of their rows: condition by name, time of the first state, ns UTC."""

    condition: NDArray[np.object_]
    start_time: NDArray[np.int64]


def open_windows(path: Path, length: int, features: int) -> NDArray[np.float32]:
    """Map an array of windows (n, length, features) into memory.

    Raises:
        InputError: it is no such array, or not of these dimensions.
    """
    try:
        windows: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not an array of windows ({error})") from None
    if windows.dtype != np.float32 or windows.ndim != 3:
        raise InputError(f"{path}: not an array of windows, but {windows.dtype} of {windows.ndim} dimensions")
    if windows.shape[1:] != (length, features):
        found = f"{windows.shape[1]} states x {windows.shape[2]} features"
        raise InputError(f"{path}: windows of {found}, but temporal_dim x depth_dim is {length} x {features}")
    if not len(windows):
        raise InputError(f"{path}: no window in it")
    return windows


def read_table(path: Path, split: str, count: int) -> WindowTable:
    """The rows of a split.

    Args:
        path: windows.parquet of balance_windows.
        split: train, validation or test.
        count: windows in the split's array.

    Raises:
        InputError: not such a table, or it does not belong to the array.
    """
    try:
        table = pq.read_table(path, columns=list(COLUMNS), filters=[("split", "=", split)]).sort_by("index")
        index = table["index"].to_numpy()
        found = WindowTable(table["condition"].to_numpy().astype(object), table["start_time"].to_numpy())
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{path}: not a table of windows ({type(error).__name__}: {error})") from None
    if not np.array_equal(index, np.arange(count)):
        raise InputError(f"{path}: {len(index)} rows of split {split}, but its array holds {count} windows")
    return found


def spread_rows(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` rows of `count`, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
