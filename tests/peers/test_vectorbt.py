"""The account against vectorbt on random panels: fees, slippage, shorts, holes, late listings.

What differs between the two, and how it is told here:
- vectorbt lets an order without a price lapse (our `wait=False`) and marks a position without prices at its last close
  for ever; ours does so too until the asset counts as delisted, of which vectorbt knows nothing: no delistings here.
- Where a held asset has no price at the fill, it takes the last *fill* price into the account value, we take the last
  close: handed to it as `val_price`.
- It never borrows to buy: the weights here add up to a gross of 1, so that cash does not bind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts.backtest.prices.panel import Array, Panel, carried
from scripts.backtest.trading.costs import Costs
from scripts.backtest.trading.simulator import Contract, Path, Plan, simulate

vectorbt = pytest.importorskip("vectorbt", reason="an optional peer: make peers")

SESSIONS, ASSETS, CASH = 150, 12, 1e6


def panel_of(random: np.random.Generator, holes: bool) -> Panel:
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, (SESSIONS, ASSETS)), axis=0))
    opened = close * np.exp(random.normal(0, 0.01, close.shape))
    if holes:
        gone = random.random(close.shape) < 0.05
        gone[: SESSIONS // 3, 1] = gone[: SESSIONS // 2, 5] = True  # listed late
        gone[SESSIONS // 2 :, 2] = True  # frozen
        close[gone] = np.nan
        opened[gone | (random.random(close.shape) < 0.03)] = np.nan
    days = pd.bdate_range("2019-01-01", periods=SESSIONS).to_numpy("datetime64[D]")
    return Panel(days, tuple(f"A{asset:02d}" for asset in range(ASSETS)), opened, close, np.full_like(close, 1e6))


def plan_of(random: np.random.Generator, every: int) -> Plan:
    """Long and short, some weights zero, gross 1."""
    sessions = np.arange(1, SESSIONS, every)
    weights = random.normal(0, 1, (len(sessions), ASSETS))
    weights[random.random(weights.shape) < 0.3] = 0
    weights -= np.where(weights != 0, weights.sum(axis=1, keepdims=True) / (weights != 0).sum(axis=1, keepdims=True), 0)
    return Plan(sessions, weights / np.abs(weights).sum(axis=1, keepdims=True))


def peer(panel: Panel, plan: Plan, costs: Costs, at_close: bool) -> Any:
    weights = np.full(panel.open.shape, np.nan)
    weights[plan.sessions] = plan.weights
    fills = panel.close if at_close else panel.open
    before = np.vstack([np.full(ASSETS, np.nan), carried(panel.close)[:-1]])
    frames = [
        pd.DataFrame(values, pd.DatetimeIndex(panel.sessions), list(panel.assets))
        for values in (panel.close, weights, fills, np.where(np.isfinite(fills), fills, before))
    ]
    return vectorbt.Portfolio.from_orders(
        close=frames[0], size=frames[1], price=frames[2], val_price=frames[3], size_type="targetpercent",
        direction="both", fees=costs.fee_bps / 1e4, slippage=costs.slippage_bps / 1e4, init_cash=CASH,
        cash_sharing=True, group_by=True, call_seq="auto", freq="1D",
    )  # fmt: skip


def orders_of(path: Path) -> Array:
    """(orders, 5) session, asset, units, price, fee, in order of session and asset."""
    trades = path.trades[np.lexsort((path.trades["asset"], path.trades["session"]))]
    return np.stack([trades[name].astype(float) for name in ("session", "asset", "units", "price", "fee")], axis=1)


def orders_of_peer(portfolio: Any) -> Array:
    records = portfolio.orders.records.sort_values(["idx", "col"])
    units = np.where(records["side"] == 0, records["size"], -records["size"])
    return np.stack([records["idx"], records["col"], units, records["price"], records["fees"]], axis=1)


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("at_close", [False, True])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("costs", [Costs(), Costs(fee_bps=10, slippage_bps=5)], ids=["free", "costs"])
@pytest.mark.parametrize("seed", range(3))
def test_equity_cash_and_orders_are_equal(seed: int, costs: Costs, holes: bool, at_close: bool, every: int) -> None:
    random = np.random.default_rng(seed)
    panel, plan = panel_of(random, holes), plan_of(random, every)
    ours = simulate(panel, plan, Contract(CASH, at_close, wait=False, costs=costs), first=1)
    theirs = peer(panel, plan, costs, at_close)
    np.testing.assert_allclose(ours.equity, theirs.value().to_numpy()[1:], rtol=1e-9)
    np.testing.assert_allclose(ours.cash, theirs.cash().to_numpy()[1:], rtol=1e-9, atol=1e-9 * CASH)
    np.testing.assert_allclose(orders_of(ours), orders_of_peer(theirs), rtol=1e-9, atol=1e-6)
    assert (plan.weights < 0).any(axis=1).all()
