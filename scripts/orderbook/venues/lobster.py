"""LOBSTER: a message file and the book file beside it, row by row, to batches of the normalised stream.

Row k of the book file is the book after message k, so each state is the published row itself: a book that only follows
the messages goes astray, since what happens beyond the published levels is in neither file and shows once a level
moves in. What can be proven is each single step (`lobster_check` of the quality report): of the row before, changed by
the message, all levels but the last of each side must be those of the row.

Format: LOBSTER's ReadMe. Prices are dollars times 10,000; times are seconds after midnight in New York, where NASDAQ
is, of the day in the file's name. Messages of type 1 add an order, 2 reduce one, 3 delete one, 4 execute a visible one;
5 (execution of a hidden order), 6 (auction) and 7 (halt, quoting or trading begins again) leave the visible book as it
is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from scripts.lib.errors import InputError
from scripts.lib.kernels import Array, kernel
from scripts.lib.progress import Progress
from scripts.orderbook.capture.raw import BadLines, read_file
from scripts.orderbook.capture.records import PRICE_SCALE, REPLACE, RESTART
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.capture.stream import ASK, BID, FILLED, LEVEL, MESSAGE, NO_CHECKSUM, NO_ID, QUOTE, Batch
from scripts.orderbook.venues.adapter import Adapter
from scripts.orderbook.venues.csv_scan import GOOD, fields_of, scan_rows
from scripts.orderbook.venues.lobster_files import Named, book_file, read_name

MARKET = ZoneInfo("America/New_York")
SECOND, NS_DIGITS = 1_000_000_000, 9
TO_SCALED = PRICE_SCALE // 10_000
TIME, TYPE, ORDER, SIZE, PRICE, DIRECTION = range(6)  # columns of a message
MESSAGE_COLUMNS = 6
NEW, REDUCED, DELETED, EXECUTED, HIDDEN, AUCTION, HALT = range(1, 8)
MISSING = 9_999_999_999  # price of a level that is not there; negative on the bid side
HIGHEST = MISSING - 1
ABSURD_TIME = 2 * 86_400 * SECOND


class Rows(NamedTuple):
    """Rows of one file: their numbers from 1, their values, and whether they could be read."""

    numbers: Array
    values: Array
    good: Array


class Lobster(Adapter):
    """Reads message files with the book files beside them."""

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        super().__init__(venue, symbol, bad)
        self._number = 0  # of the last row
        self._others: set[str] = set()
        self._check = {"compared": 0, "equal": 0}
        self._first_difference: str | None = None
        self._types = np.zeros(HALT + 1, np.int64)
        self._levels_read = 0

    def batches(self, raw: list[Path]) -> Iterator[Batch]:
        files = [(path, self._named(path)) for path in raw]
        mine = self._choose(files)
        sizes = sum(path.stat().st_size + _book_of(path).stat().st_size for path, _ in mine)
        with Progress("parse", sizes, "B") as progress:
            for path, named in mine:
                yield from self._read(path, named, progress)

    def state(self) -> dict[str, Array]:
        return {"number": np.array(self._number)}

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        super().resume(symbol, state)
        self._number = int(state["number"])

    def explain(self) -> str | None:
        return f"no file of {self.symbol}, only of {', '.join(sorted(self._others))}" if self._others else None

    def report(self) -> dict[str, Any]:
        """`lobster_check`, and how many messages do not touch the visible book.

        `compared`: rows with the row before; `equal`: those that follow from it by their message. A row that begins a
        segment is a message here too, which it is not where a snapshot comes from beside the messages.
        """
        kinds = {"hidden": HIDDEN, "auction": AUCTION, "halt": HALT}
        return {
            "messages": int(self._types.sum()),
            "updates": self._levels_read,
            "lobster_check": self._check | {"first_difference": self._first_difference},
            "quiet_messages": {name: int(self._types[kind]) for name, kind in kinds.items()},
        }

    def _named(self, path: Path) -> Named:
        try:
            return read_name(str(path))
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None

    def _choose(self, files: list[tuple[Path, Named]]) -> list[tuple[Path, Named]]:
        """The files of the symbol; the only one where none is chosen."""
        tickers = sorted({named.ticker for _, named in files})
        if self.symbol is None:
            if len(tickers) > 1:
                raise InputError(f"{files[0][0]}: several symbols ({', '.join(tickers)}): set 'symbol'")
            self.symbol = tickers[0]
        self._others = set(tickers) - {self.symbol}
        mine = [(path, named) for path, named in files if named.ticker == self.symbol]
        for path, _ in mine:
            if not _book_of(path).is_file():
                raise InputError(f"{path}: its book file is not beside it: {_book_of(path).name}")
        return mine

    def _read(self, path: Path, named: Named, progress: Progress) -> Iterator[Batch]:
        """Batches of one day: the first row of an unbroken stretch is a snapshot, each other one the book anew."""
        midnight = midnight_of(named.day)
        before: Array | None = None  # the last row, where the next one follows it
        for messages, books in self._aligned(path, named, progress):
            good = messages.good & books.good
            self._types += np.bincount(messages.values[good, TYPE], minlength=HALT + 1)
            follows = np.concatenate([[before is not None], good[:-1]]) & good
            rows = np.concatenate([books.values[:1] if before is None else before[None], books.values])
            self._compare(path, messages, rows, follows, named.levels)
            yield self._batch(messages.values[good], books.values[good], follows[good], midnight, named.levels)
            before = books.values[-1] if good[-1] else None

    def _compare(self, path: Path, messages: Rows, rows: Array, follows: Array, levels: int) -> None:
        """Compare rows[i + 1] with rows[i] changed by message i, where the one follows the other."""
        if levels < 2:
            return  # but for the last level of a side there is none
        equal = np.zeros(len(follows), bool)
        steps_equal(messages.values, rows, follows, levels, equal)
        self._check["compared"] += int(follows.sum())
        self._check["equal"] += int(equal.sum())
        different = np.flatnonzero(follows & ~equal)
        if len(different) and self._first_difference is None:
            self._first_difference = f"{path}: line {messages.numbers[different[0]]}"

    def _aligned(self, path: Path, named: Named, progress: Progress) -> Iterator[tuple[Rows, Rows]]:
        """The rows of both files side by side, as many at a time as both have."""
        book = _book_of(path)
        columns = 4 * named.levels
        sides = [
            self._rows(path, MESSAGE_COLUMNS, NS_DIGITS, are_good_messages, False, progress),
            self._rows(book, columns, 0, are_good_books, True, progress),
        ]
        held: list[list[Rows]] = [[], []]
        while True:
            for side, pieces in zip(sides, held, strict=True):
                if not pieces and (piece := next(side, None)):
                    pieces.append(piece)
            if not held[0] or not held[1]:
                break
            count = min(len(pieces[0].numbers) for pieces in held)
            yield _cut(held[0], count), _cut(held[1], count)
        for file, other, pieces in ((path, book, held[0]), (book, path, held[1])):
            if pieces:
                self.bad.add(file, int(pieces[0].numbers[0]), f"no row for this one in {other.name}, nor for the rest")

    def _rows(
        self, path: Path, columns: int, digits: int, judge: Any, exact: bool, progress: Progress
    ) -> Iterator[Rows]:
        """Rows of a file; bad ones are counted, and stay as rows so that both files keep in step.

        Args:
            columns: numbers read of each row.
            digits: decimals of the first column that are read.
            judge: tells good rows from their values.
            exact: whether a row may hold no further columns.
        """
        for block in read_file(path, self.bad, progress):
            text = np.frombuffer(block.text, np.uint8)
            lines = block.text.count(b"\n")
            values, state = np.zeros((lines, columns), np.int64), np.zeros(lines, np.int64)
            scan_rows(text, digits, exact, values, state)
            numbers, good = np.arange(block.first, block.first + lines), state == GOOD
            sound = judge(values)
            for row in np.flatnonzero(~(good & sound)):
                reason = "numbers that cannot be" if good[row] else f"not {columns} numbers"
                self.bad.add(path, int(numbers[row]), f"{reason}: {fields_of(block.text, int(row))}")
            yield Rows(numbers, values, good & sound)

    def _batch(self, messages: Array, books: Array, follows: Array, midnight: int, levels: int) -> Batch:
        """The rows as messages that hold the whole book each."""
        prices, sizes = books[:, 0::2], books[:, 1::2]  # ask, bid, ask, bid …
        there = np.abs(prices) != MISSING
        ends = np.cumsum(there.sum(axis=1))
        entries = np.zeros(int(there.sum()), LEVEL)
        entries["side"] = np.broadcast_to(np.tile([ASK, BID], levels), prices.shape)[there]
        entries["price"], entries["size"] = prices[there] * TO_SCALED, sizes[there]
        heads = np.zeros(len(books), MESSAGE)
        heads["kind"] = np.where(follows, REPLACE, RESTART)
        heads["event_time"] = heads["local_time"] = midnight + messages[:, TIME]
        numbers = self._number + 1 + np.arange(len(books))
        self._number += len(books)
        self._levels_read += len(entries)
        heads["first_id"] = heads["final_id"] = numbers
        heads["previous_id"], heads["checksum"], heads["limit"] = NO_ID, NO_CHECKSUM, levels
        heads["begin"], heads["end"] = np.concatenate([[0], ends[:-1]]), ends
        return Batch(heads, entries, np.empty(0, QUOTE), np.array([(len(heads), len(entries), 0)], FILLED))


def _book_of(path: Path) -> Path:
    return Path(book_file(str(path)))


def _cut(pieces: list[Rows], count: int) -> Rows:
    """Take the first rows of the only piece; the rest stays."""
    piece = pieces.pop()
    if len(piece.numbers) > count:
        pieces.append(Rows(*(array[count:] for array in piece)))
    return Rows(*(array[:count] for array in piece))


def midnight_of(day: date) -> int:
    """Midnight in New York in ns UTC, by the offset at noon: where a clock is set, that is at night, before trading."""
    noon = datetime.combine(day, time(12), MARKET)
    naive = datetime.combine(day, time(), UTC)
    offset = noon.utcoffset()
    assert offset is not None
    return int((naive - offset).timestamp()) * SECOND


def are_good_messages(values: Array) -> Array:
    """Which rows are messages that can be."""
    kind, price, direction = values[:, TYPE], values[:, PRICE], values[:, DIRECTION]
    good = (kind >= NEW) & (kind <= HALT) & (values[:, TIME] >= 0) & (values[:, TIME] < ABSURD_TIME)
    trade = (price > 0) & (price <= HIGHEST) & (values[:, SIZE] > 0) & (np.abs(direction) == 1)
    answer: Array = good & (trade | (kind == HALT) | (kind == AUCTION))
    return answer


def are_good_books(values: Array) -> Array:
    """Which rows are books: prices in order from the best one, levels that are not there last, sizes positive."""
    good = np.ones(len(values), bool)
    for first, sign in ((0, 1), (2, -1)):
        prices, sizes = values[:, first::4] * sign, values[:, first + 1 :: 4]
        absent = prices == MISSING
        priced = (prices * sign > 0) & (np.abs(prices) <= HIGHEST) & (sizes > 0)
        good &= (priced | (absent & (sizes == 0))).all(axis=1)
        good &= ((prices[:, 1:] > prices[:, :-1]) | absent[:, 1:]).all(axis=1)
        good &= (~absent[:, :-1] | absent[:, 1:]).all(axis=1)
    return good


@kernel
def steps_equal(messages: Array, rows: Array, follows: Array, levels: int, equal: Array) -> None:
    """Note whether rows[i + 1] is rows[i] changed by message i, but for the last level of each side, where asked."""
    for i in range(len(messages)):
        if follows[i]:
            asks = _side_follows(rows[i], messages[i], rows[i + 1], 0, levels)
            equal[i] = asks and _side_follows(rows[i], messages[i], rows[i + 1], 2, levels)


@kernel
def _side_follows(before: Array, message: Array, after: Array, first: int, levels: int) -> bool:
    """As `steps_equal`, of the side whose best price is in column `first`: 0 asks, 2 bids."""
    sign = 1 if first == 0 else -1
    touched = message[DIRECTION] == -sign and message[TYPE] <= EXECUTED
    price, size = message[PRICE], message[SIZE]
    waits = touched and message[TYPE] == NEW  # a new level, until its place has come
    at = 0  # level of `after` to be compared
    for i in range(levels):
        here, amount = before[4 * i + first], before[4 * i + first + 1]
        absent = here == sign * MISSING
        if waits and (absent or (here - price) * sign > 0):
            waits = False
            if not _is_level(after, at, first, price, size):
                return False
            at += 1
        if at >= levels - 1:
            return True
        if absent:
            return bool(after[4 * at + first] == sign * MISSING)
        if touched and here == price:
            waits = False
            amount += size if message[TYPE] == NEW else -size
            if amount <= 0:
                continue
        if not _is_level(after, at, first, here, amount):
            return False
        at += 1
        if at >= levels - 1:
            return True
    return True


@kernel
def _is_level(row: Array, at: int, first: int, price: int, size: int) -> bool:
    return bool(row[4 * at + first] == price and row[4 * at + first + 1] == size)
