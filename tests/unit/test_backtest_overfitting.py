"""Overfitting and superior ability against ffn, on noise, and on planted edges."""

from __future__ import annotations

import ffn
import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import SPA, StepM
from scipy import stats

from scripts.backtest.statistics.forecasts import ranked
from scripts.backtest.statistics.overfitting import overfitting, permutation_value, superior


@pytest.mark.parametrize("seed", range(4))
def test_the_probability_is_that_of_ffn(seed: int) -> None:
    returns = np.random.default_rng(seed).normal(0, 0.01, (405, 20))
    found = overfitting(returns, blocks=8)
    expected = ffn.calc_prob_backtest_overfitting(pd.DataFrame(returns), n_blocks=8, full_output=True)
    assert found.probability == expected["pbo"]
    np.testing.assert_allclose(np.sort(found.logits), np.sort(expected["logits"]), rtol=1e-12, atol=1e-12)


def test_noise_is_overfitted_and_an_edge_is_not() -> None:
    found = []
    for seed in range(8):  # of one panel of noise the figure scatters by a sixth: its combinations share their sessions
        returns = np.random.default_rng(seed).normal(0, 0.01, (2_520, 100))
        found.append(overfitting(returns, 12).probability)
        returns[:, 17] += 3.5 / np.sqrt(252) * 0.01
        assert overfitting(returns, 12).probability < 0.1
    assert 0.35 <= np.mean(found) <= 0.65


@pytest.mark.parametrize(
    ("shape", "blocks", "reason"), [((100, 1), 16, "too few"), ((100, 5), 7, "even"), ((3, 5), 4, "too few")]
)
def test_what_cannot_be_judged_is_refused(shape: tuple[int, int], blocks: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        overfitting(np.random.default_rng(0).normal(size=shape), blocks)


def test_a_trial_that_never_moves_is_refused() -> None:
    returns = np.random.default_rng(0).normal(size=(64, 3))
    returns[:, 1] = 0
    with pytest.raises(ValueError, match="does not move"):
        overfitting(returns, 4)


def test_superior_trials_are_found_and_noise_has_none() -> None:
    random = np.random.default_rng(1)
    benchmark, returns = random.normal(0, 0.01, 1_000), random.normal(0, 0.01, (1_000, 20))
    value, better = superior(returns, benchmark, 500, 0, 0.05)
    assert value > 0.05
    assert not better
    returns[:, 3] += 0.002
    value, better = superior(returns, benchmark, 500, 0, 0.05)
    assert value < 0.01
    assert better == [3]


@pytest.mark.parametrize("seed", range(6))
def test_superior_trials_are_those_of_arch(seed: int) -> None:
    random = np.random.default_rng(seed)
    benchmark = random.normal(0, 0.01, 400)
    returns = random.normal(0, 0.01, (400, 6)) + np.array([0.003, 0.002, 0.0015, 0, 0, -0.001])
    value, better = superior(returns, benchmark, 300, seed, 0.05, block=3)
    steps = StepM(-benchmark, -returns, 0.05, 3, 300, seed=seed)
    steps.compute()
    test = SPA(-benchmark, -returns, 3, 300, seed=seed)
    test.compute()
    assert better == sorted(steps.superior_models)
    assert value == test.pvalues["consistent"]


def test_all_trials_may_be_superior_in_several_steps() -> None:
    returns = np.random.default_rng(3).normal(0, 0.01, (300, 4)) + np.array([0.002, 0.0012, 0.0015, 0.001])
    with pytest.raises(ValueError, match="zero-size"):  # why arch's own steps are not taken
        StepM(np.zeros(300), -returns, 0.05, 2, 300, seed=0).compute()
    assert superior(returns, np.zeros(300), 300, 0, 0.05, block=2)[1] == [0, 1, 2, 3]


@pytest.mark.parametrize(("edge", "low", "high"), [(0.0, 0.05, 1.0), (0.3, 0.0, 0.01)])
def test_dealing_the_signals_anew(edge: float, low: float, high: float) -> None:
    random = np.random.default_rng(2)
    signals = random.normal(size=(50, 20))
    outcomes = edge * signals + random.normal(size=signals.shape)
    signal_ranks, ranks = (np.apply_along_axis(ranked, 1, values) for values in (signals, outcomes))
    assert low <= permutation_value(signal_ranks, ranks, 999, 0) <= high


def test_dealing_anew_has_the_moments_of_random_orders() -> None:
    """A correlation with a random order has mean 0, variance 1 / (n - 1)."""
    random = np.random.default_rng(4)
    signals, outcomes = random.normal(size=(2, 60, 15))
    signals[::3, 12:] = outcomes[::3, 12:] = np.nan  # dates of two sizes
    pairs = [(x[np.isfinite(x)], y[np.isfinite(y)]) for x, y in zip(signals, outcomes, strict=True)]
    observed = sum(np.corrcoef(x, y)[0, 1] for x, y in pairs)
    spread = np.sqrt(sum(1 / (len(x) - 1) for x, _ in pairs))
    values = [permutation_value(signals, outcomes, 4_000, seed) for seed in range(3)]
    np.testing.assert_allclose(values, stats.norm.sf(observed / spread), atol=0.03)
    assert len(set(values)) > 1


def test_p_values_of_noise_are_spread_evenly() -> None:
    random = np.random.default_rng(5)
    pairs = random.normal(size=(300, 2, 20, 10))
    values = [permutation_value(x, y, 99, seed) for seed, (x, y) in enumerate(pairs)]
    assert stats.kstest(values, "uniform").pvalue > 0.01
