"""The raw files and parts of the feeds: input functions of the order-book rules."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from scripts.lib.errors import InputError
from scripts.orderbook.capture.settings import API_KEY
from scripts.orderbook.settings import Feed, OrderbookConfig
from scripts.orderbook.venues.lobster_files import book_file

SIMULATED = "results/orderbook/{book}/raw/{part}.gz"
FETCHED = "results/orderbook/{book}/raw/{part}.csv.gz"
CARRIED = "results/orderbook/{book}/carried/{part}.npz"
NEVER = "(?!)"  # matches nothing


def raw_files(orderbook: OrderbookConfig) -> Callable[[Any], list[str]]:
    """Paths of a part's raw files in the order in which they are read, as a function of wildcards."""

    return lambda wildcards: _files_of_part(orderbook, wildcards.book, wildcards.part)


def captures_of_book(orderbook: OrderbookConfig) -> Callable[[Any], list[str]]:
    """Input function: the raw files of all parts of the job's feed, in the order in which they are read."""

    def paths(wildcards: Any) -> list[str]:
        return [path for part in _captures(orderbook, wildcards.book) for path in part]

    return paths


def captures_a_part(orderbook: OrderbookConfig) -> Callable[[Any], list[int]]:
    """Function of wildcards: how many raw files each part of the job's feed has."""
    return lambda wildcards: [len(part) for part in _captures(orderbook, wildcards.book)]


def _captures(orderbook: OrderbookConfig, book: str) -> list[list[str]]:
    """The raw files of each part."""
    feed = orderbook.books.get(book)
    return [_files_of_part(orderbook, book, part) for part in (feed.parts if feed else [])]


def _files_of_part(orderbook: OrderbookConfig, book: str, part: str) -> list[str]:
    snapshot = snapshot_path(orderbook, book, part)
    return [*([snapshot] if snapshot else []), raw_path(orderbook, book, part)]


def raw_path(orderbook: OrderbookConfig, book: str, part: str) -> str:
    """The user's own file, or the one that fetch_book or simulate_book makes."""
    feed = orderbook.books.get(book)
    if feed and feed.raw:
        return filled(feed.raw, book, part)
    return filled(FETCHED if feed and feed.provider else SIMULATED, book, part)


def snapshot_path(orderbook: OrderbookConfig, book: str, part: str) -> str | None:
    """The REST snapshot that a part begins with, where it is a file of its own."""
    feed = orderbook.books.get(book)
    if not feed or not feed.snapshot:
        return None
    is_its_own = "{part}" in feed.snapshot or part == feed.parts[0]
    return filled(feed.snapshot, book, part) if is_its_own else None


def files_beside(orderbook: OrderbookConfig) -> Callable[[Any], list[str]]:
    """Input function: files that the parser finds by itself beside a part's raw file."""

    def paths(wildcards: Any) -> list[str]:
        return beside(orderbook, wildcards.book, wildcards.part)

    return paths


def beside(orderbook: OrderbookConfig, book: str, part: str) -> list[str]:
    """LOBSTER's book file lies beside the message file, from which it differs by one word of its name."""
    feed = orderbook.books.get(book)
    if not feed or not feed.raw or feed.venue != "lobster":
        return []
    return [book_file(raw_path(orderbook, book, part))]


def carried_book(orderbook: OrderbookConfig) -> Callable[[Any], list[str]]:
    """Input function: the book that the part before left, of a feed whose parts are chained; none for the first."""

    def paths(wildcards: Any) -> list[str]:
        feed = orderbook.books.get(wildcards.book)
        before = {later: earlier for earlier, later in pairwise(feed.parts)} if feed else {}
        earlier = before.get(wildcards.part)
        return [filled(CARRIED, wildcards.book, earlier)] if earlier else []

    return paths


def names_where(orderbook: OrderbookConfig, holds: Callable[[Feed], bool]) -> str:
    """A wildcard's pattern that matches the feeds for which something holds, and no other."""
    names = [re.escape(name) for name, feed in orderbook.books.items() if holds(feed)]
    return "|".join(names) or NEVER


def chained_books(orderbook: OrderbookConfig) -> str:
    """Pattern of the feeds whose parts are parsed one after another."""
    return names_where(orderbook, lambda feed: feed.is_chained)


def whole_books(orderbook: OrderbookConfig) -> str:
    """Pattern of the feeds whose parts are parsed at the same time."""
    return names_where(orderbook, lambda feed: not feed.is_chained)


def manifest_of(orderbook: OrderbookConfig) -> Callable[[Any], list[str]]:
    """Input function: the digests of a fetched feed, where a manifest is named."""

    def paths(wildcards: Any) -> list[str]:
        feed = orderbook.books.get(wildcards.book)
        return [feed.sha256] if feed and feed.sha256 else []

    return paths


def filled(template: str, book: str, part: str) -> str:
    """A path's template with `{book}` and `{part}` filled in."""
    return template.replace("{book}", book).replace("{part}", part)


def check_files(orderbook: OrderbookConfig) -> None:
    """Look for the files that active feeds name, and for the key that some days of a provider need.

    Raises:
        InputError: one line naming feed, path and part of the first that is missing.
    """
    for book in orderbook.feeds:
        feed = orderbook.books[book]
        if feed.sha256 and not os.path.isfile(feed.sha256):
            raise InputError(f"config: orderbook.books.{book}.sha256: no such file: {feed.sha256}")
        for part in feed.parts:
            if feed.raw:
                _check_own(orderbook, book, part)
            elif feed.provider:
                _check_fetched(book, part)


def _check_own(orderbook: OrderbookConfig, book: str, part: str) -> None:
    snapshot = snapshot_path(orderbook, book, part)
    named = [("raw", path) for path in (raw_path(orderbook, book, part), *beside(orderbook, book, part))]
    for key, path in [*named, *([("snapshot", snapshot)] if snapshot else [])]:
        if not os.path.isfile(path):
            raise InputError(f"config: orderbook.books.{book}.{key}: no such file: {path} (part {part})")


def _check_fetched(book: str, part: str) -> None:
    """Days but the first of a month cost a key, unless they are there."""
    if not part.endswith("01") and not os.environ.get(API_KEY) and not os.path.isfile(filled(FETCHED, book, part)):
        raise InputError(
            f"config: orderbook.books.{book}.parts: {part}: only the first day of a month is free; for others set"
            f" {API_KEY} in the environment"
        )


def parts_of(orderbook: OrderbookConfig, pattern: str) -> list[str]:
    """`pattern` with `{book}` and `{part}` filled in, for every part of every active feed."""
    return [filled(pattern, book, part) for book in orderbook.feeds for part in orderbook.books[book].parts]


def parts_of_book(orderbook: OrderbookConfig, pattern: str) -> Callable[[Any], list[str]]:
    """Input function: `pattern` with `{book}` and `{part}` filled in, for every part of the job's feed."""

    def paths(wildcards: Any) -> list[str]:
        feed = orderbook.books.get(wildcards.book)
        return [filled(pattern, wildcards.book, part) for part in (feed.parts if feed else [])]

    return paths


def books_of(orderbook: OrderbookConfig, pattern: str) -> list[str]:
    """`pattern` with `{book}` filled in, for every active feed."""
    return [pattern.replace("{book}", book) for book in orderbook.feeds]
