"""Peak memory of parse_book and extract_features, on streams of two lengths: it must not grow with them.

    python -m tests.bench.memory [--megabytes 5000]

The capture is the real one of tests/conftest.py, repeated as for tests/bench/order_book.py and packed as it is made, so
that its text never lies on the disk; 5 GB take about 0.9 GB there, and the states 0.2 GB.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from tests.bench.order_book import REAL, tile
from tests.bench.timing import Command, peak_memory, show
from tests.conftest import ROOT

LIMIT = 1024 * 1024 * 1024 / 1e6  # MB


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=5_000, help="size of the longer capture, unpacked")
    megabytes = parser.parse_args().megabytes
    if not REAL.exists():
        print(f"skipped: real data not at hand: {REAL} (set TIDEMILL_DATA)")
        return
    for size in (megabytes / 10, megabytes):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), size)


def measure(folder: Path, megabytes: float) -> None:
    """Both programs on a capture of so many MB."""
    raw, states, features = folder / "raw.gz", folder / "states.parquet", folder / "features.parquet"
    size = tile(raw, megabytes * 1e6, 1)
    settings = json.dumps({"venue": "binance-usdm"})
    parse = program("parse_book", raw=raw, states=states, quality=folder / "quality.json", settings=settings)
    extract = program("extract_features", states=states, features=features, settings="{}")
    parsing, extracting = peak_memory(parse), peak_memory(extract)
    what = f"{size / 1e9:.1f} GB of raw text, {pq.read_metadata(states).num_rows:,} states"
    show(f"parse_book, {what}", [parsing], "MB", f"  limit {LIMIT:.0f}")
    show(f"extract_features, {what}", [extracting], "MB", f"  limit {LIMIT:.0f}")


def program(name: str, **options: object) -> Command:
    """The command line of a program of the order-book line."""
    flags = [f"--{option}={value}" for option, value in options.items()]
    return [sys.executable, "-m", f"scripts.orderbook.{name}", *flags], ROOT


if __name__ == "__main__":
    main()
