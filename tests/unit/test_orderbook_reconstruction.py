"""Errors at hidden entries and their intervals."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.plots import save_svg
from scripts.orderbook.encoder.mask_baselines import copy_last
from scripts.orderbook.encoder.masking import EVALUATION, MODES, Mode, draw_mask
from scripts.orderbook.encoder.reconstruction import (
    COPY_LAST,
    LINEAR,
    METHODS,
    MODEL,
    Errors,
    MaskOptions,
    block_draws,
    estimate,
    reconstruct,
)
from scripts.orderbook.encoder.reconstruction_report import (
    FIGURES,
    condition_rows,
    draw_conditions,
    draw_levels,
    level_columns,
    level_rows,
    write_rows,
)
from scripts.orderbook.states.columns import level_columns as columns_of_states
from tests.unit.window_folder import CONDITIONS, make_windows

OPTIONS = MaskOptions(0.25, 4, 7)
WINDOWS = make_windows(24, 16, 4, 0)
NAMES = columns_of_states(4)


def errors_of(mode: Mode, fill: object = copy_last) -> Errors:
    return reconstruct(fill, WINDOWS, np.arange(24), mode, OPTIONS, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_errors_are_those_of_a_plain_loop(mode: Mode) -> None:
    half = lambda windows: 0.5 * copy_last(windows)  # noqa: E731
    errors = errors_of(mode, half)
    for row in range(24):
        mask = draw_mask(mode, 16, 16, 0.25, 4, 7, EVALUATION, row)
        seen = np.where(mask, np.float32(np.nan), WINDOWS[row])[None]
        for method, function in ((MODEL, half), (COPY_LAST, copy_last)):
            wrong = np.where(mask, function(seen)[0] - WINDOWS[row], 0)
            np.testing.assert_allclose(errors.squared[method][row], (wrong**2).sum(0), rtol=1e-5)
        np.testing.assert_array_equal(errors.entries[row], mask.sum(0))


def test_a_model_that_copies_gains_nothing_and_one_that_knows_gains_all() -> None:
    copying = estimate(errors_of("step"), MODEL, slice(None), slice(None))
    assert copying.gain == (0.0, 0.0, 0.0)
    knowing = errors_of("step", lambda seen: WINDOWS[: len(seen)] * 0)
    knowing.squared[MODEL][:] = 0
    found = estimate(knowing, MODEL, slice(None), slice(None))
    assert found.mse == (0.0, 0.0, 0.0)
    assert found.gain == (1.0, 1.0, 1.0)


def test_too_few_windows_give_no_interval_and_none_hidden_no_number() -> None:
    errors = errors_of("cell")
    few = np.arange(24) < 7
    found = estimate(errors, MODEL, few, slice(None))
    assert found.windows == 7
    assert math.isfinite(found.mse[0])
    assert math.isnan(found.mse[1])
    errors.entries[:] = 0
    assert math.isnan(estimate(errors, MODEL, slice(None), slice(None)).mse[0])


def test_bootstrap_blocks_are_consecutive_and_every_window_is_drawn_equally_often() -> None:
    drawn = block_draws(100)
    assert drawn is not None
    assert drawn.shape == (1_000, 100)
    assert (np.diff(drawn.reshape(1_000, 10, 10), axis=2) % 100 == 1).all()
    counts = np.bincount(drawn.ravel(), minlength=100)
    assert abs(counts / counts.mean() - 1).max() < 0.2
    assert block_draws(7) is None


def test_intervals_cover_the_mean_of_dependent_windows() -> None:
    """Sums of neighbours that overlap, as windows do: 95 % intervals must hold the true mean most of the time."""
    covered = 0
    for seed in range(60):
        noise = np.random.default_rng(seed).exponential(size=403)
        squared = np.convolve(noise, np.ones(4) / 4, "valid")[:, None]
        errors = Errors(np.ones((400, 1)), dict.fromkeys(METHODS, squared))
        _, low, high = estimate(errors, MODEL, slice(None), slice(None)).mse
        covered += low <= 1.0 <= high
    assert covered >= 50


def test_tables_hold_every_condition_and_level_once(tmp_path: Path) -> None:
    errors = errors_of("level")
    condition = np.array([CONDITIONS[i % 2] for i in range(24)], object)
    rows = condition_rows("test", "level", errors, condition)
    assert [(row["condition"], row["method"]) for row in rows] == [
        (name, method) for name in ("all", *CONDITIONS) for method in METHODS
    ]
    parts = [row["entries"] for row in rows if row["method"] == LINEAR]
    assert parts[0] == sum(parts[1:])  # type: ignore[arg-type]
    levels = level_rows("test", "level", errors, NAMES)
    assert len(levels) == 2 * 4 * 3
    assert sum(int(row["entries"]) for row in levels if row["method"] == MODEL) == parts[0]
    write_rows(tmp_path / "rows.csv", rows)
    with (tmp_path / "rows.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [float(row["mse"]) for row in read] == pytest.approx([float(row["mse"]) for row in rows], rel=1e-5)
    assert set(FIGURES) <= read[0].keys()


def test_columns_of_a_level_are_both_sides() -> None:
    columns = level_columns(NAMES)
    assert columns["price", 2] == [2, 10]
    assert columns["size", 0] == [4, 12]
    assert sorted(column for both in columns.values() for column in both) == list(range(16))


def test_figures_are_the_same_bytes_for_the_same_rows(tmp_path: Path) -> None:
    condition = np.array([CONDITIONS[i % 2] for i in range(24)], object)
    rows = [row for mode in MODES for row in condition_rows("test", mode, errors_of(mode), condition)]
    levels = [row for mode in MODES for row in level_rows("test", mode, errors_of(mode), NAMES)]
    for name, draw, drawn in (("one", draw_conditions, rows), ("two", draw_levels, levels)):
        for copy in ("a", "b"):
            save_svg(draw(drawn, "x"), tmp_path / f"{name}{copy}.svg", "x")
        text = (tmp_path / f"{name}a.svg").read_text()
        assert text == (tmp_path / f"{name}b.svg").read_text()
        assert "linear interpolation" in text
