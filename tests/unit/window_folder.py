"""Folders of windows as balance_windows writes them, small, out of books that can be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from scripts.orderbook.windows.inputs import Scaling

CONDITIONS = ("v0-t0-s0-d0", "v1-t0-s0-d0")


@dataclass(frozen=True)
class WindowFolder:
    """Paths of one folder."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        files = {
            "train": "train.npy", "validation": "validation.npy", "test": "test.npy",
            "table": "windows.parquet", "scaling": "scaling.json",
        }  # fmt: skip
        return self.root / files[name]

    def arguments(self) -> list[str]:
        """The inputs of pretrain_encoder."""
        return [
            "--train-windows", str(self.train), "--validation-windows", str(self.validation),
            "--test-windows", str(self.test), "--windows", str(self.table), "--scaling", str(self.scaling),
        ]  # fmt: skip


def make_windows(count: int, length: int, levels: int, seed: int) -> NDArray[np.float32]:
    """Windows (count, length, 4 * levels), scaled: slow common waves, seen with noise by each feature."""
    generator = np.random.default_rng(seed)
    features = 4 * levels
    mixing = np.random.default_rng(0).normal(size=(3, features)) / np.sqrt(3)
    phase = generator.uniform(0, 2 * np.pi, size=(count, 1, 3))
    speed = generator.uniform(0.1, 0.4, size=(count, 1, 3))
    waves = np.sqrt(2) * np.sin(phase + speed * np.arange(length)[None, :, None])
    windows: NDArray[np.float32] = (
        0.9 * waves @ mixing + 0.4 * generator.normal(size=(count, length, features))
    ).astype(np.float32)
    return windows


def write_windows(
    folder: Path, counts: tuple[int, int, int] = (48, 16, 16), length: int = 16, levels: int = 4
) -> WindowFolder:
    """Write all files of a folder of windows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[object]] = {}
    start = 0
    for number, (split, count) in enumerate(zip(("train", "validation", "test"), counts, strict=True)):
        np.save(folder / f"{split}.npy", make_windows(count, length, levels, number + 1))
        for index in range(count):
            row = {
                "split": split, "index": index, "part": "20240101", "start_row": start, "start_time": start,
                "end_time": start + length - 1, "condition": CONDITIONS[index % 2], "segment": 0,
            }  # fmt: skip
            start += length
            for key, value in row.items():
                rows.setdefault(key, []).append(value)
    pq.write_table(pa.table(rows), folder / "windows.parquet")
    Scaling(0.1, levels, length, np.zeros(4 * levels), np.ones(4 * levels)).save(folder / "scaling.json")
    return WindowFolder(folder)
