"""Binance captures (spot and USD-M): collector lines to the normalised stream.

A capture holds `{"stream": "btcusdt@depth@0ms", "data": {…}}` lines of the streams depth and bookTicker (others, such
as the partial books of depth20, are passed over) and REST depth snapshots as lines of their own. Formats and the
rules by which diffs continue a snapshot: Binance API documentation, "How to manage a local order book correctly",
for spot and for USD-M futures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scripts.lib.errors import InputError
from scripts.orderbook.raw import BadLines
from scripts.orderbook.records import LARGEST, Diff, Level, Quote, Snapshot, scaled
from scripts.orderbook.settings import Venue

MS = 1_000_000  # nanoseconds
STREAMS = {"depthUpdate": "depth", "bookTicker": "bookTicker"}  # event type -> name of its stream


def normalise(
    lines: Iterable[tuple[Path, int, int, Any]], venue: Venue, symbol: str | None, bad: BadLines
) -> Iterator[Snapshot | Diff | Quote]:
    """Turn decoded lines into records of one symbol.

    Raises:
        InputError: the capture holds several symbols, and none is chosen or a snapshot may be of any of them; or it
            holds more bad lines than allowed.
    """
    chosen, other, nameless = symbol.upper() if symbol else None, None, False
    for path, number, local_time, message in lines:
        try:
            found = _symbol(message)
            record = _record(local_time, message, venue) if chosen is None or found in (None, chosen) else None
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            bad.add(path, number, f"not a {venue} message ({type(error).__name__}: {error})")
            continue
        chosen = chosen or found
        other = found if found not in (None, chosen) else other
        nameless = nameless or (found is None and isinstance(record, Snapshot))
        if other and (symbol is None or nameless):
            remedy = "a snapshot does not tell whose it is: split the capture" if symbol else "set 'symbol'"
            raise InputError(f"{path}: line {number}: several symbols ({chosen}, {other}): {remedy}")
        if record:
            yield record


def _symbol(message: dict[str, Any]) -> str | None:
    """Symbol of a stream message; REST snapshots do not name theirs."""
    stream = message.get("stream")
    symbol = stream.partition("@")[0] if stream else message.get("s")
    return symbol.upper() if symbol is not None else None


def _record(local_time: int, message: dict[str, Any], venue: Venue) -> Snapshot | Diff | Quote | None:
    if "lastUpdateId" in message:
        return _snapshot(local_time, message)
    data, stream = message.get("data", message), message.get("stream")
    # spot bookTicker messages carry no event type: only the stream's name tells
    kind = stream.partition("@")[2].partition("@")[0] if stream else STREAMS.get(data.get("e"))
    if kind == "bookTicker":
        return Quote(_integer(data["u"]), *_level([data["b"], data["B"]]), *_level([data["a"], data["A"]]))
    return _diff(local_time, data, venue) if kind == "depth" else None


def _diff(local_time: int, data: dict[str, Any], venue: Venue) -> Diff:
    previous = _integer(data["pu"]) if venue == "binance-usdm" else None
    if venue == "binance-spot" and "pu" in data:
        raise ValueError("spot messages have no 'pu'")
    first, final = _integer(data["U"]), _integer(data["u"])
    if first > final:
        raise ValueError(f"U {first} after u {final}")
    return Diff(local_time, _time(data["E"]), first, final, previous, _levels(data["b"]), _levels(data["a"]))


def _snapshot(local_time: int, message: dict[str, Any]) -> Snapshot:
    # spot snapshots carry no event time
    event_time = _time(message["E"]) if "E" in message else local_time
    update_id = _integer(message["lastUpdateId"])
    return Snapshot(local_time, event_time, update_id, _levels(message["bids"]), _levels(message["asks"]))


def _integer(value: Any) -> int:
    """An id or a time; what is no int64 would fail far from its line."""
    if type(value) is not int or not 0 <= value <= LARGEST:  # True is an int too
        raise ValueError(f"{value!r:.40} is no id or time")
    return value


def _time(milliseconds: Any) -> int:
    return _integer(_integer(milliseconds) * MS)


def _levels(entries: Any) -> list[Level]:
    if type(entries) is not list:
        raise TypeError("levels are no list")
    return [_level(entry) for entry in entries]


def _level(entry: Any) -> Level:
    """A [price, size] pair of decimal texts; what else could be read as numbers is a fault of the capture."""
    price, size = entry[0], entry[1]
    if type(entry) is not list or type(price) is not str or type(size) is not str:
        raise TypeError("a level is no pair of texts")
    amount = float(size)
    if not 0 <= amount < math.inf:  # nan neither
        raise ValueError(f"size {size:.40}")
    return scaled(price), amount


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
