"""Raw Binance USD-M capture to book states: whole process, one core, every message; against hftbacktest.

    python -m tests.bench.order_book [--megabytes 1000] [--repeats 3] [--depth 24] [--level 6] [--no-rival]

The capture is the real file of tests/conftest.py, repeated with ids and times moved on so that it is one stream without
a gap; so the states repeat too, every 6,551 rows, which makes the states file smaller than a real one. The rival is
hftbacktest's own converter and a replay that reads as many levels, in an environment of its own
(envs/bench-books.yaml), on the same file; see tests/bench/rival_hftbacktest.py for what it is spared.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from scripts.orderbook.book.best_quote_check import BestQuoteCheck
from scripts.orderbook.book.book import Book
from scripts.orderbook.capture.raw import BadLines, read_blocks
from scripts.orderbook.capture.stream import quotes_of
from scripts.orderbook.states.table import StatesWriter
from scripts.orderbook.venues.binance import Binance
from tests.bench.timing import show
from tests.conftest import DATA, ROOT, clean_environment

REAL = DATA / "orderbook/binance/usdm/btcusdt_20240808.gz"
IDS = re.compile(rb'"(U|u|pu|lastUpdateId)":(\d+)')
TIMES = re.compile(rb'"(E|T)":(\d+)')
HEAD = 400  # bytes of a line that hold all ids and times of a diff; quotes are shorter

Item = TypeVar("Item")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.order_book", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1_000, help="size of the capture, unpacked")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of ours; the rival runs once")
    parser.add_argument("--depth", type=int, default=24, help="levels a side")
    parser.add_argument("--level", type=int, default=6, help="of gzip, 1 to 9")
    parser.add_argument("--no-rival", action="store_true", help="only our side")
    options = parser.parse_args()
    if not REAL.exists():
        print(f"skipped: real data not at hand: {REAL} (set TIDEMILL_DATA)")
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw.gz")
        size = tile(raw, options.megabytes * 1e6, options.level)
        print(f"capture: {size / 1e6:.0f} MB, {raw.stat().st_size / 1e6:.0f} MB packed (gzip level {options.level})")
        measure(raw, size, options)


def measure(raw: Path, size: int, options: argparse.Namespace) -> None:
    """Our runs, their split, and the rival's."""
    run(raw, options.depth)  # compiles, where that has not been done
    both = [run(raw, options.depth) for _ in range(options.repeats)]
    runs, cpu = [wall for wall, _ in both], [cpu for _, cpu in both]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    show("parse_book, whole process", runs, "s")
    show("parse_book, CPU time", cpu, "s")
    show("unpacked bytes a second", [size / 1e6 / took for took in runs], "MB")
    show("peak memory", [peak], "MB", "  limit 1024 MB")
    tell_split(split(raw, options.depth))
    if options.no_rival:
        return
    rival = run_rival(raw, options.depth, int(size / 40))
    show("hftbacktest, convert", [rival["convert"]], "s")
    show("hftbacktest, replay with as many levels", [rival["replay"]], "s")
    print(f"{'states read':58} {rival['states']:,}")
    show("ratio", [(rival["convert"] + rival["replay"]) / took for took in runs], "", "  limit 10")
    show("ratio of CPU time, steadier where others are at work", [rival["cpu"] / took for took in cpu], "")


def run(raw: Path, depth: int) -> tuple[float, float]:
    """Wall and CPU time of one process, seconds."""
    outputs = [f"--states={raw.parent}/states.parquet", f"--quality={raw.parent}/quality.json"]
    settings = json.dumps({"venue": "binance-usdm", "depth": depth})
    command = [sys.executable, "-m", "scripts.orderbook.parse_book", "--raw", str(raw), *outputs]
    environment = clean_environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    start, before = time.perf_counter(), cpu_of_children()
    subprocess.run([*command, "--settings", settings], check=True, env=environment, cwd=ROOT, capture_output=True)
    return time.perf_counter() - start, cpu_of_children() - before


def cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_rival(raw: Path, depth: int, rows: int) -> dict[str, Any]:
    """The rival in its own environment, which is built first where it is not there."""
    prefix = ROOT / ".envs" / "bench-books"
    build = ["env", "create", "--file", str(ROOT / "envs/bench-books.yaml"), "--prefix", str(prefix)]
    subprocess.run([sys.executable, str(ROOT / "envs/bin/conda.py"), *build], check=True, env=clean_environment())
    program = [prefix / "bin/python", ROOT / "tests/bench/rival_hftbacktest.py"]
    done = subprocess.run(
        [*program, raw, str(depth), str(rows)], check=True, env=clean_environment(), capture_output=True, text=True
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def tile(path: Path, size: float, level: int) -> int:
    """Write the real capture again and again, each time moved on in ids and times; the bytes before packing."""
    lines = gzip.decompress(REAL.read_bytes()).splitlines(keepends=True)
    diffs = [line for line in lines if b"depthUpdate" in line]
    ids = [{key: int(value) for key, value in IDS.findall(line[:HEAD])} for line in (diffs[0], diffs[-1])]
    ids_on = ids[1][b"u"] - ids[0][b"pu"]
    ms_on = (int(lines[-1][:19]) - int(lines[0][:19])) // 1_000_000 + 100
    written = number = 0
    with gzip.open(path, "wb", level) as file:
        while written < size:
            text = b"".join(moved(line, number * ids_on, number * ms_on) for line in lines)
            written += file.write(text)
            number += 1
    return written


def moved(line: bytes, ids: int, milliseconds: int) -> bytes:
    """A line with its ids and times moved on."""
    head = IDS.sub(lambda match: b'"%s":%d' % (match[1], int(match[2]) + ids), line[19:HEAD])
    head = TIMES.sub(lambda match: b'"%s":%d' % (match[1], int(match[2]) + milliseconds), head)
    return b"%d%s%s" % (int(line[:19]) + milliseconds * 1_000_000, head, line[HEAD:])


def split(raw: Path, depth: int) -> dict[str, float]:
    """Seconds of each step, in this process: the loop of parse_book with a clock around each."""
    spent: defaultdict[str, float] = defaultdict(float)
    bad, book, check = BadLines(0), Book(depth), BestQuoteCheck()
    adapter = Binance("binance-usdm", None, bad)
    with StatesWriter(raw.parent / "split.parquet", depth) as writer:
        for block in clocked(read_blocks([raw], bad), spent, "gunzip"):
            batch = timed(spent, "scan", lambda block=block: adapter.read(block))  # type: ignore[misc]
            for rows in clocked(book.follow(batch), spent, "book"):
                timed(spent, "parquet", lambda rows=rows: writer.write(rows))  # type: ignore[misc]
                timed(spent, "check of best quotes", lambda rows=rows: check.add_states(rows))  # type: ignore[misc]
            timed(spent, "check of best quotes", lambda batch=batch: check.add_quotes(quotes_of(batch)))  # type: ignore[misc]
    print(f"{'of the states crossed':58} {int(book.counts['crossed'][0])} of {int(book.counts['states'][0]):,}")
    return dict(spent)


def timed(spent: dict[str, float], what: str, call: Callable[[], Item]) -> Item:
    start = time.perf_counter()
    result = call()
    spent[what] += time.perf_counter() - start
    return result


def clocked(items: Iterator[Item], spent: dict[str, float], what: str) -> Iterator[Item]:
    """Iterate, and add up the time that making the items takes."""
    while True:
        start = time.perf_counter()
        item = next(items, None)
        spent[what] += time.perf_counter() - start
        if item is None:
            return
        yield item


def tell_split(spent: dict[str, float]) -> None:
    total = sum(spent.values())
    for what, took in spent.items():
        print(f"  {what:56} {took:7.2f} s  {100 * took / total:5.1f} %")
    share = (spent["gunzip"] + spent["parquet"]) / total
    print(f"{'gunzip and Parquet together':58} {100 * share:7.1f} %   limit 50 %")


if __name__ == "__main__":
    main()
