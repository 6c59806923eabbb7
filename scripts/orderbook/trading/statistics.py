"""What traders earned, with intervals, as rows of a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scripts.orderbook.trading.walk import Walk

LEVEL = 0.95
FEW_BLOCKS = 20


@dataclass(frozen=True)
class Resampling:
    """How the bootstrap draws: samples, mean length of its blocks in decisions, seed."""

    draws: int
    block: int
    seed: int


@dataclass(frozen=True)
class Earned:
    """One trader in one split; basis points of the largest position's notional, sums over the split, means of runs."""

    split: str
    trader: str
    runs: int
    """Seeds; 1 for what has none."""
    decisions: int
    blocks: float
    """Decisions over the bootstrap's mean block: with fewer than 20 or so the interval is too narrow."""
    hours: float
    """Event time from decision to decision."""
    trades: float
    turnover: float
    """Traded notional over the largest position's."""
    gross_bps: float
    """By moves of the mid."""
    spread_bps: float
    """Paid beyond the mid."""
    fees_bps: float
    net_bps: float
    low_bps: float
    """Of the net, 95 % interval."""
    high_bps: float
    worst_run_bps: float
    best_run_bps: float
    break_even_fee_bps: float
    """Fee at which nothing would be left; NaN without trades."""

    def row(self) -> dict[str, Any]:
        """As a row of the table."""
        return asdict(self)


def earned(split: str, trader: str, walks: list[Walk], hours: float, settings: Resampling) -> Earned:
    """Sum up a trader's runs, which decided at the same rows."""
    net = np.stack([run.net for run in walks])
    totals = net.sum(axis=1)
    low, high = interval(net, settings)
    gross, spread, fees, turnover = (
        float(np.mean([getattr(run, name).sum() for run in walks])) for name in ("gross", "spread", "fees", "traded")
    )
    return Earned(
        split=split, trader=trader, runs=len(walks), decisions=net.shape[1], blocks=net.shape[1] / settings.block,
        hours=hours, trades=float(np.mean([len(run.trades) for run in walks])), turnover=turnover, gross_bps=gross,
        spread_bps=spread, fees_bps=fees, net_bps=float(totals.mean()), low_bps=low, high_bps=high,
        worst_run_bps=float(totals.min()), best_run_bps=float(totals.max()),
        break_even_fee_bps=(gross - spread) / turnover if turnover else float("nan"),
    )  # fmt: skip


def interval(net: np.ndarray, settings: Resampling) -> tuple[float, float]:
    """95 % percentile interval of the mean run's sum, over time and runs together.

    Each sample draws stretches of time by the stationary bootstrap (Politis and Romano 1994), the same for all runs,
    since they saw the same market, and as many runs as there are, with replacement.

    Args:
        net: (runs, decisions) earnings.
        settings: of the bootstrap.
    """
    random = np.random.default_rng(settings.seed)
    runs, decisions = net.shape
    sums = np.empty(settings.draws)
    for draw in range(settings.draws):
        times = stationary_times(decisions, settings.block, random)
        chosen = random.integers(runs, size=runs)
        sums[draw] = net[chosen].mean(axis=0)[times].sum()
    low, high = np.quantile(sums, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def stationary_times(count: int, block: int, random: np.random.Generator) -> np.ndarray:
    """Places of one sample of the stationary bootstrap: blocks of geometric length, mean `block`, from anywhere, around
    the end to the beginning."""
    begins = random.random(count) < 1 / block
    begins[0] = True
    start = random.integers(count, size=count)
    place = np.arange(count)
    first = np.maximum.accumulate(np.where(begins, place, 0))
    times: np.ndarray = (start[first] + place - first) % count
    return times
