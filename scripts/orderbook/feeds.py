"""The raw files and parts of the feeds: input functions of the order-book rules."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from scripts.lib.errors import InputError
from scripts.orderbook.settings import OrderbookConfig

SIMULATED = "results/orderbook/{book}/raw/{part}.gz"


def raw_file(orderbook: OrderbookConfig) -> Callable[[Any], str]:
    """Path of a part's raw capture, as a function of wildcards."""
    return lambda wildcards: raw_path(orderbook, wildcards.book, wildcards.part)


def raw_path(orderbook: OrderbookConfig, book: str, part: str) -> str:
    """The user's own file, or the one that simulate_book makes."""
    feed = orderbook.books.get(book)
    template = feed.raw if feed and feed.raw else SIMULATED
    return template.replace("{book}", book).replace("{part}", part)


def check_files(orderbook: OrderbookConfig) -> None:
    """Look for the captures that active feeds name.

    Raises:
        InputError: one line naming feed, path and part of the first that is missing.
    """
    for book in orderbook.feeds:
        feed = orderbook.books[book]
        for part in feed.parts if feed.raw else []:
            path = raw_path(orderbook, book, part)
            if not os.path.isfile(path):
                raise InputError(f"config: orderbook.books.{book}.raw: no such file: {path} (part {part})")


def parts_of(orderbook: OrderbookConfig, pattern: str) -> list[str]:
    """`pattern` with `{book}` and `{part}` filled in, for every part of every active feed."""
    return [
        pattern.replace("{book}", book).replace("{part}", part)
        for book in orderbook.feeds
        for part in orderbook.books[book].parts
    ]


def parts_of_book(orderbook: OrderbookConfig, pattern: str) -> Callable[[Any], list[str]]:
    """Input function: `pattern` with `{book}` and `{part}` filled in, for every part of the job's feed."""

    def paths(wildcards: Any) -> list[str]:
        feed = orderbook.books.get(wildcards.book)
        parts = feed.parts if feed else []
        return [pattern.replace("{book}", wildcards.book).replace("{part}", part) for part in parts]

    return paths


def books_of(orderbook: OrderbookConfig, pattern: str) -> list[str]:
    """`pattern` with `{book}` filled in, for every active feed."""
    return [pattern.replace("{book}", book) for book in orderbook.feeds]
