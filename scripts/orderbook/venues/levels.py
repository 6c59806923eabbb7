"""Levels out of the JSON of venues."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from scripts.orderbook.capture.digits import digits_of
from scripts.orderbook.capture.records import Level, scaled

PRICES = 32_768  # remembered: a few MB
REMEMBERED = 4_096  # pairs of texts: removed levels, and those that flicker


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
    if type(entries) is not list:
        raise TypeError("levels are no list")
    levels, digits = [], []
    for entry in entries:
        price, size = entry[0], entry[1]
        if type(entry) is not list or type(price) is not str or type(size) is not str:
            raise TypeError("a level is no pair of texts")
        units, amount, told = _texted(price, size)
        levels.append((units, amount))
        digits.append(told)
    return levels, digits


@lru_cache(REMEMBERED)
def _texted(price: str, size: str) -> tuple[int, float, int]:
    units, amount = scaled(price), size_of(size)
    return units, amount, digits_of(price, size, units, amount)


def level_of(entry: Any) -> Level:
    """A level of a [price, size, …] list of decimal texts; what else could be read as numbers is a fault."""
    price, size = entry[0], entry[1]
    if type(entry) is not list or type(price) is not str or type(size) is not str:
        raise TypeError("a level is no pair of texts")
    return price_of(price), size_of(size)


price_of = lru_cache(PRICES)(scaled)  # prices come again and again


def size_of(text: str) -> float:
    """A size, not negative.

    Raises:
        ValueError: it is none.
    """
    amount = float(text)
    if not 0 <= amount < math.inf:  # nan neither
        raise ValueError(f"size {text:.40}")
    return amount
