"""Times as venues write them."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.orderbook.venues.times import milliseconds, rfc3339, seconds

NEW_YEAR = 1_704_067_200 * 10**9


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-01-01T00:00:00Z", NEW_YEAR),
        ("2024-01-01T00:00:00.5Z", NEW_YEAR + 5 * 10**8),
        ("2024-01-01T00:00:00.123456789Z", NEW_YEAR + 123_456_789),
        ("2024-01-01T01:30:00.000001+01:30", NEW_YEAR + 1_000),
        ("2023-12-31 19:00:00-05:00", NEW_YEAR),
        ("1970-01-01T00:00:00Z", 0),
        ("2024-02-29T00:00:00z", NEW_YEAR + 59 * 86_400 * 10**9),
    ],
)
def test_rfc_3339_is_exact_to_the_ns(text: str, time: int) -> None:
    assert rfc3339(text) == time


NONE: list[Any] = [
    "", "now", "2024-01-01", "2024-01-01T00:00:00", "2024-13-01T00:00:00Z", "2023-02-29T00:00:00Z", 5, None, True,
    "2024-01-01T00:00:00.1234567890Z", "2024-01-01T24:00:01Z", "1969-12-31T23:59:59Z", "2024-01-01T00:00:00.Z", [],
    "٢٠٢٤-01-01T00:00:00Z",
]  # fmt: skip


@pytest.mark.parametrize("value", NONE)
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        rfc3339(value)
    with pytest.raises(ValueError, match="is no time"):
        milliseconds(None if value == 5 else value)
    with pytest.raises(ValueError, match="is no time"):
        seconds(value)


@pytest.mark.parametrize("value", [1_704_067_200_123, "1704067200123"])
def test_milliseconds_may_be_texts(value: Any) -> None:
    assert milliseconds(value) == NEW_YEAR + 123 * 10**6


@pytest.mark.parametrize("value", [-1, "-1", 2**63 // 10**6 + 1, 10**30, 1.5, "1.5", "1_0", "１"])
def test_milliseconds_out_of_range_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="is no time"):
        milliseconds(value)


def test_seconds_are_not_rounded() -> None:
    assert seconds("1534614248.123456") == 1_534_614_248_123_456_000
    assert seconds("1534614248.000000001") == 1_534_614_248_000_000_001
