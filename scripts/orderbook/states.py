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
from scripts.orderbook.book import Book, Side
from scripts.orderbook.records import PRICE_SCALE

TIMES = ("event_time", "local_time")
INTEGERS = (*TIMES, "update_id", "segment", "known_levels")
ROWS_PER_GROUP = 8_192


def level_columns(depth: int) -> list[str]:
    """bid_px_00 … bid_sz_00 … ask_px_00 … ask_sz_00 …, the names of Databento's MBP-10."""
    return [f"{side}_{what}_{i:02d}" for side in ("bid", "ask") for what in ("px", "sz") for i in range(depth)]


def schema(depth: int) -> pa.Schema:
    """Columns of a states file: int64 (times ns UTC), then float64 prices and sizes as the venue quotes them."""
    fields = [pa.field(name, pa.int64(), nullable=False) for name in INTEGERS]
    return pa.schema(fields + [pa.field(name, pa.float64()) for name in level_columns(depth)])


class StatesWriter:
    """Writes the states of one part; NaN where the book holds no level."""

    def __init__(self, path: Path, depth: int) -> None:
        self._writer = pq.ParquetWriter(path, schema(depth), compression="zstd")
        self._depth = depth
        self._integers = np.zeros((ROWS_PER_GROUP, len(INTEGERS)), dtype=np.int64)
        self._levels = np.zeros((ROWS_PER_GROUP, 4 * depth))
        self._rows = 0

    def __enter__(self) -> StatesWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, book: Book) -> None:
        """Append the book's present state."""
        row, depth = self._rows, self._depth
        known = min(book.bids.known_levels(), book.asks.known_levels())
        self._integers[row] = book.event_time, book.local_time, book.update_id, book.segment, known
        levels = self._levels[row]
        levels.fill(np.nan)
        _fill(levels[: 2 * depth], book.bids, depth)
        _fill(levels[2 * depth :], book.asks, depth)
        self._rows += 1
        if self._rows == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        columns = [pa.array(self._integers[: self._rows, i].copy()) for i in range(len(INTEGERS))]
        columns += [pa.array(self._levels[: self._rows, i].copy()) for i in range(4 * self._depth)]
        self._writer.write_table(pa.table(columns, schema=schema(self._depth)))
        self._rows = 0


def _fill(row: np.ndarray, side: Side, depth: int) -> None:
    for i, (price, size) in enumerate(side.top(depth)):
        row[i] = price / PRICE_SCALE
        row[depth + i] = size


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
