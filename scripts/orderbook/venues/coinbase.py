"""Coinbase captures: the level2 channel of Advanced Trade and of Exchange (the former Pro).

Advanced Trade: `{"channel": "l2_data", "timestamp", "sequence_num", "events": [{"type": "snapshot" or "update",
"product_id", "updates": [{"side": "bid" or "offer", "price_level", "new_quantity"}, …]}, …]}`. `sequence_num` counts
all messages of a connection, those of other channels and products too, so a capture must hold them all: a number that
is missing may be one of ours. A new connection begins at a smaller number.

Exchange: `{"type": "snapshot", "product_id", "bids", "asks"}` and `{"type": "l2update", "product_id", "time",
"changes": [["buy" or "sell", price, size], …]}`. These bear no number, so a lost message cannot be seen.

Sizes are absolute, "0" removes the level. Source: Coinbase Developer Documentation, "Level 2 order book" (Advanced
Trade) and "Level2 channel" (Exchange).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.kernels import Array
from scripts.orderbook.capture.raw import BadLines
from scripts.orderbook.capture.records import NO_TIME, RESTART, WHOLE_BOOK, Diff, Level, Snapshot
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.capture.stream import NO_ID, Batch
from scripts.orderbook.venues.adapter import JsonLines, Record, integer
from scripts.orderbook.venues.levels import level_of, levels_of
from scripts.orderbook.venues.times import rfc3339

BROKEN = -2  # `previous_id` that no message has: something is missing before this one
BIDS, ASKS = 0, 1
SIDES = {"bid": BIDS, "offer": ASKS, "buy": BIDS, "sell": ASKS}
Sides = tuple[list[Level], list[Level]]


class Coinbase(JsonLines):
    """Reads one product."""

    numbered = False
    ids_restart = True

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        super().__init__(venue, symbol, bad)
        self._last = NO_ID  # sequence_num of the connection's last message
        self._newest = NO_TIME  # time of the youngest message, ns
        self._own = BROKEN  # sequence_num of the product's last message; BROKEN since something was lost
        self._timeless: Snapshot | None = None  # a snapshot that waits for a message to tell the time

    def records(self, local_time: int, message: Any) -> Iterable[Record]:
        if "channel" in message:
            return self._advanced(local_time, message)
        kind = message.get("type")
        if kind not in ("snapshot", "l2update") or not self.wants(message["product_id"]):
            return []
        return self._snapshot(local_time, message) if kind == "snapshot" else self._update(local_time, message)

    def batches(self, raw: list[Path]) -> Iterator[Batch]:
        yield from super().batches(raw)
        if self._timeless:
            self.bad.add(raw[-1], 1, "the snapshot bears no time, and no message follows that does")

    def state(self) -> dict[str, Array]:
        return super().state() | {"place": np.array([self._last, self._newest, self._own])}

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        super().resume(symbol, state)
        self._last, self._newest, self._own = (int(value) for value in state["place"])

    # Advanced Trade

    def _advanced(self, local_time: int, message: Any) -> Iterator[Record]:
        """A message of any channel: all of them are numbered as one."""
        event_time, sequence = rfc3339(message["timestamp"]), integer(message["sequence_num"])
        events = message["events"] if message["channel"] == "l2_data" else []
        mine = [event for event in events if self.wants(event["product_id"])]
        restarts, sides = _changes(mine)
        is_old = self._note_sequence(sequence, event_time)
        local_time = event_time if local_time == NO_TIME else local_time
        if mine and restarts and not is_old:
            self._own = sequence
            yield Snapshot(local_time, event_time, sequence, *sides, kind=RESTART, limit=WHOLE_BOOK)
        elif mine:
            previous = BROKEN if is_old else self._own
            self._own = sequence if previous != BROKEN else self._own
            yield Diff(local_time, event_time, max(previous, 0), sequence, previous, *sides, limit=WHOLE_BOOK)

    def _note_sequence(self, sequence: int, event_time: int) -> bool:
        """Whether a message was there before; a number left out, or a new connection, breaks the chain.

        What bears a smaller number but is younger comes from a new connection.
        """
        if sequence <= self._last and event_time <= self._newest:
            return True
        if self._last != NO_ID and sequence != self._last + 1:
            self._own = BROKEN
        self._last, self._newest = sequence, event_time
        return False

    # Exchange

    def _snapshot(self, local_time: int, message: Any) -> list[Record]:
        event_time = rfc3339(message["time"]) if "time" in message else local_time
        bids, asks = levels_of(message["bids"]), levels_of(message["asks"])
        if event_time == NO_TIME:
            event_time = self._newest
        local_time = event_time if local_time == NO_TIME else local_time
        snapshot = Snapshot(local_time, event_time, self.next_number(), bids, asks, kind=RESTART, limit=WHOLE_BOOK)
        self._newest = max(self._newest, event_time)
        self._timeless = snapshot if local_time == NO_TIME else None
        return [] if self._timeless else [snapshot]

    def _update(self, local_time: int, message: Any) -> list[Record]:
        event_time = rfc3339(message["time"])
        local_time = event_time if local_time == NO_TIME else local_time
        sides: Sides = [], []
        for side, price, size in message["changes"]:
            sides[SIDES[side]].append(level_of([price, size]))
        first = [replace(self._timeless, local_time=local_time, event_time=event_time)] if self._timeless else []
        self._timeless, self._newest = None, max(self._newest, event_time)
        number = self.next_number()
        return [*first, Diff(local_time, event_time, number, number, None, *sides, limit=WHOLE_BOOK)]


def _changes(events: list[Any]) -> tuple[bool, Sides]:
    """Levels that the events of a message tell of, and whether a snapshot is among them; the last word counts."""
    restarts, sides = False, ({}, {})  # type: tuple[bool, tuple[dict[int, float], dict[int, float]]]
    for event in events:
        if event["type"] not in ("snapshot", "update"):
            raise ValueError(f"type {event['type']!r:.40}")
        if event["type"] == "snapshot":
            restarts, sides = True, ({}, {})
        for update in event["updates"]:
            price, size = level_of([update["price_level"], update["new_quantity"]])
            sides[SIDES[update["side"]]][price] = size
    return restarts, (list(sides[BIDS].items()), list(sides[ASKS].items()))
