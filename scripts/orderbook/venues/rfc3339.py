"""Times as `2021-04-17T16:41:00.660Z`, to the nanosecond: datetime knows microseconds only."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from scripts.orderbook.records import LARGEST

PATTERN = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
SECOND = 1_000_000_000  # nanoseconds


def time_of(text: str) -> int:
    """ns UTC of a time text.

    Raises:
        ValueError: it is no such text, or a day that there is not.
        TypeError: it is no text at all.
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text:.40} is no RFC 3339 time in UTC")
    time = _seconds(match[1]) * SECOND + int((match[2] or "0").ljust(9, "0"))
    if not 0 <= time <= LARGEST:
        raise ValueError(f"time {text:.40} is out of range")
    return time


@lru_cache(maxsize=64)
def _seconds(text: str) -> int:
    """Whole seconds since 1970; the messages of a second share theirs."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
