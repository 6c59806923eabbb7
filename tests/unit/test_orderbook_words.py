"""Eight bytes at a time against one at a time: whatever the bytes, and wherever the text ends."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from scripts.lib.kernels import Array, kernel
from scripts.orderbook.capture.words import digits, end_of_plain, number, word_at

LETTERS = [bytes(range(48, 58)), b"019/:.", bytes(range(256)), b'az"\\\x1f\x7f\x80\xff', b"ab "]
LENGTHS = [1, 2, 7, 8, 9, 15, 16, 17, 40]


@kernel
def all_places(text: Array, counts: Array, values: Array, numbers: Array, ends: Array) -> None:
    """What the functions say at each place of a text."""
    for at in range(text.size):
        counts[at, 0], values[at] = digits(text, at)
        counts[at, 1], numbers[at] = number(text, at)
        ends[at] = end_of_plain(text, at)


@kernel
def words(text: Array, out: Array) -> None:
    for at in range(text.size):
        out[at] = word_at(text, at)


def look(text: bytes) -> tuple[Array, Array, Array, Array]:
    size = len(text)
    counts, values, numbers, ends = (np.zeros(shape, np.int64) for shape in ((size, 2), size, size, size))
    all_places(np.frombuffer(text, np.uint8), counts, values, numbers, ends)
    return counts, values, numbers, ends


def check(text: bytes) -> None:
    """Compare with Python's own reading."""
    counts, values, numbers, ends = look(text)
    for at in range(len(text)):
        run = re.match(rb"[0-9]*", text[at:])
        assert run
        short = run[0][:8]
        assert (counts[at, 0], values[at]) == (len(short), int(short or b"0")), (text, at)
        whole = int(run[0] or b"0")
        assert counts[at, 1] == at + len(run[0])
        assert numbers[at] == (whole + 2**63) % 2**64 - 2**63
        plain = re.match(rb"[ !#-\[\]-~]*", text[at:])
        assert plain
        assert ends[at] == at + len(plain[0]), (text, at)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("letters", LETTERS)
def test_any_bytes_are_read_as_one_by_one(letters: bytes, length: int) -> None:
    chosen = random.Random(length)
    for _ in range(60):
        check(bytes(chosen.choices(letters, k=length)) + b"\n")


@pytest.mark.parametrize("place", range(8))
def test_every_byte_in_every_place_of_a_word(place: int) -> None:
    for letter in range(256):
        for around in (b"0", b"9", b"a", b"~"):
            check(around * place + bytes([letter]) + around * (9 - place) + b"\n")


def test_zeros_follow_the_text() -> None:
    text = b"123456789\n"
    out = np.zeros(len(text), np.uint64)
    words(np.frombuffer(text, np.uint8), out)
    assert [int(word) for word in out] == [int.from_bytes(text[at : at + 8], "little") for at in range(len(text))]


def test_numbers_of_nineteen_digits_are_right_or_negative() -> None:
    for value in (10**18, 2**63 - 1, 2**63, 10**19 - 1):
        numbers = look(b"%d\n" % value)[2]
        assert numbers[0] == value if value < 2**63 else numbers[0] < 0
