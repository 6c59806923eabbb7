"""Raw captures: text lines `<local time, ns> <json>` or `<local time, ns>: <json>`, gz or plain."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from scripts.lib.errors import InputError
from scripts.lib.progress import Progress
from scripts.orderbook.records import LARGEST

LONGEST_STAMP = len(str(LARGEST))


@dataclass(slots=True)
class BadLines:
    """Unreadable lines so far; `first` names file, line and reason."""

    allowed: int
    count: int = 0
    first: str | None = None

    def add(self, path: Path, number: int, reason: str) -> None:
        """Count a bad line; InputError once there are more than allowed."""
        self.count += 1
        message = f"{path}: line {number}: {reason}"
        self.first = self.first or message
        if self.count > self.allowed:
            raise InputError(f"{message} (bad line {self.count}; max_bad_lines is {self.allowed})")


def read_lines(paths: list[Path], bad: BadLines) -> Iterator[tuple[Path, int, int, Any]]:
    """Read captures in order, as one stream.

    Yields:
        file, line number from 1, local time in ns UTC, decoded JSON.

    Raises:
        InputError: more bad lines than allowed, or a file that cannot be opened.
    """
    with Progress("parse", sum(path.stat().st_size for path in paths), "B") as progress:
        for path in paths:
            yield from _read_file(path, bad, progress)


def _read_file(path: Path, bad: BadLines, progress: Progress) -> Iterator[tuple[Path, int, int, Any]]:
    number = position = 0
    try:
        with path.open("rb") as file:
            stream = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            for number, line in enumerate(stream, start=1):
                record = _decode(line)
                if isinstance(record, str):
                    bad.add(path, number, record)
                else:
                    yield path, number, *record
                progress.advance(file.tell() - position)
                position = file.tell()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        bad.add(path, number + 1, f"gzip data damaged or cut short ({error})")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def _decode(line: bytes) -> tuple[int, Any] | str:
    """(local time, JSON) of a line, or what is wrong with it."""
    stamp, _, text = line.partition(b" ")
    stamp = stamp.removesuffix(b":")
    if not stamp.isdigit() or len(stamp) > LONGEST_STAMP or int(stamp) > LARGEST:
        return "does not begin with a time in ns"
    try:
        return int(stamp), orjson.loads(text)
    except orjson.JSONDecodeError:
        return "no JSON after the time"
