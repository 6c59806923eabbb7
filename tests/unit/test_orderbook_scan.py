"""The byte scanner against the JSON parser: whatever the line, both must say the same."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pytest

from scripts.lib.errors import InputError
from scripts.orderbook.capture.raw import BadLines, Block
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.capture.stream import empty, messages_of, quotes_of
from scripts.orderbook.venues import binance
from scripts.orderbook.venues.binance_scan import scan, scanner

STAMP = b"1704067200000000000"
FUTURES: dict[str, Any] = {
    "e": "depthUpdate", "E": 1_704_067_200_123, "T": 1_704_067_200_122, "s": "BTCUSDT", "U": 11, "u": 15, "pu": 9,
    "b": [["100.10", "1.500"], ["0.00000001", "0"]], "a": [["101", "3"], ["1234567.125", "0.00100000"]],
}  # fmt: skip
COIN = FUTURES | {"s": "BTCUSD_PERP", "ps": "BTCUSD"}
SPOT = {key: value for key, value in FUTURES.items() if key not in ("T", "pu")}
QUOTE = {"e": "bookTicker", "u": 12, "s": "BTCUSDT", "b": "1.10", "B": "2", "a": "1.2", "A": "0.5", "T": 1, "E": 2}
TRADE = {"e": "trade", "E": 1, "T": 1, "s": "BTCUSDT", "t": 5, "p": "1.0", "q": "2", "X": "MARKET", "m": True}
SNAPSHOT = {"lastUpdateId": 10, "E": 5, "T": 4, "bids": [["1", "2"]], "asks": [["3", "4"]]}

Venues = tuple[Venue, ...]
VENUES: Venues = ("binance-spot", "binance-usdm", "binance-coinm")


def wrapped(data: dict[str, Any], stream: str, symbol: str = "btcusdt") -> dict[str, Any]:
    return {"stream": f"{symbol}@{stream}", "data": data}


def line(message: Any, stamp: bytes = STAMP + b" ") -> bytes:
    return stamp + orjson.dumps(message) + b"\n"


class Found(NamedTuple):
    """Messages with their levels, best quotes, bad lines; or the error."""

    messages: list[Any] = []
    quotes: list[Any] = []
    bad_lines: int = 0
    first_bad_line: str | None = None
    error: str = ""


def read(text: bytes, venue: Venue, symbol: str | None) -> Found:
    bad = BadLines(10**9)
    adapter = binance.Binance(venue, symbol, bad)
    try:
        batch = adapter.read(Block(Path("raw"), 1, text))
    except InputError as error:
        return Found(error=str(error))
    names = [name for name in batch.messages.dtype.names or () if name not in ("begin", "end")]
    messages = [
        (*(int(message[name]) for name in names), batch.levels[message["begin"] : message["end"]].tolist())
        for message in messages_of(batch)
    ]
    for *_, levels in messages:
        levels.sort(key=lambda level: level[0])  # a parser reads bids first, whatever their place
    return Found(messages, quotes_of(batch).tolist(), bad.count, bad.first)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Found]:
    """Read with the scanner and without it; the two must agree."""

    def none_taken(text: Any, start: int, use: Any, batch: Any) -> tuple[int, int]:
        return start, 0

    def check(text: bytes, venue: Venue = "binance-usdm", symbol: str | None = None) -> Found:
        monkeypatch.setattr(binance, "scan", scan)
        fast = read(text, venue, symbol)
        monkeypatch.setattr(binance, "scan", none_taken)
        assert fast == read(text, venue, symbol), text
        return fast

    return check


def taken(text: bytes, venue: Venue, symbol: str = "BTCUSDT", pass_others: bool = False) -> int:
    """Lines that the scanner takes by itself."""
    use = scanner(symbol, venue != "binance-spot", pass_others)
    return scan(np.frombuffer(text, np.uint8), 0, use, empty(99, 999, 99))[1]


@pytest.mark.parametrize(
    ("venue", "symbol", "message"),
    [
        ("binance-usdm", "BTCUSDT", wrapped(FUTURES, "depth@0ms")),
        ("binance-usdm", "BTCUSDT", FUTURES),
        ("binance-usdm", "BTCUSDT", FUTURES | {"b": [], "a": []}),
        ("binance-usdm", "BTCUSDT", wrapped(dict(reversed(FUTURES.items())), "depth")),
        ("binance-usdm", "BTCUSDT", wrapped(FUTURES | {"new": None, "st": 1, "x": False}, "depth")),
        ("binance-coinm", "BTCUSD_PERP", wrapped(COIN, "depth@100ms", "btcusd_perp")),
        ("binance-spot", "BTCUSDT", wrapped(SPOT, "depth@100ms")),
        ("binance-usdm", "BTCUSDT", wrapped(QUOTE, "bookTicker")),
        ("binance-usdm", "BTCUSDT", QUOTE),
        ("binance-spot", "BTCUSDT", wrapped({key: QUOTE[key] for key in "usbBaA"}, "bookTicker")),
        ("binance-usdm", "BTCUSDT", wrapped(TRADE, "trade")),
        ("binance-spot", "BTCUSDT", wrapped({"lastUpdateId": 5, "bids": [["1", "2"]], "asks": []}, "depth20@100ms")),
    ],
)
@pytest.mark.parametrize("stamp", [STAMP + b" ", STAMP + b": ", b""])
def test_usual_lines_need_no_parser(
    both: Callable[..., Found], venue: Venue, symbol: str, message: Any, stamp: bytes
) -> None:
    assert taken(line(message, stamp), venue, symbol) == 1
    assert both(line(message, stamp), venue, symbol).bad_lines == 0


def test_values_are_those_of_the_line(both: Callable[..., Found]) -> None:
    messages, quotes, *_ = both(line(wrapped(FUTURES, "depth")) + line(wrapped(QUOTE, "bookTicker")))
    (kind, local, event, first, final, previous, limit, checksum, levels), *_ = messages
    assert (kind, local, event) == (0, 1_704_067_200_000_000_000, 1_704_067_200_123_000_000)
    assert (first, final, previous, limit, checksum) == (11, 15, 9, 0, -1)
    prices = [(0, 10_010_000_000, 1.5), (0, 1, 0.0), (1, 10_100_000_000, 3.0), (1, 123_456_712_500_000, 0.001)]
    assert levels == [(*price, 0) for price in prices]
    assert quotes == [(12, 1.1, 2.0, 1.2, 0.5)]


def test_line_without_time_takes_that_of_the_event(both: Callable[..., Found]) -> None:
    messages, *_ = both(line(FUTURES, b""))
    assert messages[0][1:3] == (1_704_067_200_123_000_000,) * 2


NUMBERS = [
    "0", "00", "007", "1.", ".5", "-1", "+1", "1e5", " 1", "1_0", "", "1.2.3", "0.123456789", "0.1234567890", "1,5",
    "123456789012345678", "1234567890123456789", "9007199254740993", "9007199254740993.0", "90071992547409920.00",
    "46116860184.27387903", "46116860185", "92233720368.54775807", "92233720368.54775808", "0.10000000000000000",
    "1600000000.00000000", "99999999999999999999999999", "1.7976931348623157e309", "nan", "inf", "1\\u0030", "１",
]  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_texts_of_numbers_read_alike(both: Callable[..., Found], text: str) -> None:
    def told(message: Any) -> bytes:
        return STAMP + b" " + json.dumps(message, separators=(",", ":")).replace('"?"', f'"{text}"').encode() + b"\n"

    good = line(FUTURES)
    for levels in ([["?", "1"]], [["1", "?"]], [["1", "1"], ["?", "?"]]):
        both(good + told(FUTURES | {"b": levels}) + good)
    for key in "bBaA":
        both(good + told(QUOTE | {key: "?"}) + good)


def test_decimals_are_the_nearest_floats(both: Callable[..., Found]) -> None:
    chosen = random.Random(0)
    texts = [f"{chosen.randrange(10 ** chosen.randint(1, 9))}.{chosen.randrange(10**8):08d}" for _ in range(3_000)]
    levels = [["1", text[: chosen.randint(len(text) - 7, len(text))]] for text in texts]
    messages, *_ = both(line(FUTURES) + line(FUTURES | {"b": levels, "a": []}))
    assert [size for _, _, size, _ in messages[1][-1]] == [float(text) for _, text in levels]


INTEGERS = ["0", "00", "-0", "1.0", "1e3", "true", "null", '"5"', "[]", "{}", "", "9223372036854", "9223372036855",
            "999999999999999999", "1000000000000000000", "9223372036854775807", "9223372036854775808"]  # fmt: skip


@pytest.mark.parametrize("text", INTEGERS)
def test_integers_read_alike(both: Callable[..., Found], text: str) -> None:
    for message in (FUTURES, wrapped(FUTURES, "depth"), QUOTE):
        data: dict[str, Any] = message.get("data", message)  # type: ignore[assignment]
        for key in [key for key, value in data.items() if type(value) is int]:
            plain = line(message)
            changed = plain.replace(b'"%s":%d' % (key.encode(), data[key]), b'"%s":%s' % (key.encode(), text.encode()))
            assert changed != plain
            for venue in VENUES:
                both(plain + changed, venue)


STAMPS = [b"", b"0 ", b"007 ", b": ", b" ", b"1", b"1:", b"1:  ", b"1  ", b"-1 ", b"9223372036854775807 ",
          b"9223372036854775808 ", b"922337203685477579999 ", b"1:: ", b"1\t"]  # fmt: skip


@pytest.mark.parametrize(
    ("stamp", "time", "fast"),
    [
        (b"1704067200123456789 ", 1_704_067_200_123_456_789, 1), (b"1704067200123456: ", 1_704_067_200_123_456_000, 1),
        (b"1704067200123 ", 1_704_067_200_123_000_000, 0), (b"1704067200: ", 1_704_067_200_000_000_000, 0),
        (b"1704067200.5 ", 1_704_067_200_500_000_000, 0), (b"1704067200.1234567: ", 1_704_067_200_123_456_700, 0),
        (b"1704067200.123456789 ", 1_704_067_200_123_456_789, 0),
        (b"100000000000000000 ", 10**17, 1), (b"99999999999999999 ", 99_999_999_999_999_999_000, -1),
        (b"100000000000000 ", 10**17, 1), (b"99999999999999 ", 99_999_999_999_999 * 10**6, -1),
        (b"100000000000 ", 10**17, 0), (b"99999999999 ", 99_999_999_999 * 10**9, -1),
        (b"1704067200.1234567891 ", 0, -1), (b"1704067200. ", 0, -1), (b".5 ", 0, -1), (b"1e9 ", 0, -1),
    ],
)  # fmt: skip
def test_times_of_any_unit_are_ns_without_rounding(
    both: Callable[..., Found], stamp: bytes, time: int, fast: int
) -> None:
    """Of ns and us also by the scan itself; -1: it is no time, or later than int64 can tell."""
    found = both(line(FUTURES) + line(FUTURES, stamp))
    assert [message[1] for message in found.messages[1:]] == ([time] if fast >= 0 else [])
    assert found.bad_lines == (fast < 0)
    assert fast < 0 or taken(line(FUTURES, stamp), "binance-usdm") == fast


@pytest.mark.parametrize("stamp", STAMPS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n", b"x\n", b"\r\r\n", b"}\n"])
def test_stamps_and_ends_read_alike(both: Callable[..., Found], stamp: bytes, end: bytes) -> None:
    for message in (FUTURES, QUOTE, wrapped(TRADE, "trade")):
        both(line(FUTURES) + stamp + orjson.dumps(message) + end)


KEYS = ["E", "U", "u", "pu", "b", "a", "e", "s", "B", "A", "data", "stream", "lastUpdateId", "new", "\\u0065"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ["5", '"x"', '"BTCUSDT"', "[]", '[["1","1"]]', "null", '"bookTicker"', "{}"])
def test_fields_that_stand_twice_or_elsewhere_read_alike(both: Callable[..., Found], key: str, value: str) -> None:
    extra = f'"{key}":{value}'.encode()
    for data in (FUTURES, SPOT, QUOTE, TRADE):
        for message in (data, wrapped(data, "depth"), wrapped(data, "bookTicker"), wrapped(data, "trade")):
            text = line(message)
            inside = text.index(b'"data":{') + 8 if "data" in message else text.index(b"{") + 1
            end = text.rindex(b"}}" if "data" in message else b"}")
            for changed in (
                text[:inside] + extra + b"," + text[inside:],
                text[:end] + b"," + extra + text[end:],
                text[:-2] + b"," + extra + text[-2:],
            ):
                for venue in ("binance-usdm", "binance-spot"):
                    both(line(data | {"e": "x", "s": "BTCUSDT"}) + changed, venue, "BTCUSDT")


def lines_of_all_kinds() -> list[bytes]:
    messages: list[Any] = [FUTURES, COIN, SPOT, QUOTE, TRADE, SNAPSHOT]
    messages += [wrapped(data, stream) for data in messages[:5] for stream in ("depth", "bookTicker", "depth20@100ms")]
    messages += [wrapped(FUTURES | {"s": "ETHUSDT"}, "depth", "ethusdt"), FUTURES | {"s": "ETHUSDT"}]
    return [line(message) for message in messages] + [line(FUTURES, b""), line(SNAPSHOT, b"")]


def mutated(chosen: random.Random, text: bytearray) -> None:
    """A byte changed, lost or doubled, or a stretch of another place put in."""
    at = chosen.randrange(len(text))
    fate = chosen.randrange(4)
    if fate == 0:
        text[at] = chosen.choice(b'0123456789{}[],:".\\ \n\x00abeEuUsp\xff')
    elif fate == 1:
        del text[at : at + chosen.choice([1, 1, 5, 40])]
    elif fate == 2:
        text[at:at] = text[at : at + chosen.choice([1, 3, 30])]
    else:
        source = chosen.randrange(len(text))
        text[at:at] = text[source : source + chosen.choice([1, 8, 60])]


@pytest.mark.parametrize("symbol", [None, "BTCUSDT"])
@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("seed", range(40))
def test_mutated_lines_read_alike(both: Callable[..., Found], seed: int, venue: Venue, symbol: str | None) -> None:
    chosen, known = random.Random(seed), lines_of_all_kinds()
    for _ in range(25):
        text = bytearray(b"".join(chosen.choices(known, k=3)))
        for _ in range(chosen.choice([0, 1, 1, 1, 2, 5])):
            mutated(chosen, text)
        both(bytes(text).rstrip(b"\n") + b"\n", venue, symbol)


def parts_of_file(path: Path) -> Iterator[bytes]:
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    for at in range(0, 20_000, 2_000):
        yield b"".join(lines[at : at + 2_000])


@pytest.mark.parametrize(
    ("venue", "name"), [("binance-usdm", "usdm/btcusdt_20240808.gz"), ("binance-spot", "spot/btcusdt_20240809.gz")]
)
def test_real_lines_read_alike_and_need_no_parser(
    both: Callable[..., Found], real_data: Callable[[str], Path], venue: Venue, name: str
) -> None:
    for text in parts_of_file(real_data(f"orderbook/binance/{name}")):
        assert both(text, venue, "btcusdt").bad_lines == 0
        snapshots = [part for part in text.splitlines(keepends=True) if b"lastUpdateId" in part]
        others = text.replace(snapshots[0], b"") if snapshots else text
        use = scanner("BTCUSDT", venue != "binance-spot", False)
        batch = empty(len(others) // 32, len(others) // 9, len(others) // 32)
        assert scan(np.frombuffer(others, np.uint8), 0, use, batch)[0] == len(others)


def test_lines_of_other_symbols_are_passed_over_without_a_parser(both: Callable[..., Found]) -> None:
    other = line(wrapped(FUTURES | {"s": "ETHUSDT"}, "depth", "ethusdt")) + line(FUTURES | {"s": "ETHUSDT"})
    own = line(wrapped(FUTURES, "depth"))
    assert taken(other + own, "binance-usdm", pass_others=True) == 3
    assert taken(other + own, "binance-usdm", pass_others=False) == 0
    messages, *_ = both(other + own + other, "binance-usdm", "BTCUSDT")
    assert len(messages) == 1
