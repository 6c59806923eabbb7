"""The backtest under harsher conditions, and with signals whose result is known beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from scripts.backtest.statistics import metrics
from scripts.backtest.trading.benchmarks import ranking, with_portfolio
from scripts.backtest.trading.placebos import dealt_anew, returns_to_come
from scripts.backtest.trading.planning import Market, contract_of, plan_of, read_market, read_signals
from scripts.backtest.trading.predictions import Predictions
from scripts.backtest.trading.settings import BacktestSettings
from scripts.backtest.trading.simulator import simulate
from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.progress import track
from scripts.lib.tables import write_csv

LAGS = (0, 1, 2, 5)  # sessions
COSTS = (0.0, 5.0, 10.0, 20.0, 50.0)  # basis points
SHUFFLES = 10
SHUFFLED, EACH = "shuffled_labels", "shuffled_labels_seed"
FIGURES = ("total_return", "sharpe", "low", "high", "turnover", "final_equity")
COLUMNS = ("family", "setting", *FIGURES, "n", "draws", "confidence", "seed")
Row = dict[str, Any]


class Variant(NamedTuple):
    """The backtest with one thing changed."""

    family: str
    setting: str | float
    known: Predictions
    settings: BacktestSettings
    lag: int = 0


def main(
    predictions: job.InputFile,
    prices: job.InputFile,
    stress: job.OutputFile,
    settings: BacktestSettings,
    splits: job.InputFile | None = None,
    dividends: job.InputFile | None = None,
    delistings: job.InputFile | None = None,
) -> None:
    """The backtest under harsher conditions, and with signals whose result is known beforehand.

    One thing is changed at a time. lag: every order fills so many sessions later; fill: at the open or the close;
    slippage_bps and fee_bps: other costs; sign_flip: the signals times -1; shuffled_labels: the signals of each date
    dealt anew among its assets (mean over 10 seeds, low and high two standard deviations of these from it; a row for
    each in shuffled_labels_seed): must not earn; positive_control: the signal is the return that follows: must earn,
    else the machinery is broken. Signals that are weights (rule given) are traded in proportion there.

    Args:
        predictions: CSV or Parquet with known_at, asset, signal, horizon
        prices: raw prices, CSV or Parquet with date, asset, open, high, low, close, volume
        stress: CSV with family, setting, total_return, sharpe (a year) with low and high, turnover (a year),
            final_equity, n (returns), draws, confidence, seed
        settings: those of run_backtest
        splits: CSV with date, asset, ratio (new units for one old)
        dividends: CSV with date (ex), asset, amount (currency a unit)
        delistings: CSV with date, asset, return (from the last price to what holders got)
    """
    market = read_market(prices, splits, dividends, delistings, settings)
    known, market = read_signals(predictions, market, settings)
    plan, _ = plan_of(known, market, settings)
    if not len(plan.sessions):
        raise InputError(f"{predictions}: no session of {prices} follows its first known_at ({known.day[0]})")
    variants = list(variants_of(known, market, settings))
    first = int(plan.sessions[0])
    rows = [row_of(each, market, first) for each in track(variants, "stress", len(variants))]
    place = next(number for number, row in enumerate(rows) if row["family"] == EACH)
    rows.insert(place, mean_of([row for row in rows if row["family"] == EACH]))
    write_csv(stress, rows, COLUMNS)


def variants_of(known: Predictions, market: Market, settings: BacktestSettings) -> Iterator[Variant]:
    for lag in LAGS:
        yield Variant("lag", lag, known, settings, lag)
    for fill in ("next_open", "next_close"):
        yield Variant("fill", fill, known, settings.model_copy(update={"fill": fill}))
    for family in ("slippage_bps", "fee_bps"):
        for bps in sorted({*COSTS, getattr(settings, family)}):
            yield Variant(family, bps, known, settings.model_copy(update={family: bps}))
    yield Variant("sign_flip", -1, known._replace(signals=-known.signals), settings)
    for seed in range(SHUFFLES):
        dealt = dealt_anew(known.signals, np.random.default_rng([settings.seed, seed]))
        yield Variant(EACH, seed, known._replace(signals=dealt), settings)
    told = known._replace(signals=returns_to_come(known, market, settings))
    yield Variant("positive_control", "the return that follows", told,
                  with_portfolio(settings, ranking(settings.portfolio)))  # fmt: skip


def row_of(variant: Variant, market: Market, first: int) -> Row:
    """Figures of a variant, over the same sessions as the backtest's."""
    settings = variant.settings
    plan, _ = plan_of(variant.known, market, settings, variant.lag)
    path = simulate(market.panel, plan, contract_of(settings), market.events, first)
    equity = np.append(settings.initial_cash, path.equity)
    returns, year = metrics.returns_of(equity), settings.sessions_a_year
    low, high = metrics.sharpe_interval(returns, settings.draws, settings.confidence, settings.seed, year)
    traded = float(np.abs(path.trades["units"]) @ path.trades["price"])
    return {
        "family": variant.family, "setting": variant.setting, "total_return": float(equity[-1] / equity[0] - 1),
        "sharpe": metrics.sharpe(returns, year), "low": low, "high": high,
        "turnover": metrics.annual_turnover(traded, equity, year), "final_equity": float(equity[-1]), "n": len(returns),
        "draws": settings.draws, "confidence": settings.confidence, "seed": settings.seed,
    }  # fmt: skip


def mean_of(rows: list[Row]) -> Row:
    """One row for all shuffles: the mean, and how far the Sharpe ratios of single seeds scatter around it."""
    found = {name: float(np.mean([row[name] for row in rows])) for name in FIGURES if name not in ("low", "high")}
    spread = 2 * float(np.std([row["sharpe"] for row in rows], ddof=1))
    bounds = {"low": found["sharpe"] - spread, "high": found["sharpe"] + spread}
    return rows[0] | found | bounds | {"family": SHUFFLED, "setting": f"mean of {len(rows)}"}


if __name__ == "__main__":
    job.run(main)
