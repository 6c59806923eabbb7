"""Databento's DBN files, .dbn or .dbn.zst, of the schemas MBO (single orders) and MBP-10 (ten levels).

A message is an event: records up to the one that bears the flag F_LAST, before which a book is not whole. `update_id`
is the venue's sequence number. A clear record (a snapshot begins with one) begins a segment anew. Where the vendor
flags a book as perhaps bad, or a record cannot be used, the segment ends.

Sequence numbers are those of a channel with many instruments, so from one instrument's records it cannot be seen that
some are missing; orders that are unknown, repeated or overdrawn show it (`orders` of the quality report).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.errors import InputError
from scripts.lib.kernels import Array
from scripts.lib.progress import Progress
from scripts.orderbook.capture.raw import BadLines
from scripts.orderbook.capture.records import EXACT, LARGEST, REPLACE, RESTART, float_holds
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.capture.stream import ASK, BID, FILLED, LEVEL, MESSAGE, NO_CHECKSUM, NO_ID, QUOTE, Batch, empty
from scripts.orderbook.venues.adapter import Adapter
from scripts.orderbook.venues.dbn_records import MBO, MBP_10, MBP_LEVELS, DbnFile, Records
from scripts.orderbook.venues.mbo_replay import (
    ADD,
    ASK_LETTER,
    BID_LETTER,
    CANCEL,
    CLEAR,
    EVENT,
    F_LAST,
    F_MAYBE_BAD_BOOK,
    F_TOB,
    FILL,
    MODIFY,
    NOTHING,
    ORDER,
    PRICE_STEP,
    TALLY,
    TOTAL,
    TRADE,
    UNDEFINED,
    live_orders,
    live_totals,
    new_orders,
    replay,
    restored,
    room_for,
    with_room,
)

SCHEMAS = {MBO: "MBO", MBP_10: "MBP-10"}
ACTIONS = (ADD, CANCEL, MODIFY, CLEAR, TRADE, FILL, NOTHING)
NONE_YET = -1
PRICE_FAULTS = ("is negative", "is finer than 1e-8", "is more than a float64 can tell")


class Databento(Adapter):
    """Reads DBN files of one schema, and takes the records of one instrument."""

    ids_restart = True  # weekly

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        super().__init__(venue, symbol, bad)
        self._chosen = symbol is not None
        self._met: dict[str, None] = {}  # symbols in the files
        self._found = False  # whether there are records of the symbol
        self._schemas: set[str] = set()
        self._kind = self._instrument = self._publisher = NONE_YET
        self._orders = new_orders()
        self._pending = np.empty(0, LEVEL)  # of an event that has not ended
        self._lost = False  # whether the next MBP-10 record does not follow the one before
        self._flagged = 0

    def batches(self, raw: list[Path]) -> Iterator[Batch]:
        with Progress("parse", sum(path.stat().st_size for path in raw), "B") as progress:
            for path in raw:
                file = DbnFile(path, self.bad, progress)
                for runs in file.read():
                    for run in runs:
                        yield from self._take(file, run)
                self._schemas.add(file.schema)

    def state(self) -> dict[str, Array]:
        return {
            "ids": np.array([self._kind, self._instrument, self._publisher, self._lost], np.int64),
            "orders": live_orders(self._orders),
            "bids": live_totals(self._orders, BID),
            "asks": live_totals(self._orders, ASK),
            "event": self._orders.event,
            "pending": self._pending,
        }

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        super().resume(symbol, state)
        dtypes = {"orders": ORDER, "bids": TOTAL, "asks": TOTAL, "event": EVENT, "pending": LEVEL}
        if any(state[name].dtype != dtype for name, dtype in dtypes.items()):
            raise ValueError("another version's")
        self._kind, self._instrument, self._publisher, lost = (int(value) for value in state["ids"])
        self._lost, self._pending = bool(lost), state["pending"]
        totals = [state["bids"], state["asks"]]
        self._orders = restored(state["orders"], totals, state["event"], np.zeros(1, TALLY))

    def explain(self) -> str | None:
        if self._met and not self._found:
            return f"no record of {self.symbol}, only of {', '.join(sorted(self._met))}"
        if self._met:
            return None
        return f"no MBO or MBP-10 record in it, but {', '.join(sorted(self._schemas))}" if self._schemas else None

    def report(self) -> dict[str, Any]:
        """What tells that records are missing, and how often the venue's sequence numbers began anew."""
        tally = {name: int(self._orders.tally[name][0]) for name in TALLY.names or ()}
        flagged, resets = tally.pop("flagged") + self._flagged, tally.pop("resets")
        unfinished = bool(self._orders.event["touched"][0])  # the last event: its end is in the next part, or missing
        return {"orders": tally, "flagged_records": flagged, "sequence_resets": resets, "unfinished_event": unfinished}

    def _take(self, file: DbnFile, run: Records) -> Iterator[Batch]:
        """Batches of a run of records of one kind."""
        mine = self._mine(file, run)
        if not mine.any():
            return
        self._found = True
        records, numbers = run.records[mine], run.numbers[mine]
        self._check_kind(file, run.kind)
        edges = np.flatnonzero(np.diff(records["instrument_id"])) + 1
        for piece, named in zip(np.split(records, edges), np.split(numbers, edges), strict=True):
            self._check_instrument(file, piece)
            yield self._replayed(file, piece, named) if run.kind == MBO else self._replaced(file, piece, named)

    def _mine(self, file: DbnFile, run: Records) -> Array:
        """Which records are of the symbol."""
        ids, times = run.records["instrument_id"], run.records["ts_recv"]
        for number in np.unique(ids):
            self._met[file.symbols.name(int(number))] = None
        if self.symbol is None:
            self.symbol = next(iter(self._met))
        others = [symbol for symbol in self._met if symbol != self.symbol]
        if others and not self._chosen:
            raise InputError(f"{file.path}: several symbols ({', '.join(sorted(self._met))}): set 'symbol'")
        mine = np.zeros(len(ids), bool)
        try:
            intervals = file.symbols.of(self.symbol)
        except ValueError as error:
            raise InputError(f"{file.path}: {error}") from None
        for entry in intervals:
            mine |= (ids == entry.instrument_id) & (times >= entry.start) & (times < entry.end)
        return mine

    def _check_kind(self, file: DbnFile, kind: int) -> None:
        if self._kind not in (NONE_YET, kind):
            raise InputError(f"{file.path}: both {' and '.join(SCHEMAS.values())} records: take files of one schema")
        self._kind = kind

    def _check_instrument(self, file: DbnFile, records: Array) -> None:
        """A symbol may stand for another instrument later, of which no order is known; venues cannot be mixed."""
        publishers = np.unique(records["publisher_id"])
        if len(publishers) > 1 or self._publisher not in (NONE_YET, int(publishers[0])):
            named = ", ".join(map(str, sorted({*publishers.tolist(), self._publisher} - {NONE_YET})))
            raise InputError(f"{file.path}: books of several venues (publisher_id {named}): split the file")
        self._publisher = int(publishers[0])
        instrument = int(records["instrument_id"][0])
        if self._instrument not in (NONE_YET, instrument):
            event = self._orders.event.copy()
            self._orders = restored(np.empty(0, ORDER), [np.empty(0, TOTAL)] * 2, event, self._orders.tally)
            self._orders.event["broken"], self._orders.event["begin"] = 1, 0
            self._pending, self._lost = np.empty(0, LEVEL), True
        self._instrument = instrument

    # single orders

    def _replayed(self, file: DbnFile, records: Array, numbers: Array) -> Batch:
        bad = self._judge(file, records, numbers)
        self._orders = with_room(self._orders, len(records))
        room = room_for(self._orders, len(records)) + len(self._pending)
        batch = empty(len(records), room, 0)
        batch.levels[: len(self._pending)] = self._pending
        batch.filled[0]["levels"] = len(self._pending)
        self._orders.event["begin"] = 0
        replay(records, bad, self._orders, batch)
        begin, end = int(self._orders.event["begin"][0]), int(batch.filled["levels"][0])
        self._pending = batch.levels[begin:end].copy()
        return batch

    def _judge(self, file: DbnFile, records: Array, numbers: Array) -> Array:
        """Which records cannot be used; they are counted and named."""
        action, side, price = records["action"], records["side"], records["price"]
        sets = (action == ADD) | (action == MODIFY)
        priced = sets & ~((price == UNDEFINED) & (action == ADD) & ((records["flags"] & F_TOB) > 0))
        bad = ~np.isin(action, ACTIONS)
        bad |= sets & (side != ASK_LETTER) & (side != BID_LETTER)
        bad |= (records["ts_event"] > LARGEST) | (records["ts_recv"] > LARGEST)
        faults = np.where(priced & ~bad, _price_faults(price), 0)
        for row in np.flatnonzero(bad | (faults > 0)):
            text = _price_text(int(price[row]), int(faults[row])) if faults[row] else "not an MBO record that can be"
            self.bad.add(file.path, int(numbers[row]), text, "record")
        return bad | (faults > 0)

    # ten levels

    def _replaced(self, file: DbnFile, records: Array, numbers: Array) -> Batch:
        """Messages that hold the ten best levels each, after events."""
        prices = np.stack([records["levels"]["bid_px"], records["levels"]["ask_px"]], axis=2)
        sizes = np.stack([records["levels"]["bid_sz"], records["levels"]["ask_sz"]], axis=2)
        there = prices != UNDEFINED
        bad = self._judge_levels(file, records, numbers, prices, there)
        flagged = (records["flags"] & F_MAYBE_BAD_BOOK) > 0
        self._flagged += int(flagged.sum())
        shown = ((records["flags"] & F_LAST) > 0) & ~bad & ~flagged
        # a record that cannot be used, or of a book that may be bad, ends the segment: the next one begins anew
        faults = int(self._lost) + np.cumsum(bad | flagged)
        lost = np.diff(faults[shown], prepend=0) > 0
        self._lost = bool(faults[-1] > (faults[shown][-1] if shown.any() else 0))
        return _levels_batch(records[shown], prices[shown] // PRICE_STEP, sizes[shown], there[shown], lost)

    def _judge_levels(self, file: DbnFile, records: Array, numbers: Array, prices: Array, there: Array) -> Array:
        faults = np.where(there, _price_faults(prices), 0).max(axis=(1, 2))
        bad: Array = (faults > 0) | (records["ts_event"] > LARGEST) | (records["ts_recv"] > LARGEST)
        for row in np.flatnonzero(bad):
            if faults[row]:
                worst = prices[row][_price_faults(prices[row]) * there[row] == faults[row]]
                text = _price_text(int(worst.flat[0]), int(faults[row]))
            else:
                text = "not an MBP-10 record that can be"
            self.bad.add(file.path, int(numbers[row]), text, "record")
        return bad


def _price_faults(prices: Array) -> Array:
    """0 where a price is good, else the place of what is wrong in PRICE_FAULTS, from 1."""
    faults = np.where(prices < 0, 1, np.where(prices % PRICE_STEP != 0, 2, 0))
    for place in zip(*np.nonzero((faults == 0) & (prices // PRICE_STEP > EXACT)), strict=True):
        if not float_holds(int(prices[place]) // PRICE_STEP) or prices[place] // PRICE_STEP > LARGEST // 2:
            faults[place] = 3
    return faults


def _price_text(price: int, fault: int) -> str:
    sign = "-" if price < 0 else ""
    return f"price {sign}{abs(price) // 10**9}.{abs(price) % 10**9:09d} {PRICE_FAULTS[fault - 1]}"


def _levels_batch(records: Array, prices: Array, sizes: Array, there: Array, lost: Array) -> Batch:
    """Messages of the books (records, 10, 2): a bid and an ask in each row."""
    ends = np.cumsum(there.sum(axis=(1, 2)))
    entries = np.zeros(int(there.sum()), LEVEL)
    entries["side"] = np.broadcast_to([BID, ASK], prices.shape)[there]
    entries["price"], entries["size"] = prices[there], sizes[there]
    heads = np.zeros(len(records), MESSAGE)
    heads["kind"] = np.where(lost, RESTART, REPLACE)
    heads["event_time"], heads["local_time"] = records["ts_event"], records["ts_recv"]
    heads["first_id"] = heads["final_id"] = records["sequence"]
    heads["previous_id"], heads["checksum"], heads["limit"] = NO_ID, NO_CHECKSUM, MBP_LEVELS
    heads["begin"], heads["end"] = np.concatenate([[0], ends[:-1]]), ends
    return Batch(heads, entries, np.empty(0, QUOTE), np.array([(len(heads), len(entries), 0)], FILLED))
