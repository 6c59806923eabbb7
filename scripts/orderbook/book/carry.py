"""The book carried from one part of a feed to the next, as an .npz of plain arrays.

It holds all that decides what the next message does: the levels and the horizon, where the stream is, the diffs that
wait for a snapshot, the spare snapshot, the best quotes that may still be compared, and what the venue's adapter has
learnt of the stream.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.errors import InputError
from scripts.lib.kernels import Array
from scripts.orderbook.book.advance import HEAD
from scripts.orderbook.book.book import Book
from scripts.orderbook.book.levels import EMPTY, SLOT, new_levels, restore
from scripts.orderbook.capture.stream import FILLED, LEVEL, MESSAGE, QUOTE, Batch, copied, messages_of, size
from scripts.orderbook.venues.adapter import Adapter

FORMAT = 2
ADAPTER = "adapter_"  # before the names of the adapter's arrays
DTYPES = {
    "head": HEAD, "bids": SLOT, "asks": SLOT, "quotes": QUOTE,
    "waiting_messages": MESSAGE, "waiting_levels": LEVEL, "spare_messages": MESSAGE, "spare_levels": LEVEL,
}  # fmt: skip


@dataclass(frozen=True)
class Carried:
    """What a part hands over to the next one."""

    path: Path
    venue: str
    symbol: str | None
    arrays: dict[str, Array]

    @property
    def quotes(self) -> Array:
        return self.arrays["quotes"]

    @property
    def adapter(self) -> dict[str, Array]:
        return {name.removeprefix(ADAPTER): self.arrays[name] for name in self.arrays if name.startswith(ADAPTER)}


def save_book(path: Path, book: Book, adapter: Adapter, quotes: Array) -> None:
    """Write a book and what goes with it."""
    sides = (slots[(slots["price"] != EMPTY) & (slots["size"] > 0)] for slots in book.levels.table)
    arrays: dict[str, Any] = dict(zip(("bids", "asks"), sides, strict=True))
    waiting = joined(book.waiting.pieces)
    spare = joined([book.spare] if book.spare else [])
    for name, batch in (("waiting", waiting), ("spare", spare)):
        arrays[f"{name}_messages"], arrays[f"{name}_levels"] = batch.messages, batch.levels
    arrays |= {ADAPTER + name: array for name, array in adapter.state().items()}
    texts = {"format": FORMAT, "venue": adapter.venue, "symbol": adapter.symbol or ""}
    arrays |= {name: np.array(text) for name, text in texts.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, head=book.head, horizon=book.levels.sides["horizon"], quotes=quotes, **arrays)


def load_book(path: Path, venue: str, symbol: str | None) -> Carried:
    """Read what `save_book` wrote.

    Raises:
        InputError: it is no such file, or that of another venue or symbol.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
        if int(arrays["format"]) != FORMAT or any(arrays[name].dtype != dtype for name, dtype in DTYPES.items()):
            raise ValueError("another version's")
        carried = Carried(path, str(arrays["venue"]), str(arrays["symbol"]) or None, arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a book of parse_book ({type(error).__name__}: {error})") from None
    if carried.venue != venue or (symbol and carried.symbol and symbol.upper() != carried.symbol):
        raise InputError(f"{path}: a book of {carried.venue} {carried.symbol}, not of {venue} {symbol or ''}".rstrip())
    return carried


def resume(book: Book, adapter: Adapter, carried: Carried) -> None:
    """Let a new book and a new adapter go on where the carried ones ended.

    Raises:
        InputError: what the adapter left is not of this version.
    """
    arrays = carried.arrays
    try:
        adapter.resume(carried.symbol, carried.adapter)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{carried.path}: not a book of parse_book ({type(error).__name__}: {error})") from None
    book.head[:] = arrays["head"]
    book.counts["segments"] = book.head["valid"]  # a segment that goes on is one of this part too
    book.levels = new_levels(int(book.levels.shortest[0]), max(len(arrays["bids"]), len(arrays["asks"])))
    book.levels.sides["horizon"] = arrays["horizon"]
    for side, name in enumerate(("bids", "asks")):
        restore(book.levels, side, arrays[name])
    waiting, spare = (_batch(arrays[f"{name}_messages"], arrays[f"{name}_levels"]) for name in ("waiting", "spare"))
    book.waiting.add(waiting, 0, size(waiting))
    book.spare = copied(spare, 0, 1) if size(spare) else None


def joined(batches: list[Batch]) -> Batch:
    """One batch of several, without quotes."""
    pieces, levels, offset = [np.empty(0, MESSAGE)], [np.empty(0, LEVEL)], 0
    for batch in batches:
        messages = messages_of(batch).copy()
        messages["begin"] += offset
        messages["end"] += offset
        pieces.append(messages)
        levels.append(batch.levels)
        offset += len(batch.levels)
    return _batch(np.concatenate(pieces), np.concatenate(levels))


def _batch(messages: Array, levels: Array) -> Batch:
    return Batch(messages, levels, np.empty(0, QUOTE), np.array([(len(messages), len(levels), 0)], FILLED))
