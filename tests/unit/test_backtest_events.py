"""Splits, dividends and delistings that meet: the account, and what forecasts are compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scripts.backtest.prices.panel import Event, Events, Panel
from scripts.backtest.trading.costs import Costs, Market
from scripts.backtest.trading.planning import read_market, read_signals, total_returns
from scripts.backtest.trading.settings import BacktestSettings, Portfolio
from scripts.backtest.trading.simulator import Contract, Plan, simulate
from scripts.lib.errors import InputError

NONE = np.nan


def panel(close: list[list[float]]) -> Panel:
    prices = np.array(close)
    days = pd.bdate_range("2024-01-01", periods=len(prices)).to_numpy("datetime64[D]")
    names = tuple(f"A{column}" for column in range(prices.shape[1]))
    return Panel(days, names, prices.copy(), prices, np.full_like(prices, 1e6))


def test_a_split_on_the_day_of_a_delisting_changes_the_units_and_not_the_value() -> None:
    """A reverse split 1:10, then closed at what the last price is worth in new units."""
    market = panel([[10.0, 1.0], [10.0, 1.0], [NONE, 1.0], [NONE, 1.0]])
    events = Events(splits=(Event(2, 0, 0.1),), delistings=(Event(2, 0, 0.0),))
    path = simulate(market, Plan(np.array([0]), np.array([[1.0, 0.0]])), Contract(1000.0), events)
    np.testing.assert_allclose(path.equity, 1000.0)
    assert path.trades["price"][-1] == pytest.approx(100.0)


@pytest.mark.parametrize("session", [12, 15, 19])
def test_a_split_changes_no_impact(session: int) -> None:
    """The same order, in prices and volumes that jump at a split 2:1 and in ones that do not."""
    random = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.01, (20, 2)), axis=0))
    smooth = panel(close.tolist())
    ratio = np.where(np.arange(20) < 12, 1.0, 2.0)[:, None] * [1.0, 0.0] + [0.0, 1.0]
    split = smooth._replace(close=close / ratio, volume=smooth.volume * ratio)
    costs, assets = Costs(impact=1.0, impact_days=10), np.array([0, 1])
    expected = Market(smooth, costs).impact(session, assets, np.array([1000.0, -500.0]))
    found = Market(split, costs, (Event(12, 0, 2.0),)).impact(session, assets, np.array([2000.0, -500.0]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_total_returns_hold_what_an_account_would_earn() -> None:
    """Oracle: an account that buys at the first fill and holds; it keeps the dividend as cash over the last session."""
    market = panel([[100.0], [102.0], [51.5], [50.0], [50.0]])
    events = Events(splits=(Event(2, 0, 2.0),), dividends=(Event(3, 0, 1.0),))
    found = total_returns(market.open, market, events)[:, 0]
    path = simulate(market, Plan(np.array([0]), np.array([[1.0]])), Contract(1000.0), events)
    np.testing.assert_allclose(found[:3] / found[0], path.equity[:3] / 1000.0)
    assert found[3] / found[2] == pytest.approx(50.0 / (51.5 - 1.0))  # put back in at the close before
    assert path.equity[3] / path.equity[2] == pytest.approx(51.0 / 51.5)


def test_a_name_that_dies_counts_with_its_loss() -> None:
    market = panel([[10.0, 1.0], [8.0, 1.0], [NONE, 1.0], [NONE, 1.0]])
    events = Events(delistings=(Event(2, 0, -0.5),))
    found = total_returns(market.open, market, events)
    np.testing.assert_allclose(found[:, 0], [10.0, 8.0, 4.0, 4.0])
    np.testing.assert_allclose(found[:, 1], 1.0)
    wiped = total_returns(market.open, market, Events(delistings=(Event(2, 0, -1.0),)))
    np.testing.assert_allclose(wiped[:, 0], [10.0, 8.0, 0.0, 0.0])


def test_a_name_that_comes_back_has_its_own_prices_again() -> None:
    market = panel([[10.0], [8.0], [NONE], [20.0], [22.0]])
    found = total_returns(market.open, market, Events(delistings=(Event(2, 0, -0.5),)))
    np.testing.assert_allclose(found[:, 0], [10.0, 8.0, 4.0, 20.0, 22.0])


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("known_at,asset,signal\n2024-01-01,A,1\n", "no column 'horizon', which tranches need"),
        ("known_at,asset,signal,horizon\n2024-01-01,A,1,5\n2024-01-01,B,1,3\n", "row 2: horizon: several at known_at"),
    ],
)
def test_tranches_need_one_horizon_a_date(tmp_path: Path, table: str, named: str) -> None:
    prices, predictions = tmp_path / "prices.csv", tmp_path / "p.csv"
    days = pd.bdate_range("2024-01-01", periods=10).strftime("%Y-%m-%d")
    rows = [f"{day},{asset},1,1" for day in days for asset in "AB"]
    prices.write_text("\n".join(["date,asset,open,close", *rows]) + "\n")
    predictions.write_text(table)
    market = read_market(prices, None, None, None, BacktestSettings())
    read_signals(predictions, market, BacktestSettings())  # informative without tranches
    tranches = BacktestSettings(portfolio=Portfolio(tranches=True))
    with pytest.raises(InputError, match=named):
        read_signals(predictions, market, tranches)
