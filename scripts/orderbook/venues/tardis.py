"""CSV files incremental_book_L2 of Tardis.dev, of whatever exchange, with one instrument or several.

Format: Tardis.dev documentation, "Data types"; rules: the same, "Order books" of the FAQ. The rows of one message have
one local_timestamp, and only after the last of them is the book as it was. A row with is_snapshot after one without
begins the book anew: a day began, or the collector had to connect again. Rows before the first snapshot are skipped;
amount 0 removes a level. Times are in us. Where the exchange sends nothing but snapshots, each message is one, and
shows the book anew.

The rows bear no number of the venue, so that a lost one cannot be seen; the collector checks those venues that have
numbers, and connects again. Rows that were swapped or doubled show as local times going back. The ids of messages here
are the numbers of their last rows, from 1, over all files of a stream.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.lib.errors import InputError
from scripts.lib.kernels import Array
from scripts.orderbook.capture.raw import BadLines, Block, read_blocks
from scripts.orderbook.capture.records import scaled
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.capture.stream import ASK, BID, Batch, empty
from scripts.orderbook.venues.adapter import Adapter
from scripts.orderbook.venues.tardis_scan import (
    FIELDS,
    GROUP,
    LAST_US,
    US,
    close_message,
    scan,
    scanner,
    take_row,
)

COLUMNS = b"exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
SHORTEST_ROW = 20  # bytes, without the newline: a,b,1,1,true,bid,1,1
NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
FLAGS = {"true": True, "false": False}
SIDES = {"bid": BID, "ask": ASK}


class Row(NamedTuple):
    """A row of the instrument: times in ns, scaled price."""

    event_time: int
    local_time: int
    snapshot: bool
    side: int
    price: int
    size: float


class Tardis(Adapter):
    """Reads one instrument: nearly all rows by the scan, the others one by one."""

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        super().__init__(venue, symbol, bad)
        self._chosen = symbol is not None
        self._exchange: str | None = None
        self._met: dict[str, None] = {}  # symbols, in order
        self._group = np.zeros(1, GROUP)
        self._batch = empty(0, 0, 0)
        self._text = b""  # of the block
        self._scanner = scanner(b"", b"", False, self._group)

    def batches(self, raw: list[Path]) -> Iterator[Batch]:
        for block in read_blocks(raw, self.bad):
            yield self.read(block)
        batch = self._room(0)
        close_message(self._group, batch)
        yield batch

    def read(self, block: Block) -> Batch:
        """The messages that are complete by the end of a block; the next call uses its arrays again."""
        text, batch = np.frombuffer(block.text, np.uint8), self._room(len(block.text))
        at, number = 0, block.first
        self._text = block.text
        if block.first == 1:
            close_message(self._group, batch)  # the end of a file ends its message
        while at < len(text):
            before = int(self._group["row"][0])
            at = scan(text, at, self._scanner, batch)
            number += int(self._group["row"][0]) - before
            if at < len(text):
                end = block.text.index(b"\n", at) + 1
                self._read_row(block.path, number, block.text[at:end].rstrip(b"\r\n"), batch)
                at, number = end, number + 1
        return batch

    def state(self) -> dict[str, Array]:
        return {"group": self._group, "exchange": np.array(self._exchange or "")}

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        super().resume(symbol, state)
        if state["group"].dtype != GROUP:
            raise ValueError("another version's")
        self._group[:] = state["group"]
        self._group["going_back"] = 0
        self._exchange = str(state["exchange"]) or None

    def explain(self) -> str | None:
        if self._met and self.symbol not in self._met:
            return f"no row of {self.symbol}, only of {', '.join(self._met)}"
        return None

    def report(self) -> dict[str, Any]:
        return {"local_time_going_back": int(self._group["going_back"][0])}

    def _all_symbols(self) -> str:
        """Names of the instruments met so far and in the rest of the block."""
        rows = (row.split(b",", 2) for row in self._text.splitlines() if row and not row.startswith(b"exchange,"))
        names = {fields[1].decode(errors="replace").upper() for fields in rows if len(fields) == 3}
        return ", ".join(sorted(names | {*self._met}))

    def _room(self, length: int) -> Batch:
        """An empty batch for a text of so many bytes, but for the levels of the message that is not complete yet."""
        batch, state = self._batch, self._group[0]
        held = batch.levels[state["begin"] : batch.filled[0]["levels"]].copy() if state["open"] else batch.levels[:0]
        rows = length // SHORTEST_ROW + 1
        if rows > len(batch.messages) or rows + len(held) > len(batch.levels):
            self._batch = batch = empty(max(rows, len(batch.messages)), rows + 2 * len(held), 0)
        batch.filled[0] = 0, len(held), 0
        batch.levels[: len(held)] = held
        state["begin"] = 0
        return batch

    def _begin_file(self, batch: Batch) -> None:
        """The message of the file before is complete, and a book must come."""
        close_message(self._group, batch)
        self._group["snapshot"] = self._group["bad"] = 0

    def _read_row(self, path: Path, number: int, line: bytes, batch: Batch) -> None:
        """Read a row that the scan did not take.

        Raises:
            InputError: the columns are others, the instrument cannot be told, or there are too many bad rows.
        """
        if line == COLUMNS:
            self._begin_file(batch)
        if not line or line == COLUMNS:
            return
        if line.startswith(b"exchange,"):
            columns = line[:200].decode(errors="replace")
            raise InputError(f"{path}: line {number}: not the columns of incremental_book_L2: {columns}")
        self._group["row"] += 1
        fields = line.split(b",")
        try:
            if len(fields) != FIELDS:
                raise ValueError(f"{len(fields)} fields instead of {FIELDS}")
            if not fields[0] or not fields[1]:
                raise ValueError("no exchange or no symbol")
            if not self._wants(path, number, fields[0].decode(), fields[1].decode()):
                return
            row = _row(*(field.decode() for field in fields[2:]))
        except (ValueError, OverflowError) as error:
            self.bad.add(path, number, f"not a row of incremental_book_L2 ({error})")
            self._group["bad"] = self._group["row"]
            return
        take_row(self._group, batch, *row)
        if self._scanner.prefix.size == 0:
            self._scanner = scanner(b",".join(fields[:2]) + b",", fields[1].upper(), self._chosen, self._group)

    def _wants(self, path: Path, number: int, exchange: str, name: str) -> bool:
        """Whether a row is one of the instrument.

        Raises:
            InputError: it is of another one, and none was chosen; or the symbol is there at two exchanges.
        """
        symbol = name.upper()
        self._met.setdefault(symbol)
        self.symbol = self.symbol or symbol
        if symbol != self.symbol:
            if not self._chosen:
                raise InputError(f"{path}: line {number}: several symbols ({self._all_symbols()}): set 'symbol'")
            return False
        self._exchange = self._exchange or exchange
        if exchange != self._exchange:
            raise InputError(f"{path}: line {number}: {symbol} of several exchanges ({self._exchange}, {exchange})")
        return True


def _row(timestamp: str, local_timestamp: str, is_snapshot: str, side: str, price: str, amount: str) -> Row:
    if is_snapshot not in FLAGS or side not in SIDES:
        raise ValueError(f"is_snapshot {is_snapshot:.40}, side {side:.40}")
    for number in (price, amount):
        if not NUMBER.fullmatch(number):
            raise ValueError(f"price or amount {number:.40}")
    size = float(amount)
    if size == math.inf:
        raise ValueError(f"amount {amount:.40}")
    return Row(_time(timestamp), _time(local_timestamp), FLAGS[is_snapshot], SIDES[side], scaled(price), size)


def _time(text: str) -> int:
    """ns of a text of us."""
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or int(text) > LAST_US:
        raise ValueError(f"time {text:.40}")
    return int(text) * US
