"""summarise_books: one row a part, in the order given."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import InputError
from scripts.orderbook import summarise_books
from tests.unit.orderbook_streams import error_of, parse, run_program, simulate

COUNTS = ("messages", "states", "segments", "gaps", "duplicates", "crossed", "bad_lines")


def report(folder: Path, feed: str, part: str, start: int) -> Path:
    """A quality report whose counts are start, start + 1 …"""
    path = folder / "results" / feed / "quality" / f"{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    counts: dict[str, Any] = {name: start + i for i, name in enumerate(COUNTS)}
    checks = {
        "checksums": {"verified": start + 7, "failed": start + 8},
        "best_quote_check": {"compared": start + 9, "equal": start + 10},
    }
    path.write_text(json.dumps(counts | checks | {"more": []}))
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_report_is_a_row_with_its_own_counts(tmp_path: Path) -> None:
    reports = [
        report(tmp_path, "b", "20240102", 100),
        report(tmp_path, "b", "20240101", 200),
        report(tmp_path, "a", "x.y", 0),
    ]
    summarise_books.main(reports, tmp_path / "summary.csv")
    names = (*COUNTS, "checksums_verified", "checksums_failed", "best_quotes_compared", "best_quotes_equal")
    assert rows_of(tmp_path / "summary.csv") == [
        {"feed": feed, "part": part} | {name: str(start + i) for i, name in enumerate(names)}
        for feed, part, start in (("b", "20240102", 100), ("b", "20240101", 200), ("a", "x.y", 0))
    ]


def test_report_of_parse_book_is_understood(tmp_path: Path) -> None:
    quality = parse(simulate(tmp_path / "raw.gz", messages=12, snapshot_levels=5)).quality
    path = tmp_path / "feed" / "quality" / "day.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(quality))
    summarise_books.main([path], tmp_path / "summary.csv")
    (row,) = rows_of(tmp_path / "summary.csv")
    assert (row["feed"], row["part"], row["messages"], row["states"]) == ("feed", "day", "12", "10")
    assert {name: int(row[name]) for name in COUNTS} == {name: quality[name] for name in COUNTS}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"null", b"{}", b"\xff\xfe", b'{"messages": 1}', b"cut"],
)
def test_broken_report_is_named_in_one_line_and_nothing_is_written(tmp_path: Path, content: bytes) -> None:
    good, bad = report(tmp_path, "a", "1", 0), report(tmp_path, "a", "2", 0)
    bad.write_bytes(bad.read_bytes()[:-9] if content == b"cut" else content)
    target = tmp_path / "out" / "summary.csv"
    done = run_program("scripts.orderbook.summarise_books", "--quality", good, bad, "--summary", target)
    assert f"{bad}: not a quality report of parse_book" in error_of(done)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("missing", [*COUNTS, "checksums", "best_quote_check"])
def test_report_without_a_count_is_refused(tmp_path: Path, missing: str) -> None:
    path = report(tmp_path, "a", "1", 0)
    counts = json.loads(path.read_text())
    del counts[missing]
    path.write_text(json.dumps(counts))
    with pytest.raises(InputError, match=missing):
        summarise_books.main([path], tmp_path / "summary.csv")
