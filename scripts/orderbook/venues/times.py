"""Times as venues write them, to ns UTC without rounding."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from scripts.orderbook.capture.raw import time_of
from scripts.orderbook.capture.records import LARGEST, NO_TIME

MS, SECOND = 1_000_000, 1_000_000_000  # ns
RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d:\d\d)", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(value: Any) -> int:
    """An integer of ms, or its text.

    Raises:
        ValueError: it is none, or not of int64 in ns.
    """
    number = int(value) if type(value) is str and value.isascii() and value.isdigit() else value
    if type(number) is not int or not 0 <= number <= LARGEST // MS:  # True is an int too
        raise ValueError(f"{value!r:.40} is no time")
    return number * MS


def seconds(value: Any) -> int:
    """A text of decimal seconds.

    Raises:
        ValueError: it is none.
    """
    time = time_of(value.encode()) if type(value) is str else NO_TIME
    if time == NO_TIME:
        raise ValueError(f"{value!r:.40} is no time")
    return time


def rfc3339(value: Any) -> int:
    """A text such as 2023-10-06T17:35:55.440295Z.

    Raises:
        ValueError: it is none.
    """
    found = RFC_3339.fullmatch(value) if type(value) is str else None
    if not found:
        raise ValueError(f"{value!r:.40} is no time")
    moment, fraction, zone = found.groups(default="")
    time = _whole_seconds(moment, zone) * SECOND + int(fraction.ljust(9, "0"))
    if not 0 <= time <= LARGEST:
        raise ValueError(f"time {value:.40} is out of range")
    return time


@lru_cache(maxsize=64)
def _whole_seconds(moment: str, zone: str) -> int:
    """Since 1970; the messages of a second share theirs."""
    passed = datetime.fromisoformat(f"{moment}{zone.upper().replace('Z', '+00:00')}") - EPOCH
    return passed.days * 86_400 + passed.seconds
