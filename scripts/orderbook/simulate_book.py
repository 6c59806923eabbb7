"""Write a simulated raw depth stream in the format of a Binance USD-M collector.

The market is a zero-intelligence one: limit orders, cancellations and market orders arrive at random near the best
prices. It is there to exercise the workflow with a stream whose every rule holds (update ids, REST snapshot, best
quotes), not to resemble a real market.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.progress import track
from scripts.orderbook.settings import SimulateSettings
from scripts.orderbook.zero_intelligence import Market

NS_PER_MS = 1_000_000
BASE_LATENCY_MS = 2.0  # exchange to collector, shortest
MEAN_EXTRA_LATENCY_MS = 1.0


def main(raw: job.OutputFile, part: str, settings: SimulateSettings) -> None:
    """Write a simulated raw depth stream in the format of a Binance USD-M collector.

    Lines are `<local ns> <json>`: depth diffs, bookTicker quotes, and one REST snapshot after the first diffs.

    Args:
        raw: raw capture to write, gz
        part: day of the stream as YYYYMMDD (UTC); it begins at midnight
        settings: length, price grid and seed
    """
    start = parse_day(part)
    random = np.random.default_rng([settings.seed, zlib.crc32(part.encode())])
    stream = Stream(settings, Market(settings, random), random, start)
    # no file name and no time in the gz header: equal settings give equal bytes
    with (
        raw.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as zipped,
        io.BufferedWriter(zipped) as out,
    ):
        for _ in track(range(settings.messages), "simulate", settings.messages, "messages"):
            out.writelines(stream.next_message())


def parse_day(part: str) -> datetime:
    """Midnight UTC of a part's day.

    Raises:
        InputError: the name is not a day, or one whose times in ns do not fit.
    """
    try:
        # strptime alone takes 202411 too
        if re.fullmatch("[0-9]{8}", part) and 1970 <= int(part[:4]) < 2262:
            return datetime.strptime(part, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        pass
    raise InputError(f"--part: a simulated part is named by its day, YYYYMMDD from 1970 on, not '{part}'")


class Stream:
    """Turns the market's events into the lines that a collector would have stored."""

    def __init__(
        self, settings: SimulateSettings, market: Market, random: np.random.Generator, start: datetime
    ) -> None:
        self._settings, self._market, self._random = settings, market, random
        self._time_ms = start.timestamp() * 1_000.0
        self._local_ns = 0
        self._count = 0
        self._last_id = market.update_id

    def next_message(self) -> Iterator[bytes]:
        """Lines of one interval: best quotes as they change, then the diff (and once, in between, the snapshot)."""
        events = 1 + self._random.poisson(self._settings.events_per_message)
        snapshot_at = int(events // 2) if self._count == self._settings.snapshot_after else -1
        for i in range(events):
            self._time_ms += self._settings.interval_ms / events
            if self._market.step():
                yield self._line("bookTicker", self._quote())
            if i == snapshot_at:
                yield self._snapshot()
        yield self._line("depth@0ms", self._diff())
        self._count += 1

    def _quote(self) -> dict[str, Any]:
        market, now = self._market, int(self._time_ms)
        (bid, bid_size), (ask, ask_size) = market.best_quote()
        return {
            "e": "bookTicker", "u": market.update_id, "s": self._settings.symbol,
            "b": market.price_text(bid), "B": market.size_text(bid_size),
            "a": market.price_text(ask), "A": market.size_text(ask_size), "T": now, "E": now,
        }  # fmt: skip

    def _diff(self) -> dict[str, Any]:
        first, self._last_id, previous = self._last_id + 1, self._market.update_id, self._last_id
        bids, asks = self._market.take_changes()
        now = int(self._time_ms)
        return {
            "e": "depthUpdate", "E": now, "T": now, "s": self._settings.symbol,
            "U": first, "u": self._last_id, "pu": previous, "b": bids, "a": asks,
        }  # fmt: skip

    def _snapshot(self) -> bytes:
        bids, asks = self._market.snapshot(self._settings.snapshot_levels)
        now = int(self._time_ms)
        message = {"lastUpdateId": self._market.update_id, "E": now, "T": now, "bids": bids, "asks": asks}
        return self._stamped(message)

    def _line(self, stream: str, data: dict[str, Any]) -> bytes:
        return self._stamped({"stream": f"{self._settings.symbol.lower()}@{stream}", "data": data})

    def _stamped(self, message: dict[str, Any]) -> bytes:
        latency = BASE_LATENCY_MS + self._random.exponential(MEAN_EXTRA_LATENCY_MS)
        # one connection: what was sent later cannot arrive earlier
        self._local_ns = max(self._local_ns + 1, int((self._time_ms + latency) * NS_PER_MS))
        return b"%d %s\n" % (self._local_ns, orjson.dumps(message))


if __name__ == "__main__":
    job.run(main)
