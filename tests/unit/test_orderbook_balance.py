"""balance_windows against a slow independent cutting of the same states; leaks, damage and interruption."""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from scripts.lib.errors import InputError
from scripts.orderbook import balance_windows
from scripts.orderbook.book.advance import Rows
from scripts.orderbook.states import reader
from scripts.orderbook.states.table import StatesWriter, read_states
from scripts.orderbook.windows.conditions import balanced, fit_conditions
from scripts.orderbook.windows.inputs import load_scaling
from scripts.orderbook.windows.scan import WINDOW, common_step
from scripts.orderbook.windows.settings import BalanceSettings
from tests.conftest import ROOT, clean_environment
from tests.unit.orderbook_streams import error_of, run_program

NAMES = ("train", "validation", "test", "windows", "scaling", "conditions", "summary", "plot")
FILES = {
    name: name
    + {"windows": ".parquet", "scaling": ".json", "conditions": ".csv", "summary": ".json", "plot": ".svg"}.get(
        name, ".npy"
    )
    for name in NAMES
}
DEPTH, LEVELS, LENGTH, STRIDE, TICK = 4, 3, 7, 3, 0.05
SETTINGS: dict[str, Any] = {
    "levels": LEVELS, "length": LENGTH, "stride": STRIDE, "volatility_bins": 2, "trend_bins": 2, "spread_bins": 2,
    "depth_bins": 1, "min_windows": 4,
}  # fmt: skip


# a feed


def write_part(path: Path, rows: int, seed: int, start: int = 0) -> Path:
    """States with gaps, unknown levels and crossed states here and there; one a nanosecond."""
    drawn = np.random.default_rng(seed)
    calm = np.repeat(drawn.choice([1, 6], rows // 50 + 1), 50)[:rows]
    mid = 2_000 + np.cumsum(drawn.integers(-1, 2, rows) * calm)
    sides = []
    for sign in (-1, 1):
        distance = np.cumsum(drawn.integers(1, 4, (rows, DEPTH)) * np.minimum(calm, 3)[:, None], axis=1)
        sides += [(mid[:, None] + sign * distance) * TICK, np.exp(drawn.normal(calm[:, None], 1, (rows, DEPTH)))]
    levels = np.concatenate(sides, axis=1)
    known = np.full(rows, DEPTH)
    for at in drawn.integers(0, rows, rows // 150):
        known[at : at + 9] = drawn.integers(0, LEVELS)
        levels[at : at + 9, DEPTH - 1] = np.nan
    for at in drawn.integers(0, rows, rows // 200):
        levels[at, 0] = levels[at, 2 * DEPTH]  # locked
    segment = np.cumsum(drawn.random(rows) < 0.01)
    times = start + np.arange(rows)
    integers = np.stack([times, times + 5, np.arange(rows), segment - segment[0], known], axis=1)
    with StatesWriter(path, DEPTH) as writer:
        writer.write(Rows(integers, levels, np.zeros(1, np.int64)))
    return path


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three parts, read in batches so short that windows reach over several."""
    monkeypatch.setattr(reader, "STATES_PER_BATCH", 5)
    return write_feed(tmp_path)


def write_feed(folder: Path) -> list[Path]:
    return [write_part(folder / f"p{i}.parquet", rows, i, 10_000 * i) for i, rows in enumerate((700, 40, 900))]


@dataclass(frozen=True)
class Balanced:
    """Outputs of balance_windows."""

    folder: Path

    def array(self, split: str) -> np.ndarray:
        loaded: np.ndarray = np.load(self.folder / FILES[split], mmap_mode="r")
        return loaded

    @property
    def table(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(self.folder / FILES["windows"]).to_pylist()
        return rows

    @property
    def conditions(self) -> list[dict[str, str]]:
        with (self.folder / FILES["conditions"]).open() as file:
            return list(csv.DictReader(file))

    @property
    def summary(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / FILES["summary"]).read_text())
        return content

    def bytes(self, *names: str) -> dict[str, bytes]:
        return {name: (self.folder / FILES[name]).read_bytes() for name in names or NAMES}


def balance(states: list[Path], folder: Path, **settings: Any) -> Balanced:
    folder.mkdir(exist_ok=True)
    outputs = {name: folder / FILES[name] for name in NAMES}
    balance_windows.main(states, **outputs, title="feed", settings=BalanceSettings(**SETTINGS | settings))
    return Balanced(folder)


# an independent cutting


@dataclass
class Oracle:
    """All windows of a feed, found one by one."""

    available: list[tuple[str, str, int]]  # split, part, row
    faults: dict[str, int]
    states: list[dict[str, np.ndarray]]


def cut_by_hand(paths: list[Path], embargo: int = LENGTH, train: float = 0.7, validation: float = 0.25) -> Oracle:
    states = [read_states(path) for path in paths]
    sizes = [len(part["segment"]) for part in states]
    first, second = round(train * sum(sizes)), round((train + validation) * sum(sizes))
    found = Oracle([], {"unknown_levels": 0, "crossed": 0, "between_splits": 0}, states)
    before = 0
    for path, part, size in zip(paths, states, sizes, strict=True):
        for segment in np.unique(part["segment"]):
            rows = np.flatnonzero(part["segment"] == segment)
            for row in range(int(rows[0]), int(rows[-1]) - LENGTH + 2, STRIDE):
                window = slice(row, row + LENGTH)
                crossed = (part["bid_px_00"][window] >= part["ask_px_00"][window]) & (
                    part["known_levels"][window] >= LEVELS
                )
                start, last = before + row, before + row + LENGTH - 1
                if crossed.any():
                    found.faults["crossed"] += 1
                elif (part["known_levels"][window] < LEVELS).any():
                    found.faults["unknown_levels"] += 1
                elif last < first:
                    found.available.append(("train", path.stem, row))
                elif start >= first + embargo and last < second:
                    found.available.append(("validation", path.stem, row))
                elif start >= second + embargo:
                    found.available.append(("test", path.stem, row))
                else:
                    found.faults["between_splits"] += 1
        before += size
    return found


def features_by_hand(state: dict[str, float]) -> list[float]:
    mid = (state["bid_px_00"] + state["ask_px_00"]) / 2
    sides = []
    for side, sign in (("bid", -1), ("ask", 1)):
        sides.append([sign * (state[f"{side}_px_0{i}"] - mid) / TICK for i in range(LEVELS)])
        sides.append([float(np.log(state[f"{side}_sz_0{i}"])) for i in range(LEVELS)])
    return [value for values in sides for value in values]


def measures_by_hand(part: dict[str, np.ndarray], row: int) -> dict[str, float]:
    columns = {name: values[row : row + LENGTH] for name, values in part.items()}
    returns = np.diff(np.log((columns["bid_px_00"] + columns["ask_px_00"]) / 2)) * 1e4
    sizes = sum(columns[f"{side}_sz_0{i}"] for side in ("bid", "ask") for i in range(LEVELS))
    return {
        "volatility": float(np.sqrt((returns**2).sum())),
        "trend": float(returns.sum()),
        "spread": round(float((columns["ask_px_00"] - columns["bid_px_00"]).mean() / TICK), 6),
        "depth": float(np.log(sizes).mean()),
    }


# what comes out


def test_all_windows_are_found_and_only_those(feed: list[Path], tmp_path: Path) -> None:
    made, oracle = balance(feed, tmp_path / "out"), cut_by_hand(feed)
    for split in ("train", "validation", "test"):
        expected = [(part, row) for name, part, row in oracle.available if name == split]
        counts = [row for row in made.conditions if row["split"] == split]
        assert sum(int(row["available"]) for row in counts) == len(expected) > 10
        taken = [(row["part"], row["start_row"]) for row in made.table if row["split"] == split]
        assert len(taken) == sum(int(row["taken"]) for row in counts) == made.summary["splits"][split]["taken"]
        assert set(taken) <= set(expected)
        assert taken == sorted(set(taken), key=expected.index)  # in order of time, none twice
        if split != "train":
            assert taken == expected
    assert made.summary["left_out"] == oracle.faults
    assert min(oracle.faults.values()) > 0
    assert {part for _, part, _ in oracle.available} == {"p0", "p1", "p2"}


def test_each_window_holds_its_states_as_features(feed: list[Path], tmp_path: Path) -> None:
    made = balance(feed, tmp_path / "out")
    parts = {path.stem: read_states(path) for path in feed}
    scaling = load_scaling(made.folder / FILES["scaling"])
    assert scaling.tick == TICK
    arrays = {split: made.array(split) for split in ("train", "validation", "test")}
    for array in arrays.values():
        assert (array.shape[1:], array.dtype, array.flags.c_contiguous) == (
            (LENGTH, 4 * LEVELS),
            np.dtype(np.float32),
            True,
        )
    seen = dict.fromkeys(arrays, 0)
    for row in made.table:
        assert row["index"] == seen[row["split"]]
        seen[row["split"]] += 1
        columns = parts[row["part"]]
        window = arrays[row["split"]][row["index"]]
        rows = range(row["start_row"], row["start_row"] + LENGTH)
        expected = [features_by_hand({name: values[i] for name, values in columns.items()}) for i in rows]
        assert np.allclose(scaling.unscale(window), expected, atol=1e-4)
        assert (row["start_time"], row["end_time"]) == tuple(columns["event_time"][[rows[0], rows[-1]]])
        assert set(columns["segment"][rows[0] : rows[-1] + 1]) == {row["segment"]}
    assert seen == {split: len(array) for split, array in arrays.items()}


def test_an_agent_s_states_one_by_one_give_the_bits_of_the_windows(feed: list[Path], tmp_path: Path) -> None:
    made = balance(feed, tmp_path / "out")
    scaling, row = load_scaling(made.folder / FILES["scaling"]), made.table[3]
    columns = read_states(tmp_path / f"{row['part']}.parquet")
    states = np.stack([values for name, values in columns.items() if "_px_" in name or "_sz_" in name], axis=1)
    ones = [scaling.of_states(states[i : i + 1]) for i in range(row["start_row"], row["start_row"] + LENGTH)]
    assert np.concatenate(ones).tobytes() == made.array("train")[3].tobytes()


def test_conditions_are_quantile_bins_of_the_training_windows(feed: list[Path], tmp_path: Path) -> None:
    made, oracle = balance(feed, tmp_path / "out"), cut_by_hand(feed)
    parts = dict(zip([path.stem for path in feed], oracle.states, strict=True))
    train = [measures_by_hand(parts[part], row) for split, part, row in oracle.available if split == "train"]
    edges = {name: block["edges"] for name, block in made.summary["edges"].items()}
    assert edges["depth"] == []
    for name in ("volatility", "trend", "spread"):
        assert edges[name] == pytest.approx([np.median([measures[name] for measures in train])], rel=1e-9)
    for row in made.table:
        measures = measures_by_hand(parts[row["part"]], row["start_row"])
        bins = [f"{name[0]}{sum(measures[name] > edge for edge in edges[name])}" for name in edges]
        assert row["condition"] == "-".join(bins)


def test_common_conditions_come_equally_often_in_training(feed: list[Path], tmp_path: Path) -> None:
    made = balance(feed, tmp_path / "out")
    rows = [row for row in made.conditions if row["split"] == "train"]
    common = [row for row in rows if int(row["available"]) >= 4]
    assert len(common) >= 6
    assert len({row["available"] for row in common}) > 2
    assert {int(row["taken"]) for row in common} == {min(int(row["available"]) for row in common)}
    assert [row["condition"] for row in rows[:2]] == ["v0-t0-s0-d0", "v0-t0-s1-d0"]


def test_evaluation_may_be_balanced_too(feed: list[Path], tmp_path: Path) -> None:
    made = balance(feed, tmp_path / "out", evaluation="balanced", min_windows=1)
    for split in ("validation", "test"):
        taken = {int(row["taken"]) for row in made.conditions if row["split"] == split and int(row["available"])}
        assert len(taken) == 1


def test_limits_on_the_number_of_windows_hold(feed: list[Path], tmp_path: Path) -> None:
    made = balance(feed, tmp_path / "out", max_train_windows=17, max_evaluation_windows=5)
    assert [made.summary["splits"][split]["taken"] for split in ("train", "validation", "test")] == [16, 5, 5]
    assert {int(row["taken"]) for row in made.conditions if row["split"] == "train"} == {2}


def test_spreads_of_one_tick_are_a_condition_of_their_own() -> None:
    windows = np.zeros(10, WINDOW)
    windows["spread"] = [1, 1, 1, 1, 1, 1, 1, 2, 2, 3]
    bins = fit_conditions(windows, BalanceSettings(volatility_bins=1, trend_bins=1, spread_bins=2, depth_bins=1))
    assert [bins.names[code] for code in bins.codes(windows)] == ["v0-t0-s0-d0"] * 7 + ["v0-t0-s1-d0"] * 3


# the draw


@pytest.mark.parametrize("seed", range(50))
def test_balanced_takes_no_more_than_there_is_and_shares_alike(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    available = drawn.integers(0, 200, 12) * (drawn.random(12) < 0.8)
    least, most = int(drawn.integers(1, 60)), int(drawn.integers(1, 1_500))
    common = available >= least
    for rare in ("keep", "drop"):
        taken = balanced(available, least, rare, most)
        assert (taken <= available).all()
        assert taken.sum() <= most
        assert len(set(taken[common])) <= 1
        if rare == "drop" and common.any():
            assert not taken[~common].any()
        unlimited = balanced(available, least, rare, 10**9)
        expected = np.where(common, available[common].min(initial=10**9), available if rare == "keep" else 0)
        assert np.array_equal(unlimited, expected)
        # one more for those at the limit would be too many
        if unlimited.sum() > most:
            assert np.minimum(unlimited, taken.max(initial=0) + 1).sum() > most


def test_the_seed_and_it_alone_decides_which_are_drawn(feed: list[Path], tmp_path: Path) -> None:
    first, again, other = (balance(feed, tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert first.bytes() == again.bytes()
    same = ("scaling", "conditions", "summary", "plot", "validation", "test")
    assert first.bytes(*same) == other.bytes(*same)
    assert first.bytes("train") != other.bytes("train")


def test_length_of_the_batches_changes_no_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = write_feed(tmp_path)
    made = []
    for size in (1, 100, 8_192):
        monkeypatch.setattr(reader, "STATES_PER_BATCH", size)
        made.append(balance(feed, tmp_path / f"out{size}"))
    for left, right in pairwise(made):
        assert left.bytes("windows", "conditions", "summary") == right.bytes("windows", "conditions", "summary")
        assert np.allclose(left.array("train"), right.array("train"), atol=1e-6)


# leaks


@pytest.mark.parametrize("seed", range(3))
def test_states_after_the_training_part_change_nothing_of_it(feed: list[Path], tmp_path: Path, seed: int) -> None:
    before = balance(feed, tmp_path / "before")
    rows = [pq.ParquetFile(path).metadata.num_rows for path in feed]
    first = round(0.7 * sum(rows))
    assert sum(rows[:2]) < first < sum(rows)
    disturb(feed[2], first - sum(rows[:2]), seed)
    after = balance(feed, tmp_path / "after")
    assert after.bytes("train", "scaling") == before.bytes("train", "scaling")
    assert after.summary["edges"] == before.summary["edges"]
    assert after.summary["tick"] == before.summary["tick"]
    for made in (before, after):
        assert all(row["end_time"] < 20_000 + first - sum(rows[:2]) for row in made.table if row["split"] == "train")
    tables = [[row for row in made.table if row["split"] == "train"] for made in (before, after)]
    assert tables[0] == tables[1]
    assert after.bytes("validation") != before.bytes("validation")
    assert after.bytes("test") != before.bytes("test")


def disturb(path: Path, first: int, seed: int) -> None:
    """Other prices, of another tick, other sizes and known levels from row `first` on."""
    drawn, columns = np.random.default_rng(seed), read_states(path)
    names = [name for name in columns if "_px_" in name or "_sz_" in name]
    levels = np.stack([columns[name] for name in names], axis=1)
    levels[first:] = levels[first:] * drawn.uniform(1, 9) + 0.0123
    known = columns["known_levels"].copy()
    known[first + 100 : first + 130] = 0
    integers = [columns[name] for name in ("event_time", "local_time", "update_id", "segment")]
    with StatesWriter(path, DEPTH) as writer:
        writer.write(Rows(np.stack([*integers, known], axis=1), levels, np.zeros(1, np.int64)))


def test_no_state_is_used_by_two_splits_and_an_embargo_lies_between(feed: list[Path], tmp_path: Path) -> None:
    for embargo, least in ((None, LENGTH), (0, 0), (50, 50)):
        made = balance(feed, tmp_path / f"out{least}", embargo=embargo)
        assert made.summary["left_out"] == cut_by_hand(feed, least).faults
        spans = {}
        for split in ("train", "validation", "test"):
            rows = [(int(row["part"][1]), row["start_row"]) for row in made.table if row["split"] == split]
            spans[split] = min(rows), max(rows)
        for left, right in pairwise(spans):
            (part, last), (next_part, start) = spans[left][1], spans[right][0]
            assert part == next_part == 2
            assert start > last + LENGTH - 1 + least


# tick and scaling


def test_uncertain_levels_are_taken_where_they_may_be_and_told(feed: list[Path], tmp_path: Path) -> None:
    sure, all_of_them = balance(feed, tmp_path / "sure"), balance(feed, tmp_path / "all", known_levels=0)
    assert {row["known_levels"] for row in sure.table} == {DEPTH}
    assert all(counts["taken_with_uncertain_levels"] == 0 for counts in sure.summary["splits"].values())
    assert all_of_them.summary["left_out"]["unknown_levels"] == 0
    parts = {path.stem: read_states(path)["known_levels"] for path in feed}
    for row in all_of_them.table:
        least = parts[row["part"]][row["start_row"] : row["start_row"] + LENGTH].min()
        assert row["known_levels"] == least
    uncertain = sum(row["known_levels"] < LEVELS for row in all_of_them.table if row["split"] == "validation")
    assert uncertain == all_of_them.summary["splits"]["validation"]["taken_with_uncertain_levels"] > 0


def test_levels_that_are_not_there_are_never_taken(tmp_path: Path) -> None:
    path = write_part(tmp_path / "p0.parquet", 900, 0)
    made = balance([path], tmp_path / "out", levels=DEPTH, known_levels=0)
    assert made.summary["left_out"]["unknown_levels"] > 0
    assert np.isfinite(made.array("validation")).all()


@pytest.mark.parametrize("tick", [1, 5, 10_000_000, 25_000, 123])
def test_tick_divides_all_prices_and_no_larger_one_does(tick: int) -> None:
    units = tick * np.random.default_rng(tick).integers(500_000, 600_000, (50, 8))
    step = 0
    for piece in np.split(units, 5):
        step = common_step(piece, step)
    assert step == tick
    assert common_step(np.array([[6, 12]]), 0) == 6
    assert common_step(np.array([[4]]), 6) == 2


def test_a_tick_that_is_set_is_taken(feed: list[Path], tmp_path: Path) -> None:
    found, given = balance(feed, tmp_path / "found"), balance(feed, tmp_path / "given", tick=0.01)
    scaling = [load_scaling(made.folder / FILES["scaling"]) for made in (found, given)]
    assert (scaling[0].tick, scaling[1].tick) == (0.05, 0.01)
    assert np.allclose(scaling[1].mean[:LEVELS], 5 * scaling[0].mean[:LEVELS])
    assert np.allclose(found.array("train"), given.array("train"), atol=1e-5)


def test_scaling_is_that_of_the_usable_training_states(feed: list[Path], tmp_path: Path) -> None:
    scaling = load_scaling(balance(feed, tmp_path / "out").folder / FILES["scaling"])
    oracle, features = cut_by_hand(feed), []
    left = round(0.7 * sum(len(part["segment"]) for part in oracle.states))
    for part in oracle.states:
        for i in range(min(left, len(part["segment"]))):
            state = {name: values[i] for name, values in part.items()}
            if state["known_levels"] >= LEVELS and state["ask_px_00"] > state["bid_px_00"]:
                features.append(features_by_hand(state))
        left -= min(left, len(part["segment"]))
    assert np.allclose(scaling.mean, np.mean(features, axis=0), rtol=1e-9)
    assert np.allclose(scaling.std, np.std(features, axis=0), rtol=1e-9)


# bad input


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"levels": 5}, "p0.parquet: holds 4 levels a side, not 5"),
        ({"length": 400}, "no window for train: its part of 1640 states has no unbroken stretch of 400 states"),
        ({"embargo": 600}, "no window for validation: "),
        ({"validation_share": 0.297, "embargo": 1}, "no window for test: "),
        ({"min_windows": 10_000, "rare": "drop"}, "no window for train is left after the draw: "),
        ({"max_train_windows": 3}, "no window for train is left after the draw: "),
        ({"train_share": 0.0001}, "splits: nothing is left for train"),
    ],
)
def test_settings_that_leave_no_window_are_refused(
    feed: list[Path], tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError) as error:
        balance(feed, tmp_path / "out", **settings)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_parts_out_of_order_are_refused(feed: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"p0\.parquet: begins before .*p2\.parquet ends: the parts are not in time"):
        balance([feed[2], feed[0]], tmp_path / "out")


def test_states_without_known_levels_are_refused(tmp_path: Path) -> None:
    levels = np.tile([99.0, 1.0, 101.0, 1.0], (100, 1))
    integers = np.stack([np.arange(100)] * 3 + [np.zeros(100, np.int64)] * 2, axis=1)
    with StatesWriter(tmp_path / "a.parquet", 1) as writer:
        writer.write(Rows(integers, levels, np.zeros(1, np.int64)))
    with pytest.raises(InputError, match="no state for training with 1 known levels a side"):
        balance([tmp_path / "a.parquet"], tmp_path / "out", levels=1)


def arguments(states: list[Path], folder: Path) -> list[str]:
    outputs = [text for name in NAMES for text in (f"--{name}", str(folder / FILES[name]))]
    settings = ["--title", "feed", "--settings", json.dumps(SETTINGS)]
    return ["--states", *map(str, states), *outputs, *settings]


@pytest.mark.parametrize("damage", ["cut", "text", "flipped"])
def test_program_names_a_damaged_file_and_leaves_nothing(tmp_path: Path, damage: str) -> None:
    feed = write_feed(tmp_path)
    content = bytearray(feed[1].read_bytes())
    if damage == "flipped":
        content[-20] ^= 0xFF
    feed[1].write_bytes(b"no parquet" if damage == "text" else bytes(content[: None if damage == "flipped" else -50]))
    done = run_program("scripts.orderbook.balance_windows", *arguments(feed, tmp_path / "out"))
    assert "p1.parquet: not a states file of parse_book" in error_of(done)
    assert list((tmp_path / "out").iterdir()) == []


# interruption


def test_killed_at_any_moment_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    feed = [write_part(tmp_path / f"p{i}.parquet", 30_000, i, 100_000 * i) for i in range(2)]
    command = [sys.executable, "-m", "scripts.orderbook.balance_windows"]
    environment = clean_environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")

    def start(folder: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, *arguments(feed, folder)], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
        )

    assert start(tmp_path / "whole").wait() == 0
    whole = Balanced(tmp_path / "whole").bytes()
    chosen, killed = random.Random(0), 0
    for _ in range(5):
        process = start(tmp_path / "out")
        while process.poll() is None and not list((tmp_path / "out").glob(".train.*")):
            time.sleep(0.005)
        time.sleep(chosen.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        for name in NAMES:  # what has its name is whole
            path = tmp_path / "out" / FILES[name]
            assert not path.exists() or path.read_bytes() == whole[name]
    assert killed > 0
    assert start(tmp_path / "out").wait() == 0
    assert Balanced(tmp_path / "out").bytes() == whole
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES.values())
