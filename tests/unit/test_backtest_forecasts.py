"""Figures of forecasts against scipy, scikit-learn and cases made by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scripts.backtest.evaluate_predictions import main
from scripts.backtest.statistics import forecasts
from scripts.lib import job


@pytest.mark.parametrize("seed", range(20))
def test_correlations_are_those_of_scipy(seed: int) -> None:
    random = np.random.default_rng(seed)
    signals, returns = random.integers(0, 6, (4, 30)).astype(float), random.normal(size=(4, 30))
    signals[random.random(signals.shape) < 0.2] = np.nan
    returns[random.random(returns.shape) < 0.2] = np.nan
    for row in range(4):
        both = np.isfinite(signals[row]) & np.isfinite(returns[row])
        spearman = stats.spearmanr(signals[row][both], returns[row][both]).statistic
        pearson = stats.pearsonr(signals[row][both], returns[row][both]).statistic
        assert forecasts.correlations(signals, returns, ranks=True)[row] == pytest.approx(spearman)
        assert forecasts.correlations(signals, returns, ranks=False)[row] == pytest.approx(pearson)


def test_forward_returns_begin_where_the_trade_could_be_made() -> None:
    prices = np.array([[1.0], [2.0], [4.0], [8.0], [24.0]])
    returns = forecasts.forward_returns(prices, np.array([1, 3]), np.array([2, 2]))
    np.testing.assert_allclose(returns[:, 0], [3.0, np.nan])  # the second one ends after the data
    assert forecasts.forward_returns(prices, np.array([1]), np.array([2]), lag=1)[0, 0] == 5.0


def test_the_base_rate_is_that_of_the_direction_that_was_commoner_over_all_dates() -> None:
    signals = np.array([[1.0, 1, -1, -1], [1, 1, 1, 1]])
    returns = np.array([[0.1, -0.1, -0.1, -0.1], [0.1, -0.2, -0.1, -0.1]])
    right, base = forecasts.hits(signals, returns)
    np.testing.assert_allclose(right, [0.75, 0.25])
    np.testing.assert_allclose(base, [0.75, 0.75])


def test_quantiles_and_their_order() -> None:
    signals = np.arange(10.0)[None]
    means = forecasts.by_quantile(signals, signals * 0.01, 5)[0]
    np.testing.assert_allclose(means, [0.005, 0.025, 0.045, 0.065, 0.085])
    assert forecasts.monotonicity(means) == pytest.approx(1)
    assert forecasts.monotonicity(means[::-1]) == pytest.approx(-1)


def test_brier_score_is_that_of_scikit_learn() -> None:
    import sklearn.metrics as metrics

    random = np.random.default_rng(0)
    said, returns = random.random((5, 40)), random.normal(size=(5, 40))
    score, base = forecasts.brier(said, returns)
    assert score == pytest.approx(metrics.brier_score_loss((returns > 0).ravel(), said.ravel()))
    share = (returns > 0).mean()
    assert base == pytest.approx(share * (1 - share))


@pytest.mark.parametrize(("edge", "found"), [(0.5, True), (0.0, False)])
def test_a_planted_edge_is_found_and_noise_is_not(tmp_path: Path, edge: float, found: bool) -> None:
    random = np.random.default_rng(5)
    days, assets = pd.bdate_range("2020-01-01", periods=250), [f"A{i:02d}" for i in range(30)]
    signals = random.normal(size=(250, 30))
    moves = 0.01 * (edge * signals + random.normal(size=signals.shape))
    opens = 100 * np.exp(np.cumsum(np.vstack([np.zeros((2, 30)), moves[:-2]]), axis=0))  # known at d: traded d+1 to d+2
    wide = {"date": np.repeat(days, 30), "asset": assets * 250, "open": opens.ravel(), "close": opens.ravel()}
    pd.DataFrame(wide).to_csv(tmp_path / "prices.csv", index=False)
    table = {"known_at": np.repeat(days.date, 30), "asset": assets * 250, "horizon": 1, "signal": signals.ravel()}
    chances = {"p_up": stats.norm.cdf(edge * signals.ravel())}
    pd.DataFrame({**table, **chances}).to_csv(tmp_path / "P.csv", index=False)
    words = ["--predictions", "P.csv", "--prices", "prices.csv", "--figures", "F.csv", "--coefficients", "C.csv"]
    words = [*words, "--plot", "F.svg"]
    words = [word if word.startswith("--") else str(tmp_path / word) for word in words]
    outputs = []
    for _ in range(2):
        with pytest.raises(SystemExit) as stop:
            job.run(main, [*words, "--settings", json.dumps({"draws": 300})])
        assert stop.value.code == 0
        outputs.append([(tmp_path / name).read_bytes() for name in ("F.csv", "C.csv", "F.svg")])
    assert outputs[0] == outputs[1]
    with (tmp_path / "F.csv").open() as file:
        rows = {(row["figure"], row["part"]): row for row in csv.DictReader(file)}
    assert (float(rows["rank_ic", "all"]["low"]) > 0) is found
    assert (float(rows["rank_ic_by_lag", "0"]["low"]) > 0) is found
    assert float(rows["rank_ic_by_lag", "1"]["low"]) < 0  # a session late, nothing is left
    if found:
        assert float(rows["monotonicity", "all"]["value"]) == pytest.approx(1)
        assert float(rows["brier", "all"]["value"]) < float(rows["brier_of_base_rate", "all"]["value"])


@pytest.mark.parametrize("count", range(1, 12))
def test_few_dates_have_a_mean_and_no_interval(count: int) -> None:
    """A year of monthly signals may hold six."""
    values = np.random.default_rng(count).normal(size=count)
    found = forecasts.estimate_mean(values, 100, 0.95, 0)
    assert found.value == pytest.approx(values.mean())
    assert found.n == count
    assert np.isfinite([found.low, found.high]).all() == (count >= 8)
