"""Raw captures: files of text lines, packed or plain (unpack.py beside it), read in blocks of whole lines.

A line is `<local time> <json>`, `<local time>: <json>`, or JSON alone where the collector noted no time. The time is an
integer of ns, us, ms or s (today these differ by a factor of a thousand, so its size tells which) or decimal seconds.
Collectors of the cryptofeed family also note `<address> -> <local time>: <json>` for answers to their requests, and
lines of what they were set to, connected to and sent, which hold nothing to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from scripts.lib.errors import InputError
from scripts.lib.progress import Progress
from scripts.orderbook.capture.records import LARGEST, LONGEST_STAMP, NO_TIME
from scripts.orderbook.capture.unpack import BLOCK, Damaged, read_pieces

SECOND, DECIMALS = 1_000_000_000, 9  # ns
UNITS = [(10**17, 1), (10**14, 1_000), (10**11, 1_000_000)]  # smallest time so written, its unit in ns; below: seconds
SIGNS_OF_LIFE = (b"ping", b"pong")  # of venues whose sign is no JSON
COLLECTOR = (b"configuration:", b"ws://", b"wss://", b"http://", b"https://")
NEWLINE = ord("\n")
LONGEST_LINE = 1 << 26  # bytes; a snapshot of 5,000 levels has 300 KB


@dataclass(slots=True)
class BadLines:
    """Unreadable lines so far; `first` names file, line and reason."""

    allowed: int
    count: int = 0
    first: str | None = None

    def add(self, path: Path, number: int, reason: str, what: str = "line") -> None:
        """Count a bad line (or what a file has instead of lines); InputError once there are more than allowed."""
        self.count += 1
        message = f"{path}: {what} {number}: {reason}"
        self.first = self.first or message
        if self.count > self.allowed:
            raise InputError(f"{message} (bad {what} {self.count}; max_bad_lines is {self.allowed})")


class Block(NamedTuple):
    """Whole lines of a file, each with its newline; `first` is the number of the first one, from 1."""

    path: Path
    first: int
    text: bytes


def read_blocks(paths: list[Path], bad: BadLines) -> Iterator[Block]:
    """Read captures in order, as one stream.

    Raises:
        InputError: more bad lines than allowed, or a file that cannot be opened.
    """
    with Progress("parse", sum(path.stat().st_size for path in paths), "B") as progress:
        for path in paths:
            yield from read_file(path, bad, progress)


def read_file(path: Path, bad: BadLines, progress: Progress) -> Iterator[Block]:
    number = 1
    try:
        for text in whole_lines(read_pieces(path, progress)):
            yield Block(path, number, text)
            number += int(np.count_nonzero(np.frombuffer(text, np.uint8) == NEWLINE))  # a sixth of count's time
    except Damaged as error:
        bad.add(path, number, f"{error}")


def whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join pieces to blocks that end with a line; of the last one of a damaged file, what is whole.

    Of a line over LONGEST_LINE only its beginning is passed on, which then is a bad line.
    """
    held: list[bytes] = []
    length = 0
    try:
        for piece in pieces:
            length += len(piece)
            if length >= BLOCK and (end := piece.rfind(b"\n") + 1):
                yield b"".join([*held, memoryview(piece)[:end]])
                held, length = [piece[end:]], len(piece) - end
                continue
            held.append(piece)
            if length >= LONGEST_LINE:
                text = b"".join(held)
                end = text.rfind(b"\n") + 1
                yield text[:end] if end else text + b"\n"
                text = text[end:] if end else _rest_of_line(pieces)
                held, length = [text], len(text)
    except Damaged:
        text = b"".join(held)
        if end := text.rfind(b"\n") + 1:
            yield text[:end]
        raise
    if text := b"".join(held):
        yield text if text.endswith(b"\n") else text + b"\n"


def _rest_of_line(pieces: Iterator[bytes]) -> bytes:
    """Pass over pieces up to the end of a line; what follows it."""
    for piece in pieces:
        _, newline, rest = piece.partition(b"\n")
        if newline:
            return rest
    return b""


def decode(line: bytes, loads: Callable[[bytes], Any] = orjson.loads) -> tuple[int, Any] | str | None:
    """(local time in ns or NO_TIME, JSON) of a line, or what is wrong with it; None if it holds nothing to read.

    Args:
        loads: the JSON parser, which raises a ValueError.
    """
    if line.startswith((b"{", b"[")):
        return _decoded(NO_TIME, line, loads)
    if line.startswith(COLLECTOR):
        _, arrow, line = line.partition(b" -> ")
        if not arrow:
            return None
    stamp, _, text = line.partition(b" ")
    local_time = time_of(stamp.removesuffix(b":"))
    if len(text) < 8 and text.strip() in SIGNS_OF_LIFE:
        return None
    return "does not begin with a time" if local_time == NO_TIME else _decoded(local_time, text, loads)


def _decoded(local_time: int, text: bytes, loads: Callable[[bytes], Any]) -> tuple[int, Any] | str:
    try:
        return local_time, loads(text)
    except ValueError:
        return "no JSON after the time" if local_time != NO_TIME else "no JSON"


def time_of(stamp: bytes) -> int:
    """Time in ns of the text of a time, without rounding; NO_TIME if it is none."""
    whole, dot, decimals = stamp.partition(b".")
    if not whole.isdigit() or len(whole) > LONGEST_STAMP:
        return NO_TIME
    if dot:
        if not decimals.isdigit() or len(decimals) > DECIMALS:
            return NO_TIME
        return _in_range(int(whole) * SECOND + int(decimals.ljust(DECIMALS, b"0")))
    value = int(whole)
    return _in_range(value * unit_of(value))


def unit_of(value: int) -> int:
    """The unit of a time in ns, told by its size: up to the year 5138 it cannot be mistaken."""
    for smallest, unit in UNITS:
        if value >= smallest:
            return unit
    return SECOND


def _in_range(time: int) -> int:
    return time if time <= LARGEST else NO_TIME
