"""The files and the order of a feed's parts."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.orderbook.feeds import (
    beside,
    captures_a_part,
    captures_of_book,
    carried_book,
    chained_books,
    files_beside,
    manifest_of,
    raw_files,
    raw_path,
    whole_books,
)
from scripts.orderbook.settings import Feed, OrderbookConfig

OWN: dict[str, Any] = {"venue": "binance-spot", "raw": "/d/{book}-{part}.gz", "parts": ["a", "b", "c"]}
FETCHED: dict[str, Any] = {
    "venue": "tardis", "provider": "tardis", "exchange": "x", "symbol": "Y", "parts": ["20240101"],
}  # fmt: skip


def config(**books: dict[str, Any]) -> OrderbookConfig:
    fields: dict[str, Any] = {"feeds": list(books), "books": {name: Feed(**feed) for name, feed in books.items()}}
    return OrderbookConfig.model_construct(**fields)


def job(book: str, part: str) -> Any:
    return SimpleNamespace(book=book, part=part)


@pytest.mark.parametrize(
    ("changes", "chained"),
    [
        ({}, True),
        ({"snapshot_each_part": True}, False),
        ({"snapshot": "/d/s.json"}, True),
        ({"snapshot": "/d/s-{part}.json"}, False),
        ({"snapshot": "/d/s-{part}.json", "snapshot_each_part": False}, True),
        ({"venue": "lobster"}, False),
        ({"venue": "tardis"}, False),
        ({"venue": "databento"}, False),
        ({"venue": "databento", "snapshot_each_part": False}, True),
        ({"venue": "kraken"}, True),
        ({"venue": "binance-usdm", "raw": None, "symbol": "X", "parts": ["20240101"]}, False),
        (FETCHED | {"raw": None}, False),
    ],
)
def test_parts_are_chained_unless_each_begins_with_a_snapshot(changes: dict[str, Any], chained: bool) -> None:
    books = config(own=OWN | changes)
    assert books.books["own"].is_chained is chained
    assert bool(re.fullmatch(chained_books(books), "own")) is chained
    assert bool(re.fullmatch(whole_books(books), "own")) is not chained


def test_the_patterns_of_both_rules_never_match_the_same_name() -> None:
    books = config(a=OWN, ab=OWN | {"snapshot_each_part": True}, b=OWN)
    for name in ("a", "ab", "b", "c", "", "aab"):
        assert [bool(re.fullmatch(pattern(books), name)) for pattern in (chained_books, whole_books)] == [
            name in ("a", "b"), name == "ab",
        ]  # fmt: skip


def test_a_part_goes_on_with_the_book_of_the_part_before() -> None:
    before = carried_book(config(own=OWN))
    assert [before(job("own", part)) for part in ("a", "b", "c", "none")] == [
        [], ["results/orderbook/own/carried/a.npz"], ["results/orderbook/own/carried/b.npz"], [],
    ]  # fmt: skip
    assert before(job("gone", "a")) == []


def test_a_snapshot_file_comes_before_the_part_that_it_belongs_to() -> None:
    each = raw_files(config(own=OWN | {"snapshot": "/d/{book}-{part}.json"}))
    first = raw_files(config(own=OWN | {"snapshot": "/d/s.json"}))
    assert each(job("own", "b")) == ["/d/own-b.json", "/d/own-b.gz"]
    assert [first(job("own", part)) for part in ("a", "b")] == [["/d/s.json", "/d/own-a.gz"], ["/d/own-b.gz"]]


def test_raw_files_are_one_s_own_fetched_or_simulated() -> None:
    simulated = {"venue": "binance-usdm", "symbol": "X", "parts": ["20240101"]}
    books = config(own=OWN, fetched=FETCHED, simulated=simulated)
    assert raw_path(books, "own", "a") == "/d/own-a.gz"
    assert raw_path(books, "fetched", "20240101") == "results/orderbook/fetched/raw/20240101.csv.gz"
    assert raw_path(books, "simulated", "20240101") == "results/orderbook/simulated/raw/20240101.gz"


def test_a_lobster_part_needs_the_book_file_beside_it() -> None:
    raw = "/d/message_s/{part}_2012-06-21_34200000_57600000_message_10.csv"
    books = config(lob=OWN | {"venue": "lobster", "raw": raw}, own=OWN)
    expected = ["/d/message_s/a_2012-06-21_34200000_57600000_orderbook_10.csv"]
    assert beside(books, "lob", "a") == files_beside(books)(job("lob", "a")) == expected
    assert beside(books, "own", "a") == []


def test_a_manifest_is_an_input_where_one_is_named() -> None:
    books = config(pinned=FETCHED | {"sha256": "/d/sums"}, free=FETCHED)
    assert [manifest_of(books)(job(name, "20240101")) for name in ("pinned", "free")] == [["/d/sums"], []]


def test_captures_of_a_feed_stand_in_order_with_their_numbers() -> None:
    books = config(
        own=OWN | {"snapshot": "/d/s.json"}, each=OWN | {"snapshot": "/d/s-{part}.json", "parts": ["a", "b"]}
    )
    wildcards = SimpleNamespace(book="own")
    assert captures_of_book(books)(wildcards) == ["/d/s.json", "/d/own-a.gz", "/d/own-b.gz", "/d/own-c.gz"]
    assert captures_a_part(books)(wildcards) == [2, 1, 1]
    assert captures_a_part(books)(SimpleNamespace(book="each")) == [2, 2]
    assert captures_of_book(books)(SimpleNamespace(book="unknown")) == []
