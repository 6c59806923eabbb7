"""Checksums that venues send of their books, computed from ours.

They are CRC32 over the texts of the best levels, so the digits of the venue's own texts count: "0.10" is another text
than "0.1". A level keeps how many decimals its texts have; its numbers give back all other digits.

    TOP_10    Kraken (API documentation, "Book checksum"): ten asks from the best one, then ten bids, of each price and
              size without the dot and without the zeros before the first other digit
    TOP_25    OKX ("Checksum") and Bitget ("Checksum"): the best bid, the best ask, the second bid, the second ask … to
              the 25th, each as price:size, joined by colons; where one side is shorter, the other goes on alone
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from scripts.lib.kernels import Array, kernel
from scripts.orderbook.levels import Levels, digits_at
from scripts.orderbook.records import LARGEST, PRICE_DECIMALS, PRICE_SCALE
from scripts.orderbook.stream import ASK, BID

NONE, TOP_10, TOP_25 = range(3)  # over what checksums are taken
VERIFIED, FAILED, UNVERIFIABLE, NOT_SENT = range(4)
LEVELS = {NONE: 0, TOP_10: 10, TOP_25: 25}  # that the window must hold
NO_DIGITS = -1  # of a text that its numbers do not give back
MOST_DECIMALS = 18
MOST_PLAIN = 16  # characters: 15 digits, which float64 holds, and a dot
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


def digits_of(price: str, size: str, units: int, amount: float) -> int:
    """Decimals of a level's texts, as its record keeps them; NO_DIGITS if the numbers do not give the texts back.

    Args:
        price: as the venue wrote it.
        size: as the venue wrote it.
        units: the scaled price.
        amount: the size.
    """
    price_decimals, size_decimals = decimals_of(price), decimals_of(size)
    if max(price_decimals, size_decimals) > MOST_DECIMALS or amount > LARGEST:
        return NO_DIGITS
    same_price = is_plain(price) or f"{Decimal(units).scaleb(-PRICE_DECIMALS):.{price_decimals}f}" == price
    same_size = is_plain(size) or f"{amount:.{size_decimals}f}" == size
    return price_decimals | size_decimals << 8 if same_price and same_size else NO_DIGITS


def is_plain(text: str) -> bool:
    """Whether it is the usual text of a number that float64 tells exactly: digits, and a dot in the midst of some."""
    if len(text) > MOST_PLAIN or not text.isascii():
        return False
    whole, dot, decimals = text.partition(".")
    is_short = whole.isdigit() and (whole[0] != "0" or len(whole) == 1)
    return is_short and (decimals.isdigit() if dot else True)


def fixed_digits(price_decimals: int, size_decimals: int, units: int, amount: float) -> int:
    """As `digits_of`, of texts with so many decimals."""
    fits = units % 10 ** max(PRICE_DECIMALS - price_decimals, 0) == 0 and float(f"{amount:.{size_decimals}f}") == amount
    return price_decimals | size_decimals << 8 if fits and amount <= LARGEST else NO_DIGITS


def decimals_of(text: str) -> int:
    """Decimals of a number's text; one with an exponent tells none."""
    if "e" in text or "E" in text:
        return 0
    dot = text.find(".")
    return len(text) - dot - 1 if dot >= 0 else 0


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
