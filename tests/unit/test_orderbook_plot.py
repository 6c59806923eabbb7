"""plot_book: what stands in the SVG, whatever the book lacks."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.lib.errors import InputError
from scripts.lib.plots import ASK, BID
from scripts.orderbook import plot_book
from scripts.orderbook.plot_book import PRICE_BINS, BookSample, ladder_image
from scripts.orderbook.states.settings import PlotSettings
from scripts.orderbook.states.table import read_states, schema, stored_depth
from tests.unit.orderbook_streams import error_of, run_program

SVG = "{http://www.w3.org/2000/svg}"
DAY = 1_704_067_200_000_000_000
DEPTH = 4
Columns = dict[str, np.ndarray]
Change = Callable[[Columns], object]


def states(path: Path, rows: int, change: Change | None = None, seed: int = 0) -> Path:
    """A states file of a random book, one state each 100 ms, after `change` of its columns."""
    random = np.random.default_rng(seed)
    columns: Columns = {name: np.zeros(rows, dtype=np.int64) for name in schema(DEPTH).names[:5]}
    columns["event_time"] = DAY + np.arange(rows) * 100_000_000
    middle = 100 + random.integers(-5, 5, rows).cumsum() * 0.1
    for side, sign in (("bid", -1), ("ask", 1)):
        for i in range(DEPTH):
            columns[f"{side}_px_{i:02d}"] = (middle + sign * (i + 1) * 0.1).round(1)
            columns[f"{side}_sz_{i:02d}"] = random.integers(1, 100, rows) / 8
    if change:
        change(columns)
    pq.write_table(pa.table({name: columns[name] for name in schema(DEPTH).names}, schema=schema(DEPTH)), path)
    return path


def without(pattern: str, rows: slice = slice(None)) -> Change:
    """Sets levels to NaN."""

    def change(columns: Columns) -> None:
        for name in columns:
            if re.fullmatch(pattern, name):
                columns[name][rows] = np.nan

    return change


def equal_times(columns: Columns) -> None:
    columns["event_time"][:] = DAY


def times_going_back(columns: Columns) -> None:
    columns["event_time"][:] = columns["event_time"][::-1].copy()


def plot(path: Path, title: str = "btc 20240101", **settings: int) -> str:
    target = path.with_suffix(".svg")
    plot_book.main(path, target, title, PlotSettings(**settings))
    return target.read_text(encoding="utf-8")


def texts_of(svg: str) -> list[str]:
    return ["".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def lines_of(svg: str, colour: str) -> list[str]:
    """Paths drawn in a colour, legend included."""
    paths = ElementTree.fromstring(svg).iter(f"{SVG}path")
    return [path.get("d", "") for path in paths if f"stroke: {colour}" in path.get("style", "")]


def test_svg_holds_title_axes_and_both_sides(tmp_path: Path) -> None:
    svg = plot(states(tmp_path / "a.parquet", 50), title="btc <20240101> & more", levels=3)
    texts = texts_of(svg)
    for text in (
        "btc <20240101> & more: price ladder, spread and depth",
        "price", "spread, bp", "size in 3 levels", "event time, UTC", "best bid", "best ask", "bids", "asks",
    ):  # fmt: skip
        assert text in texts
    for colour in (BID, ASK):
        assert len([line for line in lines_of(svg, colour) if line.count("L") > 5]) == 2  # best price, depth
    assert "<image" in svg  # the ladder
    assert ElementTree.fromstring(svg).find(".//{http://purl.org/dc/elements/1.1/}title") is not None


def test_svg_depends_on_the_data_alone(tmp_path: Path) -> None:
    one, other = states(tmp_path / "a.parquet", 50), states(tmp_path / "b.parquet", 50)
    assert plot(one) == plot(one) == plot(other)
    assert plot(one) != plot(states(tmp_path / "c.parquet", 50, seed=1))


@pytest.mark.filterwarnings("error")
def two_segments(columns: Columns) -> None:
    """A gap of an hour in the middle."""
    columns["segment"][20:] = 1
    columns["event_time"][20:] += 3_600 * 10**9


def test_nothing_is_drawn_across_a_gap(tmp_path: Path) -> None:
    path = states(tmp_path / "states.parquet", 40, two_segments)
    book = BookSample(read_states(path), 2, 100)
    gap = np.isnan(book.bid_px).all(axis=1)
    assert list(np.flatnonzero(gap)) == [20], "one row between the segments"
    assert (np.diff(book.time.astype("int64")) >= 0).all()
    grid, _ = ladder_image(book)
    middle = grid.shape[1] // 2
    assert np.isnan(grid[:, middle - 10 : middle + 10]).all(), "the ladder is white in the gap"
    assert np.isfinite(grid[:, 0]).any()
    assert np.isfinite(grid[:, -1]).any()


@pytest.mark.parametrize(
    ("rows", "change"),
    [
        pytest.param(1, None, id="one state"),
        pytest.param(2, None, id="two states"),
        pytest.param(30, without(".*_0[23]"), id="two levels only"),
        pytest.param(30, without("bid_.._0[0-9]", slice(3, 9)), id="no bids for a while"),
        pytest.param(30, without("bid_.._.*"), id="no bids at all"),
        pytest.param(30, without("ask_.._.*"), id="no asks at all"),
        pytest.param(30, without("..._.._0[0-9]"), id="nothing at all"),
        pytest.param(1, without("..._.._0[0-9]"), id="one state with nothing"),
        pytest.param(30, equal_times, id="all at one time"),
        pytest.param(30, times_going_back, id="times going back"),
    ],
)
def test_svg_of_a_poor_book_is_whole(tmp_path: Path, rows: int, change: Change | None) -> None:
    texts = texts_of(plot(states(tmp_path / "a.parquet", rows, change)))
    assert {"price", "best bid", "best ask", "spread, bp", "event time, UTC"} <= set(texts)


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_of_a_missing_side_nothing_is_drawn(tmp_path: Path, side: str) -> None:
    svg = plot(states(tmp_path / "a.parquet", 30, without(f"{side}_.._.*")))
    missing, there = (BID, ASK) if side == "bid" else (ASK, BID)
    drawn = {colour: [line for line in lines_of(svg, colour) if line.count("L") > 5] for colour in (missing, there)}
    assert len(drawn[there]) == 2
    assert len(drawn[missing]) <= 1  # its depth, which is zero


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("change", [None, without("bid_.._0[12]", slice(3, 9)), without("ask_.*")])
def test_ladder_keeps_every_size_in_the_bin_of_its_price(tmp_path: Path, seed: int, change: Change | None) -> None:
    columns = read_states(states(tmp_path / "a.parquet", 40, change, seed))
    grid, edges = ladder_image(BookSample(columns, DEPTH, 40))
    assert grid.shape == (PRICE_BINS, 40)
    for row in range(40):
        expected = np.zeros(PRICE_BINS)
        for side, sign in (("bid", 1), ("ask", -1)):
            for i in range(DEPTH):
                price, size = columns[f"{side}_px_{i:02d}"][row], columns[f"{side}_sz_{i:02d}"][row]
                if np.isfinite(price):
                    inside = [k for k in range(PRICE_BINS) if edges[k] <= price < edges[k + 1]] or [PRICE_BINS - 1]
                    expected[inside[0]] += sign * size
        assert np.array_equal(np.nan_to_num(grid[:, row]), expected)


def test_sample_holds_first_and_last_state_and_not_more_than_asked(tmp_path: Path) -> None:
    columns = read_states(states(tmp_path / "a.parquet", 1_000))
    sample = BookSample(columns, 2, 10)
    assert (len(sample.time), sample.levels) == (10, 2)
    nanoseconds = sample.time.astype("datetime64[ns]").astype(np.int64)
    assert (nanoseconds[0], nanoseconds[-1]) == (columns["event_time"][0], columns["event_time"][-1])
    assert np.ptp(np.diff(nanoseconds)) <= 100_000_000  # evenly, but for rounding to whole states


def test_more_levels_than_stored_are_the_stored_ones(tmp_path: Path) -> None:
    path = states(tmp_path / "a.parquet", 20)
    assert stored_depth(path) == DEPTH
    assert plot(path, levels=1_000) == plot(path, levels=DEPTH)


def other_table(path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), path)


def without_segment(path: Path) -> None:
    pq.write_table(pq.read_table(states(path, 3)).drop_columns(["segment"]), path)


def cut(path: Path) -> None:
    path.write_bytes(states(path, 500).read_bytes()[:-40])


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"time,price\n1,2\n"),
        lambda path: path.mkdir(),
        other_table,
        without_segment,
        cut,
    ],
    ids=["empty", "csv", "folder", "other table", "column missing", "cut short"],
)
def test_what_is_no_states_file_is_named(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "a.parquet"
    make(path)
    with pytest.raises(InputError, match=f"^{path}: not a states file of parse_book"):
        plot(path)


def test_program_plots_into_the_named_file_only(tmp_path: Path) -> None:
    path = states(tmp_path / "a.parquet", 20)
    target = tmp_path / "out" / "a.svg"
    settings = json.dumps({"levels": 2})
    outputs = ("--plot", target, "--title", "t 1")
    done = run_program("scripts.orderbook.plot_book", "--states", path, *outputs, "--settings", settings)
    assert done.returncode == 0, done.stderr
    assert list(target.parent.iterdir()) == [target]
    assert target.read_text() == plot(path, title="t 1", levels=2)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "no state to plot"), (b"junk", "not a states file of parse_book")]
)
def test_program_refuses_in_one_line_what_it_cannot_plot(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = states(tmp_path / "a.parquet", 0)
    if content:
        path.write_bytes(content)
    target = tmp_path / "out" / "a.svg"
    done = run_program("scripts.orderbook.plot_book", "--states", path, "--plot", target, "--title", "t")
    assert f"{path}: {reason}" in error_of(done)
    assert list(target.parent.iterdir()) == []
