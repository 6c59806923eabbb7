"""One backtest and nothing else; prints its largest resident memory, MB.

    .venv-test/bin/python -m tests.bench.one_backtest [--assets 600] [--sessions 2520]

Momentum over 60 sessions, long and short a tenth, rebalanced each fifth session, 10 bp fee, 5 bp slippage; fills at the
next open, marks at the close.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path as FilePath

import numpy as np

from scripts.backtest.prices.panel import Panel
from scripts.backtest.trading.costs import Costs
from scripts.backtest.trading.portfolio import weights_of
from scripts.backtest.trading.settings import Portfolio
from scripts.backtest.trading.simulator import Contract, Path, Plan, simulate

COSTS = Costs(fee_bps=10, slippage_bps=5)
CASH = 1e6


def market(sessions: int, assets: int) -> Panel:
    random = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, (sessions, assets)), axis=0))
    opened = close * np.exp(random.normal(0, 0.005, close.shape))
    days = np.busday_offset("2010-01-01", np.arange(sessions), roll="forward")
    return Panel(days, tuple(f"A{asset:04d}" for asset in range(assets)), opened, close, np.full_like(close, np.nan))


def momentum(panel: Panel, back: int = 60, every: int = 5, quantile: float = 0.1) -> Plan:
    """Weights decided on the close before the session at which they are traded."""
    sessions = np.arange(back + 1, len(panel.sessions), every)
    signals = panel.close[sessions - 1] / panel.close[sessions - 1 - back] - 1
    return Plan(sessions, weights_of(signals, Portfolio(quantile=quantile)))


def run(panel: Panel, plan: Plan) -> Path:
    return simulate(panel, plan, Contract(CASH, costs=COSTS), first=int(plan.sessions[0]))


def size() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--assets", type=int, default=600)
    parser.add_argument("--sessions", type=int, default=2_520)
    return parser.parse_args()


def main() -> None:
    options = size()
    panel = market(options.sessions, options.assets)
    run(panel, momentum(panel))
    # not ru_maxrss, which counts what the parent held when it forked
    found = re.search(r"VmHWM:\s+(\d+) kB", FilePath("/proc/self/status").read_text())
    print(int(found[1]) * 1024 / 1e6 if found else "unknown")


if __name__ == "__main__":
    main()
