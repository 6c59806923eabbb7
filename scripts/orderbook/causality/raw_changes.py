"""A raw capture with everything after an instant changed: what no artifact up to then may have known.

Messages keep their ids, times and order, so that the stream stays one that the venue could have sent. All prices after
the instant are moved by a few ticks, all sizes get another value; what removes a level goes on removing one. Lines up
to the instant, and those that are no messages, keep every byte. Times are those of the capture.

Of venues whose messages carry checksums nothing can be changed without breaking them, and captures without local times
do not tell what was known when.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from scripts.lib.progress import Progress
from scripts.orderbook.capture.raw import COLLECTOR, BadLines, read_file, time_of
from scripts.orderbook.capture.records import NO_TIME

JSON_LINES = ("binance-spot", "binance-usdm", "binance-coinm", "bybit")
TARDIS = "tardis"
SIDES = ("b", "a", "bids", "asks")
QUOTED = (("b", "B"), ("a", "A"))  # price and size of best quotes
SMALLEST, LARGEST = 0.25, 4.0  # factors of sizes
LOOKED_AT = 1_000  # lines in which a local time must stand
US = 1_000  # ns
BORNE = 1 << 62  # bad lines: parse_book judges them


class Changes:
    """Other prices and sizes.

    Args:
        random: of the sizes.
        shift: added to all prices, quote currency.
    """

    def __init__(self, random: np.random.Generator, shift: Decimal) -> None:
        self._random, self._shift = random, shift

    def level(self, price: str, size: str) -> tuple[str, str]:
        """Another price and another size; an empty level stays empty."""
        moved = Decimal(price) + self._shift
        return (f"{moved:f}" if moved > 0 else price), self._size(size)

    def _size(self, text: str) -> str:
        size = Decimal(text)
        if not size:
            return text
        unit = Decimal(1).scaleb(int(size.as_tuple().exponent))
        new = (size * Decimal(self._random.uniform(SMALLEST, LARGEST))).quantize(unit)
        return f"{new if new not in (0, size) else size + unit.copy_sign(size):f}"


def why_not(venue: str, raw: list[Path]) -> str | None:
    """Why a capture cannot be changed; None if it can."""
    if venue == TARDIS:
        return None
    if venue not in JSON_LINES:
        return f"captures of {venue} cannot be changed without breaking them"
    if not any(_split(line)[1] != NO_TIME for path in raw for line in islice(lines_of(path), LOOKED_AT)):
        return f"{raw[-1]}: its lines bear no local time, so that it is not told what was known when"
    return None


def change_capture(source: Path, target: Path, venue: str, instant: int, changes: Changes) -> int:
    """Write a capture with what arrived after an instant changed.

    Args:
        source: as parse_book reads it.
        target: .gz.
        venue: one for which `why_not` has no reason.
        instant: ns UTC.
        changes: of prices and sizes.

    Returns:
        Number of changed lines.
    """
    changed = 0
    change = tardis_change(changes, instant) if venue == TARDIS else json_change(changes, instant)
    with gzip.open(target, "wb", 1) as out:
        for line in lines_of(source):
            new = change(line)
            changed += new is not None
            out.write(line if new is None else new)
    return changed


def lines_of(path: Path) -> Iterable[bytes]:
    """Whole lines, of a damaged file those before the fault."""
    with Progress("change", path.stat().st_size, "B") as progress:
        for block in read_file(path, BadLines(BORNE), progress):
            yield from block.text.splitlines(keepends=True)


Change = Callable[[bytes], bytes | None]
"""A line to the one that stands for it, None if it stays."""


def json_change(changes: Changes, instant: int) -> Change:
    """Of lines `<local time> <json>`."""

    def change(line: bytes) -> bytes | None:
        head, time, text = _split(line)
        if time <= instant:  # NO_TIME too
            return None
        try:
            message = orjson.loads(text)
            return head + orjson.dumps(message) + b"\n" if _change_levels(message, changes) else None
        except (ValueError, ArithmeticError):
            return None

    return change


def _split(line: bytes) -> tuple[bytes, int, bytes]:
    """What stands before the JSON, the local time in it (ns, or NO_TIME), the JSON."""
    address = line.partition(b" -> ")[0] + b" -> " if line.startswith(COLLECTOR) and b" -> " in line else b""
    stamp, space, text = line[len(address) :].partition(b" ")
    return address + stamp + space, time_of(stamp.removesuffix(b":")), text


def _change_levels(message: Any, changes: Changes) -> bool:
    """Change all levels and best quotes below a message; whether there was one."""
    if not isinstance(message, dict):
        return False
    found = False
    for price, size in QUOTED:
        if isinstance(message.get(price), str) and isinstance(message.get(size), str):
            message[price], message[size] = changes.level(message[price], message[size])
            found = True
    for key, value in message.items():
        if key in SIDES and isinstance(value, list):
            for level in value:
                level[:2] = changes.level(*level[:2])
            found = found or bool(value)
        else:
            found = _change_levels(value, changes) or found
    return found


def tardis_change(changes: Changes, instant: int) -> Change:
    """Of CSV with a header that names local_timestamp (us), price and amount."""
    columns: dict[str, int] = {}

    def change(line: bytes) -> bytes | None:
        cells = line.rstrip(b"\r\n").decode("ascii", "replace").split(",")
        if not columns:
            columns.update((name, place) for place, name in enumerate(cells))
            return None
        try:
            time, price, amount = (columns[name] for name in ("local_timestamp", "price", "amount"))
            if int(cells[time]) * US <= instant:
                return None
            cells[price], cells[amount] = changes.level(cells[price], cells[amount])
        except (LookupError, ValueError, ArithmeticError):
            return None
        return ",".join(cells).encode() + b"\n"

    return change
