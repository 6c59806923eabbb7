"""Progress of long work: a bar with ETA on a terminal, plain lines in a log file.

    with Progress("read", total=size, unit="B") as progress:
        progress.advance(len(chunk))

A plain line reads `progress read 37.2 % 1.2 G/3.2 GB 45 MB/s ETA 0:00:41`; `make watch` shows them as bars.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from scripts.lib.joblog import log

LINE = re.compile(r"^progress (?P<what>\S+) (?P<percent>[0-9.]+) % (?P<rest>.*)$")
SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_REFRESHES = 0.2  # asking the clock is cheap, drawing is not
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))

Item = TypeVar("Item")


@dataclass(frozen=True)
class Reading:
    """A progress line read back from a log: percent is 0 to 100."""

    what: str
    percent: float
    rest: str


class Progress:
    """Counts work done.

    Args:
        what: one word for the work, such as "parse".
        total: the whole amount, in `unit`.
        unit: "B" for bytes, or what is counted, such as "messages".
        done: what an earlier attempt has done of it; it does not count in the rate.
    """

    def __init__(self, what: str, total: float, unit: str = "", done: float = 0.0) -> None:
        self.what, self.total, self.unit = what, max(float(total), 0.0), unit
        self.done = self._before = float(done)
        self._start = self._shown = time.monotonic()
        self._bar: Any = None
        self._between = SECONDS_BETWEEN_LINES

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task(self.what, total=self.total or 1.0, text="")
            self._bar.start()
            self._between = SECONDS_BETWEEN_REFRESHES
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self._show()
        if self._bar:
            self._bar.stop()

    def advance(self, amount: float = 1.0) -> None:
        """Add `amount` to what is done."""
        self.done += amount
        now = time.monotonic()
        if now - self._shown >= self._between:
            self._shown = now
            self._show()

    def line(self) -> str:
        """The plain line for the present moment."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        rate = (self.done - self._before) / seconds
        percent = 100.0 if self.total <= 0 else min(100.0 * self.done / self.total, 100.0)
        left = max(self.total - self.done, 0.0) / rate if rate > 0 else 0.0
        amounts = f"{quantity(self.done)}/{quantity(self.total, self.unit)}"
        return f"progress {self.what} {percent:.1f} % {amounts} {quantity(rate, self.unit)}/s ETA {clock(left)}"

    def _show(self) -> None:
        if self._bar:
            text = self.line().split(" % ", 1)[1]
            self._bar.update(self._task, completed=self.done if self.total else 1.0, text=text)
        else:
            log.info("%s", self.line())


def track(items: Iterable[Item], what: str, total: int, unit: str = "") -> Iterator[Item]:
    """Iterate with progress, one step an item."""
    with Progress(what, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def read_line(text: str) -> Reading | None:
    """Read a progress line (without its time and level); None if it is another line."""
    match = LINE.match(text)
    return Reading(match["what"], float(match["percent"]), match["rest"]) if match else None


def quantity(value: float, unit: str = "") -> str:
    """A number with an SI prefix: quantity(1.2e9, "B") is "1.2 GB", quantity(1200, "messages") "1.2 k messages"."""
    space = " " if len(unit) > 1 else ""
    for factor, prefix in PREFIXES:
        if value >= factor:
            return f"{value / factor:.3g} {prefix}{space}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss, hours going on beyond a day."""
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"


def _bar() -> Any:
    from rich.console import Console  # only drawn on terminals: jobs do not pay for the import
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    return Bars(*columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True), refresh_per_second=5)
