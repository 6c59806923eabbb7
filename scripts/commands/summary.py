"""What `make demo` prints at the end: where the report lies, and ten lines of what the run did and found."""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from scripts.lib.progress import clock, quantity

LINES = 10
MIB = 2**20  # the unit of Snakemake's max_rss
ORDERBOOK = Path("results/orderbook/summary.csv")
OVERVIEW = Path("results/report/overview.csv")
BENCHMARKS = Path("benchmarks")


def main() -> NoReturn:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m scripts.commands.summary", description=__doc__)
    parser.add_argument("report", type=Path, help="the report's path")
    report = parser.parse_args().report
    if not report.is_file() or not (ORDERBOOK.is_file() or OVERVIEW.is_file()):
        missing = OVERVIEW if report.is_file() else report
        print(f"{missing}: not there: has the workflow run in this directory?", file=sys.stderr)
        sys.exit(2)
    print(f"Report: {report.resolve()} ({quantity(report.stat().st_size, 'B')})")
    below = [
        *(backtests(OVERVIEW) if OVERVIEW.is_file() else []),
        workflow(),
        *jobs(BENCHMARKS),
        "Share it as it is: it needs no network. Provenance of every file: make crate",
    ]
    above = order_books(ORDERBOOK, LINES - len(below)) if ORDERBOOK.is_file() else []
    print("\n".join([*above, *below]))
    sys.exit(0)


def workflow() -> str:
    """Which state of the workflow ran."""
    git = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty=, with changed files",
        "--abbrev=12",
    ]
    done = subprocess.run(git, capture_output=True, text=True)
    commit = f"commit {done.stdout.strip()}" if done.returncode == 0 else "not in a git clone"
    return f"Workflow: {commit}; Snakemake {version('snakemake')}"


def jobs(benchmarks: Path) -> list[str]:
    """What the jobs took, from their benchmark files: two lines."""
    files = sorted(benchmarks.rglob("*.jsonl"))
    rows = [(path, json.loads(path.read_text(encoding="utf-8").splitlines()[-1])) for path in files]
    if not rows:
        return []
    slowest, _ = max(rows, key=lambda row: row[1]["s"])
    memory = max(float(row["max_rss"] or 0) for _, row in rows)  # unmeasured in jobs that were too short
    return [
        f"Jobs: {len(rows)} recorded in {benchmarks}/, {clock(sum(row['s'] for _, row in rows))} of computing,"
        f" at most {quantity(memory * MIB, 'B')} of memory each",
        f"  slowest: {slowest.relative_to(benchmarks).with_suffix('')}",
    ]


def backtests(path: Path) -> list[str]:
    """What the backtests earned and what the gates say, from the overview: two lines at most."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sharpes = [row for row in rows if row["kind"] == "backtest" and row["figure"] == "sharpe" and row["value"]]
    states = Counter(row["status"] for row in rows if row["kind"] == "gate")
    told = [f"Backtests, Sharpe ratio and 95 % interval: {', '.join(map(_sharpe, sharpes))}"] if sharpes else []
    if states:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        told.append(f"Gates: {counts}; all on one page: {path.with_suffix('.html')}")
    return told


def _sharpe(row: dict[str, str]) -> str:
    bounds = f" ({float(row['low']):.2f} to {float(row['high']):.2f})" if row["low"] else ""
    return f"{row['subject']} {float(row['value']):.2f}{bounds} {row['unit']}"


def order_books(path: Path, room: int) -> list[str]:
    """The order-book line in at most `room` lines: totals, then a line a part."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    total = {key: sum(int(row[key]) for row in rows) for key in ("messages", "states", "gaps", "bad_lines")}
    compared = sum(int(row["best_quotes_compared"]) for row in rows)
    equal = sum(int(row["best_quotes_equal"]) for row in rows)
    verified, failed = (sum(int(row[f"checksums_{key}"]) for row in rows) for key in ("verified", "failed"))
    feeds = sorted({row["feed"] for row in rows})
    lines = [
        f"Order books: feeds {', '.join(feeds)}; {len(rows)} parts",
        f"  {total['messages']:,} depth messages read, {total['states']:,} book states rebuilt",
        f"  gaps in the update ids: {total['gaps']}; unreadable lines: {total['bad_lines']}",
        f"  rebuilt best quotes equal to the venue's own: {equal:,} of {compared:,} states;"
        f" checksums: {verified:,} verified, {failed:,} failed",
    ]
    parts = [_part(row) for row in rows]
    room -= len(lines)
    if room <= 0:
        return lines
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
