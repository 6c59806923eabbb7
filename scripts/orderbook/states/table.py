"""Book states as Parquet: one row a state, written in row groups so that memory does not grow with the stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.lib.errors import InputError
from scripts.orderbook.book.advance import Rows
from scripts.orderbook.states.columns import level_columns

TIMES = ("event_time", "local_time")
INTEGERS = (*TIMES, "update_id", "segment", "known_levels")
ROWS_PER_GROUP = 8_192
LARGEST_GROUP = 1 << 24  # numbers; deep books get fewer rows a group


def schema(depth: int) -> pa.Schema:
    """Columns of a states file: int64 (times ns UTC), then float64 prices and sizes as the venue quotes them.

    event_time is the venue's; local_time says when the state was known here: when its message arrived, or the snapshot
    that this one had to wait for.
    """
    fields = [pa.field(name, pa.int64(), nullable=False) for name in INTEGERS]
    return pa.schema(fields + [pa.field(name, pa.float64()) for name in level_columns(depth)])


class StatesWriter:
    """Writes the states of one part."""

    def __init__(self, path: Path, depth: int) -> None:
        # few values of a column are equal: looking for them costs time and saves no space; nor are prices and sizes
        # looked up by their range
        self._writer = pq.ParquetWriter(
            path,
            schema(depth),
            compression="zstd",
            use_dictionary=False,
            write_statistics=list(INTEGERS),
            write_page_checksum=True,
        )
        self._schema = schema(depth)
        self._room = max(min(ROWS_PER_GROUP, LARGEST_GROUP // (4 * depth)), 1)
        # by columns, as Parquet stores them
        self._integers = np.empty((len(INTEGERS), self._room), dtype=np.int64)
        self._levels = np.empty((4 * depth, self._room))
        self._rows = 0

    def __enter__(self) -> StatesWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, rows: Rows) -> None:
        """Append states."""
        done, count = 0, len(rows.integers)
        while done < count:
            taken = min(self._room - self._rows, count - done)
            place, source = slice(self._rows, self._rows + taken), slice(done, done + taken)
            self._integers[:, place] = rows.integers[source].T
            self._levels[:, place] = rows.levels[source].T
            self._rows += taken
            done += taken
            if self._rows == self._room:
                self._flush()

    def _flush(self) -> None:
        columns = [as_arrow(column[: self._rows]) for array in (self._integers, self._levels) for column in array]
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self._rows = 0


def as_arrow(column: np.ndarray) -> pa.Array:
    """A contiguous column without a copy; pa.array would import pandas first, where that is at hand."""
    return pa.Array.from_buffers(pa.from_numpy_dtype(column.dtype), len(column), [None, pa.py_buffer(column)])


def read_states(path: Path, columns: list[str] | None = None) -> dict[str, np.ndarray]:
    """Columns of a states file by name.

    Raises:
        InputError: the file is not one of parse_book.
    """
    with _states_file(path):
        table = pq.read_table(path, columns=columns)
        return {name: table[name].to_numpy() for name in columns or table.column_names}


def stored_depth(path: Path) -> int:
    """Levels a side that a states file holds.

    Raises:
        InputError: the file is not one of parse_book.
    """
    with _states_file(path):
        depth: int = sum(name.startswith("bid_px_") for name in pq.read_schema(path).names)
        if not depth:
            raise KeyError("bid_px_00")
        return depth


@contextmanager
def _states_file(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{path}: not a states file of parse_book ({type(error).__name__}: {error})") from None
