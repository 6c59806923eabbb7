"""explore_features: numbers against pandas, plots that are whole whatever is undefined."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from scripts.lib.errors import InputError
from scripts.orderbook import explore_features, extract_features
from scripts.orderbook.explore_features import regime_axes, shown_edges, thirds
from scripts.orderbook.features.columns import feature_names
from scripts.orderbook.features.sample import Group, choose, read_sample
from scripts.orderbook.features.settings import ExploreSettings, FeatureSettings
from scripts.orderbook.states.columns import KEYS
from tests.unit.orderbook_streams import error_of, run_program
from tests.unit.test_orderbook_features import random_states, write

FEATURES = FeatureSettings(volatility_windows=[20], rolling_windows=[5])
SVGS = ("distributions", "autocorrelation", "regimes")


def features(path: Path, rows: int, seed: int = 0, settings: FeatureSettings = FEATURES) -> Path:
    """A features file of a random book with gaps, missing levels and empty sides."""
    states = write(path.with_suffix(".states"), random_states(rows, 10, seed))
    extract_features.main(states, path, settings)
    return path


def explore(*paths: Path, **settings: Any) -> dict[str, str]:
    """What explore_features writes, by output."""
    outputs = {name: paths[0].with_name(f"{name}.out") for name in (*SVGS, "statistics")}
    explore_features.main(list(paths), **outputs, title="btc <1> & more", settings=ExploreSettings(**settings))
    return {name: path.read_text(encoding="utf-8") for name, path in outputs.items()}


def texts_of(svg: str) -> set[str]:
    nodes = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return {"".join(node.itertext()).strip() for node in nodes}


def table_of(text: str, path: Path) -> pd.DataFrame:
    path.write_text(text)
    return pd.read_csv(path, index_col="feature")


def small_groups(path: Path, rows: int) -> Path:
    """The same features in row groups of so many states."""
    pq.write_table(pq.read_table(path), path, row_group_size=rows)
    return path


def test_the_table_holds_what_pandas_computes(tmp_path: Path) -> None:
    paths = [features(tmp_path / f"{i}.parquet", rows, i) for i, rows in enumerate((3_000, 9_000, 60))]
    lags = [1, 3, 40]
    table = table_of(explore(*paths, lags=lags)["statistics"], tmp_path / "s.csv")
    frame = pd.concat([pd.read_parquet(path).assign(part=i) for i, path in enumerate(paths)], ignore_index=True)
    assert list(table.index) == feature_names(FEATURES)
    for name, row in table.iterrows():
        values = frame[name]
        assert (row["states"], row["sampled"]) == (12_060, 12_060)
        expected = {"nan_share": values.isna().mean(), "mean": values.mean(), "std": values.std()}
        expected |= {"min": values.min(), "median": values.median(), "max": values.max()}
        expected |= {f"q{q:02d}": values.quantile(q / 100) for q in (1, 5, 25, 75, 95, 99)}
        for lag in lags:
            expected[f"acf_{lag}"] = values.corr(frame.groupby(["part", "segment"])[name].shift(lag))
        assert {key: row[key] for key in expected} == pytest.approx(expected, rel=1e-8, abs=1e-12), name


def test_svgs_are_whole_and_depend_on_the_data_alone(tmp_path: Path) -> None:
    one, other = features(tmp_path / "1.parquet", 2_000, 1), features(tmp_path / "2.parquet", 2_000, 2)
    first = explore(one, other)
    assert first == explore(one, other)
    assert first != explore(one, features(tmp_path / "3.parquet", 2_000, 3))
    assert set(feature_names(FEATURES)) <= texts_of(first["distributions"])
    assert {"log_return", "ofi_10", "lag, states"} <= texts_of(first["autocorrelation"])
    assert {"volatility_20, bp", "spread, price", "low", "high"} <= texts_of(first["regimes"])
    for name in SVGS:
        assert any(text.startswith("btc <1> & more: ") for text in texts_of(first[name]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("rows", "settings", "words"),
    [
        (1, FEATURES, "volatility_20 is never defined: the segments are shorter"),
        (15, FEATURES, "volatility_20 is never defined: the segments are shorter"),
        (30, FEATURES, None),
        (100, FeatureSettings(volatility_windows=[]), "no volatility window is set"),
        (100, FeatureSettings(volatility_windows=[], rolling_windows=[]), "no volatility window is set"),
    ],
)
def test_of_short_feeds_and_without_windows_the_plots_are_whole(
    tmp_path: Path, rows: int, settings: FeatureSettings, words: str | None
) -> None:
    found = explore(features(tmp_path / "a.parquet", rows, 3, settings))
    for name in SVGS:
        texts_of(found[name])
    assert words is None or words in texts_of(found["regimes"])
    assert len(found["statistics"].splitlines()) == 1 + len(feature_names(settings))
    assert "nan" not in found["statistics"].split("\n", 1)[1]


def test_a_book_that_never_changes_is_drawn(tmp_path: Path) -> None:
    columns = random_states(200, 3, 0)
    still = {name: np.full_like(column, column[5]) for name, column in columns.items() if name not in KEYS}
    extract_features.main(write(tmp_path / "s.parquet", columns | still), tmp_path / "a.parquet", FEATURES)
    table = table_of(explore(tmp_path / "a.parquet")["statistics"], tmp_path / "s.csv")
    assert table.loc["mid", "std"] == 0
    assert np.isnan(table.loc["mid", "acf_1"])


def test_a_large_feed_is_sampled_in_stretches_evenly_spaced_over_its_parts(tmp_path: Path) -> None:
    paths = [small_groups(features(tmp_path / f"{i}.parquet", 20_000, i), 1_000) for i in range(2)]
    sample = read_sample(paths, 12_500)
    assert (sample.states, sample.size) == (40_000, 12_000)
    frame = pd.concat([pd.read_parquet(path).assign(part=i) for i, path in enumerate(paths)], ignore_index=True)
    chosen = np.flatnonzero(np.isin(frame["mid"].to_numpy(), sample.values["mid"]))
    groups = np.unique(chosen // 1_000)
    assert (groups[0], groups[-1]) == (0, 39)
    starts = np.linspace(0, 39, 12).round().astype(int)
    rows = np.concatenate([np.arange(start * 1_000, start * 1_000 + 1_000) for start in starts])
    for name, values in sample.values.items():
        assert np.array_equal(values, frame[name].to_numpy()[rows], equal_nan=True)
    # a stretch goes on just where the next row of the sample is the next row of the same segment
    key = frame[["part", "segment"]].to_numpy()[rows]
    follows = (np.diff(rows) == 1) & (np.diff(key, axis=0) == 0).all(axis=1)
    assert np.array_equal(np.diff(sample.stretch) == 0, follows)
    assert (np.diff(sample.stretch) >= 0).all()


@pytest.mark.parametrize(
    ("sizes", "most", "numbers"),
    [([10, 10, 4], 24, [0, 1, 2]), ([10, 10, 4], 23, [0, 2]), ([50], 10, [0]), ([0, 5], 9, [1]), ([0], 9, [])],
)
def test_no_more_row_groups_are_chosen_than_asked_for(sizes: list[int], most: int, numbers: list[int]) -> None:
    chosen = choose([Group(0, i, size) for i, size in enumerate(sizes)], most)
    assert [group.number for group in chosen] == numbers


def test_thirds_of_independent_values_are_equal_and_ties_stay_together() -> None:
    random = np.random.default_rng(0)
    assert thirds(random.random(90_000), random.random(90_000)) == pytest.approx(np.full((3, 3), 1 / 9), abs=0.005)
    assert thirds(random.random(90_000), np.full(90_000, 0.1)).sum(axis=1).tolist() == pytest.approx([1, 0, 0])


def test_spreads_of_one_tick_are_equal_whatever_the_price(tmp_path: Path) -> None:
    bids = (600_000 + np.arange(5_000)) / 10
    asks = (600_001 + np.arange(5_000)) / 10
    assert len(np.unique(asks - bids)) > 1
    path = features(tmp_path / "a.parquet", 5_000)
    sample = read_sample([path], 10_000)
    sample.values["mid"][:], sample.values["spread"][:] = (asks + bids) / 2, asks - bids
    _, spread = regime_axes(sample, "volatility_20")
    assert len(np.unique(spread)) == 1


@pytest.mark.parametrize("value", [0.0, 1e-9, -3.0, 61_000.0])
def test_a_constant_has_bins_around_it(value: float) -> None:
    edges = shown_edges(np.full(10, value), 8)
    assert (np.diff(edges) > 0).all()
    assert edges[0] < value < edges[-1]


def states_instead(path: Path) -> None:
    write(path, random_states(10, 2, 0))


def cut(path: Path) -> None:
    path.write_bytes(features(path, 500).read_bytes()[:-40])


def damaged(path: Path) -> None:
    content = bytearray(features(path, 5_000).read_bytes())
    content[100:4_000] = bytes(3_900)
    path.write_bytes(content)


WRONG: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "csv": lambda path: path.write_text("a,b\n"),
    "folder": lambda path: path.mkdir(),
    "states": states_instead,
    "cut short": cut,
    "damaged": damaged,
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_features_file_is_named(tmp_path: Path, case: str) -> None:
    good, bad = features(tmp_path / "a.parquet", 20), tmp_path / "b.parquet"
    WRONG[case](bad)
    with pytest.raises(InputError, match=f"^{bad}: not a features file of extract_features"):
        explore(bad)
    with pytest.raises(InputError, match=f"^{bad}: "):
        explore(good, bad)


def test_parts_with_other_windows_are_named(tmp_path: Path) -> None:
    one, other = features(tmp_path / "a.parquet", 20), features(tmp_path / "b.parquet", 20, 0, FeatureSettings())
    with pytest.raises(InputError, match=f"^{other}: other features than in {one}"):
        explore(one, other)


def test_program_writes_four_files_and_refuses_in_one_line(tmp_path: Path) -> None:
    path, target = features(tmp_path / "a.parquet", 50), tmp_path / "out"
    outputs: list[str | Path] = [text for name in (*SVGS, "statistics") for text in (f"--{name}", target / name)]
    settings = json.dumps({"lags": [1, 2]})
    arguments = ("--features", path, *outputs, "--title", "btc <1> & more", "--settings", settings)
    done = run_program("scripts.orderbook.explore_features", *arguments)
    assert done.returncode == 0, done.stderr
    found = explore(path, lags=[1, 2])
    assert {file.name: file.read_text() for file in target.iterdir()} == found
    path.write_bytes(b"junk")
    assert f"{path}: not a features file of extract_features" in error_of(
        run_program("scripts.orderbook.explore_features", *arguments)
    )
