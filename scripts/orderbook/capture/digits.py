"""The digits of a level's texts, over which venues take checksums of their books (scripts/orderbook/book/checksums.py).

"0.10" is another text than "0.1". A level keeps how many decimals its texts have; its numbers give back all other
digits.
"""

from __future__ import annotations

from decimal import Decimal

from scripts.orderbook.capture.records import LARGEST, PRICE_DECIMALS

NONE, TOP_10, TOP_25 = range(3)  # rules: over what checksums are taken
NO_DIGITS = -1  # of a text that its numbers do not give back
MOST_DECIMALS = 18
MOST_PLAIN = 16  # characters: 15 digits, which float64 holds, and a dot


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
