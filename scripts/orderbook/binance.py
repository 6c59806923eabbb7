"""Binance captures (spot and USD-M): collector lines to the normalised stream.

A capture holds `{"stream": "btcusdt@depth@0ms", "data": {…}}` lines of the streams depth and bookTicker (others are
passed over) and REST depth snapshots as lines of their own. Formats and the rules by which diffs continue a snapshot:
Binance API documentation, "How to manage a local order book correctly", for spot and for USD-M futures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scripts.lib.errors import InputError
from scripts.orderbook.raw import BadLines
from scripts.orderbook.records import Diff, Level, Quote, Snapshot, scaled

MS = 1_000_000  # nanoseconds


def normalise(
    lines: Iterable[tuple[Path, int, int, Any]], symbol: str | None, bad: BadLines
) -> Iterator[Snapshot | Diff | Quote]:
    """Turn decoded lines into records of one symbol.

    Raises:
        InputError: the capture holds several symbols and none is chosen, or more bad lines than allowed.
    """
    chosen = symbol.upper() if symbol else None
    for path, number, local_time, message in lines:
        try:
            found = _symbol(message)
            if found and chosen is None:
                chosen = found
            if found and found != chosen:
                if symbol is None:
                    raise InputError(f"{path}: line {number}: several symbols ({chosen}, {found}): set 'symbol'")
                continue
            record = _record(local_time, message)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            bad.add(path, number, f"not a Binance message ({type(error).__name__}: {error})")
            continue
        if record:
            yield record


def _symbol(message: dict[str, Any]) -> str | None:
    """Symbol of a stream message; REST snapshots do not name theirs."""
    stream = message.get("stream")
    return stream.partition("@")[0].upper() if stream else message.get("s")


def _record(local_time: int, message: dict[str, Any]) -> Snapshot | Diff | Quote | None:
    if "lastUpdateId" in message:
        return _snapshot(local_time, message)
    data = message.get("data", message)
    # spot bookTicker messages carry no event type: only the stream's name tells
    if data.get("e") == "bookTicker" or message.get("stream", "").endswith("@bookTicker"):
        return Quote(data["u"], scaled(data["b"]), float(data["B"]), scaled(data["a"]), float(data["A"]))
    if data.get("e") == "depthUpdate":
        ids = data["U"], data["u"], data.get("pu")
        return Diff(local_time, data["E"] * MS, *ids, _levels(data["b"]), _levels(data["a"]))
    return None


def _snapshot(local_time: int, message: dict[str, Any]) -> Snapshot:
    # spot snapshots carry no event time
    event_time = message["E"] * MS if "E" in message else local_time
    return Snapshot(local_time, event_time, message["lastUpdateId"], _levels(message["bids"]), _levels(message["asks"]))


def _levels(entries: list[list[str]]) -> list[Level]:
    levels = [(scaled(entry[0]), float(entry[1])) for entry in entries]
    if any(size < 0 for _, size in levels):
        raise ValueError("negative size")
    return levels


def continues_snapshot(diff: Diff, snapshot_id: int) -> bool:
    """Whether a diff is the right first one after a snapshot: its updates must reach over the snapshot's.

    Spot: U <= lastUpdateId + 1 <= u. USD-M: U <= lastUpdateId <= u.
    """
    if diff.previous_id is None:
        return diff.first_id <= snapshot_id + 1 <= diff.final_id
    return diff.first_id <= snapshot_id <= diff.final_id


def precedes_snapshot(diff: Diff, snapshot_id: int) -> bool:
    """Whether the snapshot already holds a diff. Spot: u <= lastUpdateId. USD-M: u < lastUpdateId."""
    return diff.final_id <= snapshot_id if diff.previous_id is None else diff.final_id < snapshot_id


def continues_diff(diff: Diff, final_id: int) -> bool:
    """Whether a diff follows the one that ended at `final_id`. Spot: U == u + 1. USD-M: pu == u."""
    return diff.first_id == final_id + 1 if diff.previous_id is None else diff.previous_id == final_id
