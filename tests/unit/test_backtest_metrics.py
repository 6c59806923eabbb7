"""Figures of an account against published examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scripts.backtest.prices.panel import Array
from scripts.backtest.statistics.metrics import best_of_worthless, deflated_sharpe

SESSIONS, TRIALS, YEAR = 1_250, 100, 250
SPREAD = np.sqrt(0.5 / YEAR)  # the trials' annual Sharpe ratios have a variance of 1/2


def example() -> Array:
    """Returns with the moments of Bailey and López de Prado's example: Sharpe 2.5 a year, skew -3, kurtosis 10.

    Kurtosis 10 is the least that goes with skew -3 (skew² + 1), so the returns take two values only; the rarer comes
    at a share of (1 - 3 / sqrt(13)) / 2, of 1,250 sessions 105.
    """
    returns = np.repeat([0.0, 1.0], [105, SESSIONS - 105])
    scaled: Array = 0.01 * ((returns - returns.mean()) / returns.std(ddof=1) + 2.5 / np.sqrt(YEAR))
    return scaled


def test_the_papers_example() -> None:
    """Bailey and López de Prado (2014), The deflated Sharpe ratio, Journal of Portfolio Management 40(5)."""
    returns = example()
    assert returns.mean() / returns.std(ddof=1) * np.sqrt(YEAR) == pytest.approx(2.5)
    assert stats.skew(returns) == pytest.approx(-3, abs=2e-3)
    assert stats.kurtosis(returns, fisher=False) == pytest.approx(10, abs=1e-2)
    assert best_of_worthless(TRIALS, SPREAD) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(returns, TRIALS, SPREAD) == pytest.approx(0.9004, abs=5e-5)


def test_without_a_spread_it_is_that_of_trials_without_skill() -> None:
    returns = example()
    expected = deflated_sharpe(returns, TRIALS, 1 / np.sqrt(SESSIONS - 1))
    assert deflated_sharpe(returns, TRIALS) == expected
    values = [deflated_sharpe(returns, trials) or 0.0 for trials in (1, 2, 10, 1_000)]
    assert sorted(values, reverse=True) == values


def test_what_is_too_short_or_never_moves_has_no_figure() -> None:
    assert deflated_sharpe(example()[:19], 3) is None
    assert deflated_sharpe(np.zeros(100), 3) is None
