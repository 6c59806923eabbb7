"""Eight bytes of a text at a time, as one machine word: how kernels read digits and pass over texts.

The first byte of the text is the lowest one of the word. A test of all eight bytes at once leaves a bit at the top of
each byte that passes; above the first such byte the bits mean nothing, since carries run upwards. The tests are those
of Warren, Hacker's Delight, chapter 6; the digits follow Lemire, "SWAR explained: parsing eight digits" (2022).

Texts end with a newline, which is neither a digit nor part of a JSON text: that is what keeps the loops inside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from scripts.lib.kernels import Array, inlined

WORD = 8  # bytes
POWERS = 10 ** np.arange(WORD + 1)


def _each(byte: int) -> np.uint64:
    """A word of eight equal bytes."""
    return np.uint64(byte * 0x0101_0101_0101_0101)


ONES, TOPS = _each(1), _each(0x80)
DIGIT_ZEROS, OVER_NINE = _each(ord("0")), _each(0x80 - 10)
MARKS, BACKSLASHES, BLANKS, DELETES = (_each(ord(mark)) for mark in '"\\ \x7f')
NONE, TEN, BYTE, PAIR, HALF = (np.uint64(number) for number in (0, 10, 8, 16, 32))
PAIRS, FIRST_PAIRS, LAST_PAIRS = (
    np.uint64(number) for number in (0x0000_00FF_0000_00FF, 0x000F_4240_0000_0064, 0x0000_2710_0000_0001)
)  # every other pair; 1,000,000 and 100; 10,000 and 1


@intrinsic  # type: ignore[untyped-decorator]
def _load(_: Any, text: Any, at: Any) -> Any:
    """Eight bytes of an array of bytes, which need not begin at a multiple of eight."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.gep(data, [arguments[1]])
        return builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(text, at), generate


@intrinsic  # type: ignore[untyped-decorator]
def _zeros_below(_: Any, word: Any) -> Any:
    """Number of zero bits below the lowest one bit; 64 where there is none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(word), generate


@inlined
def word_at(text: Array, at: int) -> Any:
    """The word that begins at a byte; zeros follow the end of the text."""
    if at + WORD <= text.size:
        return _load(text, at)
    word = NONE
    for i in range(text.size - at):
        word |= np.uint64(text[at + i]) << np.uint64(8 * i)
    return word


@inlined
def digits(text: Array, at: int) -> tuple[int, int]:
    """How many digits begin here, up to eight, and the number they make."""
    word = word_at(text, at) ^ DIGIT_ZEROS
    count = _zeros_below(((word + OVER_NINE) | word) & TOPS) >> 3
    if count == 0:
        return 0, 0
    word <<= np.uint64(64 - 8 * count)  # zeros in front
    word = word * TEN + (word >> BYTE)
    word = ((word & PAIRS) * FIRST_PAIRS + ((word >> PAIR) & PAIRS) * LAST_PAIRS) >> HALF
    value: Any = np.int64(word)
    return count, value


@inlined
def number(text: Array, at: int) -> tuple[int, int]:
    """Place after the digits that begin here, and the number they make, which wraps around beyond 64 bits."""
    value: Any = np.int64(0)
    while True:
        count, part = digits(text, at)
        value = value * POWERS[count] + part
        at += count
        if count < WORD:
            return at, value


@inlined
def end_of_plain(text: Array, at: int) -> int:
    """Place of the first byte from here on that does not stand for itself in a JSON text, as its end mark."""
    while True:
        word = word_at(text, at)
        ends = _equal(word, MARKS) | _equal(word, BACKSLASHES) | _equal(word, DELETES) | (word - BLANKS) | word
        ends &= TOPS
        if ends != NONE:
            break
        at += WORD
    place: int = at + (_zeros_below(ends) >> 3)
    return place


@inlined
def _equal(word: Any, other: Any) -> Any:
    """Bits at the top of the bytes that are equal."""
    difference = word ^ other
    return (difference - ONES) & ~difference & TOPS
