"""Captures of venues that send checksums, made from a market whose every state is known.

The books here are plain dictionaries of the venue's own texts, and the checksums are zlib's over joined texts: nothing
is shared with the programs under test.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.orderbook_streams import DAY_MS, MS, write_lines

NUMBER = "#"  # before texts that are numbers in the JSON

Texts = list[tuple[str, str]]
"""Levels of one side as price and size texts, best first."""


@dataclass
class Market:
    """Two sides of levels at ticks, changed at random near the best prices and sometimes far away."""

    random: random.Random
    levels: int = 40
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    middle: int = 10_000

    def __post_init__(self) -> None:
        for i in range(1, self.levels + 1):
            self.bids[self.middle - i] = self.random.randint(1, 10**9)
            self.asks[self.middle + i] = self.random.randint(1, 10**9)

    def step(self) -> None:
        """Change some levels; the first change always is among the best five."""
        for number in range(self.random.randint(1, 4)):
            side = self.random.choice((self.bids, self.asks))
            best = sorted(side, reverse=side is self.bids)
            reach = 5 if number == 0 else len(best)
            price = best[self.random.randrange(min(reach, len(best)))]
            if self.random.random() < 0.4 and len(side) > self.levels // 2:
                del side[price]
            elif self.random.random() < 0.5:
                self._insert(side)
            else:
                side[price] += self.random.randint(1, 10**6)

    def _insert(self, side: dict[int, int]) -> None:
        """A new level, inside the spread or behind."""
        away = self.random.randint(-3, self.levels)
        if side is self.bids:
            price = min(max(self.bids) - away, min(self.asks) - 1)
        else:
            price = max(min(self.asks) + away, max(self.bids) + 1)
        side[price] = self.random.randint(1, 10**9)


@dataclass(frozen=True)
class Style:
    """How a venue writes numbers: so many decimals, or as few as possible."""

    price_decimals: int
    size_decimals: int
    short: bool = False

    def price(self, ticks: int) -> str:
        return self._text(ticks, self.price_decimals)

    def size(self, lots: int) -> str:
        return self._text(lots, self.size_decimals)

    def side(self, levels: dict[int, int], reverse: bool, depth: int) -> Texts:
        return [(self.price(p), self.size(levels[p])) for p in sorted(levels, reverse=reverse)[:depth]]

    def _text(self, units: int, decimals: int) -> str:
        whole, part = divmod(units, 10**decimals)
        text = f"{whole}.{part:0{decimals}d}" if decimals else str(whole)
        return text.rstrip("0").rstrip(".") if self.short and decimals else text


def top_10(bids: Texts, asks: Texts) -> int:
    """Kraken's checksum."""
    texts = [text.replace(".", "").lstrip("0") for side in (asks[:10], bids[:10]) for level in side for text in level]
    return zlib.crc32("".join(texts).encode())


def top_25(bids: Texts, asks: Texts) -> int:
    """OKX' and Bitget's checksum, a signed number."""
    parts: list[str] = []
    for i in range(25):
        for side in (bids, asks):
            parts += side[i] if i < len(side) else ()
    unsigned = zlib.crc32(":".join(parts).encode())
    return unsigned - 2**32 if unsigned >= 2**31 else unsigned


@dataclass
class Message:
    """A message of the depth channel, with the book that the venue has after it."""

    content: Any
    bids: Texts
    asks: Texts
    is_snapshot: bool
    update_id: int


@dataclass
class Venue:
    """Writes a market's changes as a venue does."""

    name: str
    style: Style
    depth: int
    levels: int = 40
    symbol: str = ""
    restart_after: int = 0  # messages after which the collector connects anew
    last_id: int = 0  # of the last message, where the venue has ids

    def messages(self, seed: int, count: int) -> list[Message]:
        chosen = random.Random(seed)
        market, found = Market(chosen, self.levels), []
        before: tuple[Texts, Texts] | None = None
        for number in range(count):
            is_snapshot = before is None or (self.restart_after > 0 and number == self.restart_after)
            old = before if before and not is_snapshot else ([], [])
            changes: tuple[Texts, Texts] = ([], [])
            while not any(changes):
                if number:
                    market.step()
                book = self._side(market.bids, True), self._side(market.asks, False)
                changes = self._changes(old[0], *book[0]), self._changes(old[1], *book[1])
            before = book[0][0], book[1][0]
            found.append(self.message(chosen, number, is_snapshot, before, changes))
        return found

    def _side(self, levels: dict[int, int], reverse: bool) -> tuple[Texts, set[str]]:
        """The levels that are published, and the prices of all levels of the market."""
        return self.style.side(levels, reverse, self.depth), {self.style.price(price) for price in levels}

    def _changes(self, old: Texts, new: Texts, prices: set[str]) -> Texts:
        """What left the market is removed; what only fell out of the depth is not told."""
        gone = [(price, self.style.size(0)) for price, _ in old if price not in prices]
        return gone + [level for level in new if level not in old]

    def message(
        self, chosen: random.Random, number: int, is_snapshot: bool, book: tuple[Texts, Texts], changes: Any
    ) -> Message:
        raise NotImplementedError


def time_text(number: int) -> str:
    """Event time of a message, decimal seconds."""
    return f"{DAY_MS // 1000 + number}.123456"


class KrakenFirst(Venue):
    """v1: [channel, {…}, "book-10", "XBT/USD"]."""

    def message(
        self, chosen: random.Random, number: int, is_snapshot: bool, book: tuple[Texts, Texts], changes: Any
    ) -> Message:
        entries = [[[p, s, time_text(number)] for p, s in side] for side in changes]
        if is_snapshot:
            payloads: list[Any] = [{"as": entries[1], "bs": entries[0]}]
        else:
            payloads = [{key: side} for key, side in (("a", entries[1]), ("b", entries[0])) if side] or [{"b": []}]
            if len(payloads) == 2 and chosen.random() < 0.5:
                payloads = [payloads[0] | payloads[1]]
            payloads[-1]["c"] = str(top_10(*book))
        content = [chosen.randint(0, 999), *payloads, f"book-{self.depth}", self.symbol]
        return Message(content, *book, is_snapshot, number + 1)


class KrakenSecond(Venue):
    """v2: {"channel": "book", …}; numbers keep their digits."""

    def message(
        self, chosen: random.Random, number: int, is_snapshot: bool, book: tuple[Texts, Texts], changes: Any
    ) -> Message:
        sides = {
            key: [{"price": NUMBER + p, "qty": NUMBER + s} for p, s in side]
            for key, side in zip(("bids", "asks"), changes, strict=True)
        }
        data = {"symbol": self.symbol, **sides, "checksum": top_10(*book), "timestamp": rfc_text(number)}
        content = {"channel": "book", "type": "snapshot" if is_snapshot else "update", "data": [data]}
        return Message(content, *book, is_snapshot, number + 1)


def rfc_text(number: int) -> str:
    minutes, seconds = divmod(number, 60)
    return f"2024-01-01T00:{minutes:02d}:{seconds:02d}.123456Z"


class Okx(Venue):
    """Chained ids that jump; the checksum may be retired (0)."""

    checksums = True

    def message(
        self, chosen: random.Random, number: int, is_snapshot: bool, book: tuple[Texts, Texts], changes: Any
    ) -> Message:
        previous = -1 if is_snapshot else self.last_id
        self.last_id = (1_000 if number == 0 else self.last_id) + chosen.randint(1, 90)
        sides = {
            key: [[*level, "0", "1"] for level in side] for key, side in zip(("bids", "asks"), changes, strict=True)
        }
        data = {**sides, "ts": str(DAY_MS + number), "checksum": top_25(*book) if self.checksums else 0}
        data |= {"prevSeqId": previous, "seqId": self.last_id}
        content = {
            "arg": {"channel": f"books{'' if self.depth > 50 else '50-l2-tbt'}", "instId": self.symbol},
            "action": "snapshot" if is_snapshot else "update",
            "data": [data],
        }
        return Message(content, *book, is_snapshot, self.last_id)


class Bitget(Venue):
    """Checksums, and in v2 ids without a link."""

    version = 2

    def message(
        self, chosen: random.Random, number: int, is_snapshot: bool, book: tuple[Texts, Texts], changes: Any
    ) -> Message:
        self.last_id = chosen.randint(1, 90) + (self.last_id if number else 1_000)
        data = {"bids": [list(level) for level in changes[0]], "asks": [list(level) for level in changes[1]]}
        content: dict[str, Any] = {
            "action": "snapshot" if is_snapshot else "update",
            "arg": {"instType": "SPOT" if self.version == 2 else "sp", "channel": "books", "instId": self.symbol},
            "data": [data | {"checksum": top_25(*book), "ts": str(DAY_MS + number)}],
        }
        if self.version == 2:
            content["data"][0]["seq"] = self.last_id
            content["ts"] = DAY_MS + number
        return Message(content, *book, is_snapshot, self.last_id if self.version == 2 else number + 1)


class OkxRetired(Okx):
    checksums = False


class BitgetFirst(Bitget):
    version = 1


VENUES: dict[str, Callable[[], Venue]] = {
    "kraken v1": lambda: KrakenFirst("kraken", Style(5, 8), 25, symbol="XBT/USD"),
    "kraken v1, depth 10": lambda: KrakenFirst("kraken", Style(1, 8), 10, symbol="XBT/USD"),
    "kraken v2": lambda: KrakenSecond("kraken", Style(1, 8), 25, symbol="BTC/USD"),
    "okx": lambda: Okx("okx", Style(2, 4, short=True), 400, symbol="BTC-USDT"),
    "okx of 50 levels": lambda: Okx("okx", Style(1, 0), 50, levels=60, symbol="BTC-USDT-SWAP"),
    "okx without checksums": lambda: OkxRetired("okx", Style(2, 4, short=True), 400, symbol="BTC-USDT"),
    "bitget v1": lambda: BitgetFirst("bitget", Style(2, 4), 400, symbol="BTCUSDT"),
    "bitget v2": lambda: Bitget("bitget", Style(2, 4), 400, symbol="BTCUSDT"),
}


def stamp(number: int) -> int:
    """Local time of the line of message `number`, ns."""
    return (DAY_MS + 10 * number) * MS


def line(content: Any, number: int) -> bytes:
    return b"%d %s\n" % (stamp(number), text_of(content).encode())


def text_of(content: Any) -> str:
    """JSON, in which marked texts are numbers with just these digits."""
    return re.sub(f'"{NUMBER}([^"]*)"', r"\1", json.dumps(content))


def lines_of(messages: list[Message]) -> list[bytes]:
    return [line(message.content, number) for number, message in enumerate(messages)]


def write_feed(path: Path, messages: list[Message]) -> Path:
    return write_lines(path, lines_of(messages))
