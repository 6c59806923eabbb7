"""extract_features: against pandas and polars, worked examples, and what one pass must never do."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.lib.errors import InputError
from scripts.orderbook import extract_features
from scripts.orderbook.features.columns import POINT, feature_names, unit
from scripts.orderbook.features.settings import FeatureSettings
from scripts.orderbook.features.stream import FeatureStream, RollingSum
from scripts.orderbook.states.columns import KEYS, level_columns
from scripts.orderbook.states.reader import STATES_PER_BATCH, StatesReader
from scripts.orderbook.states.table import schema
from tests.unit.feature_oracles import pandas_features, polars_features
from tests.unit.orderbook_streams import error_of, parse, run_program

DAY = 1_704_067_200_000_000_000
SETTINGS = FeatureSettings(volatility_windows=[2, 50], rolling_windows=[2, 7, 300])
Columns = dict[str, np.ndarray]


def random_states(rows: int, depth: int, seed: int) -> Columns:
    """A random book with everything that makes features undefined: several segments, missing levels, empty sides,
    crossed and locked states, equal states one after the other, and times that stand still or go back."""
    random = np.random.default_rng(seed)
    columns = {name: np.zeros(rows, dtype=np.int64) for name in schema(depth).names[:5]}
    columns["event_time"] = DAY + random.integers(-1, 20, rows).cumsum() * 50_000_000
    columns["local_time"] = columns["event_time"] + random.integers(0, 1_000_000, rows)
    columns["segment"] = np.sort(random.integers(0, 4, rows)) if rows > 50 else columns["segment"]
    changes = np.where(random.random(rows) < 0.3, random.integers(-3, 4, rows), 0)
    middle = 60_000 + changes.cumsum() * 0.1
    for side, sign in (("bid", -1), ("ask", 1)):
        known = np.where(random.random(rows) < 0.97, depth, random.integers(0, depth + 1, rows))
        offset = random.integers(-1, 2, rows) * (random.random(rows) < 0.05)
        sizes = np.where(random.random((depth, rows)) < 0.6, 1.0, random.exponential(2, (depth, rows)).round(3) + 0.001)
        steps = random.integers(1, 3, (depth, rows)).cumsum(axis=0) - 1
        for i in range(depth):
            price = (middle + sign * (0.05 + offset * 0.1 + steps[i] * 0.1)).round(2)
            columns[f"{side}_px_{i:02d}"] = np.where(i < known, price, np.nan)
            columns[f"{side}_sz_{i:02d}"] = np.where(i < known, sizes[i], np.nan)
    return columns


def write(path: Path, columns: Columns) -> Path:
    depth = sum(name.startswith("bid_px_") for name in columns)
    table = pa.table({name: columns[name] for name in schema(depth).names}, schema=schema(depth))
    pq.write_table(table, path, row_group_size=STATES_PER_BATCH)
    return path


def extract(path: Path, settings: FeatureSettings = SETTINGS) -> Columns:
    """Run extract_features in this process, so that any error but InputError fails the test with its traceback."""
    target = path.with_suffix(".features")
    extract_features.main(path, target, settings)
    table = pq.read_table(target)
    assert table.column_names == [*KEYS, *feature_names(settings)]
    return {name: table[name].to_numpy() for name in table.column_names}


def features_of(columns: Columns, settings: FeatureSettings = SETTINGS, batch: int = 1_000) -> Columns:
    """The features in memory, in batches."""
    depth = sum(name.startswith("bid_px_") for name in columns)
    levels = np.array([columns[name] for name in level_columns(depth)])
    stream = FeatureStream(depth, settings)
    rows = len(columns["segment"])
    parts = []
    for i in range(0, rows, batch):
        some = slice(i, i + batch)
        parts.append(stream.add(columns["event_time"][some], columns["segment"][some], levels[:, some].copy()))
    return dict(zip(stream.names, np.concatenate(parts, axis=1), strict=True))


def by_segment(columns: Columns) -> Iterator[pd.DataFrame]:
    for _, states in pd.DataFrame(columns).groupby("segment", sort=False):
        yield states


def by_pandas(columns: Columns, settings: FeatureSettings) -> Columns:
    depth = sum(name.startswith("bid_px_") for name in columns)
    found = pd.concat([pandas_features(states, depth, settings) for states in by_segment(columns)])
    return {name: found[name].to_numpy(dtype=np.float64) for name in found}


def by_polars(columns: Columns, settings: FeatureSettings) -> Columns:
    depth = sum(name.startswith("bid_px_") for name in columns)
    frames = pl.DataFrame(columns).partition_by("segment", maintain_order=True)
    found = pl.concat([polars_features(frame.lazy(), depth, settings) for frame in frames])
    return {name: found[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in found.columns}


def assert_equal(ours: Columns, theirs: Columns, settings: FeatureSettings) -> None:
    """Defined for the same states, and equal to 1e-9 of the feature's largest value.

    Of volatility the squares are compared: polars' running sums end with 1e-24 for 0, of which the root is 1e-12.
    """
    assert set(theirs) == set(feature_names(settings))
    for name in feature_names(settings):
        defined = np.isfinite(theirs[name])
        assert np.array_equal(defined, np.isfinite(ours[name])), name
        one, other = ours[name][defined], theirs[name][defined]
        if name.startswith("volatility"):
            one, other = one**2, other**2
        assert np.allclose(one, other, rtol=1e-9, atol=1e-9 * np.abs(other).max(initial=1e-6)), name


@pytest.mark.parametrize("oracle", [by_pandas, by_polars])
@pytest.mark.parametrize(
    ("rows", "depth", "seed"), [(3_000, 12, 0), (3_000, 24, 1), (20_000, 10, 2), (900, 3, 3), (700, 1, 4)]
)
def test_random_books_give_what_pandas_and_polars_give(
    tmp_path: Path, oracle: Callable[[Columns, FeatureSettings], Columns], rows: int, depth: int, seed: int
) -> None:
    columns = random_states(rows, depth, seed)
    assert any(np.isnan(columns[name]).any() for name in ("bid_px_00", "ask_px_00"))
    ours = extract(write(tmp_path / "a.parquet", columns))
    assert_equal(ours, oracle(columns, SETTINGS), SETTINGS)
    for name in KEYS:
        assert np.array_equal(ours[name], columns[name])


@pytest.mark.parametrize("oracle", [by_pandas, by_polars])
def test_a_real_capture_gives_what_pandas_and_polars_give(
    tmp_path: Path, real_data: Callable[[str], Path], oracle: Callable[[Columns, FeatureSettings], Columns]
) -> None:
    raw = tmp_path / "raw.gz"
    raw.symlink_to(real_data("orderbook/binance/usdm/btcusdt_20240808.gz"))
    columns = parse(raw, depth=24).states
    ours = extract(tmp_path / "states.parquet", FeatureSettings())
    assert len(ours["mid"]) > 6_000
    assert_equal(ours, oracle(columns, FeatureSettings()), FeatureSettings())


# worked examples


def states_of(*books: tuple[list[tuple[float, float]], list[tuple[float, float]]], depth: int = 2) -> Columns:
    """States from bids and asks as (price, size), a second apart."""
    columns = {name: np.zeros(len(books), dtype=np.int64) for name in schema(depth).names[:5]}
    columns["event_time"] = DAY + np.arange(len(books)) * 1_000_000_000
    for k, side in enumerate(("bid", "ask")):
        for i in range(depth):
            levels = [book[k][i] if i < len(book[k]) else (math.nan, math.nan) for book in books]
            columns[f"{side}_px_{i:02d}"] = np.array([price for price, _ in levels])
            columns[f"{side}_sz_{i:02d}"] = np.array([size for _, size in levels])
    return columns


def test_order_flow_imbalance_is_that_of_the_paper() -> None:
    """Cont, Kukanov and Stoikov: each kind of event, one at a time, adds or removes its size."""
    ask = [(11.0, 5.0), (12.0, 1.0)]
    books = [
        ([(10.0, 7.0), (9.0, 2.0)], ask),
        ([(10.0, 10.0), (9.0, 2.0)], ask),  # a limit buy order of 3 joins the bid
        ([(10.0, 6.0), (9.0, 2.0)], ask),  # a market sell order or a cancellation takes 4
        ([(10.5, 1.5), (10.0, 6.0)], ask),  # a better bid of 1.5 appears
        ([(10.0, 6.0), (9.0, 2.0)], ask),  # and is taken
        ([(10.0, 6.0), (9.0, 2.0)], [(11.0, 9.0), (12.0, 1.0)]),  # a limit sell order of 4
        ([(10.0, 6.0), (9.0, 2.0)], [(12.0, 1.0)]),  # a market buy order takes the whole ask of 9
        ([(10.0, 6.0), (9.0, 2.0)], [(11.5, 2.0), (12.0, 1.0)]),  # a better ask of 2
    ]
    found = features_of(states_of(*books))
    assert found["ofi_1"][1:].tolist() == [3.0, -4.0, 1.5, -1.5, -4.0, 9.0, -2.0]
    assert math.isnan(found["ofi_1"][0])
    # the second level: unchanged twice; 10.0 comes with 6 for 9.0, and goes again; then the ask's: the level 12 moves
    # up to the best (its 1 goes), and is pushed back down (1 comes)
    assert found["ofi_10"][1:].tolist() == [3.0, -4.0, 1.5 + 6, -1.5 - 6, -4.0, 9.0 + 1, -2.0 - 1]


def test_microprice_and_the_shapes_of_a_small_book() -> None:
    found = features_of(states_of(([(100.0, 3.0), (99.0, 1.0), (97.0, 2.0)], [(102.0, 1.0), (103.0, 4.0)]), depth=3))
    expected = {
        "mid": 101.0,
        "spread": 2.0,
        "microprice": 0.75 * 102 + 0.25 * 100,  # imbalance of the queues 3 : 1 pulls it to the ask
        "imbalance_1": 0.5,
        "imbalance_5": (6 - 5) / 11,
        "imbalance_all": (6 - 5) / 11,
        # distances 0, 1, 3 and cumulated sizes 3, 4, 6: a straight line; 0, 1 and 1, 5
        "bid_slope": 1.0,
        "ask_slope": 4.0,
        "bid_vwap_distance": 101 - (3 * 100 + 99 + 2 * 97) / 6,
        "ask_vwap_distance": (102 + 4 * 103) / 5 - 101,
    }
    assert {name: found[name][0] for name in expected} == pytest.approx(expected, rel=1e-14)


def test_realised_volatility_and_returns_add_up() -> None:
    mids = [100.0, 101.0, 99.0, 99.0, 104.0]
    found = features_of(states_of(*(([(m - 1, 1.0)], [(m + 1, 1.0)]) for m in mids)))
    returns = [math.log(b / a) for a, b in itertools.pairwise(mids)]
    assert found["log_return"][1:] == pytest.approx(returns, rel=1e-14)
    assert found["volatility_2"][2:] == pytest.approx([math.hypot(a, b) for a, b in itertools.pairwise(returns)])
    assert found["return_2"][2:] == pytest.approx([math.log(mids[i] / mids[i - 2]) for i in range(2, 5)])
    assert found["interval"][1:].tolist() == [1.0] * 4


# undefined values


FIRST_DEFINED = {
    "mid": 0,
    "ofi_1": 1,
    "log_return": 1,
    "interval": 1,
    "return_7": 7,
    "ofi_10_sum_7": 7,
    "imbalance_1_mean_7": 6,
    "volatility_50": 50,
    "ofi_1_sum_300": 300,
    "imbalance_1_mean_300": 299,
}
"""First state of a segment, from 0, with a value."""


def test_a_window_is_undefined_until_its_segment_has_filled_it() -> None:
    columns = random_states(1_000, 10, 5)
    for name in columns:  # full books only
        if name.startswith(("bid", "ask")):
            columns[name] = np.nan_to_num(columns[name], nan=60_000.0)
    columns["segment"] = np.repeat([0, 1, 4], [400, 299, 301])
    found = features_of(columns)
    for start, length in ((0, 400), (400, 299), (699, 301)):
        rows = slice(start, start + length)
        for name, first in FIRST_DEFINED.items():
            defined = np.isfinite(found[name][rows])
            assert not defined[:first].any(), name
            assert defined[first:].all(), name


def test_nothing_of_one_segment_is_in_another() -> None:
    """The features of each segment are, bit for bit, those of its states alone."""
    columns = random_states(5_000, 10, 6)
    whole = features_of(columns)
    for segment in np.unique(columns["segment"]):
        rows = columns["segment"] == segment
        alone = features_of(
            {name: column[rows] for name, column in columns.items()} | {"segment": np.zeros(rows.sum(), dtype=np.int64)}
        )
        for name, values in alone.items():
            assert np.array_equal(values, whole[name][rows], equal_nan=True), name


def test_one_sided_books_have_no_prices_and_windows_recover() -> None:
    full = ([(10.0, 2.0)], [(11.0, 3.0)])
    found = features_of(states_of(full, full, full, ([(10.0, 2.5)], []), full, full, full, full, depth=1))
    undefined = [3]
    for name in (
        "mid",
        "spread",
        "microprice",
        "imbalance_1",
        "imbalance_5",
        "imbalance_all",
        "bid_vwap_distance",
        "ask_vwap_distance",
    ):
        assert np.flatnonzero(np.isnan(found[name])).tolist() == undefined, name
    assert found["ofi_1"][1:].tolist() == [0, 0, 0.5 + 3, -0.5 - 3, 0, 0, 0]  # the ask's 3 go and come back
    assert np.flatnonzero(np.isnan(found["log_return"])).tolist() == [0, 3, 4]
    assert np.flatnonzero(np.isnan(found["return_2"])).tolist() == [0, 1, 3, 4, 5]
    assert found["volatility_2"][6:].tolist() == [0, 0]
    assert np.isnan(found["bid_slope"]).all()  # one level has no slope


def test_empty_books_and_sizes_of_zero_are_undefined_without_a_warning() -> None:
    with np.errstate(all="raise"):
        found = features_of(states_of(([], []), ([], []), ([(10.0, 0.0)], [(11.0, 0.0)])))
    assert np.isnan(found["mid"][:2]).all()
    assert found["ofi_1"][1:].tolist() == [0.0, 0.0]
    assert found["mid"][2] == 10.5
    assert np.isnan(
        [found[name][2] for name in ("microprice", "imbalance_1", "imbalance_all", "bid_vwap_distance")]
    ).all()


def test_crossed_and_locked_states_are_kept_as_they_are() -> None:
    found = features_of(states_of(([(11.0, 1.0)], [(10.0, 3.0)]), ([(10.0, 1.0)], [(10.0, 3.0)])))
    assert found["spread"].tolist() == [-1.0, 0.0]
    assert found["mid"].tolist() == [10.5, 10.0]
    assert found["microprice"].tolist() == [11 * 0.75 + 10 * 0.25, 10.0]


@pytest.mark.parametrize("price", [0.0, -40.0])
def test_a_price_that_is_not_positive_has_no_return(price: float) -> None:
    books = [([(p - 1, 1.0)], [(p + 1, 1.0)]) for p in (50.0, price, 50.0, 50.0)]
    found = features_of(states_of(*books))
    assert np.isnan(found["log_return"]).tolist() == [True, True, True, False]
    assert found["mid"][1] == price


# accumulators


def test_rolling_sums_do_not_drift_over_a_million_states() -> None:
    """Oracle: math.fsum, exact but for its last rounding, where a running sum would have lost everything."""
    random = np.random.default_rng(7)
    rows, window = 1_000_000, 1_000
    values = random.standard_normal(rows) * 10.0 ** random.integers(-6, 6, rows)
    values[::50_000] = 1e18  # a running sum keeps the rounding errors of these for ever
    rolling, sums = RollingSum(window), np.empty(rows)
    for i in range(0, rows, 8_192):
        starts = np.array([0] if i == 0 else [], dtype=np.int64)
        rolling.add(values[i : i + 8_192], starts, sums[i : i + 8_192])
    assert np.isnan(sums[: window - 1]).all()
    naive = values.cumsum()
    checked = [*range(window - 1, rows, 4_999), rows - 1]
    wrong = 0
    for row in checked:
        inside = values[row - window + 1 : row + 1]
        exact, largest = math.fsum(inside), np.abs(inside).sum()
        assert abs(sums[row] - exact) <= 1e-15 * window * largest
        wrong += abs(naive[row] - naive[row - window] - exact) > 1e-9 * largest if row >= window else 0
    assert wrong > len(checked) / 2, "the oracle's case is too easy"


def test_features_do_not_drift_over_a_million_states() -> None:
    random = np.random.default_rng(8)
    rows, settings = 1_000_000, FeatureSettings(volatility_windows=[1_000], rolling_windows=[1_000])
    mid = 50_000 + random.integers(-1, 2, rows).cumsum() * 0.1
    columns: Columns = {"event_time": np.arange(rows), "segment": np.zeros(rows, dtype=np.int64)}
    columns |= {"bid_px_00": mid - 0.05, "ask_px_00": mid + 0.05}
    columns |= {
        f"{side}_sz_00": random.exponential(1, rows) * 1e6 ** random.integers(0, 2, rows) for side in ("bid", "ask")
    }
    found = features_of(columns, settings, batch=8_192)
    for row in [*range(1_000, rows, 9_973), rows - 1]:
        window = slice(row - 999, row + 1)
        assert found["ofi_1_sum_1000"][row] == pytest.approx(math.fsum(found["ofi_1"][window]), rel=1e-9, abs=1e-6)
        assert found["return_1000"][row] == pytest.approx(math.fsum(found["log_return"][window]), rel=1e-9, abs=1e-17)
        assert found["imbalance_1_mean_1000"][row] == pytest.approx(
            math.fsum(found["imbalance_1"][window]) / 1_000, abs=1e-14
        )
        assert found["volatility_1000"][row] == pytest.approx(
            math.sqrt(math.fsum(found["log_return"][window] ** 2)), rel=1e-12
        )


@pytest.mark.parametrize("batch", [1, 7, 256, 257, 5_000])
def test_how_states_are_cut_into_batches_changes_no_bit(batch: int) -> None:
    columns = random_states(1_500, 10, 9)
    whole, cut = features_of(columns, batch=1_500), features_of(columns, batch=batch)
    for name, values in whole.items():
        assert np.array_equal(values, cut[name], equal_nan=True), name


@pytest.mark.parametrize("seed", range(8))
def test_no_value_depends_on_what_comes_later(tmp_path: Path, seed: int) -> None:
    """Whatever the states after t are, all features up to t stay bit-equal."""
    random = np.random.default_rng(seed)
    rows = STATES_PER_BATCH + 500
    columns, other = random_states(rows, 10, seed), random_states(rows, 10, seed + 100)
    at = int(random.integers(1, rows))
    changed = {name: np.concatenate([column[:at], other[name][at:]]) for name, column in columns.items()}
    changed["segment"][at:] += columns["segment"][at - 1]
    first = extract(write(tmp_path / "a.parquet", columns))
    second = extract(write(tmp_path / "b.parquet", changed))
    differs = False
    for name, values in first.items():
        assert np.array_equal(values[:at], second[name][:at], equal_nan=True), name
        differs |= not np.array_equal(values[at:], second[name][at:], equal_nan=True)
    assert differs


# files


def test_program_writes_what_main_gives_with_default_settings(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", random_states(1_200, 4, 10))
    target = tmp_path / "out" / "f.parquet"
    done = run_program("scripts.orderbook.extract_features", "--states", path, "--features", target, "--settings", "{}")
    assert done.returncode == 0, done.stderr
    assert list(target.parent.iterdir()) == [target]
    table, expected = pq.read_table(target), extract(path, FeatureSettings())
    assert [str(field.type) for field in table.schema] == ["int64"] * 3 + ["double"] * (len(expected) - 3)
    assert all(np.array_equal(table[name].to_numpy(), expected[name], equal_nan=True) for name in expected)
    assert "holds 4 levels a side" in done.stderr


@pytest.mark.parametrize("rows", [1, 2, STATES_PER_BATCH, STATES_PER_BATCH + 1])
def test_files_of_any_length_are_read_whole(tmp_path: Path, rows: int) -> None:
    columns = random_states(rows, 2, 11)
    found = extract(write(tmp_path / "a.parquet", columns))
    assert np.array_equal(found["event_time"], columns["event_time"])
    assert all(len(values) == rows for values in found.values())
    if rows == 1:
        assert math.isfinite(found["mid"][0])
        assert np.isnan([found[name][0] for name in feature_names(SETTINGS) if name not in POINT]).all()


def test_the_file_depends_on_the_states_alone(tmp_path: Path) -> None:
    columns = random_states(600, 3, 12)
    for name in ("a", "b"):
        extract(write(tmp_path / f"{name}.parquet", columns))
    assert (tmp_path / "a.features").read_bytes() == (tmp_path / "b.features").read_bytes()


def test_a_part_is_read_in_batches_whatever_its_row_groups(tmp_path: Path) -> None:
    columns = random_states(STATES_PER_BATCH * 2 + 10, 1, 13)
    table = pa.table({name: columns[name] for name in schema(1).names}, schema=schema(1))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10**6)
    with StatesReader(tmp_path / "a.parquet") as reader:
        assert (reader.depth, reader.states) == (1, table.num_rows)
        lengths = [len(batch.segment) for batch in reader.batches()]
    assert max(lengths) <= STATES_PER_BATCH
    assert sum(lengths) == table.num_rows
    assert_equal(extract(tmp_path / "a.parquet"), features_of(columns), SETTINGS)


def test_memory_does_not_grow_with_the_number_of_row_groups(tmp_path: Path) -> None:
    """What pyarrow holds while a file is read stays below the size of a few row groups."""
    rows, group = 40_000, 1_000
    random = np.random.default_rng(14)
    columns = {name: np.zeros(rows, dtype=np.int64) for name in schema(24).names[:5]}
    levels = {name: random.random(rows) for name in level_columns(24)}
    table = pa.table({**columns, **levels}, schema=schema(24))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=group)
    before, bytes_a_group = pa.total_allocated_bytes(), group * 96 * 8
    with StatesReader(tmp_path / "a.parquet") as reader:
        held = [pa.total_allocated_bytes() - before for _ in reader.batches()]
    assert len(held) == rows // group
    assert max(held) < 6 * bytes_a_group


def cut(path: Path) -> None:
    path.write_bytes(write(path, random_states(500, 2, 0)).read_bytes()[:-40])


def damaged(path: Path) -> None:
    """Bytes in the middle are wrong: the file opens, and only a page of it cannot be read."""
    content = bytearray(write(path, random_states(5_000, 2, 0)).read_bytes())
    content[100:4_000] = bytes(3_900)
    path.write_bytes(content)


def without_a_level(path: Path) -> None:
    pq.write_table(pq.read_table(write(path, random_states(9, 2, 0))).drop_columns(["ask_sz_01"]), path)


def of_other_type(path: Path) -> None:
    table = pq.read_table(write(path, random_states(9, 2, 0)))
    pq.write_table(table.set_column(0, "event_time", table["event_time"].cast(pa.float64(), safe=False)), path)


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no states": (lambda path: write(path, random_states(0, 2, 0)), "no state in it"),
    "empty": (lambda path: path.write_bytes(b""), "not a states file of parse_book"),
    "csv": (lambda path: path.write_bytes(b"a,b\n1,2\n"), "not a states file of parse_book"),
    "folder": (lambda path: path.mkdir(), "not a states file of parse_book"),
    "other table": (lambda path: pq.write_table(pa.table({"a": [1]}), path), "not a states file of parse_book"),
    "cut short": (cut, "not a states file of parse_book"),
    "damaged": (damaged, "not a states file of parse_book"),
    "level missing": (without_a_level, "ask_sz_01"),
    "other type": (of_other_type, "event_time is double, not int64"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_states_file_is_refused(tmp_path: Path, case: str) -> None:
    make, reason = WRONG[case]
    path = tmp_path / "a.parquet"
    make(path)
    with pytest.raises(InputError, match=f"^{path}: .*{reason}"):
        extract(path)


@pytest.mark.parametrize("case", ["no states", "csv"])
def test_program_refuses_in_one_line_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    make, reason = WRONG[case]
    make(tmp_path / "a.parquet")
    target = tmp_path / "out" / "f.parquet"
    arguments = ("--states", tmp_path / "a.parquet", "--features", target)
    assert reason in error_of(run_program("scripts.orderbook.extract_features", *arguments))
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"rolling_windows": [1]}, "greater than or equal to 2"),
        ({"volatility_windows": [5, 5]}, "volatility_windows: a window is named twice"),
        ({"windows": [5]}, "windows: unknown key"),
    ],
)
def test_settings_out_of_range_are_named(tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    path = write(tmp_path / "a.parquet", random_states(10, 2, 0))
    arguments = ("--states", path, "--features", tmp_path / "f.parquet", "--settings", json.dumps(settings))
    assert reason in error_of(run_program("scripts.orderbook.extract_features", *arguments))


def test_no_window_gives_the_other_features_alone(tmp_path: Path) -> None:
    settings = FeatureSettings(volatility_windows=[], rolling_windows=[])
    assert list(extract(write(tmp_path / "a.parquet", random_states(20, 2, 0)), settings))[3:] == list(POINT)


def test_every_feature_has_a_unit() -> None:
    units = {name: unit(name) for name in feature_names(FeatureSettings())}
    assert (units["mid"], units["ofi_1"], units["ofi_10_sum_100"]) == ("price", "size", "size")
    assert (units["volatility_1000"], units["return_100"], units["imbalance_1_mean_100"]) == ("log", "log", "")
