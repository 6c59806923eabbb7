"""Checksums that venues send of their books, computed from ours.

They are CRC32 over the texts of the best levels, so the digits of the venue's own texts count: "0.10" is another text
than "0.1". A level keeps how many decimals its texts have; its numbers give back all other digits.

    TOP_10    Kraken (API documentation, "Book checksum"): ten asks from the best one, then ten bids, of each price and
              size without the dot and without the zeros before the first other digit
    TOP_25    OKX ("Checksum") and Bitget ("Checksum"): the best bid, the best ask, the second bid, the second ask … to
              the 25th, each as price:size, joined by colons; where one side is shorter, the other goes on alone
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scripts.lib.kernels import Array, kernel
from scripts.orderbook.book.levels import Levels, digits_at
from scripts.orderbook.capture.digits import MOST_DECIMALS, NONE, TOP_10, TOP_25
from scripts.orderbook.capture.records import PRICE_DECIMALS, PRICE_SCALE
from scripts.orderbook.capture.stream import ASK, BID

VERIFIED, FAILED, UNVERIFIABLE, NOT_SENT = range(4)
LEVELS = {NONE: 0, TOP_10: 10, TOP_25: 25}  # that the window must hold
POWERS = 10 ** np.arange(MOST_DECIMALS + 1)
POLYNOMIAL = 0xEDB88320  # of CRC-32 (ISO 3309), bits reversed
DOT, COLON, ZERO = (ord(mark) for mark in ".:0")


def _table() -> Array:
    """Effect of each byte on the remainder (Sarwate 1988)."""
    table = np.arange(256, dtype=np.int64)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ POLYNOMIAL, table >> 1)
    return table


TABLE = _table()


@kernel
def verify(levels: Levels, rule: int, expected: int) -> int:
    """Compare a book with the venue's checksum; UNVERIFIABLE where a text's digits are not known."""
    found = _top_10(levels) if rule == TOP_10 else _top_25(levels)
    if found < 0:
        return UNVERIFIABLE
    return VERIFIED if found == expected else FAILED


@kernel
def _top_10(levels: Levels) -> Any:
    crc: Any = np.int64(0xFFFFFFFF)
    for side in (ASK, BID):
        for i in range(min(10, levels.sides[side].near)):
            price, size, digits = _level(levels, side, i)
            if digits < 0:
                return np.int64(-1)
            crc = _bare(crc, price // PRICE_SCALE, _price_fraction(price, digits & 255), digits & 255)
            whole, fraction = _size_parts(size, digits >> 8)
            crc = _bare(crc, whole, fraction, digits >> 8)
    return crc ^ 0xFFFFFFFF


@kernel
def _top_25(levels: Levels) -> Any:
    crc: Any = np.int64(0xFFFFFFFF)
    is_first = True
    for i in range(25):
        for side in (BID, ASK):
            if i >= levels.sides[side].near:
                continue
            price, size, digits = _level(levels, side, i)
            if digits < 0:
                return np.int64(-1)
            if not is_first:
                crc = _byte(crc, COLON)
            is_first = False
            crc = _dotted(crc, price // PRICE_SCALE, _price_fraction(price, digits & 255), digits & 255)
            whole, fraction = _size_parts(size, digits >> 8)
            crc = _dotted(_byte(crc, COLON), whole, fraction, digits >> 8)
    return crc ^ 0xFFFFFFFF


@kernel
def _level(levels: Levels, side: int, i: int) -> tuple[Any, Any, Any]:
    """Scaled price, size and digits of the level `i` from the best one."""
    at = levels.sides[side].near - 1 - i
    key = levels.near_key[side, at]
    price = key if side == BID else -key
    return price, levels.near_size[side, at], digits_at(levels, side, price)


@kernel
def _price_fraction(price: int, decimals: int) -> Any:
    """Digits after the dot as a number."""
    rest = price % PRICE_SCALE
    if decimals <= PRICE_DECIMALS:
        return rest // POWERS[PRICE_DECIMALS - decimals]
    return rest * POWERS[decimals - PRICE_DECIMALS]


@kernel
def _size_parts(size: float, decimals: int) -> tuple[Any, Any]:
    """Digits before and after the dot as numbers."""
    whole = np.int64(size)
    fraction = np.int64(np.rint((size - whole) * POWERS[decimals]))
    if fraction == POWERS[decimals]:
        return whole + 1, np.int64(0)
    return whole, fraction


@kernel
def _bare(crc: Any, whole: int, fraction: int, decimals: int) -> Any:
    """A number without dot and without leading zeros."""
    if whole > 0:
        crc = _digits(crc, whole, 1)
        return _digits(crc, fraction, decimals)
    return _digits(crc, fraction, 1) if fraction > 0 else crc


@kernel
def _dotted(crc: Any, whole: int, fraction: int, decimals: int) -> Any:
    crc = _digits(crc, whole, 1)
    return _digits(_byte(crc, DOT), fraction, decimals) if decimals > 0 else crc


@kernel
def _digits(crc: Any, value: int, width: int) -> Any:
    """A number of at least `width` digits, with zeros before it if need be."""
    while width < MOST_DECIMALS and value >= POWERS[width]:
        width += 1
    for place in range(width - 1, -1, -1):
        crc = _byte(crc, ZERO + value // POWERS[place] % 10)
    return crc


@kernel
def _byte(crc: Any, byte: int) -> Any:
    return TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
