"""Put the quality reports of all parts into one table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from scripts.lib import job
from scripts.lib.errors import InputError

COUNTS = ("messages", "states", "segments", "gaps", "duplicates", "crossed", "bad_lines")
CHECKS = {
    "checksums_verified": ("checksums", "verified"),
    "checksums_failed": ("checksums", "failed"),
    "best_quotes_compared": ("best_quote_check", "compared"),
    "best_quotes_equal": ("best_quote_check", "equal"),
}
COLUMNS = ("feed", "part", *COUNTS, *CHECKS)


def main(quality: list[job.InputFile], summary: job.OutputFile) -> None:
    """Put the quality reports of all parts into one table.

    Args:
        quality: JSON reports of parse_book, …/FEED/quality/PART.json
        summary: CSV with one row a part
    """
    rows = [read_row(path) for path in quality]
    with summary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def read_row(path: Path) -> list[str | int]:
    """One row of the table."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        counts = [report[key] for key in COUNTS]
        checks = [report[check][key] for check, key in CHECKS.values()]
        return [path.parent.parent.name, path.stem, *counts, *checks]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a quality report of parse_book ({type(error).__name__}: {error})") from None


if __name__ == "__main__":
    job.run(main)
