"""Checksums of rebuilt books: the venues' documented examples, and numbers that give back the digits of their texts."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest

from scripts.orderbook.book.checksums import FAILED, UNVERIFIABLE, VERIFIED, verify
from scripts.orderbook.book.levels import Levels, new_levels, take_snapshot, truncate
from scripts.orderbook.capture.digits import NO_DIGITS, TOP_10, TOP_25, digits_of
from scripts.orderbook.capture.records import scaled
from scripts.orderbook.capture.stream import ASK, BID, LEVEL
from tests.unit.venue_feeds import Texts, top_10, top_25

# Kraken, "Book checksum (WebSocket v1)": ten levels a side, all of size 0.00000500
FIRST_API = (
    [(f"0.0{price}", "0.00000500") for price in (5000, 4995, 4990, 4980, 4975, 4970, 4965, 4960, 4955, 4950)],
    [(f"0.0{price}", "0.00000500") for price in range(5005, 5051, 5)],
)
# Kraken, "Book checksum (WebSocket v2)"
SECOND_API = (
    [("45283.5", "0.10000000"), ("45283.4", "1.54582015"), ("45282.1", "0.10000000"), ("45281.0", "0.10000000"),
     ("45280.3", "1.54592586"), ("45279.0", "0.07990000"), ("45277.6", "0.03310103"), ("45277.5", "0.30000000"),
     ("45277.3", "1.54602737"), ("45276.6", "0.15445238")],
    [("45285.2", "0.00100000"), ("45286.4", "1.54571953"), ("45286.6", "1.54571109"), ("45289.6", "1.54560911"),
     ("45290.2", "0.15890660"), ("45291.8", "1.54553491"), ("45294.7", "0.04454749"), ("45296.1", "0.35380000"),
     ("45297.5", "0.09945542"), ("45299.5", "0.18772827")],
)  # fmt: skip
# OKX and Bitget, "Checksum": books and the texts to be summed
MORE_ASKS = ([("3366.1", "7")], [("3366.8", "9"), ("3368", "8"), ("3372", "8")])
TWO_SIDES = ([("43231.1", "4"), ("43231", "6")], [("43232.8", "9"), ("43232.9", "8")])


def book_of(bids: Texts, asks: Texts, shortest: int = 25) -> Levels:
    levels = new_levels(shortest)
    entries = [
        (side, scaled(price), float(size), digits_of(price, size, scaled(price), float(size)))
        for side, texts in ((BID, bids), (ASK, asks))
        for price, size in texts
    ]
    take_snapshot(levels, np.array(entries, LEVEL), 1)
    return levels


@pytest.mark.parametrize(("book", "checksum"), [(FIRST_API, 974947235), (SECOND_API, 3310070434)])
def test_krakens_examples(book: tuple[Texts, Texts], checksum: int) -> None:
    assert verify(book_of(*book), TOP_10, checksum) == VERIFIED
    assert verify(book_of(*book), TOP_10, checksum + 1) == FAILED


@pytest.mark.parametrize(
    ("book", "text"),
    [
        (MORE_ASKS, "3366.1:7:3366.8:9:3368:8:3372:8"),
        (TWO_SIDES, "43231.1:4:43232.8:9:43231:6:43232.9:8"),
    ],
)
def test_examples_of_okx_and_bitget(book: tuple[Texts, Texts], text: str) -> None:
    assert verify(book_of(*book), TOP_25, zlib.crc32(text.encode())) == VERIFIED
    assert verify(book_of(*book), TOP_25, zlib.crc32(text.encode()) ^ 1) == FAILED


@pytest.mark.parametrize("seed", range(50))
def test_any_book_of_any_digits(seed: int) -> None:
    """Against zlib over the joined texts; one digit more or less is another checksum."""
    chosen = random.Random(seed)
    price_decimals, size_decimals = chosen.randint(0, 8), chosen.randint(0, 8)
    sides: list[Texts] = []
    for _ in (BID, ASK):
        units = chosen.sample(range(1, 10**9), chosen.choice([1, 5, 10, 24, 25, 26, 40, 300]))
        sizes = [chosen.randint(1, 10 ** chosen.randint(1, 14)) for _ in units]
        texts = [
            (f"{p / 10**price_decimals:.{price_decimals}f}", f"{s / 10**size_decimals:.{size_decimals}f}")
            for p, s in zip(units, sizes, strict=True)
        ]
        sides.append([texts for _, texts in sorted(zip(units, texts, strict=True))])
    bids, asks = sides[0][::-1], sides[1]
    levels = book_of(bids, asks)
    assert verify(levels, TOP_10, top_10(bids, asks)) == VERIFIED
    assert verify(levels, TOP_25, top_25(bids, asks) & 0xFFFFFFFF) == VERIFIED
    (price, size), *others = bids
    longer = [(price, f"{size}0" if "." in size else f"{size}.0"), *others]
    assert verify(levels, TOP_10, top_10(longer, asks)) == FAILED
    assert verify(levels, TOP_25, top_25(longer, asks) & 0xFFFFFFFF) == FAILED


def test_empty_sides_have_a_checksum_too() -> None:
    assert verify(book_of([], []), TOP_25, zlib.crc32(b"")) == VERIFIED
    assert verify(book_of([("1", "2")], []), TOP_25, zlib.crc32(b"1:2")) == VERIFIED


@pytest.mark.parametrize(
    ("price", "size"),
    [("1e2", "1"), ("01", "1"), ("1", "+1"), ("1", "1e-3"), ("1.", "1"), ("1", "123456789.123456789")],
)
def test_text_that_the_numbers_do_not_give_back_is_never_judged(price: str, size: str) -> None:
    assert digits_of(price, size, scaled(price), float(size)) == NO_DIGITS
    assert verify(book_of([(price, size)], []), TOP_25, 1) == UNVERIFIABLE
    deep = [(str(1_000 - i), "1") for i in range(30)]
    assert verify(book_of([*deep, (price, size)], []), TOP_10, top_10(deep, [])) == VERIFIED  # far from the best ones


@pytest.mark.parametrize("window", [4, 64])
@pytest.mark.parametrize("limit", [1, 10, 100])
def test_truncated_book_holds_the_best_levels(monkeypatch: pytest.MonkeyPatch, window: int, limit: int) -> None:
    monkeypatch.setattr("scripts.orderbook.book.levels.SMALLEST_WINDOW", window)
    bids, asks = ([(str(500 + sign * i), "1") for i in range(1, 201)] for sign in (-1, 1))
    levels = book_of(bids, asks, shortest=1)
    truncate(levels, limit)
    assert levels.sides["live"].tolist() == [limit, limit]
    assert verify(levels, TOP_10, top_10(bids[:limit], asks[:limit])) == VERIFIED or window < 10 <= limit
