"""Kraken captures: the channel book of both WebSocket APIs.

v1 [channel, {"as": [["5541.3", "2.507", "1534614248.1"], …], "bs": […]}, "book-100", "XBT/USD"] is a snapshot;
   [channel, {"a": […]}, {"b": […], "c": "974942666"}, "book-100", "XBT/USD"] changes it, in one object or two. A
   level with a fourth field "r" is one that comes into the subscribed depth again, unchanged since its time.
v2 {"channel": "book", "type": "snapshot" | "update", "data": [{"symbol": "BTC/USD", "bids": [{"price": 45283.5,
   "qty": 0.10000000}, …], "asks": […], "checksum": 3310070434, "timestamp": "2023-10-06T17:35:55.440295Z"}]}

Kraken API documentation, "Book checksum" (v1 and v2): a level that falls out of the subscribed depth is not removed by
a message, so the book is cut to that depth after each one. There are no ids: those of states are message numbers, and
what is missing shows in the checksum, once it has touched the best ten levels of a side.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import orjson

from scripts.lib.kernels import Array
from scripts.orderbook.capture.digits import TOP_10, decimals_of, fixed_digits
from scripts.orderbook.capture.raw import BadLines
from scripts.orderbook.capture.records import NO_TIME, RESTART, Diff, Level, Snapshot
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.venues.adapter import JsonLines, Record, integer
from scripts.orderbook.venues.levels import level_of, texted_levels
from scripts.orderbook.venues.times import rfc3339, seconds

DEPTHS = (10, 25, 100, 500, 1_000)  # that can be subscribed to; the first is the default
UNSIGNED = 2**32  # above all checksums
MOST_DECIMALS = 18


class Kraken(JsonLines):
    """Books of a subscribed depth, whose checksum is compared after each message."""

    checksum: ClassVar[int] = TOP_10
    numbered: ClassVar[bool] = False

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        super().__init__(venue, symbol, bad)
        self._channel: str | None = None  # of v1: its name tells the depth
        self._time = 0  # of the newest level so far
        self._depths: dict[str, int] = {}  # by symbol, as the venue confirmed a subscription (v2)
        self._precisions: dict[str, tuple[int, int]] = {}  # by symbol, decimals of prices and sizes (v2)
        self._depth = 0  # of the present book
        self._decimals = (0, 0)  # most that a price and a size had so far (v2)

    @staticmethod
    def loads(text: bytes) -> Any:
        """As of all venues, but numbers of books become texts: their digits count."""
        if b'"book"' not in text:
            return orjson.loads(text)
        try:
            return json.loads(text, parse_float=str, parse_int=_int, parse_constant=_refuse)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    def records(self, local_time: int, message: Any) -> Iterator[Record]:
        if type(message) is list:
            yield from self._first_api(local_time, message)
        elif message.get("channel") == "book":
            for data in message["data"]:
                if self.wants(data["symbol"]):
                    yield self._second_api(local_time, message["type"], data)
        elif message.get("channel") == "instrument":
            self._note_precisions(message["data"]["pairs"])
        elif message.get("method") == "subscribe" and message.get("success") is True:
            self._note_depth(message["result"])

    def state(self) -> dict[str, Array]:
        symbol = self.symbol or ""
        numbers = [self._time, self._depth, *self._decimals, *self._precisions.get(symbol, (-1, -1))]
        numbers.append(self._depths.get(symbol, 0))
        return super().state() | {"channel": np.array(self._channel or ""), "learnt": np.array(numbers)}

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        super().resume(symbol, state)
        self._channel = str(state["channel"]) or None
        self._time, self._depth, *decimals, price, size, depth = (int(number) for number in state["learnt"])
        self._decimals = decimals[0], decimals[1]
        if self.symbol and price >= 0:
            self._precisions[self.symbol] = price, size
        if self.symbol and depth:
            self._depths[self.symbol] = depth

    # v1

    def _first_api(self, local_time: int, message: list[Any]) -> Iterator[Record]:
        if len(message) < 4:
            raise ValueError("no message of a channel")
        *payloads, channel, symbol = message[1:]
        name, _, depth = channel.partition("-")
        if name != "book" or not self.wants(symbol) or (self._channel or channel) != channel:
            return
        self._channel, self._depth = channel, _depth(depth)
        keys = {key for payload in payloads for key in payload}
        is_snapshot = bool(keys & {"as", "bs"})
        if not is_snapshot and not keys & {"a", "b"}:
            raise ValueError("neither levels nor changes")
        bid_key, ask_key = ("bs", "as") if is_snapshot else ("b", "a")
        entries = [[entry for payload in payloads for entry in payload.get(key, [])] for key in (bid_key, ask_key)]
        bids, asks = texted_levels(entries[0]), texted_levels(entries[1])
        times = self._times(local_time, entries[0] + entries[1])
        if is_snapshot:
            more: dict[str, Any] = {"limit": self._depth, "digits": bids[1] + asks[1]}
            yield Snapshot(*times, self.next_number(), bids[0], asks[0], kind=RESTART, **more)
        else:
            sums = [int(payload["c"]) for payload in payloads if "c" in payload]
            yield self._diff(times, bids, asks, sums[-1] if sums else None)

    def _times(self, local_time: int, entries: list[Any]) -> tuple[int, int]:
        """Local time, and that of the newest level: v1 tells no other."""
        times = [seconds(entry[2]) for entry in entries if len(entry) == 3]  # not those that come again
        self._time = max(times, default=self._time)
        return (self._time if local_time == NO_TIME else local_time), self._time

    # v2

    def _second_api(self, local_time: int, kind: str, data: dict[str, Any]) -> Record:
        if kind not in ("snapshot", "update"):
            raise ValueError(f"type {kind!r:.40}")
        sides = [[_pair(entry) for entry in data[side]] for side in ("bids", "asks")]
        self._note_decimals([pair for side in sides for pair in side])
        decimals = self._precisions.get(self.symbol or "", self._decimals)
        bids, asks = (_fixed(side, decimals) for side in sides)
        if "timestamp" in data:
            self._time = rfc3339(data["timestamp"])
        elif local_time != NO_TIME:  # earlier snapshots have none
            self._time = local_time
        times = (self._time if local_time == NO_TIME else local_time), self._time
        checksum = data.get("checksum")
        if kind == "update":
            return self._diff(times, bids, asks, checksum)
        longest = max(len(bids[0]), len(asks[0]))
        told = self._depths.get(self.symbol or "", 0)
        self._depth = told or next((depth for depth in DEPTHS if depth >= longest), longest)
        more: dict[str, Any] = {"limit": self._depth, "checksum": _checksum(checksum), "digits": bids[1] + asks[1]}
        return Snapshot(*times, self.next_number(), bids[0], asks[0], kind=RESTART, **more)

    def _note_decimals(self, pairs: list[tuple[str, str]]) -> None:
        """The precision of a market, where no message of the channel instrument tells: that of its longest texts.

        All have the same number of decimals, unless a collector wrote the numbers anew and lost zeros at their ends.
        """
        for price, size in pairs:
            self._decimals = max(self._decimals[0], decimals_of(price)), max(self._decimals[1], decimals_of(size))

    def _note_precisions(self, pairs: list[dict[str, Any]]) -> None:
        for pair in pairs:
            precision = integer(pair["price_precision"]), integer(pair["qty_precision"])
            if max(precision) > MOST_DECIMALS:
                raise ValueError(f"precision {precision}")
            self._precisions[pair["symbol"].upper()] = precision

    def _note_depth(self, result: dict[str, Any]) -> None:
        if result.get("channel") == "book":
            self._depths[result["symbol"].upper()] = integer(result.get("depth", DEPTHS[0])) or DEPTHS[0]

    # both

    def _diff(
        self,
        times: tuple[int, int],
        bids: tuple[list[Level], list[int]],
        asks: tuple[list[Level], list[int]],
        sum_: Any,
    ) -> Diff:
        checksum, number = _checksum(sum_), self.next_number()
        more: dict[str, Any] = {"limit": self._depth, "checksum": checksum, "digits": bids[1] + asks[1]}
        return Diff(*times, number, number, None, bids[0], asks[0], **more)


def _int(text: str) -> int:
    return int(text) if len(text) < 20 else _refuse(text)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text:.40} is no number")


def _depth(text: str) -> int:
    """Depth in the name of a channel of v1."""
    if text and (not text.isdigit() or not 0 < int(text) <= 1_000_000):
        raise ValueError(f"depth {text:.40}")
    return int(text) if text else DEPTHS[0]


def _checksum(value: Any) -> int | None:
    if value is None:
        return None
    if integer(value) >= UNSIGNED:
        raise ValueError(f"{value!r:.40} is no checksum")
    return int(value)


def _pair(entry: dict[str, Any]) -> tuple[str, str]:
    """Texts of a level's numbers."""
    price, size = entry["price"], entry["qty"]
    if type(price) not in (str, int) or type(size) not in (str, int):
        raise TypeError("a level is no pair of numbers")
    return str(price), str(size)


def _fixed(pairs: list[tuple[str, str]], decimals: tuple[int, int]) -> tuple[list[Level], list[int]]:
    """Levels of numbers with so many decimals each."""
    levels = [level_of(list(pair)) for pair in pairs]
    return levels, [fixed_digits(*decimals, *level) for level in levels]
