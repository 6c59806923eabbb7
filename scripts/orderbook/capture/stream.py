"""The normalised update stream, which every venue's adapter makes: batches of messages in NumPy arrays.

A batch holds the messages of a stretch of the stream in order, their levels one after another, and best quotes of an
independent stream. Prices of levels are integers in units of 1e-8 of the quote currency, so that a level is found again
exactly; sizes are the float64 nearest to the venue's text, times ns UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from scripts.lib.kernels import Array
from scripts.orderbook.capture.records import DIFF, PRICE_SCALE, Diff, Quote, Snapshot

BID, ASK = 0, 1
NO_ID = -1  # `previous_id` of venues that do not name the message before
NO_CHECKSUM = -1

MESSAGE = np.dtype(
    [(name, np.int64) for name in (
        "kind", "local_time", "event_time", "first_id", "final_id", "previous_id",
        "limit", "checksum",  # see records.Snapshot
        "begin", "end",  # its levels
    )]
)  # fmt: skip
LEVEL = np.dtype([("side", np.int64), ("price", np.int64), ("size", np.float64), ("digits", np.int64)])
QUOTE = np.dtype([("update_id", np.int64)] + [(name, np.float64) for name in ("bid", "bid_size", "ask", "ask_size")])
FILLED = np.dtype([(name, np.int64) for name in ("messages", "levels", "quotes")])


class Batch(NamedTuple):
    """Arrays of a stretch of the stream; of each, only the first `filled` entries count."""

    messages: Array
    levels: Array
    quotes: Array
    filled: Array  # one record of FILLED


def empty(messages: int, levels: int, quotes: int) -> Batch:
    """A batch with room for so many entries."""
    return Batch(np.empty(messages, MESSAGE), np.empty(levels, LEVEL), np.empty(quotes, QUOTE), np.zeros(1, FILLED))


def batch_of(records: Iterable[Snapshot | Diff | Quote]) -> Batch:
    """A batch of records."""
    messages: list[tuple[int, ...]] = []
    entries: list[tuple[int, int, float, int]] = []
    quotes: list[tuple[int, float, float, float, float]] = []
    for record in records:
        if isinstance(record, Quote):
            quotes.append(_quote(record))
        else:
            begin = len(entries)
            entries += _entries(record)
            messages.append((*_heading(record), begin, len(entries)))
    filled = np.array([(len(messages), len(entries), len(quotes))], FILLED)
    return Batch(np.array(messages, MESSAGE), np.array(entries, LEVEL), np.array(quotes, QUOTE), filled)


def append(batch: Batch, record: Snapshot | Diff | Quote) -> None:
    """Add a record; the batch must have room for it."""
    filled = batch.filled[0]
    if isinstance(record, Quote):
        batch.quotes[filled["quotes"]] = _quote(record)
        filled["quotes"] += 1
        return
    begin, entries = int(filled["levels"]), _entries(record)
    end = begin + len(entries)
    batch.levels[begin:end] = entries
    batch.messages[filled["messages"]] = *_heading(record), begin, end
    filled["messages"] += 1
    filled["levels"] = end


def _quote(record: Quote) -> tuple[int, float, float, float, float]:
    bid, ask = record.bid / PRICE_SCALE, record.ask / PRICE_SCALE
    return record.update_id, bid, record.bid_size, ask, record.ask_size


def _entries(record: Snapshot | Diff) -> list[tuple[int, int, float, int]]:
    """Levels as LEVEL holds them."""
    if record.digits is None:
        bids = [(BID, price, size, 0) for price, size in record.bids]
        return bids + [(ASK, price, size, 0) for price, size in record.asks]
    digits = iter(record.digits)
    bids = [(BID, price, size, next(digits)) for price, size in record.bids]
    return bids + [(ASK, price, size, next(digits)) for price, size in record.asks]


def _heading(record: Snapshot | Diff) -> tuple[int, ...]:
    """What MESSAGE holds before the place of the levels."""
    if isinstance(record, Snapshot):
        kind, ids = record.kind, (record.update_id, record.update_id, NO_ID)
    else:
        kind, ids = (
            DIFF,
            (record.first_id, record.final_id, NO_ID if record.previous_id is None else record.previous_id),
        )
    checksum = NO_CHECKSUM if record.checksum is None else record.checksum
    return kind, record.local_time, record.event_time, *ids, record.limit, checksum


def size(batch: Batch) -> int:
    """Number of messages."""
    return int(batch.filled[0]["messages"])


def messages_of(batch: Batch) -> Array:
    return batch.messages[: size(batch)]


def quotes_of(batch: Batch) -> Array:
    return batch.quotes[: batch.filled[0]["quotes"]]


def copied(batch: Batch, start: int, stop: int) -> Batch:
    """A batch of its own of the messages start … stop - 1, without quotes."""
    messages = batch.messages[start:stop].copy()
    first, last = (int(messages["begin"][0]), int(messages["end"][-1])) if len(messages) else (0, 0)
    levels = batch.levels[first:last].copy()
    messages["begin"] -= first
    messages["end"] -= first
    filled = np.array([(len(messages), len(levels), 0)], FILLED)
    return Batch(messages, levels, np.empty(0, QUOTE), filled)
