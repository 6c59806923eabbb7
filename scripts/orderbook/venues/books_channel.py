"""Captures of channels that push a book and then its changes, as OKX and Bitget do.

    {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": "snapshot" | "update",
     "data": [{"asks": [["8476.98", "415", …], …], "bids": […], "ts": "1597026383085", "checksum": -855196043, …}]}

A message may name its own id and that of the one before; then the chain of ids shows what is missing. Where it names
its own alone, what is missing shows in the checksum only, and so it does where it names none: ids are message numbers
then. A message without link and checksum can prove nothing: a line that could not be read counts as one of them lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from scripts.lib.kernels import Array
from scripts.orderbook.capture.digits import TOP_25
from scripts.orderbook.capture.raw import BadLines
from scripts.orderbook.capture.records import NO_TIME, RESTART, Diff, Snapshot
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.venues.adapter import JsonLines, Record, integer
from scripts.orderbook.venues.levels import texted_levels
from scripts.orderbook.venues.times import milliseconds

MASK = 0xFFFFFFFF  # checksums are signed numbers of 32 bits


class BooksChannel(JsonLines):
    """The first channel met of those of the symbol that push changes."""

    checksum: ClassVar[int] = TOP_25
    limits: ClassVar[dict[str, int]]
    """The channels that push changes, and how many levels a side they keep in step; 0: not told."""
    own_id: ClassVar[str]
    """Key of a message's id."""
    previous_id: ClassVar[str]
    """Key of the id of the message before."""

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        super().__init__(venue, symbol, bad)
        self._channel: str | None = None
        self._others: set[str] = set()  # channels passed over
        self._last = 0  # id of the last message of the symbol
        self._proven = False  # whether it bore a link or a checksum

    def records(self, local_time: int, message: Any) -> Iterator[Record]:
        if "arg" not in message or "data" not in message:  # of subscriptions, errors, logins
            return
        arg = message["arg"]
        channel = arg["channel"]
        if channel not in self.limits:
            self._others.add(str(channel))
            return
        if not self.wants(arg["instId"]) or (self._channel or channel) != channel:
            return
        self._channel = channel
        for data in message["data"]:
            yield self._record(local_time, message["action"], data)

    def state(self) -> dict[str, Array]:
        return {
            "last": np.array(self._last),
            "channel": np.array(self._channel or ""),
            "proven": np.array(self._proven),
        }

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        self.symbol = self.symbol or symbol
        self._last, self._channel = int(state["last"]), str(state["channel"]) or None
        self._proven = bool(state["proven"])

    def explain(self) -> str | None:
        if self._others and not self._channel:
            wanted, found = ", ".join(self.limits), ", ".join(sorted(self._others))
            return super().explain() or f"no message of the channels {wanted}, only of {found}"
        return super().explain()

    def lose(self) -> None:
        """A message may be lost: where nothing would show it, leave out an id."""
        self._last += not self._proven

    def _record(self, local_time: int, action: str, data: dict[str, Any]) -> Record:
        if action not in ("snapshot", "update"):
            raise ValueError(f"action {action!r:.40}")
        event_time = milliseconds(data["ts"])
        times = (event_time if local_time == NO_TIME else local_time), event_time
        (bids, bid_digits), (asks, ask_digits) = texted_levels(data["bids"]), texted_levels(data["asks"])
        limit, checksum = self.limits[self._channel or ""], _checksum(data.get("checksum"))
        more: dict[str, Any] = {"limit": limit, "checksum": checksum, "digits": bid_digits + ask_digits}
        own = integer(data[self.own_id]) if self.own_id in data else None
        if action == "snapshot":
            self._last = self._last + 1 if own is None else own
            self._proven = checksum is not None or self.previous_id in data
            return Snapshot(*times, self._last, bids, asks, kind=RESTART, **more)
        previous = integer(data[self.previous_id]) if self.previous_id in data else None
        first, self._proven = self._last + 1, checksum is not None or previous is not None
        own = first if own is None else own
        self._last = max(own, self._last) if previous is None else own
        return Diff(*times, first, own, previous, bids, asks, **more)


def _checksum(value: Any) -> int | None:
    """As a record bears it; venues that no longer compute one send 0."""
    if value is None or value == 0:
        return None
    if type(value) is not int or not -(2**31) <= value < 2**32:
        raise ValueError(f"{value!r:.40} is no checksum")
    return value & MASK
