"""Files and trials of the backtests, as their rules ask for them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.backtest import runs
from scripts.backtest.settings import BacktestLineConfig
from scripts.backtest.sweep.settings import SweepSettings
from scripts.backtest.sweep.trials import all_trials
from scripts.lib.errors import InputError
from scripts.lib.settings import validate

GRID = {"trade.portfolio.quantile": [0.1, 0.2], "signal.lookback": [20, 60, 120]}  # not in alphabetical order


def config(**changes: Any) -> BacktestLineConfig:
    entry = {"prices": "p", "signal": {"rule": "momentum"}, "sweep": {"grid": GRID, "seeds": [3, 4], "folds": 2}}
    values = {"active": ["a"], "prices": {"p": {"path": "prices.csv"}}, "backtests": {"a": entry | changes}}
    return validate(BacktestLineConfig, values, "config")


def of(**wildcards: str) -> Any:
    return SimpleNamespace(**({"backtest": "a"} | wildcards))


def test_the_judge_of_a_sweep_names_its_trials_as_the_jobs_do() -> None:
    chosen = SweepSettings.model_validate_json(runs.sweep_settings(config())(of()))
    judged = all_trials(chosen.grid, chosen.seeds, chosen.folds)
    jobs = runs.trials_of(config().backtests["a"])
    assert [(trial.name, trial.values) for trial in judged] == [(job.name, job.values) for job in jobs]
    assert len(jobs) == 24


def test_a_trial_is_the_backtest_with_its_own_values() -> None:
    backtest = config()
    for job in runs.trials_of(backtest.backtests["a"]):
        trade = json.loads(runs.trial_settings(backtest)(of(trial=job.name)))
        signal = json.loads(runs.trial_signal(backtest)(of(setting=f"{job.setting:03d}")))
        assert trade["portfolio"]["quantile"] == job.values["trade.portfolio.quantile"]
        assert signal["lookback"] == job.values["signal.lookback"]
        assert (trade["universe_seed"], trade["fold"], trade["folds"]) == (job.seed, job.fold, 2)


def test_trials_with_the_same_signal_share_its_predictions() -> None:
    backtest = config()
    jobs = runs.trials_of(backtest.backtests["a"])
    paths = {job.name: runs.trial_predictions(backtest)(of(trial=job.name)) for job in jobs}
    assert len(set(paths.values())) == 3
    for job in jobs:
        setting = paths[job.name].rpartition("/")[2].removesuffix(".parquet")
        signal = json.loads(runs.trial_signal(backtest)(of(setting=setting)))
        assert signal["lookback"] == job.values["signal.lookback"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sweep": {"grid": {"signal.lookbak": [1]}}}, "lookbak"),
        (
            {"sweep": {"grid": {"signal.lookback": [0]}}},
            "sweep.grid: signal.lookback: lookback: input should be greater than or equal to 1, not 0",
        ),
        (
            {"sweep": {"grid": {"trade.seed": [1, 2]}}},
            "'trade.seed' is no setting to be tried: it changes the statistics",
        ),
        ({"sweep": {"grid": {"trade.folds": [1, 2]}}}, "'trade.folds' is no setting to be tried: sweep.folds gives it"),
        ({"sweep": {"grid": {"trade.fee_bps.x": [1]}}}, "sweep.grid: 'x' is not there"),
        ({"sweep": {"grid": {"signal.lookback": []}}}, "at least 1 item"),
        ({"sweep": {"grid": {"signal.lookback": [5, 5]}}}, "5 is there twice"),
        ({"sweep": {"grid": {"prices": ["q"]}}}, "'prices' is no key of signal or trade"),
        ({"sweep": {"grid": {"trade": [1]}}}, "'trade' is no key of signal or trade"),
        ({"predictions": "mine.csv"}, "predictions, signal: name one of them"),
        ({"signal": None, "sweep": None}, "predictions, signal: name one of them"),
        ({"signal": {"rule": "command"}}, "must name {prices} and {predictions}"),
        ({"prices": "q"}, "'q' is not defined in prices"),
        ({"trade": {"folds": 2, "fold": 2}}, "fold: 2 is none of 0 to 1"),
    ],
)
def test_what_does_not_fit_is_one_line(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named.replace("{", r"\{")) as error:
        config(**changes)
    assert "\n" not in str(error.value)


def test_a_backtest_that_is_active_must_be_defined() -> None:
    with pytest.raises(InputError, match="active: 'b' is not defined in backtests"):
        validate(BacktestLineConfig, {"active": ["b"]}, "config")
