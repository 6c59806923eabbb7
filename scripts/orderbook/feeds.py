"""Input functions of the order-book rules: which raw file, which parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.orderbook.settings import OrderbookConfig

SIMULATED = "results/orderbook/{book}/raw/{part}.gz"


def raw_file(orderbook: OrderbookConfig) -> Callable[[Any], str]:
    """Path of a part's raw capture: the user's own file, or the one that simulate_book makes."""

    def path(wildcards: Any) -> str:
        feed = orderbook.books.get(wildcards.book)
        template = feed.raw if feed and feed.raw else SIMULATED
        return template.replace("{book}", wildcards.book).replace("{part}", wildcards.part)

    return path


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
