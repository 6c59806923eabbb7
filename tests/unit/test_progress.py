"""Progress: bars on a terminal, lines in a log."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from scripts.lib import progress as module
from scripts.lib.progress import Progress, clock, quantity, read_line, track
from tests.conftest import ROOT, clean_environment

PROGRAM = """
from scripts.lib.joblog import set_up_logging
from scripts.lib.progress import track
set_up_logging()
for _ in track(range(4), "read", total=4, unit="messages"):
    pass
"""


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Clock:
    hands = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=hands.monotonic))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: False))
    return hands


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger="tidemill"):
        yield caplog


@pytest.mark.parametrize(
    ("total", "done", "seconds", "expected"),
    [
        (3.2e9, 1.2e9, 30, "progress read 37.5 % 1.2 G/3.2 GB 40 MB/s ETA 0:00:50"),
        (100, 25, 600, "progress read 25.0 % 25/100 B 0.0417 B/s ETA 0:30:00"),
        (100, 100, 5, "progress read 100.0 % 100/100 B 20 B/s ETA 0:00:00"),
        (100, 150, 5, "progress read 100.0 % 150/100 B 30 B/s ETA 0:00:00"),
        (100, 0, 5, "progress read 0.0 % 0/100 B 0 B/s ETA 0:00:00"),
        (0, 0, 5, "progress read 100.0 % 0/0 B 0 B/s ETA 0:00:00"),
        (0, 7, 7, "progress read 100.0 % 7/0 B 1 B/s ETA 0:00:00"),
        (1e6, 1, 360, "progress read 0.0 % 1/1 MB 0.00278 B/s ETA 99999:54:00"),
    ],
)
def test_share_rate_and_time_left(hands: Clock, total: float, done: float, seconds: float, expected: str) -> None:
    progress = Progress("read", total, "B")
    hands.now += seconds
    progress.done = done
    assert progress.line() == expected


def test_what_an_earlier_attempt_has_done_counts_as_done_but_not_in_the_rate(hands: Clock) -> None:
    progress = Progress("train", 100, "B", done=40)
    hands.now += 10
    progress.done += 10
    assert progress.line() == "progress train 50.0 % 50/100 B 1 B/s ETA 0:00:50"


def test_first_moment_divides_by_no_zero(hands: Clock) -> None:
    assert "ETA 0:00:00" in Progress("read", 5).line()


def test_log_gets_a_line_now_and_then_and_one_at_the_end(hands: Clock, lines: pytest.LogCaptureFixture) -> None:
    with Progress("read", 100) as progress:
        for _ in range(100):
            hands.now += 0.5
            progress.advance()
    shares = [reading.percent for text in lines.messages if (reading := read_line(text))]
    assert shares == [20.0, 40.0, 60.0, 80.0, 100.0, 100.0]


def test_failure_claims_no_end(hands: Clock, lines: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="bad"), Progress("read", 100):
        raise ValueError("bad")
    assert lines.messages == []


@pytest.mark.parametrize("count", [0, 1, 5])
def test_tracked_items_arrive_unchanged_and_are_counted(
    hands: Clock, lines: pytest.LogCaptureFixture, count: int
) -> None:
    items = [object() for _ in range(count)]
    assert list(track(iter(items), "read", count)) == items
    assert lines.messages[-1].startswith(f"progress read 100.0 % {count}/{count} ")


@pytest.mark.parametrize(("total", "done", "percent"), [(8, 1, 12.5), (3, 3, 100.0), (0, 0, 100.0), (1e12, 1e9, 0.1)])
def test_line_reads_back(hands: Clock, total: float, done: float, percent: float) -> None:
    progress = Progress("parse", total, "B")
    hands.now += 2
    progress.done = done
    reading = read_line(progress.line())
    assert reading
    assert (reading.what, reading.percent) == ("parse", percent)
    assert progress.line().endswith(f" % {reading.rest}")


@pytest.mark.parametrize("text", ["", "done seconds=3.3", "progress", "progress read", "x progress read 3 % y"])
def test_other_lines_are_no_progress(text: str) -> None:
    assert read_line(text) is None


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0, "B", "0 B"),
        (999, "B", "999 B"),
        (1000, "B", "1 kB"),
        (1.2e9, "B", "1.2 GB"),
        (3.45678e12, "", "3.46 T"),
        (12, "", "12"),
        (2500, "messages", "2.5 k messages"),
    ],
)
def test_quantities_have_prefixes(value: float, unit: str, expected: str) -> None:
    assert quantity(value, unit) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0:00:00"), (59.6, "0:01:00"), (3661, "1:01:01"), (86400, "24:00:00"), (1e15, "277777777777:46:40")],
)
def test_clock_counts_hours_beyond_a_day(seconds: float, expected: str) -> None:
    assert clock(seconds) == expected


def test_no_terminal_gets_plain_lines() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=clean_environment(), capture_output=True, text=True
    )
    (line,) = done.stderr.splitlines()
    reading = read_line(line.partition(" INFO ")[2])
    assert reading
    assert reading.percent == 100
    assert "4/4 messages" in reading.rest


def test_terminal_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    environment = clean_environment(TERM="xterm", COLUMNS="120")
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, stderr=theirs)
    os.close(theirs)
    text = b""
    while chunk := read_terminal(ours):
        text += chunk
    os.close(ours)
    assert process.wait() == 0
    shown = text.decode()
    assert "INFO" not in shown
    assert "━" in shown
    assert "100 %" in shown
    assert "4/4 messages" in shown


def read_terminal(descriptor: int) -> bytes:
    """What was written; nothing once the other side is closed (an error on Linux)."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
