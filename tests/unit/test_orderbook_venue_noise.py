"""Captures of venues with anything in any place: parse_book survives it, and says it in one line or in its report."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit import (
    test_orderbook_bitmex,
    test_orderbook_bybit,
    test_orderbook_coinbase,
    test_orderbook_tardis,
)
from tests.unit.orderbook_streams import ANYTHING, places_in, replaced, told_or_parsed, try_parse, write_lines

Lines = list[bytes]
STREAMS: dict[str, Callable[[int], Lines]] = {
    "bybit": lambda seed: test_orderbook_bybit.stream(seed, 40)[0],
    "coinbase": lambda seed: test_orderbook_coinbase.advanced_stream(seed, 40)[0],
    "coinbase exchange": lambda seed: test_orderbook_coinbase.exchange_stream(seed, 40)[0],
    "bitmex": lambda seed: test_orderbook_bitmex.stream(seed, messages=25).lines,
    "tardis": lambda seed: test_orderbook_tardis.stream(seed, 40).lines,
}
JSON_STREAMS = [name for name in STREAMS if name != "tardis"]


@pytest.mark.parametrize("name", JSON_STREAMS)
@pytest.mark.parametrize("seed", range(40))
def test_any_json_in_any_place_is_survived(tmp_path: Path, name: str, seed: int) -> None:
    chosen, lines = random.Random(seed), STREAMS[name](seed % 4)
    for _ in range(3):
        at = chosen.randrange(len(lines)) if chosen.random() < 0.7 else 0
        stamp, text = lines[at].split(b" ", 1)
        message: Any = json.loads(text)
        message = replaced(message, chosen.choice(list(places_in(message))), chosen.choice(ANYTHING))
        lines[at] = b"%s %s\n" % (stamp, json.dumps(message).encode())
    path = write_lines(tmp_path / "raw", lines)
    assert told_or_parsed(try_parse(path, venue=name.split()[0]), path)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_in_any_place_are_survived(tmp_path: Path, name: str, seed: int) -> None:
    chosen, content = random.Random(seed), bytearray(b"".join(STREAMS[name](seed % 4)))
    for _ in range(chosen.choice([1, 3, 10, 100])):
        content[chosen.randrange(len(content))] = chosen.randrange(256)
    path = write_lines(tmp_path / "raw", [bytes(content)])
    assert told_or_parsed(try_parse(path, venue=name.split()[0]), path)
