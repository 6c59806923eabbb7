"""What `make demo` prints at the end: where the report lies, and ten lines of what the run found."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import NoReturn

LINES = 10
ORDERBOOK = Path("results/orderbook/summary.csv")


def main() -> NoReturn:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m scripts.commands.summary", description=__doc__)
    parser.add_argument("report", type=Path, help="the report's path")
    report = parser.parse_args().report
    if not ORDERBOOK.is_file():
        print(f"{ORDERBOOK}: not there: has the workflow run in this directory?", file=sys.stderr)
        sys.exit(2)
    print("\n".join([f"Report: {report.resolve()} ({report.stat().st_size / 1e6:.1f} MB)", *order_books(ORDERBOOK)]))
    sys.exit(0)


def order_books(path: Path) -> list[str]:
    """The order-book line in at most ten lines: totals, then a line a part."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    total = {key: sum(int(row[key]) for row in rows) for key in ("messages", "states", "gaps", "bad_lines")}
    compared = sum(int(row["best_quotes_compared"]) for row in rows)
    equal = sum(int(row["best_quotes_equal"]) for row in rows)
    lines = [
        f"Order books: {len(rows)} parts, {total['messages']:,} depth messages, {total['states']:,} book states",
        f"  gaps {total['gaps']}, unreadable lines {total['bad_lines']}",
        f"  rebuilt best quotes equal to the venue's own: {equal:,} of {compared:,} states",
    ]
    parts = [_part(row) for row in rows]
    room = LINES - len(lines)
    return lines + (
        parts if len(parts) <= room else [*parts[: room - 1], f"  … {len(parts) - room + 1} more in {path}"]
    )


def _part(row: dict[str, str]) -> str:
    return (
        f"  {row['feed']} {row['part']}: {int(row['states']):,} states, {row['segments']} segments, {row['gaps']} gaps,"
        f" best quotes {int(row['best_quotes_equal']):,}/{int(row['best_quotes_compared']):,}"
    )


if __name__ == "__main__":
    main()
