"""The agents' account under harsher conditions: other fees, orders that arrive later, and every decision turned round.

Fees change no decision, since an agent sees its position and the gain of its prices alone: the fills stay. Later and
turned orders are walked through the book again, decision by decision the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from scripts.lib.progress import Progress
from scripts.orderbook.agent.account import AGENT, Curve, Timeline, all_fills, curve_of, fills_of
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.statistics import LEVEL, Resampling, stationary_times
from scripts.orderbook.trading.taker_fills import BPS, Latency
from scripts.orderbook.trading.tape import with_latency
from scripts.orderbook.trading.walk import Traded, Walk, replay_trader, walk

FEES = (0.0, 1.0, 2.0, 5.0, 10.0)  # basis points
LAGS = (1, 2, 5)  # states more


class Variant(NamedTuple):
    """One row of the table."""

    family: str
    setting: float
    curve: Curve


def stress_rows(timeline: Timeline, rules: TradingRules, resampling: Resampling) -> list[dict[str, Any]]:
    """Rows of stress.csv: what all agents together would have earned. The Sharpe ratio is that of a period's return,
    mean over standard deviation (ddof 1), not annualised, with its 95 % interval; turnover is the traded notional over
    the mean equity."""
    variants = list(variants_of(timeline, rules))
    returns = np.stack([variant.curve.returns for variant in variants])
    low, high = sharpe_intervals(returns, resampling)
    return [
        {
            "family": variant.family,
            "setting": variant.setting,
            "total_return": float(variant.curve.equity[-1] / variant.curve.equity[0] - 1),
            "sharpe": float(sharpe(returns[place])),
            "low": float(low[place]),
            "high": float(high[place]),
            "turnover": turnover(variant.curve),
            "final_equity": float(variant.curve.equity[-1]),
        }
        for place, variant in enumerate(variants)
    ]


def variants_of(timeline: Timeline, rules: TradingRules) -> Iterator[Variant]:
    runs = all_fills(timeline, AGENT, rules)
    for fee in sorted({*FEES, rules.fee_bps}):
        changed = rules.model_copy(update={"fee_bps": fee})
        yield Variant("fee_bps", fee, curve_of(timeline, [with_fee(fills, fee) for fills in runs], changed))
    for states in LAGS:
        yield Variant("lag", states, again(timeline, rules, states, 1))
    yield Variant("sign_flip", -1, again(timeline, rules, 0, -1))


def with_fee(fills: np.ndarray, fee_bps: float) -> np.ndarray:
    """The same fills at another fee."""
    changed = fills.copy()
    changed["fee"] = fee_bps * BPS * np.abs(fills["notional"]) * ~fills["settled"]
    return changed


def again(timeline: Timeline, rules: TradingRules, lag: int, sign: int) -> Curve:
    """The agents' decisions times `sign`, each order `lag` states later."""
    walks = [replayed(part, rules, lag, sign) for part in timeline.parts]
    return curve_of(timeline, [fills_of(timeline, list(run), rules) for run in zip(*walks, strict=True)], rules)


def replayed(part: Traded, rules: TradingRules, lag: int, sign: int) -> list[Walk]:
    """All agents' decisions of a split once more."""
    tape = with_latency(part.tape, Latency(rules.latency_states + lag, rules.latency_ms)) if lag else part.tape
    what = f"{part.split}-{f'lag-{lag}' if lag else 'turned'}"
    return [
        walk(tape, part.rows, rules, replay_trader(sign * run.target, sign * run.signal), what)
        for run in part.walks[AGENT]
    ]


def turnover(curve: Curve) -> float:
    """Traded notional over the mean equity."""
    traded = sum(float(np.abs(fills["notional"][~fills["settled"]]).sum()) for fills in curve.fills)
    return traded / float(curve.equity.mean())


def sharpe(returns: np.ndarray) -> float:
    """Mean over standard deviation (ddof 1); NaN where there is none."""
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return float(np.mean(returns)) / deviation if deviation > 0 else float("nan")


def sharpe_intervals(returns: np.ndarray, settings: Resampling) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile intervals by the stationary bootstrap (Politis and Romano 1994), the same draws for all rows.

    Args:
        returns: (variants, periods).
        settings: of the bootstrap.

    Returns:
        (variants,) low and high, NaN where a row never changes.
    """
    random = np.random.default_rng(settings.seed)
    count = returns.shape[1]
    centre = returns.mean(axis=1, keepdims=True)
    moved = returns - centre  # so that the difference of squares below keeps its digits
    squares = moved**2
    found = np.full((settings.draws, len(returns)), np.nan)
    with Progress("stress", settings.draws, "samples") as progress:
        for draw in range(settings.draws):
            weights = np.bincount(stationary_times(count, settings.block, random), minlength=count).astype(float)
            total = moved @ weights
            variance = (squares @ weights - total**2 / count) / max(count - 1, 1)
            mean = centre[:, 0] + total / count
            np.divide(mean, np.sqrt(np.maximum(variance, 0)), out=found[draw], where=variance > 0)
            progress.advance()
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high
