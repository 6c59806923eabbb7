"""BitMEX captures: the tables orderBookL2 and orderBookL2_25, whose rows are known by an id.

`{"table": "orderBookL2", "action": "partial", "data": [{"symbol", "id", "side": "Buy" or "Sell", "size", "price"}, …]}`
shows the whole table; `insert`, `update` and `delete` change rows. Until 2023 updates and deletions named no price, so
the prices of ids must be remembered; until 2022 there were no timestamps: the local time stands for them. What comes
before the partial is to be skipped. Sizes are contracts. Sources: BitMEX API documentation, "Realtime API"; BitMEX
blog, "Changes to order book level 2 data" (2022) and "Removing id schema on order book feeds" (2023).

The messages bear no number, so that a lost one cannot be seen; but an update or a deletion of an id that is not there,
or an insertion of one that is, tells that something was lost (or that the venue erred, as it has done): these count as
`unknown_ids`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.lib.errors import InputError
from scripts.lib.kernels import Array
from scripts.orderbook.capture.raw import BadLines, Block
from scripts.orderbook.capture.records import NO_TIME, RESTART, WHOLE_BOOK, Diff, Level, Snapshot, scaled
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.capture.stream import ASK, BID, Batch
from scripts.orderbook.venues.adapter import JsonLines, Record, integer
from scripts.orderbook.venues.times import rfc3339

TABLES = {"orderBookL2": WHOLE_BOOK, "orderBookL2_25": 25}  # name -> levels a side that are kept in step
ACTIONS = ("partial", "insert", "update", "delete")
SIDES = {"Buy": BID, "Sell": ASK}
ID = np.dtype([("id", np.int64), ("side", np.int64), ("price", np.int64)])


class Row(NamedTuple):
    """A row of the table, as far as a message tells of it."""

    key: tuple[int, int]  # id, side
    price: int | None  # scaled
    size: float | None


class Bitmex(JsonLines):
    """Reads one table of one symbol; `symbol` may be `TABLE:SYMBOL`, where a capture holds both tables of a symbol."""

    numbered = False

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        super().__init__(venue, symbol, bad)
        self._by_table = ":" in (symbol or "")
        self._table: str | None = None  # that is read
        self._other: str | None = None  # the other one of the same symbol
        self._prices: dict[tuple[int, int], int] = {}  # scaled, by id and side
        self._is_begun = False  # whether a partial has come
        self._mismatches = 0

    def records(self, local_time: int, message: Any) -> Iterator[Record]:
        table, action = message.get("table"), message.get("action")
        if table not in TABLES:
            return
        if action not in ACTIONS:
            raise ValueError(f"action {action!r:.40}")
        entries = [entry for entry in message["data"] if self._wants(table, entry["symbol"])]
        is_empty = action == "partial" and not message["data"] and self._wants(table, message["filter"]["symbol"])
        if not (entries or is_empty) or not self._is_mine(table):
            return
        rows = [_row(entry, action) for entry in entries]
        event_time = max((rfc3339(entry["timestamp"]) for entry in entries if "timestamp" in entry), default=local_time)
        if event_time == NO_TIME:
            raise ValueError("neither the line nor the message bears a time")
        yield self._record(action, rows, event_time if local_time == NO_TIME else local_time, event_time, TABLES[table])

    def _record(self, action: str, rows: list[Row], local_time: int, event_time: int, limit: int) -> Record:
        number = self.next_number()
        if action == "partial":
            self._prices.clear()
            self._is_begun = True
        sides: tuple[list[Level], list[Level]] = [], []
        for row in rows:
            for price, size in self._changes(action, row):
                sides[row.key[1]].append((price, size))
        if action == "partial":
            return Snapshot(local_time, event_time, number, *sides, kind=RESTART, limit=limit)
        return Diff(local_time, event_time, number, number, None, *sides, limit=limit)

    def _changes(self, action: str, row: Row) -> Iterable[tuple[int, float]]:
        """Levels that a row changes: none if its id is unknown and it names no price."""
        known = self._prices.pop(row.key, None)
        self._mismatches += self._is_begun and action != "partial" and (known is None) == (action != "insert")
        price = known if row.price is None else row.price
        if known is not None and known != price:
            yield known, 0.0
        if price is None:
            return
        if action == "delete":
            yield price, 0.0
            return
        self._prices[row.key] = price
        yield price, row.size or 0.0

    def read(self, block: Block) -> Batch:
        batch = super().read(block)
        self._refuse_tables(block.path)
        return batch

    def state(self) -> dict[str, Array]:
        rows = [(*key, price) for key, price in self._prices.items()]
        place = {"ids": np.array(rows, ID), "is_begun": np.array(self._is_begun), "table": np.array(self._table or "")}
        return super().state() | place

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        super().resume(symbol, state)
        self._prices = {(int(row["id"]), int(row["side"])): int(row["price"]) for row in state["ids"]}
        self._is_begun, self._table = bool(state["is_begun"]), str(state["table"]) or None

    def report(self) -> dict[str, Any]:
        return {"unknown_ids": self._mismatches}

    def _wants(self, table: str, symbol: Any) -> bool:
        return self.wants(f"{table}:{symbol}" if self._by_table else symbol)

    def _is_mine(self, table: str) -> bool:
        """Whether a table of the symbol is the one that is read: the first one."""
        self._table = self._table or table
        if table != self._table:
            self._other = table
        return table == self._table

    def _refuse_tables(self, path: Path) -> None:
        if self._other:
            names = f"{self._table}:{self.symbol}, {self._other}:{self.symbol}"
            raise InputError(f"{path}: several tables ({names}): set 'symbol' to one of them")


def _row(entry: Any, action: str) -> Row:
    """A row of a message, whose numbers are JSON numbers: the shortest text of a float is that of the venue."""
    price, size = (_number(entry[name]) if name in entry else None for name in ("price", "size"))
    if price is None and action in ("partial", "insert"):
        raise KeyError("price")
    if size is None and action != "delete":
        raise KeyError("size")
    key = integer(entry["id"]), SIDES[entry["side"]]
    return Row(key, None if price is None else scaled(repr(price)), size)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError(f"{value!r:.40} is no price or size")
    return float(value)
