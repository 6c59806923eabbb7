"""Splits by time: nothing overlaps, nothing leaks, and no more is left out than must be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scripts.lib.errors import InputError
from scripts.lib.splits import LEFT_OUT, SPLITS, TEST, TRAIN, VALIDATION, assign, cut_places, cut_times, label_ends

SEEDS = range(60)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, tuple[Any, Any], Any]:
    """Samples of random length at random times, with ties; cuts; an embargo."""
    random = np.random.default_rng(seed)
    count = int(random.integers(20, 400))
    start = np.sort(random.integers(0, count, count))
    end = start + random.integers(0, 12, count)
    cuts = cut_times(start, random.uniform(0.3, 0.7), random.uniform(0.1, 0.25))
    embargo: Any = int(random.integers(0, 9))
    if seed % 3 == 1:
        day, base = np.timedelta64(1, "D"), np.datetime64("2024-01-01")
        return base + start * day, base + end * day, (base + cuts[0] * day, base + cuts[1] * day), embargo * day
    if seed % 3 == 2:
        return start / 8, end / 8, (cuts[0] / 8, cuts[1] / 8), embargo / 8
    return start, end, cuts, embargo


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_used_on_one_side_is_used_on_the_other(seed: int) -> None:
    start, end, cuts, embargo = drawn(seed)
    split = assign(start, end, cuts, embargo)
    for left, right, cut in ((TRAIN, VALIDATION, cuts[0]), (VALIDATION, TEST, cuts[1]), (TRAIN, TEST, cuts[1])):
        if (split == left).any() and (split == right).any():
            assert end[split == left].max() < cut
            assert start[split == right].min() >= cut + embargo
    used = [set(np.unique(start[split == part])) | set(np.unique(end[split == part])) for part in SPLITS]
    assert not used[0] & used[1]
    assert not used[1] & used[2]
    assert not used[0] & used[2]


@pytest.mark.parametrize("seed", SEEDS)
def test_just_the_samples_that_reach_over_a_cut_or_lie_in_an_embargo_are_left_out(seed: int) -> None:
    start, end, cuts, embargo = drawn(seed)
    split = assign(start, end, cuts, embargo)
    for i, found in enumerate(split):
        over = any(start[i] < cut <= end[i] for cut in cuts)
        early = any(cut <= start[i] < cut + embargo for cut in cuts)
        assert (found == LEFT_OUT) == (over or early)
        if found != LEFT_OUT:
            assert found == sum(start[i] >= cut for cut in cuts)


@pytest.mark.parametrize("seed", range(20))
def test_shares_are_met_and_rows_of_one_moment_stay_together(seed: int) -> None:
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, 300, 2_000))
    train, validation = 0.7, 0.25
    first, second = cut_times(times, train, validation)
    moments = np.unique(times)
    shares = [(moments < first).mean(), ((moments >= first) & (moments < second)).mean(), (moments >= second).mean()]
    assert shares == pytest.approx([0.7, 0.25, 0.05], abs=1 / len(moments))
    split = assign(times, times, (first, second))
    assert (split != LEFT_OUT).all()
    assert all(len(set(split[times == time])) == 1 for time in moments)


@pytest.mark.parametrize("seed", range(20))
def test_what_comes_after_the_cut_changes_nothing_before_it(seed: int) -> None:
    start, end, cuts, embargo = drawn(seed)
    later = start >= cuts[0]
    moved = np.where(later, end + (end.max() - end.min()), end)
    before, after = (assign(start, ends, cuts, embargo) == TRAIN for ends in (end, moved))
    assert np.array_equal(before, after)


def test_label_ends_count_moments_and_not_rows() -> None:
    times = np.array([1, 1, 2, 5, 5, 9])
    assert list(label_ends(times, 0)) == list(times)
    assert list(label_ends(times, 1)) == [2, 2, 5, 9, 9, 9]
    assert list(label_ends(times, 2)) == [5, 5, 9, 9, 9, 9]
    assert list(label_ends(times, 99)) == [9] * 6
    days = np.array(["2024-01-05", "2024-01-08", "2024-01-09"], "datetime64[D]")
    assert list(label_ends(days, 1)) == [days[1], days[2], days[2]]


@pytest.mark.parametrize("seed", range(10))
def test_times_out_of_order_are_refused_and_the_row_is_named(seed: int) -> None:
    random = np.random.default_rng(seed)
    times = np.arange(50)
    at = int(random.integers(1, 50))
    times[at] = times[at - 1] - 1
    for call in (
        lambda: cut_times(times, 0.7, 0.2),
        lambda: assign(times, times, (10, 20)),
        lambda: label_ends(times, 3),
    ):
        with pytest.raises(InputError, match=rf"not in order of time: row {at} \({times[at]}\) after row {at - 1} "):
            call()


@pytest.mark.parametrize("bad", [np.array([0.0, np.nan, 2.0]), np.array(["2024-01-01", "NaT"], "datetime64[D]")])
def test_times_that_are_none_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="not in order of time: row 1"):
        cut_times(bad, 0.7, 0.2)


def test_samples_that_end_before_they_start_are_refused() -> None:
    with pytest.raises(InputError, match="sample 1 ends at 1, before its start 2"):
        assign(np.array([1, 2, 3]), np.array([1, 1, 3]), (2, 3))


@pytest.mark.parametrize(
    ("count", "train", "validation", "name"),
    [(0, 0.7, 0.25, "train"), (2, 0.2, 0.5, "train"), (3, 0.7, 0.1, "validation"), (5, 0.7, 0.25, "test")],
)
def test_an_empty_part_is_refused_by_name(count: int, train: float, validation: float, name: str) -> None:
    with pytest.raises(InputError, match=f"nothing is left for {name}"):
        cut_places(count, train, validation)
    if count:
        with pytest.raises(InputError, match=f"nothing is left for {name}"):
            cut_times(np.arange(count), train, validation)


def test_cut_places_are_the_nearest_to_the_shares() -> None:
    assert cut_places(100, 0.7, 0.25) == (70, 95)
    assert cut_places(20, 0.7, 0.25) == (14, 19)
    assert cut_places(7, 0.5, 0.25) == (4, 5)
