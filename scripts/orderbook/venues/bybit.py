"""Bybit captures: the v5 topics `orderbook.N.SYMBOL`, live or out of the files that Bybit offers for download.

Format and rules: Bybit API documentation, "Orderbook" of the public WebSocket streams. A topic keeps N levels a side in
step and begins with a snapshot. The update id `u` of a delta is one more than that of the message before. A snapshot in
the stream replaces the book; that of N = 1 comes again, with the same `u`, while nothing changes. u = 1 tells that the
service has started anew, and its message holds the whole book.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.errors import InputError
from scripts.lib.kernels import Array
from scripts.orderbook.capture.raw import BadLines, Block
from scripts.orderbook.capture.records import NO_TIME, REPLACE, RESTART, Diff, Snapshot
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.capture.stream import NO_ID, Batch
from scripts.orderbook.venues.adapter import JsonLines, Record, integer
from scripts.orderbook.venues.levels import levels_of
from scripts.orderbook.venues.times import milliseconds

TOPIC = re.compile(r"orderbook\.(\d{1,4})\.(.+)")
FIRST = 1  # update id of the message that holds the whole book after a restart of the service


class Bybit(JsonLines):
    """Reads one topic of one symbol; `symbol` may name the topic, where a capture holds several of a symbol."""

    ids_restart = True

    def __init__(self, venue: Venue, symbol: str | None, bad: BadLines) -> None:
        super().__init__(venue, symbol, bad)
        self._by_topic = TOPIC.fullmatch((symbol or "").lower()) is not None
        self._topic: str | None = None  # that is read
        self._other: str | None = None  # another one of the same symbol
        self._last = NO_ID  # update id of the topic's last message
        self._sequence = NO_ID  # its number among all messages of the venue's matching engine
        self._going_back = 0  # messages with a smaller one than the message before

    def records(self, local_time: int, message: Any) -> Iterable[Record]:
        topic = TOPIC.fullmatch(message.get("topic") or "")
        if topic is None or not self.wants(topic[0] if self._by_topic else topic[2]) or not self._is_mine(topic[0]):
            return
        data, kind, levels = message["data"], message["type"], int(topic[1])
        if data["s"] != topic[2] or kind not in ("snapshot", "delta"):
            raise ValueError(f"type {kind!r:.40} of {data['s']!r:.40}")
        event_time, update_id = milliseconds(message["ts"]), integer(data["u"])
        local_time = event_time if local_time == NO_TIME else local_time
        bids, asks = levels_of(data["b"]), levels_of(data["a"])
        self._note_sequence(data)
        last, self._last = self._last, update_id
        if kind == "delta" and update_id != FIRST:
            yield Diff(local_time, event_time, update_id, update_id, None, bids, asks, limit=levels)
            return
        continues = update_id != FIRST and last != NO_ID and last <= update_id <= last + 1
        begins = REPLACE if continues else RESTART
        yield Snapshot(local_time, event_time, update_id, bids, asks, kind=begins, limit=levels)

    def read(self, block: Block) -> Batch:
        batch = super().read(block)
        self._refuse_depths(block.path)
        return batch

    def state(self) -> dict[str, Array]:
        place = {"last": np.array(self._last), "sequence": np.array(self._sequence)}
        return super().state() | place | {"topic": np.array(self._topic or "")}

    def resume(self, symbol: str | None, state: dict[str, Array]) -> None:
        super().resume(symbol, state)
        self._topic = str(state["topic"]) or None
        self._last, self._sequence = int(state["last"]), int(state["sequence"])

    def report(self) -> dict[str, Any]:
        return {"sequence_going_back": self._going_back}

    def _is_mine(self, topic: str) -> bool:
        """Whether a topic of the symbol is the one that is read: the first one."""
        self._topic = self._topic or topic
        if topic != self._topic:
            self._other = topic
        return topic == self._topic

    def _refuse_depths(self, path: Path) -> None:
        if self._other:
            raise InputError(f"{path}: several depths ({self._topic}, {self._other}): set 'symbol' to one of them")

    def _note_sequence(self, data: Any) -> None:
        """Count the messages whose cross sequence goes back; older captures have none."""
        sequence = integer(data["seq"]) if "seq" in data else self._sequence
        self._going_back += sequence < self._sequence
        self._sequence = sequence
