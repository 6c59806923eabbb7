"""Depth streams for the tests of the order-book programs, and what runs the programs on them."""

from __future__ import annotations

import copy
import gzip
import json
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zstandard

from scripts.lib.errors import InputError
from scripts.orderbook import parse_book, simulate_book
from scripts.orderbook.book.settings import ParseSettings
from scripts.orderbook.simulation.settings import SimulateSettings
from tests.conftest import ROOT, clean_environment

DAY_MS = 1_704_067_200_000  # 2024-01-01
MS = 1_000_000
BIDS = [["100.0", "1"], ["99.0", "2"]]
ASKS = [["101.0", "3"], ["102.0", "4"]]
SUMS = ("messages", "updates", "states", "gaps", "resyncs", "crossed", "duplicates", "time_going_back",
        "without_snapshot", "bad_lines")  # fmt: skip

Message = dict[str, Any]


def diff(first: int, final: int, previous: int | None = None, **changes: Any) -> Message:
    """A depth message: with `previous` (pu) of USD-M, without of spot."""
    data = {"e": "depthUpdate", "E": DAY_MS + final, "s": "BTCUSDT", "U": first, "u": final, "b": [], "a": []}
    if previous is not None:
        data["pu"] = previous
    return {"stream": "btcusdt@depth@0ms", "data": data | changes}


def snapshot(update_id: int, **changes: Any) -> Message:
    """A REST snapshot; without the key E one of spot."""
    return {"lastUpdateId": update_id, "bids": BIDS, "asks": ASKS} | changes


def quote(update_id: int, bid: list[str], ask: list[str]) -> Message:
    data = {"u": update_id, "s": "BTCUSDT", "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]}
    return {"stream": "btcusdt@bookTicker", "data": data}


def write_messages(path: Path, messages: Iterable[Any]) -> Path:
    """Write messages as a collector does, one a millisecond."""
    lines = [b"%d %s\n" % (DAY_MS * MS + i * MS, json.dumps(message).encode()) for i, message in enumerate(messages)]
    return write_lines(path, lines)


def write_lines(path: Path, lines: Iterable[bytes]) -> Path:
    content = b"".join(lines)
    pack = {".gz": lambda text: gzip.compress(text, 1, mtime=0), ".zst": zstandard.ZstdCompressor().compress}
    path.write_bytes(pack.get(path.suffix, bytes)(content))
    return path


def simulate(path: Path, part: str = "20240101", **settings: Any) -> Path:
    simulate_book.main(path, part, SimulateSettings(**settings))
    return path


@dataclass(frozen=True)
class Parsed:
    """Outputs of parse_book."""

    quality: dict[str, Any]
    states: dict[str, np.ndarray]

    @property
    def update_ids(self) -> list[int]:
        return [int(update_id) for update_id in self.states["update_id"]]


def parse(*raw: Path, book_in: Path | None = None, book_out: Path | None = None, **settings: Any) -> Parsed:
    """Run parse_book in this process, so that any error but InputError fails the test with its traceback."""
    states, quality = raw[0].parent / "states.parquet", raw[0].parent / "quality.json"
    options: dict[str, Any] = {"venue": "binance-usdm", "depth": 3} | settings
    parse_book.main(list(raw), states, quality, ParseSettings(**options), book_in, book_out)
    table = pq.read_table(states)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return Parsed(json.loads(quality.read_text()), columns)


def try_parse(*raw: Path, **settings: Any) -> Parsed | str:
    """As `parse`; of an InputError its message."""
    try:
        return parse(*raw, **settings)
    except InputError as error:
        return str(error)


def begins(left: Parsed, right: Parsed) -> bool:
    """Whether the states of `left` are the first ones of `right`."""
    rows = len(left.update_ids)
    return left.states.keys() == right.states.keys() and all(
        np.array_equal(column, right.states[name][:rows], equal_nan=True) for name, column in left.states.items()
    )


def same_states(left: Parsed, right: Parsed) -> bool:
    return begins(left, right) and begins(right, left)


def joined(parts: list[Parsed]) -> Parsed:
    """Parts as one stream."""
    states = {name: np.concatenate([part.states[name] for part in parts]) for name in parts[0].states}
    quality: dict[str, Any] = {name: sum(part.quality[name] for part in parts) for name in SUMS}
    checks = [part.quality["best_quote_check"] for part in parts]
    return Parsed(
        quality | {"best_quote_check": {key: sum(check[key] for check in checks) for key in checks[0]}}, states
    )


def check_carried(folder: Path, lines: list[bytes], seed: int, suffix: str = "", **settings: Any) -> None:
    """Cut a stream at a random line: two parts with the book carried must be as one stream."""
    cut = random.Random(seed).randrange(1, len(lines) - 1)
    paths = [write_lines(folder / f"{i}{suffix}", part) for i, part in enumerate((lines[:cut], lines[cut:]))]
    whole = parse(*paths, book_out=folder / "whole.npz", **settings)
    parts = [parse(paths[0], book_out=folder / "0.npz", **settings)]
    parts.append(parse(paths[1], book_in=folder / "0.npz", book_out=folder / "1.npz", **settings))
    both = joined(parts)
    assert same_states(both, whole)
    assert both.quality == {name: whole.quality[name] for name in both.quality}
    for name in ("unknown_ids", "sequence_going_back", "local_time_going_back"):
        assert sum(part.quality.get(name, 0) for part in parts) == whole.quality.get(name, 0), name


ANYTHING: list[Any] = [None, True, -1, 0, 1.5, 2**63, "", "x", "1", [], {}, [[]], ["1", "2"], {"e": []}]


def places_in(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places of a JSON value."""
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places_in(child, (*path, key))


def told_or_parsed(parsed: Parsed | str, path: Path) -> bool:
    if isinstance(parsed, str):
        return str(path) in parsed and "\n" not in parsed
    return bool(parsed.quality["states"] == len(parsed.update_ids) > 0)


def replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(node)
    changed[path[0]] = replaced(node[path[0]], path[1:], value)
    return changed


def run_program(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program as the rules do."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT, env=clean_environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a program says of bad input."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert len(told) == 1, done.stderr
    return told[0]
