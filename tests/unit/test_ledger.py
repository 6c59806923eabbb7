"""The trial ledger: what counts as a trial, parallel writers, returns of folds joined."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from scripts.lib import ledger
from scripts.lib.errors import InputError

DAYS = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-01-11"))


def test_a_rerun_is_no_new_trial_and_a_fold_or_more_draws_neither(tmp_path: Path) -> None:
    settings = {"fee_bps": 5.0, "fold": 0, "folds": 2, "draws": 100, "seed": 0, "begin": None, "end": None}
    for changes in ({}, {"fold": 1}, {"draws": 500}, {"seed": 7}):
        ledger.register(tmp_path, "data", settings | changes, "p")
    assert ledger.trials(tmp_path, "data") == 1
    ledger.register(tmp_path, "data", settings | {"fee_bps": 6.0}, "p")
    ledger.register(tmp_path, "data", settings, "other predictions")
    ledger.register(tmp_path, "data", settings | {"begin": "2024-01-05"}, "p")  # dates can be shopped for, too
    assert ledger.trials(tmp_path, "data") == 4
    assert ledger.trials(tmp_path, "other data") == 0


def test_what_stands_in_the_ledger_does_not_depend_on_who_came_first(tmp_path: Path) -> None:
    for folder, order in (("a", (0, 1)), ("b", (1, 0))):
        for fold in order:
            ledger.register(
                tmp_path / folder, "data", {"fold": fold, "fee": 1}, "p", (DAYS[fold * 5 : fold * 5 + 5], np.ones(5))
            )
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name / "data").iterdir()} for name in ("a", "b"))
    assert first == second
    assert len(first) == 3


def test_folds_of_a_trial_are_one_column(tmp_path: Path) -> None:
    returns = np.linspace(-0.01, 0.01, 10)
    for part in (slice(0, 5), slice(5, 10)):
        ledger.register(tmp_path, "data", {"fee": 1}, "p", (DAYS[part], returns[part]))
    ledger.register(tmp_path, "data", {"fee": 2}, "p", (DAYS[2:4], returns[2:4]))
    found = ledger.trial_returns(tmp_path, "data")
    assert found.dates.astype("datetime64[D]").tolist() == DAYS.tolist()
    whole = found.names.index(ledger.trial_name({"fee": 1}, "p"))
    np.testing.assert_array_equal(found.returns[:, whole], returns)
    assert np.isfinite(found.returns[:, 1 - whole]).sum() == 2


def test_a_ledger_that_nobody_wrote_is_empty(tmp_path: Path) -> None:
    found = ledger.trial_returns(tmp_path, "data")
    assert found.names == ()
    assert found.returns.shape == (0, 0)


def write_many(folder: Path, first: int) -> None:
    for number in range(first, first + 20):
        ledger.register(folder, "data", {"number": number % 30}, "p", (DAYS, np.full(10, number % 30 / 1e4)))


def test_parallel_jobs_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    jobs = [
        multiprocessing.get_context("spawn").Process(target=write_many, args=(tmp_path, first)) for first in (0, 5, 10)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    assert ledger.trials(tmp_path, "data") == 30
    assert ledger.trial_returns(tmp_path, "data").returns.shape == (10, 30)
    assert not list((tmp_path / "data").glob(".*")), "a temporary file was left"


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    name = ledger.register(tmp_path, "data", {}, "p", (DAYS, np.ones(10)))
    damaged = next((tmp_path / "data").glob(f"{name}.*.npy"))
    damaged.write_bytes(b"no array")
    with pytest.raises(InputError, match=rf"{damaged.name}: the trial ledger cannot be read") as error:
        ledger.trial_returns(tmp_path, "data")
    assert "\n" not in str(error.value)


def test_a_trial_says_what_was_traded(tmp_path: Path) -> None:
    name = ledger.register(tmp_path, "data", {"fee": 1, "seed": 3}, "p")
    assert json.loads((tmp_path / "data" / f"{name}.json").read_text()) == {"predictions": "p", "settings": {"fee": 1}}


def test_a_rerun_with_a_mended_file_of_events_replaces_the_returns(tmp_path: Path) -> None:
    for value in (0.01, 0.02):
        ledger.register(tmp_path, "data", {"fee": 1}, "p", (DAYS, np.full(10, value)))
    found = ledger.trial_returns(tmp_path, "data")
    np.testing.assert_array_equal(found.returns, np.full((10, 1), 0.02))
