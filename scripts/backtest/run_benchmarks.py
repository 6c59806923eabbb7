"""What an account earns without the predictions, everything else being the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scripts.backtest.prices.panel import Array
from scripts.backtest.trading.benchmarks import NAMES, RUNS, Benchmark, benchmarks_of, index_of, read_naive
from scripts.backtest.trading.planning import Market, plan_of, read_market, read_signals
from scripts.backtest.trading.settings import BacktestSettings
from scripts.backtest.trading.simulator import simulate
from scripts.lib import job
from scripts.lib.account import BENCHMARKS, TRADED, write_rows
from scripts.lib.errors import InputError
from scripts.lib.progress import track


def main(
    predictions: job.InputFile,
    prices: job.InputFile,
    benchmarks: job.OutputFile,
    settings: BacktestSettings,
    splits: job.InputFile | None = None,
    dividends: job.InputFile | None = None,
    delistings: job.InputFile | None = None,
    naive: job.InputFile | None = None,
    index: str | None = None,
) -> None:
    """What an account earns without the predictions, everything else being the same.

    Buy and hold, equal weights, the index, momentum, reversal, naive models, and 20 random signals with the turnover
    of the predictions (the predictions with the assets' identities exchanged). Dates, fills and costs are those of
    run_backtest with the same settings; all start from its cash at its first date.

    Args:
        predictions: CSV or Parquet with known_at, asset, signal, horizon
        prices: raw prices, CSV or Parquet with date, asset, open, high, low, close, volume
        benchmarks: CSV with date, benchmark, equity, traded (currency, sum of |units x price| of that date)
        settings: those of run_backtest
        splits: CSV with date, asset, ratio (new units for one old)
        dividends: CSV with date (ex), asset, amount (currency a unit)
        delistings: CSV with date, asset, return (from the last price to what holders got)
        naive: predictions of naive models: CSV or Parquet with known_at, asset, and a column of signals for each
        index: asset of the prices that is the index
    """
    market = read_market(prices, splits, dividends, delistings, settings)
    known, market = read_signals(predictions, market, settings)
    plan, _ = plan_of(known, market, settings)
    if not len(plan.sessions):
        raise InputError(f"{predictions}: no session of {prices} follows its first known_at ({known.day[0]})")
    models, place = read_naive(naive, known, market, settings), index_of(index, known, market, prices)
    found = benchmarks_of(known, market, settings, place, models)
    first, start = int(plan.sessions[0]), (known.day[0], settings.initial_cash)
    count = RUNS + len(NAMES) - (place is None) + len(models)
    rows = (row for each in track(found, "benchmarks", count) for row in rows_of(each, market, first, start))
    write_rows(benchmarks, (*BENCHMARKS, TRADED), rows)


def rows_of(
    benchmark: Benchmark, market: Market, first: int, start: tuple[np.datetime64, float]
) -> Iterator[tuple[object, ...]]:
    """One row a session, after that of the start.

    Args:
        benchmark: what is held.
        market: prices and events.
        first: session with which the account begins.
        start: date and cash of the row before it.
    """
    path = simulate(market.panel, benchmark.plan, benchmark.contract, market.events, first)
    yield start[0], benchmark.name, start[1], 0.0
    dates = market.panel.sessions[first:]
    for date, value, traded in zip(dates, path.equity, traded_values(path.trades, first, len(dates)), strict=True):
        yield date, benchmark.name, value, traded


def traded_values(trades: Array, first: int, count: int) -> Array:
    """(count,) traded value of each session from the first on, currency."""
    values: Array = np.bincount(trades["session"] - first, np.abs(trades["units"]) * trades["price"], count)
    return values


if __name__ == "__main__":
    job.run(main)
