"""Write a simulated raw depth stream in the format of a Binance USD-M collector.

The stream obeys every rule of the venue (update ids, REST snapshots, best quotes), but for the accidents that the
settings ask for. The market (scripts/orderbook/simulation/market.py) is there to exercise the workflow with regimes,
and with a signal whose strength is known, not to resemble a real one.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.progress import track
from scripts.orderbook.simulation.accidents import DOUBLED, GAPS, GARBAGE, LOST, NEGATIVE, SWAPPED, plan_accidents
from scripts.orderbook.simulation.market import Market
from scripts.orderbook.simulation.settings import SimulateSettings

NS_PER_MS = 1_000_000
BASE_LATENCY_MS = 2.0  # exchange to collector, shortest
MEAN_EXTRA_LATENCY_MS = 1.0


def main(raw: job.OutputFile, part: str, settings: SimulateSettings) -> None:
    """Write a simulated raw depth stream in the format of a Binance USD-M collector.

    Lines are `<local ns> <json>`: depth diffs, bookTicker quotes, and a REST snapshot after the first diffs and after
    those that follow each gap.

    Args:
        raw: raw capture to write, gz
        part: day of the stream as YYYYMMDD (UTC); it begins at midnight
        settings: length, price grid, regimes, signal, accidents and seed
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
    cut(raw, settings.cut_bytes)


def cut(path: Path, count: int) -> None:
    """Take bytes away from the end of a file.

    Raises:
        InputError: little or nothing would be left.
    """
    size = path.stat().st_size
    if 2 * count > size:
        raise InputError(f"settings: cut_bytes: {count} of a capture of {size} bytes")
    os.truncate(path, size - count)


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
        self._accidents = plan_accidents(settings, random)
        gaps = (at for at, kind in self._accidents.items() if kind in GAPS)
        self._snapshots = {settings.snapshot_after} | {at + 2 + settings.snapshot_after for at in gaps}
        self._held: list[bytes] = []  # a message that will stand after the next one

    def next_message(self) -> Iterator[bytes]:
        """Lines of one interval: best quotes as they change, then the diff (and now and then a snapshot in between)."""
        events = 1 + self._random.poisson(self._settings.events_per_message)
        snapshot_at = int(events // 2) if self._count in self._snapshots else -1
        moves_at = int(self._random.integers(events))
        for i in range(events):
            self._time_ms += self._settings.interval_ms / events
            if self._market.move() if i == moves_at else self._market.touch():
                yield self._line("bookTicker", self._quote())
            if i == snapshot_at:
                yield self._snapshot()
        yield from self._befallen(self._diff(), self._accidents.get(self._count))
        self._market.pass_time()
        self._count += 1

    def _befallen(self, diff: dict[str, Any], accident: str | None) -> list[bytes]:
        """The lines that the collector stores for a diff."""
        if accident == NEGATIVE:
            best, lots = self._market.best_quote()[0]
            diff["b"].append([self._market.price_text(best), f"-{self._market.size_text(lots)}"])
        line, held = self._line("depth@0ms", diff), self._held
        self._held = [line] if accident == SWAPPED else []
        if accident == GARBAGE:
            return [self._garbage(line), line, *held]
        if accident in (LOST, SWAPPED):
            return held
        return [line, line] if accident == DOUBLED else [line, *held]

    def _garbage(self, line: bytes) -> bytes:
        """Bytes that are no message, or the beginning of one."""
        if self._random.random() < 0.5:
            return bytes(self._random.integers(ord("!"), ord("~"), 40, dtype=np.uint8)) + b"\n"
        return line[: int(self._random.integers(1, len(line) - 2))] + b"\n"

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
