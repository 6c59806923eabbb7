"""Masks: what they hide, and that nothing but their arguments decides it; baselines against slow oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scripts.orderbook.encoder.mask_baselines import copy_last, interpolate
from scripts.orderbook.encoder.masking import EVALUATION, MODES, Mode, draw_mask, draw_mode, hide, runs_of
from scripts.orderbook.encoder.pretrain_task import MaskedWindows
from scripts.orderbook.encoder.settings import MaskSettings

LENGTH, LEVELS, SPAN = 64, 8, 8
FEATURES = 4 * LEVELS


def mask(mode: Mode, index: int = 0, epoch: int = 0, seed: int = 0, fraction: float = 0.25) -> np.ndarray:
    return draw_mask(mode, LENGTH, FEATURES, fraction, SPAN, seed, epoch, index)


@pytest.mark.parametrize("mode", MODES)
def test_the_share_hidden_is_what_was_asked_for(mode: Mode) -> None:
    for fraction in (0.1, 0.25, 0.6):
        shares = [mask(mode, index, fraction=fraction).mean() for index in range(400)]
        assert np.mean(shares) == pytest.approx(fraction, abs=0.015)
        assert min(shares) > 0
        assert max(shares) < 1


@pytest.mark.parametrize("mode", MODES)
def test_a_mask_depends_on_seed_epoch_and_row_and_on_nothing_else(mode: Mode) -> None:
    first = mask(mode)
    for other in (mask(mode, index=1), mask(mode, epoch=1), mask(mode, seed=1), mask(mode, epoch=EVALUATION)):
        assert not np.array_equal(first, other)
    np.random.seed(1)
    assert np.array_equal(mask(mode), first)


def test_steps_hide_whole_states_in_aligned_runs() -> None:
    for index in range(50):
        found = mask("step", index)
        assert (found.all(1) | ~found.any(1)).all()
        edges = np.flatnonzero(np.diff(found[:, 0].astype(int))) + 1
        assert len(set(edges % SPAN)) <= 1, "all runs begin and end on one grid"


def test_levels_hide_price_and_size_of_one_side_over_runs() -> None:
    for index in range(50):
        bid, bid_size, ask, ask_size = np.split(mask("level", index), 4, axis=1)
        assert np.array_equal(bid, bid_size)
        assert np.array_equal(ask, ask_size)
        assert not np.array_equal(bid, ask)
        edges = np.flatnonzero(np.diff(bid.astype(int), axis=0).any(1)) + 1
        assert len(set(edges % SPAN)) <= 1


def test_every_entry_is_hidden_equally_often() -> None:
    for mode in MODES:
        share = np.mean([mask(mode, index) for index in range(2_000)], axis=0)
        assert np.abs(share - 0.25).max() < 6 * math.sqrt(0.25 * 0.75 / 2_000)


def test_modes_come_equally_often_and_say_nothing_of_where_runs_begin() -> None:
    modes = [draw_mode(list(MODES), 0, 0, index) for index in range(3_000)]
    assert all(900 < modes.count(mode) < 1_100 for mode in MODES)
    begins = {mode: [] for mode in ("step", "level")}  # type: ignore[var-annotated]
    for index, mode in enumerate(modes):
        if mode == "step":
            edges = np.flatnonzero(np.diff(mask("step", index)[:, 0].astype(int))) + 1
            begins["step"] += [edges[0] % SPAN]
    counts = np.bincount(begins["step"], minlength=SPAN)
    assert counts.min() > 0.6 * counts.mean()


def test_runs_are_of_the_span() -> None:
    assert runs_of(10, 4, 0).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert runs_of(10, 4, 3).tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert runs_of(3, 4, 0).tolist() == [0, 0, 0]


def test_a_short_window_still_shows_something() -> None:
    for index in range(20):
        assert 0 < draw_mask("step", 2, 16, 0.25, 1, 0, 0, index).mean() < 1
        assert draw_mask("cell", 2, 16, 0.001, 1, 0, 0, index).sum() >= 1


def test_samples_are_the_same_in_any_order_and_company() -> None:
    windows = np.random.default_rng(0).normal(size=(20, LENGTH, FEATURES)).astype(np.float32)
    samples = MaskedWindows(windows, MaskSettings(), seed=3)
    together = samples.fetch(np.array([7, 2, 19, 2]), np.array([0, 1, 5, 2]))
    for place, (index, epoch) in enumerate([(7, 0), (2, 1), (19, 5), (2, 2)]):
        alone = samples.fetch(np.array([index]), np.array([epoch]))
        assert np.array_equal(alone["windows"][0], windows[index])
        assert all(np.array_equal(alone[name][0], together[name][place]) for name in alone)
    assert not np.array_equal(together["hidden"][1], together["hidden"][3]), "a new mask each epoch"


def slow_baselines(column: np.ndarray) -> tuple[list[float], list[float]]:
    """Oracle: search to both sides for each entry."""
    last, line = [], []
    for time, value in enumerate(column):
        left = next((t for t in range(time, -1, -1) if not math.isnan(column[t])), None)
        right = next((t for t in range(time, len(column)) if not math.isnan(column[t])), None)
        known = left if left is not None else right
        last.append(float(column[known]) if known is not None else 0.0)
        if left is None or right is None or left == right:
            line.append(last[-1])
        else:
            line.append(float(column[left] + (column[right] - column[left]) * (time - left) / (right - left)))
        assert math.isnan(value) or last[-1] == value == line[-1]
    return last, line


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 0.97, 1.0])
def test_baselines_are_those_of_a_search(share: float) -> None:
    generator = np.random.default_rng(5)
    windows = generator.normal(size=(3, 30, 7)).astype(np.float32)
    seen = hide(windows, generator.random(windows.shape) < share)
    copied, line = copy_last(seen), interpolate(seen)
    for window in range(3):
        for feature in range(7):
            last, between = slow_baselines(seen[window, :, feature])
            np.testing.assert_array_equal(copied[window, :, feature], np.array(last, np.float32))
            np.testing.assert_allclose(line[window, :, feature], between, rtol=1e-5, atol=1e-6)


def test_interpolation_is_numpy_s_inside_of_the_known() -> None:
    generator = np.random.default_rng(6)
    truth = generator.normal(size=(1, 40, 1)).astype(np.float32)
    hidden = generator.random(truth.shape) < 0.5
    hidden[:, [0, -1]] = False
    known = ~hidden[0, :, 0]
    oracle = np.interp(np.arange(40), np.flatnonzero(known), truth[0, known, 0])
    np.testing.assert_allclose(interpolate(hide(truth, hidden))[0, :, 0], oracle, rtol=1e-5, atol=1e-6)
