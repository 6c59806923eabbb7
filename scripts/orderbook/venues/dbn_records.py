"""Databento's DBN files: what they say of themselves, and their records as NumPy arrays.

A file is metadata, which the vendor's own library decodes, then records of any kinds, each with its length in its first
byte. Those of MBO and MBP-10 are laid out alike in versions 1 to 3, so they are looked at where they lie, which is
dozens of times as fast as one Python object each. Layout: Databento, "DBN encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from databento_dbn import DBNDecoder, DBNError, Metadata

from scripts.lib.errors import InputError
from scripts.lib.kernels import Array, kernel
from scripts.lib.progress import Progress
from scripts.orderbook.capture.raw import BadLines
from scripts.orderbook.capture.records import LARGEST
from scripts.orderbook.capture.unpack import BLOCK, Damaged, read_pieces

PREFIX = 8  # bytes: DBN, the version, the length of the metadata
LONGEST_METADATA = 1 << 28
UNIT = 4  # bytes in which a record's length is told
HEADER_LENGTH = 16
MBO, MBP_10, SYMBOL_MAPPING = 0xA0, 0x0A, 0x16
MBP_LEVELS = 10
SECOND = 1_000_000_000

_HEADER: list[Any] = [("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"),
                      ("ts_event", "<u8")]  # fmt: skip
MBO_RECORD = np.dtype(
    [*_HEADER, ("order_id", "<u8"), ("price", "<i8"), ("size", "<u4"), ("flags", "u1"), ("channel_id", "u1"),
     ("action", "u1"), ("side", "u1"), ("ts_recv", "<u8"), ("ts_in_delta", "<i4"), ("sequence", "<u4")]
)  # fmt: skip
PAIR = np.dtype(
    [("bid_px", "<i8"), ("ask_px", "<i8"), ("bid_sz", "<u4"), ("ask_sz", "<u4"), ("bid_ct", "<u4"), ("ask_ct", "<u4")]
)
MBP_RECORD = np.dtype(
    [*_HEADER, ("price", "<i8"), ("size", "<u4"), ("action", "u1"), ("side", "u1"), ("flags", "u1"), ("depth", "u1"),
     ("ts_recv", "<u8"), ("ts_in_delta", "<i4"), ("sequence", "<u4"), ("levels", PAIR, (MBP_LEVELS,))]
)  # fmt: skip
LAYOUTS = {MBO: MBO_RECORD, MBP_10: MBP_RECORD}
MBO_LENGTH, MBP_LENGTH = MBO_RECORD.itemsize, MBP_RECORD.itemsize


class Interval(NamedTuple):
    """When an instrument id stands for a symbol, ns UTC, the end left out."""

    symbol: str
    instrument_id: int
    start: int
    end: int


@dataclass
class Symbols:
    """What the instrument ids of a file stand for."""

    intervals: list[Interval] = field(default_factory=list)

    def name(self, instrument_id: int) -> str:
        """A symbol of an id, or the id itself."""
        return next(
            (entry.symbol for entry in self.intervals if entry.instrument_id == instrument_id), str(instrument_id)
        )

    def of(self, symbol: str) -> list[Interval]:
        """When ids stand for a symbol, which may also be an id.

        Raises:
            ValueError: several do at a time.
        """
        found = [entry for entry in self.intervals if entry.symbol == symbol]
        if not found and symbol.isdigit() and len(symbol) <= 10:
            found = [Interval(symbol, int(symbol), 0, LARGEST)]
        for one, other in combinations(found, 2):
            if one.instrument_id != other.instrument_id and one.start < other.end and other.start < one.end:
                raise ValueError(f"{symbol} stands for several instruments at a time")
        return found


class Records(NamedTuple):
    """Records of one kind; `numbers` count all records of the file from 1."""

    kind: int
    numbers: Array
    records: Array


class DbnFile:
    """One file: `symbols` are known once the first records have come."""

    def __init__(self, path: Path, bad: BadLines, progress: Progress) -> None:
        self.path, self.bad = path, bad
        self.symbols = Symbols()
        self.schema = "records of several schemas"
        self._version = 0
        self._count = 0  # records so far
        self._pieces = read_pieces(path, progress)
        self._ended = False  # before the end of the file, since nothing more can be read

    def read(self) -> Iterator[list[Records]]:
        """The records of the kinds in LAYOUTS, stretch by stretch, in runs of one kind.

        Raises:
            InputError: it is no DBN file, or holds more bad records than allowed.
        """
        held = b""
        try:
            held = self._read_metadata()
            for piece in self._pieces:
                held += piece
                if len(held) >= BLOCK:
                    used, records = self._records(held)
                    held = held[used:]
                    yield records
                if self._ended:
                    return
        except Damaged as error:
            self._add_bad(str(error))
        used, records = self._records(held)
        yield records
        if used < len(held):
            self._add_bad("cut short in a record")

    def _read_metadata(self) -> bytes:
        """Take the metadata in; the bytes that follow."""
        held, needed = b"", PREFIX
        try:
            while len(held) < needed:
                held += next(self._pieces)
                if len(held) >= PREFIX and needed == PREFIX:
                    if held[:3] != b"DBN":
                        raise InputError(f"{self.path}: not a DBN file")
                    needed = PREFIX + int.from_bytes(held[4:8], "little")
                    if needed > LONGEST_METADATA:
                        raise InputError(f"{self.path}: not a DBN file (its metadata would have {needed} bytes)")
            self._take(Metadata.decode(held[:needed]))
        except StopIteration:
            raise InputError(f"{self.path}: not a DBN file (cut short in its metadata)") from None
        except (DBNError, ValueError, OverflowError) as error:
            raise InputError(f"{self.path}: not a DBN file ({' '.join(str(error).split())})") from None
        return held[needed:]

    def _take(self, metadata: Any) -> None:
        self._version = int(metadata.version)
        if metadata.schema is not None:
            self.schema = str(metadata.schema)
        for symbol, intervals in metadata.mappings.items():
            for entry in intervals:
                # the other way round where the file names instruments by id and maps them to symbols
                pair = (symbol, entry["symbol"]) if entry["symbol"].isdigit() else (entry["symbol"], symbol)
                if pair[1].isdigit():
                    start, end = (midnight(entry[name]) for name in ("start_date", "end_date"))
                    self.symbols.intervals.append(Interval(pair[0].upper(), int(pair[1]), start, end))

    def _records(self, text: bytes) -> tuple[int, list[Records]]:
        """Whole records at the beginning of a text: how many bytes they have, and those that we know."""
        data = np.frombuffer(text, np.uint8)
        places = np.zeros((len(text) // HEADER_LENGTH + 1, 2), np.int64)
        count, used = walk(data, places)
        places, numbers = places[:count], self._count + 1 + np.arange(count)
        self._count += int(count)
        if used < 0:
            self._add_bad("its length cannot be: nothing after it can be read")
            self._ended, used = True, len(text)
        for place in places[places[:, 1] == SYMBOL_MAPPING, 0]:
            self._learn(text[place : place + UNIT * text[place]])
        return int(used), list(self._runs(data, places, numbers))

    def _runs(self, data: Array, places: Array, numbers: Array) -> Iterator[Records]:
        """Records of the kinds that we know, in runs of one kind."""
        known = np.isin(places[:, 1], list(LAYOUTS))
        places, numbers = places[known], numbers[known]
        edges = np.flatnonzero(np.diff(places[:, 1])) + 1
        for run, named in zip(np.split(places, edges), np.split(numbers, edges), strict=True):
            if len(run):
                kind = int(run[0, 1])
                layout = LAYOUTS[kind]
                whole = data[run[:, :1] + np.arange(layout.itemsize)]
                yield Records(kind, named, np.ascontiguousarray(whole).view(layout)[:, 0])

    def _learn(self, text: bytes) -> None:
        """Take in a symbol mapping from among the records, as live captures hold them."""
        decoder = DBNDecoder(has_metadata=False, input_version=self._version)
        try:
            decoder.write(text)
            for message in decoder.decode():
                for symbol in (message.stype_out_symbol, message.stype_in_symbol):
                    self.symbols.intervals.append(Interval(symbol.upper(), int(message.instrument_id), 0, LARGEST))
        except (DBNError, ValueError) as error:
            self._add_bad(f"a symbol mapping that cannot be read ({error})")

    def _add_bad(self, reason: str) -> None:
        self.bad.add(self.path, self._count + 1, reason, "record")


def midnight(day: date) -> int:
    """Beginning of a day in ns UTC."""
    return int(datetime.combine(day, time(), UTC).timestamp()) * SECOND


@kernel
def walk(data: Array, places: Array) -> tuple[int, int]:
    """Find the whole records of a text.

    Args:
        data: bytes, from the beginning of a record on.
        places: (records, 2), filled: where each begins, and its kind.

    Returns:
        records found and the bytes that they have; bytes -1 where a record's length cannot be.
    """
    at, count = 0, 0
    while at + HEADER_LENGTH <= data.size:
        length = UNIT * data[at]
        kind = data[at + 1]
        shortest = HEADER_LENGTH
        if kind == MBO:
            shortest = MBO_LENGTH
        elif kind == MBP_10:
            shortest = MBP_LENGTH
        if length < shortest:
            return count, -1
        if at + length > data.size:
            break
        places[count, 0], places[count, 1] = at, kind
        count += 1
        at += length
    return count, at
