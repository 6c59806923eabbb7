"""Backtests: the simulator against bt (and vectorbt where it is installed), overfitting against ffn.

    .venv-test/bin/python -m tests.bench.backtests [--assets 600] [--sessions 2520]
    .venv-peers/bin/python -m tests.bench.backtests         with vectorbt, after `make peers`

The backtest is that of tests/bench/one_backtest.py. bt replays the very orders of the simulator, vectorbt gets the same
weights; all end with the same equity (compared). Times are of the simulations alone, prices and weights at hand, one
process; the memory is that of a process that makes prices and weights too.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from scripts.backtest.prices.panel import Array, Panel
from scripts.backtest.statistics.overfitting import overfitting
from scripts.backtest.trading.simulator import Path, Plan
from tests.bench.one_backtest import CASH, market, momentum, run, size
from tests.bench.timing import show

BLOCKS = 16


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def replayed_by_bt(panel: Panel, path: Path) -> tuple[float, Array]:
    """Seconds and equity of bt with the simulator's own orders, the fees in their prices."""
    import bt

    days, trades = pd.DatetimeIndex(panel.sessions), path.trades
    closes = pd.DataFrame(panel.close, days, list(panel.assets))
    paid = trades["price"] + np.sign(trades["units"]) * trades["fee"] / np.abs(trades["units"])
    index = pd.MultiIndex.from_arrays([days[trades["session"]], [panel.assets[asset] for asset in trades["asset"]]])
    orders = pd.DataFrame({"quantity": trades["units"], "price": paid}, index.set_names(["Date", "Security"]))
    strategy = bt.Strategy("replay", [bt.algos.ReplayTransactions("orders")], [bt.Security(a) for a in panel.assets])
    data = {"orders": orders, "bidoffer": closes * 0}
    test = bt.Backtest(strategy, closes, initial_capital=CASH, integer_positions=False, additional_data=data)
    took, _ = timed(lambda: bt.run(test))
    return took, test.strategy.values[days[path.first] :].to_numpy()


def by_vectorbt(panel: Panel, plan: Plan) -> tuple[float, Array] | None:
    """Seconds (of a second run: the first one compiles) and equity of vectorbt; None where it is not installed."""
    try:
        import vectorbt
    except ImportError:
        return None
    weights = np.full(panel.close.shape, np.nan)
    weights[plan.sessions] = plan.weights
    closes, opens = (pd.DataFrame(values) for values in (panel.close, panel.open))

    def work() -> Array:
        portfolio = vectorbt.Portfolio.from_orders(
            close=closes, size=pd.DataFrame(weights), size_type="targetpercent", direction="both", price=opens,
            fees=1e-3, slippage=5e-4, init_cash=CASH, cash_sharing=True, group_by=True, call_seq="auto", freq="1D",
        )  # fmt: skip
        values: Array = portfolio.value().to_numpy()
        return values

    work()
    took, values = timed(work)
    return took, values[plan.sessions[0] :]


def sweep(panel: Panel) -> Array:
    """(sessions, 500) returns of 25 look-backs, 4 holding times and 5 quantiles."""
    columns = []
    for back, every, quantile in product(range(10, 260, 10), (1, 5, 10, 21), (0.02, 0.05, 0.1, 0.2, 0.3)):
        equity = np.full(len(panel.sessions), CASH)
        path = run(panel, momentum(panel, back, every, quantile))
        equity[path.first :] = path.equity
        columns.append(equity[1:] / equity[:-1] - 1)
    return np.stack(columns, axis=1)


def main() -> None:
    options = size()
    panel = market(options.sessions, options.assets)
    plan = momentum(panel)
    path = run(panel, plan)
    ours = [timed(lambda: run(panel, plan))[0] for _ in range(7)]
    show("simulate", [seconds * 1e3 for seconds in ours], "ms")
    command = [sys.executable, "-m", "tests.bench.one_backtest", *sys.argv[1:]]
    memory = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"{'memory of a process that does nothing else':58} {memory:7.0f} MB  (wanted: 200)")
    took, values = replayed_by_bt(panel, path)
    print(f"{'bt, the same orders':58} {took:7.2f} s  largest difference {np.abs(values / path.equity - 1).max():.1e}")
    show("bt / simulate", [took / seconds for seconds in ours], "x", "  (wanted: 300)")
    if found := by_vectorbt(panel, plan):
        print(f"{'vectorbt':58} {found[0]:7.2f} s  largest difference {np.abs(found[1] / path.equity - 1).max():.1e}")
        show("vectorbt / simulate", [found[0] / seconds for seconds in ours], "x", "  (wanted: 30)")
    took, returns = timed(lambda: sweep(panel))
    print(f"{'500 settings, weights and simulations':58} {took:7.2f} s  (wanted: 60)")
    judge(returns[260:])


def judge(returns: Array) -> None:
    """Overfitting of the sweep, over sessions that make blocks of one length: only then ffn cuts as we do."""
    import ffn

    returns = returns[: len(returns) // BLOCKS * BLOCKS]
    mine, found = timed(lambda: overfitting(returns, BLOCKS))
    theirs, expected = timed(lambda: ffn.calc_prob_backtest_overfitting(pd.DataFrame(returns), n_blocks=BLOCKS))
    same = "equal" if found.probability == expected else f"differs: {expected}"
    print(f"{f'overfitting of 500 trials, {BLOCKS} blocks':58} {mine:7.2f} s  {found.probability:.3f}")
    print(f"{'ffn, the same':58} {theirs:7.2f} s  ({same})")
    print(f"{'ffn / ours':58} {theirs / mine:7.1f} x  (wanted: 10)")


if __name__ == "__main__":
    main()
