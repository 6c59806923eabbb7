"""Binance captures (spot, USD-M and COIN-M): lines to batches of the normalised stream.

A capture holds `{"stream": "btcusdt@depth@0ms", "data": {…}}` lines of the streams depth and bookTicker (others, such
as the partial books of depth20, are passed over), or their data alone, and REST depth snapshots as lines of their own.
Formats: Binance API documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.errors import InputError
from scripts.lib.kernels import Array
from scripts.orderbook.capture.raw import BadLines, Block, decode, read_blocks
from scripts.orderbook.capture.records import NO_TIME, Diff, Quote, Snapshot
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.capture.stream import Batch, append, empty, size
from scripts.orderbook.venues.adapter import ABSURD, Adapter, integer
from scripts.orderbook.venues.binance_scan import scan, scanner
from scripts.orderbook.venues.levels import level_of, levels_of

SHORTEST_MESSAGE, SHORTEST_LEVEL = 32, 9  # bytes: {"lastUpdateId":1,"bids":[],"asks":[]} and ["1","2"]
MS = 1_000_000  # nanoseconds
STREAMS = {"depthUpdate": "depth", "bookTicker": "bookTicker"}  # event type -> name of its stream


class Binance(Adapter):
    """Turns blocks of lines into batches of one symbol: nearly all by the scan, the others by a JSON parser."""

    ids_restart = True  # they never have; but a smaller id in a younger message tells that the larger one was wrong

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        super().__init__(venue, symbol, bad)
        self._chosen = symbol is not None
        self._last_time = NO_TIME  # local time of the last message, for a snapshot that bears none
        self._other: str | None = None  # another symbol that was met
        self._is_met = False  # whether there are messages of the symbol
        self._nameless = False  # whether a snapshot did not tell whose it is
        self._alone = False  # whether one such was a file of its own
        self._timeless: Snapshot | None = None  # the first snapshot, until a message tells the time
        self._batch = empty(0, 0, 0)
        self._prepare_scan()

    def batches(self, raw: list[Path]) -> Iterator[Batch]:
        for block in read_blocks(raw, self.bad):
            yield self.read(block)
        if self._timeless:
            self.bad.add(raw[-1], 1, "the snapshot bears no time, and no message follows that does")

    def state(self) -> dict[str, Array]:
        return {"last_time": np.array(self._last_time)}

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        super().resume(symbol, state)
        self._last_time = int(state["last_time"])
        self._prepare_scan()

    def read(self, block: Block) -> Batch:
        """The messages of a block, in arrays that the next call uses again.

        Raises:
            InputError: the capture holds several symbols, and none is chosen or a snapshot may be of any of them; or
                it holds more bad lines than allowed.
        """
        text, batch = np.frombuffer(block.text, np.uint8), self._room(len(block.text))
        at, number = 0, block.first
        while at < len(text):
            if self._timeless is None:
                at, lines = scan(text, at, self._scanner, batch)
                number += lines
            if at < len(text):
                end = block.text.index(b"\n", at) + 1
                self._read_line(block, number, block.text[at:end])
                at, number = end, number + 1
        self._last_time = self._time_before()
        self._is_met = self._is_met or size(batch) > 0
        return batch

    def _prepare_scan(self) -> None:
        # as long as it does not matter that there are others, they need not be looked at one by one
        pass_others = self._chosen and self._other is not None and not self._nameless
        self._scanner = scanner(self.symbol or "", self.venue != "binance-spot", pass_others)

    def _room(self, length: int) -> Batch:
        """An empty batch for a text of so many bytes."""
        if self._timeless:
            length += SHORTEST_LEVEL * (1 + len(self._timeless.bids) + len(self._timeless.asks)) + SHORTEST_MESSAGE
        messages, levels = length // SHORTEST_MESSAGE + 1, length // SHORTEST_LEVEL + 1
        if messages > len(self._batch.messages):
            self._batch = empty(messages, levels, messages)
        self._batch.filled[0] = 0
        return self._batch

    def explain(self) -> str | None:
        if self._other and not self._is_met:
            return f"no depth message of {self.symbol}, only of others such as {self._other}"
        return None

    def _read_line(self, block: Block, number: int, line: bytes) -> None:
        """Read a line that the scan did not take."""
        path, decoded = block.path, decode(line)
        if decoded is None:
            return
        if isinstance(decoded, str):
            self.bad.add(path, number, decoded)
            return
        local_time, message = decoded
        try:
            found = _symbol(message)
            mine = self.symbol is None or found in (None, self.symbol)
            record = _record(local_time, message, self.venue) if mine else None
        except ABSURD as error:
            self.bad.add(path, number, f"not a {self.venue} message ({type(error).__name__}: {error})")
            return
        self._note_symbol(block, number, found, isinstance(record, Snapshot))
        if record:
            self._add(record)

    def _note_symbol(self, block: Block, number: int, found: str | None, is_snapshot: bool) -> None:
        """Take the first symbol where none is chosen, and refuse captures in which two could be mixed up.

        One file of nothing but a snapshot is taken for that of the instrument; of several, each could be another's.
        """
        before = self.symbol, self._other, self._nameless
        self.symbol = self.symbol or found
        self._other = self._other or (found if found != self.symbol else None)
        if found is None and is_snapshot:
            is_alone = block.first == 1 and block.text.count(b"\n") == 1
            self._nameless = self._nameless or not is_alone or self._alone
            self._alone = self._alone or is_alone
        if self._other and (not self._chosen or self._nameless):
            remedy = "a snapshot does not tell whose it is: split the capture" if self._chosen else "set 'symbol'"
            met = _symbols(block.text) | {self._other, str(found or self._other)}
            names = ", ".join(sorted(met if self._chosen else met | {str(self.symbol)}))
            what = "several symbols" if not self._chosen or self.symbol in met else f"not {self.symbol}, but others"
            raise InputError(f"{block.path}: line {number}: {what} ({names}): {remedy}")
        if before != (self.symbol, self._other, self._nameless):
            self._prepare_scan()

    def _add(self, record: Snapshot | Diff | Quote) -> None:
        """Append a record; a snapshot without a time takes that of the message before, else of the next one."""
        if isinstance(record, Snapshot) and record.local_time == NO_TIME:
            before = self._time_before()
            if before == NO_TIME:
                self._timeless = record
                return
            record = _at(record, before)
        if self._timeless and isinstance(record, Diff):
            append(self._batch, _at(self._timeless, record.local_time))
            self._timeless = None
        append(self._batch, record)

    def _time_before(self) -> int:
        count = size(self._batch)
        return int(self._batch.messages[count - 1]["local_time"]) if count else self._last_time


def _at(snapshot: Snapshot, time: int) -> Snapshot:
    return replace(snapshot, local_time=time, event_time=time)


def _symbol(message: dict[str, Any]) -> str | None:
    """Symbol of a message; REST snapshots name theirs on COIN-M only."""
    stream = message.get("stream")
    symbol = stream.partition("@")[0] if stream else message.get("symbol" if "lastUpdateId" in message else "s")
    return symbol.upper() if symbol is not None else None


def _symbols(text: bytes) -> set[str]:
    """All symbols of a block."""
    found = set()
    for line in text.splitlines():
        decoded = decode(line)
        if isinstance(decoded, tuple):
            with suppress(*ABSURD):
                found.add(_symbol(decoded[1]) or "")
    return found - {""}


def _record(local_time: int, message: dict[str, Any], venue: Venue) -> Snapshot | Diff | Quote | None:
    if "lastUpdateId" in message:
        return _snapshot(local_time, message)
    data, stream = message.get("data", message), message.get("stream")
    # spot bookTicker messages carry no event type: only the stream's name tells
    kind = stream.partition("@")[2].partition("@")[0] if stream else STREAMS.get(data.get("e"))
    if kind == "bookTicker":
        return Quote(integer(data["u"]), *level_of([data["b"], data["B"]]), *level_of([data["a"], data["A"]]))
    return _diff(local_time, data, venue) if kind == "depth" else None


def _diff(local_time: int, data: dict[str, Any], venue: Venue) -> Diff:
    previous = integer(data["pu"]) if venue != "binance-spot" else None
    if venue == "binance-spot" and "pu" in data:
        raise ValueError("spot messages have no 'pu'")
    first, final = integer(data["U"]), integer(data["u"])
    if first > final:
        raise ValueError(f"U {first} after u {final}")
    event_time = _time(data["E"])
    local_time = event_time if local_time == NO_TIME else local_time
    return Diff(local_time, event_time, first, final, previous, levels_of(data["b"]), levels_of(data["a"]))


def _snapshot(local_time: int, message: dict[str, Any]) -> Snapshot:
    # spot snapshots carry no event time
    event_time = _time(message["E"]) if "E" in message else local_time
    local_time = event_time if local_time == NO_TIME else local_time
    update_id = integer(message["lastUpdateId"])
    return Snapshot(local_time, event_time, update_id, levels_of(message["bids"]), levels_of(message["asks"]))


def _time(milliseconds: Any) -> int:
    return integer(integer(milliseconds) * MS)
