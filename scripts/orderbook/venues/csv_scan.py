"""Rows of numbers out of the bytes of a CSV file."""

from __future__ import annotations

from scripts.lib.kernels import Array, kernel

GOOD, BAD = 1, 0
MOST_DIGITS = 18  # such numbers fit into int64
COMMA, NEWLINE, RETURN, MINUS, DOT, ZERO, NINE = (ord(mark) for mark in ",\n\r-.09")


@kernel
def scan_rows(text: Array, digits: int, exact: bool, values: Array, state: Array) -> None:
    """Read rows of integers, the first of which may have decimals.

    Args:
        text: whole lines, each with its newline.
        digits: decimals of the first column; the value is scaled by 10 ** digits.
        exact: whether a row that holds more columns than asked for is bad.
        values: (lines, columns), filled.
        state: (lines,), GOOD or BAD.
    """
    at = 0
    for row in range(values.shape[0]):
        state[row] = GOOD
        for column in range(values.shape[1]):
            value, at = _number(text, at, digits if column == 0 else 0)
            last = column == values.shape[1] - 1
            if at < 0:
                at = -at - 1
                state[row] = BAD
            elif text[at] == COMMA and (not last or not exact):
                at += 1
            elif not (last and (text[at] == NEWLINE or (text[at] == RETURN and text[at + 1] == NEWLINE))):
                state[row] = BAD
            if state[row] == BAD:
                break
            values[row, column] = value
        while text[at] != NEWLINE:
            at += 1
        at += 1


@kernel
def _number(text: Array, at: int, digits: int) -> tuple[int, int]:
    """A number and the place behind it; where there is none, -1 minus the place."""
    value, sign, count = 0, 1, 0
    if text[at] == MINUS:
        sign = -1
        at += 1
    while ZERO <= text[at] <= NINE and count < MOST_DIGITS:
        value = value * 10 + (text[at] - ZERO)
        at += 1
        count += 1
    if count == 0:
        return 0, -at - 1
    decimals = 0
    if text[at] == DOT and digits > 0:
        at += 1
        while ZERO <= text[at] <= NINE and decimals < digits:
            value = value * 10 + (text[at] - ZERO)
            at += 1
            decimals += 1
        if decimals == 0 or count + digits > MOST_DIGITS:
            return 0, -at - 1
    elif count + digits > MOST_DIGITS:
        return 0, -at - 1
    for _ in range(digits - decimals):
        value *= 10
    return sign * value, at


def fields_of(text: bytes, row: int) -> str:
    """The beginning of a line, to be shown."""
    return repr(text.split(b"\n")[row][:60].decode(errors="replace"))
