"""The second walk over a feed's states: the windows taken, scaled, into arrays that training maps into memory.

A split's windows are written in order of time, one after the other, so that memory holds one batch of states only.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from scripts.orderbook.states.reader import Batch
from scripts.orderbook.windows.inputs import Scaling
from scripts.orderbook.windows.scan import Tail, batches, faults


def write_windows(
    paths: list[Path], scaling: Scaling, certain: int, chosen: list[np.ndarray], outputs: list[Path]
) -> None:
    """Write the windows of each split to its file: float32 (n, length, 4 * levels).

    Args:
        paths: states files of the parts, in time order
        scaling: as fitted
        certain: levels a side that are certain in all states of the windows
        chosen: of each split, records of WINDOW in order of time
        outputs: of each split, its file (.npy)
    """
    with ExitStack() as stack:
        files: list[IO[bytes]] = [stack.enter_context(path.open("wb")) for path in outputs]
        for file, windows in zip(files, chosen, strict=True):
            write_header(file, (len(windows), scaling.length, len(scaling.mean)))
        writer = Writer(scaling, certain, files, chosen)
        for part, row, batch in batches(paths, scaling.levels, "write"):
            writer.add(part, row, batch)


def write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """The head of a .npy file of float32, in C order."""
    npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


class Writer:
    """Appends each window to its split's file once its last state has come."""

    def __init__(self, scaling: Scaling, certain: int, files: list[IO[bytes]], chosen: list[np.ndarray]) -> None:
        self._scaling, self._certain, self._files = scaling, certain, files
        windows = np.concatenate(chosen)
        split = np.repeat(np.arange(len(chosen)), [len(of_split) for of_split in chosen])
        order = np.argsort(windows["position"], kind="stable")
        self._split, self._part, self._start = split[order], windows["part"][order], windows["start_row"][order]
        self._next = 0  # the first window that is not written yet

    def add(self, part: int, row: int, batch: Batch) -> None:
        """Take in the states of a part from `row` on."""
        if row == 0:
            self._tail = Tail(self._scaling.length - 1)
        count, length = len(batch.segment), self._scaling.length
        features = self._tail.join({"features": self._features(part, row, batch)})["features"]
        first = row + count - len(features)  # row of the first of them
        while self._comes(part, row + count - length):
            start = int(self._start[self._next]) - first
            window = features[start : start + length]
            if not np.isfinite(window).all():
                raise RuntimeError(f"part {part}: the window from row {start + first} on holds an unknown number")
            self._files[self._split[self._next]].write(window.tobytes())
            self._next += 1

    def _comes(self, part: int, last_start: int) -> bool:
        """Whether the next window is of this part and begins at `last_start` or before."""
        at = self._next
        return at < len(self._start) and bool(self._part[at] == part and self._start[at] <= last_start)

    def _features(self, part: int, row: int, batch: Batch) -> np.ndarray:
        """Scaled features of a batch; NaN where they are unknown, or where no window needs them."""
        features = np.full((len(batch.segment), len(self._scaling.mean)), np.nan, np.float32)
        if self._comes(part, row + len(features) - 1):
            good = faults(batch, self._scaling.levels, self._certain) == 0
            features[good] = self._scaling.of_states(batch.levels.T[good])
        return features
