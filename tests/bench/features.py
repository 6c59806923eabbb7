"""Features of a million states of 24 levels, against polars (lazy, two threads) and pandas in the same run.

    make bench-env && POLARS_MAX_THREADS=2 .venv-bench/bin/python -m tests.bench.features [--states 1000000] [--files]

All compute the same 24 features of the same full books in one segment, keep them in memory, and are compared. Each
reads the states in the layout it works on: batches as the reader hands them over, a polars and a pandas frame; a second
line starts from Arrow columns and holds their conversion to batches. The rivals' formulas are the tests' oracles,
spared the work that missing levels need. --files also measures Parquet to Parquet.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.orderbook import extract_features
from scripts.orderbook.features.settings import FeatureSettings
from scripts.orderbook.features.stream import FeatureStream
from scripts.orderbook.states.columns import level_columns
from scripts.orderbook.states.reader import STATES_PER_BATCH
from scripts.orderbook.states.table import ROWS_PER_GROUP, schema
from tests.bench.timing import derived, show
from tests.unit.feature_oracles import pandas_features, polars_features

Block = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Event time, segment and levels of a batch."""

DEPTH = 24
SETTINGS = FeatureSettings()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.features", description=__doc__)
    parser.add_argument("--states", type=int, default=1_000_000, help="states")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each side")
    parser.add_argument("--files", action="store_true", help="also from Parquet to Parquet")
    options = parser.parse_args()
    states = make_states(options.states)
    in_memory(states, options.repeats)
    if options.files:
        in_files(states)


def make_states(count: int) -> pa.Table:
    """Full books around a random walk."""
    random = np.random.default_rng(0)
    mid = 50_000 + random.integers(-1, 2, count).cumsum() * 0.5
    columns: dict[str, np.ndarray] = {name: np.zeros(count, dtype=np.int64) for name in schema(DEPTH).names[:5]}
    columns["event_time"] = np.arange(count) * 100_000_000
    for side, sign in (("bid", -1), ("ask", 1)):
        columns |= {f"{side}_px_{i:02d}": mid + sign * (0.5 + i) for i in range(DEPTH)}
        columns |= {f"{side}_sz_{i:02d}": random.exponential(1, count) for i in range(DEPTH)}
    return pa.table({name: columns[name] for name in schema(DEPTH).names}, schema=schema(DEPTH))


def in_memory(states: pa.Table, repeats: int) -> None:
    """From states in memory to features in memory."""
    batches = [as_block(batch) for batch in states.to_batches(STATES_PER_BATCH)]
    lazy, frame = pl.DataFrame(states).lazy(), as_pandas(states)
    sides: dict[str, Callable[[], object]] = {
        "ours, one thread": lambda: stream(batches),
        "ours, from Arrow columns": lambda: stream(map(as_block, states.to_batches(STATES_PER_BATCH))),
        f"polars lazy, {pl.thread_pool_size()} threads": lambda: polars_features(lazy, DEPTH, SETTINGS, gaps=False),
        "pandas": lambda: pandas_features(frame, DEPTH, SETTINGS, gaps=False),
    }
    compare(np.concatenate(stream(batches), axis=1), *[side() for side in sides.values()][2:])
    rounds = [[both_times(side) for side in sides.values()] for _ in range(repeats)]
    for i, name in enumerate(sides):
        show(name, [states.num_rows / 1e6 / row[i][0] for row in rounds], "M states/s")
    for ours, label in enumerate(("ours", "ours, from Arrow")):
        for rival, name, wanted in ((2, "polars", 2), (3, "pandas", 20)):
            for kind, what in enumerate(
                ("", ", CPU time")
            ):  # steadier where others are at work; of polars all threads'
                ratios = derived([(row[ours][kind], row[rival][kind]) for row in rounds], lambda a, b: b / a)
                show(f"{label}, against {name}{what}", ratios, "x", "" if kind else f"  wanted {wanted}")


def as_block(batch: pa.RecordBatch) -> Block:
    """A batch as the reader hands it over."""
    levels = batch.select(level_columns(DEPTH)).to_tensor(null_to_nan=True, row_major=False).to_numpy().T
    return batch["event_time"].to_numpy(), batch["segment"].to_numpy(), levels


def as_pandas(states: pa.Table) -> pd.DataFrame:
    """A frame whose levels are one block of memory, which is the fastest for pandas."""
    names = level_columns(DEPTH)
    levels = pd.DataFrame(np.array([states[name].to_numpy() for name in names]).T, columns=names, copy=False)
    levels.insert(0, "event_time", states["event_time"].to_numpy())
    return levels


def stream(batches: Iterable[Block]) -> list[np.ndarray]:
    """All features, batch by batch."""
    features = FeatureStream(DEPTH, SETTINGS)
    return [features.add(*batch) for batch in batches]


def compare(ours: np.ndarray, polars: object, pandas: object) -> None:
    """Stop unless all sides found the same, to 1e-6."""
    assert isinstance(polars, pl.DataFrame)
    assert isinstance(pandas, pd.DataFrame)
    names = FeatureStream(DEPTH, SETTINGS).names
    worst = 0.0
    for name, row in zip(names, ours, strict=True):
        for other in (polars[name].to_numpy(), pandas[name].to_numpy()):
            assert np.array_equal(np.isfinite(row), np.isfinite(other)), name
            worst = max(worst, float(np.nanmax(np.abs(row - other)) / max(np.nanmax(np.abs(other)), 1e-9)))
    assert worst < 1e-6
    print(f"{len(names)} features, equal to polars and pandas to {worst:.0e} of their largest value")


def both_times(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU time, seconds."""
    cpu = time.process_time()
    wall = seconds(work)
    return wall, time.process_time() - cpu


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_files(states: pa.Table) -> None:
    """From a states file to a features file."""
    with tempfile.TemporaryDirectory() as folder:
        source, ours, rival = (Path(folder, name) for name in ("states.parquet", "ours.parquet", "polars.parquet"))
        pq.write_table(states, source, compression="zstd", row_group_size=ROWS_PER_GROUP)

        def by_polars() -> None:
            polars_features(pl.scan_parquet(source), DEPTH, SETTINGS, gaps=False).write_parquet(rival)

        pairs = [(seconds(lambda: extract_features.main(source, ours, SETTINGS)), seconds(by_polars)) for _ in range(3)]
        show("states file to features file", [ours for ours, _ in pairs], "s")
        show("the same with polars", [rival for _, rival in pairs], "s")
        reading = [seconds(lambda: pq.ParquetFile(source).read(use_threads=False)) for _ in range(3)]
        show("reading the states file alone, pyarrow, one thread", reading, "s")


if __name__ == "__main__":
    main()
