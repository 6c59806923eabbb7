"""The account against backtesting.py: the published figures of its SmaCross example, on its own prices of GOOG.

What differs between the two, and how it is told here:
- backtesting.py sizes an order with all equity *after* the closing fee of the position before, at the price *with* the
  fee; our weight is of the account value before any order. So a weight is computed for each order from the account that
  our simulator has at that open. Both round toward zero to whole units.
- It closes a position and opens the next by two orders at one price, ours is one order over both: equal fees, and a
  trade (entry and exit) of backtesting.py is two of our fills in a row.
- `finalize_trades=True` closes on the last session at its open: a last target of zero.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest

from scripts.backtest.prices.panel import Array, Panel
from scripts.backtest.statistics.metrics import max_drawdown
from scripts.backtest.trading.costs import BASIS_POINT, Costs
from scripts.backtest.trading.simulator import Contract, Path, Plan, simulate

backtesting = pytest.importorskip("backtesting", reason="an optional peer: make peers")

CASH = 10_000.0
ALL = 1 - sys.float_info.epsilon  # the share of the equity that backtesting.py puts into an order without a size


@pytest.fixture(scope="module")
def prices() -> Any:
    from backtesting.test import GOOG

    return GOOG


def panel_of(prices: Any) -> Panel:
    opened, close, volume = (prices[[name]].to_numpy(float) for name in ("Open", "Close", "Volume"))
    return Panel(prices.index.to_numpy("datetime64[D]"), ("GOOG",), opened, close, volume)


def crossings(prices: Any, fast: int, slow: int) -> dict[int, float]:
    """Sessions that fill, with 1 where the fast mean has crossed the slow one upward at the close before, else -1."""
    quick, late = (prices["Close"].rolling(window).mean().to_numpy() for window in (fast, slow))
    up = (quick[:-1] < late[:-1]) & (quick[1:] > late[1:])
    down = (quick[:-1] > late[:-1]) & (quick[1:] < late[1:])
    sessions = np.flatnonzero(up | down) + 1  # the close that shows it; the fill is a session later
    return {int(at) + 1: 1.0 if up[at - 1] else -1.0 for at in sessions if at + 1 < len(prices)}


def follow(prices: Any, sides: dict[int, float], fee_bps: float) -> tuple[Plan, Path]:
    """All equity into each side, as backtesting.py counts it: after the closing fee, at a price with the fee."""
    contract = Contract(CASH, whole_units=True, costs=Costs(fee_bps=fee_bps))
    rate, sessions, weights = fee_bps * BASIS_POINT, list(sides), list[list[float]]()
    for session, side in sides.items():
        plan = Plan(np.array([*sessions[: len(weights)], session]), np.array([*weights, [0.0]]))
        upto = panel_of(prices.iloc[: session + 1])
        closed = simulate(upto, plan, contract, first=sessions[0])  # as if the position were only closed
        after = closed.cash[-1]
        before = after + (closed.trades["fee"][-1] if weights else 0.0)
        weights.append([side * ALL * after / before / (1 + rate)])
    plan = Plan(np.array(sessions), np.array(weights))
    return plan, simulate(panel_of(prices), plan, contract, first=sessions[0])


def peer(prices: Any, fast: int, slow: int, exclusive: bool, **options: Any) -> Any:
    """What backtesting.py itself says."""
    from backtesting.lib import crossover
    from backtesting.test import SMA

    class SmaCross(backtesting.Strategy):  # type: ignore[name-defined, misc]
        def init(self) -> None:
            self.fast, self.slow = self.I(SMA, self.data.Close, fast), self.I(SMA, self.data.Close, slow)

        def next(self) -> None:
            for one, other, order in ((self.fast, self.slow, self.buy), (self.slow, self.fast, self.sell)):
                if crossover(one, other):
                    if not exclusive:
                        self.position.close()
                    order()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return backtesting.Backtest(prices, SmaCross, cash=CASH, exclusive_orders=exclusive, **options).run()


def same_path(ours: Path, theirs: Any) -> Array:
    """Our equity from the first order on, which must be the peer's."""
    expected = theirs._equity_curve["Equity"].to_numpy()
    np.testing.assert_allclose(ours.equity, expected[ours.first :], rtol=1e-12)
    assert (expected[: ours.first] == CASH).all()
    return np.append(CASH, ours.equity)


def test_the_figures_of_its_test_suite(prices: Any) -> None:
    sides = crossings(prices, 10, 30)
    plan, marked = follow(prices, sides, 0.0)
    assert np.allclose(np.abs(plan.weights), 1.0, rtol=1e-15)  # without fees the weight is all there is
    assert len(marked.trades) == 66
    equity = same_path(marked, peer(prices, 10, 30, exclusive=False))
    assert equity[-1] == pytest.approx(51_959.95, abs=5e-3)
    assert equity.max() == pytest.approx(75_787.44, abs=5e-3)
    assert max_drawdown(equity) == pytest.approx(-0.4798012705, abs=5e-11)


def test_the_figures_of_its_test_suite_with_the_last_position_closed(prices: Any) -> None:
    sides = crossings(prices, 10, 30)
    _, closed = follow(prices, {**sides, len(prices) - 1: 0.0}, 0.0)
    theirs = peer(prices, 10, 30, exclusive=False, finalize_trades=True)
    assert closed.equity[-1] == pytest.approx(51_422.99, abs=5e-3)
    assert closed.equity[-1] == pytest.approx(theirs["Equity Final [$]"], rel=1e-12)
    assert closed.equity.max() == pytest.approx(theirs["Equity Peak [$]"], rel=1e-12)
    assert max_drawdown(closed.equity) == pytest.approx(theirs["Max. Drawdown [%]"] / 100, rel=1e-12)
    assert len(closed.trades) - 1 == theirs["# Trades"] == 66


def test_the_figures_of_its_example_with_commissions(prices: Any) -> None:
    sides = crossings(prices, 10, 20)
    _, ours = follow(prices, sides, 20.0)
    theirs = peer(prices, 10, 20, exclusive=True, commission=0.002)
    equity = same_path(ours, theirs)
    assert equity[-1] == pytest.approx(56_263.51934, abs=5e-6)
    assert max_drawdown(equity) == pytest.approx(-0.33931592, abs=5e-9)
    still_held = 0.002 * abs(ours.trades["units"].sum()) * ours.trades["price"][-1]  # it counts fees of ended trades
    assert ours.trades["fee"].sum() - still_held == pytest.approx(10_563.95154, abs=5e-6)
    assert theirs["Commissions [$]"] == pytest.approx(10_563.95154, abs=5e-6)
    assert len(ours.trades) - 1 == theirs["# Trades"] == 93
