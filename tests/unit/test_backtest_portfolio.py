"""Portfolio rules against worked examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scripts.backtest.trading.portfolio import limited, tranches, volatility_scaled, weights_of
from scripts.backtest.trading.settings import Portfolio

NAN = np.nan


def weights(signals: list[list[Any]], **portfolio: object) -> Any:
    return weights_of(np.array(signals, float), Portfolio.model_validate(portfolio))


def test_a_side_is_the_floor_of_the_quantile_of_the_assets_with_a_signal() -> None:
    row = weights([[5, 1, NAN, 3, 4, 2, 9, 8, 7, 6]], quantile=0.3)[0]  # floor(0.3 x 9) = 2
    np.testing.assert_allclose(row, [0, -0.25, 0, 0, 0, -0.25, 0.25, 0.25, 0, 0])


@pytest.mark.parametrize("count", range(10, 400, 10))
def test_a_tenth_of_a_round_number_is_not_cut_by_floating_point(count: int) -> None:
    assert (weights([list(range(count))], quantile=0.1) > 0).sum() == count // 10


def test_too_few_assets_for_a_side_leave_the_book_empty() -> None:
    assert not weights([[1, 2, 3]], quantile=0.1).any()


def test_equal_signals_rank_by_name() -> None:
    row = weights([[1.0, 1.0, 1.0, 1.0]], quantile=0.25)[0]
    np.testing.assert_allclose(row, [-0.5, 0, 0, 0.5])


def test_the_long_side_alone_gets_the_whole_gross() -> None:
    np.testing.assert_allclose(weights([[1, 2, 3, 4]], quantile=0.5, long_only=True, gross=0.8)[0], [0, 0, 0.4, 0.4])


def test_top_k_lets_only_so_many_names_go_a_date() -> None:
    signals = [[4, 3, 2, 1, 0], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    rows = weights(signals, rule="top_k", k=2, dropout=1) > 0
    assert [np.flatnonzero(row).tolist() for row in rows] == [[0, 1], [1, 4], [3, 4]]
    free = weights(signals, rule="top_k", k=2) > 0
    assert np.flatnonzero(free[1]).tolist() == [3, 4]


def test_top_k_drops_names_without_a_signal() -> None:
    rows = weights([[4, 3, 2, 1], [NAN, 3, 2, 1]], rule="top_k", k=2, dropout=1) > 0
    assert np.flatnonzero(rows[1]).tolist() == [1, 2]


def test_proportional_weights_balance_where_they_shall() -> None:
    np.testing.assert_allclose(weights([[1, 2, 3, NAN]], rule="proportional")[0], [-0.5, 0, 0.5, 0])
    np.testing.assert_allclose(weights([[1, -3]], rule="proportional", neutral=False)[0], [0.25, -0.75])
    assert not weights([[2, 2]], rule="proportional").any()


def test_limits_cut_weights_net_and_gross() -> None:
    given = np.array([[0.8, 0.4, -0.2]])
    one = limited(given, Portfolio(max_weight=0.5))
    np.testing.assert_allclose(one, [[0.5, 0.4, -0.2]])
    assert limited(given, Portfolio(max_net=0.1)).sum() == pytest.approx(0.1)
    assert np.abs(limited(given, Portfolio(max_gross=0.7))).sum() == pytest.approx(0.7)


def test_tranches_hold_a_share_of_each_date_for_its_horizon() -> None:
    sessions, rows = tranches(np.array([1, 2, 3]), np.array([[1.0, 0], [0, 1.0], [1.0, 0]]), np.array([2, 2, 2]), 8)
    assert sessions.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(rows, [[0.5, 0.0], [0.5, 0.5], [0.5, 0.5], [0.5, 0.0], [0.0, 0.0]])


def test_a_volatility_target_looks_back_only() -> None:
    random = np.random.default_rng(0)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.01, (300, 2)), axis=0))
    portfolio = Portfolio(volatility_target=0.1, volatility_sessions=60, max_gross=10)
    given = np.array([[0.5, 0.5]])
    row = volatility_scaled(given, np.array([200]), closes, portfolio, 252)
    returns = (closes[141:201] / closes[140:200] - 1) @ row[0]
    assert returns.std(ddof=1) * np.sqrt(252) == pytest.approx(0.1)
    later = closes.copy()
    later[201:] *= random.uniform(0.1, 9, later[201:].shape)
    assert (volatility_scaled(given, np.array([200]), later, portfolio, 252) == row).all()
