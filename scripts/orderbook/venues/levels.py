"""Levels out of the JSON of venues."""

from __future__ import annotations

import math
from typing import Any

from scripts.orderbook.checksums import digits_of
from scripts.orderbook.records import Level, scaled


def levels_of(entries: Any) -> list[Level]:
    """Levels of a list of [price, size, …] texts.

    Raises:
        TypeError, ValueError, LookupError, OverflowError: one of them is none.
    """
    if type(entries) is not list:
        raise TypeError("levels are no list")
    return [level_of(entry) for entry in entries]


def texted_levels(entries: Any) -> tuple[list[Level], list[int]]:
    """As `levels_of`, with the digits of the texts, over which checksums are taken."""
    levels = levels_of(entries)
    digits = [digits_of(entry[0], entry[1], *level) for entry, level in zip(entries, levels, strict=True)]
    return levels, digits


def level_of(entry: Any) -> Level:
    """A level of a [price, size, …] list of decimal texts; what else could be read as numbers is a fault."""
    price, size = entry[0], entry[1]
    if type(entry) is not list or type(price) is not str or type(size) is not str:
        raise TypeError("a level is no pair of texts")
    return scaled(price), size_of(size)


def size_of(text: str) -> float:
    """A size, not negative.

    Raises:
        ValueError: it is none.
    """
    amount = float(text)
    if not 0 <= amount < math.inf:  # nan neither
        raise ValueError(f"size {text:.40}")
    return amount
