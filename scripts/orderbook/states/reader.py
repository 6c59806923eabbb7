"""Read a states file batch by batch, so that memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.lib.errors import InputError
from scripts.orderbook.states.columns import KEYS, level_columns

STATES_PER_BATCH = 8_192
INTEGERS = (*KEYS, "known_levels")


@dataclass(frozen=True)
class Batch:
    """Consecutive states.

    Attributes:
        event_time, local_time, segment, known_levels: (n,) int64
        levels: (4 * depth, n) float64, contiguous, in the order of `level_columns`
    """

    event_time: np.ndarray
    local_time: np.ndarray
    segment: np.ndarray
    known_levels: np.ndarray
    levels: np.ndarray


class StatesReader:
    """A states file of parse_book, open for one walk through it.

    Raises:
        InputError: the file is not one of parse_book.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._named():
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            self.depth = _depth(self._file.schema_arrow)
        self.states: int = self._file.metadata.num_rows

    def __enter__(self) -> StatesReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._file.close()

    def batches(self, best: int | None = None) -> Iterator[Batch]:
        """The states in the file's order; with all levels, or with the `best` ones of each side."""
        levels = [name for name in level_columns(self.depth) if best is None or int(name.rpartition("_")[2]) < best]
        with self._named():
            for table in self._tables([*INTEGERS, *levels]):
                event_time, local_time, segment, known = (table[name].to_numpy() for name in INTEGERS)
                matrix = table.select(levels).to_tensor(null_to_nan=True, row_major=False).to_numpy()
                yield Batch(event_time, local_time, segment, known, matrix.T)

    def _tables(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Row group by row group: a walk over all of them at once keeps what it has read."""
        for group in range(self._file.num_row_groups):
            if self._file.metadata.row_group(group).num_rows:
                yield from self._file.iter_batches(STATES_PER_BATCH, row_groups=[group], columns=columns)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, KeyError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{self._path}: not a states file of parse_book ({reason})") from None


def _depth(schema: pa.Schema) -> int:
    """Levels a side.

    Raises:
        KeyError: a column is missing or of another type.
    """
    depth: int = max(sum(name.startswith("bid_px_") for name in schema.names), 1)
    expected = dict.fromkeys(INTEGERS, pa.int64()) | dict.fromkeys(level_columns(depth), pa.float64())
    for name, kind in expected.items():
        if schema.field(name).type != kind:
            raise KeyError(f"{name} is {schema.field(name).type}, not {kind}")
    return depth
