"""Let an account trade predictions at raw prices: equity, positions, trades and metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts.backtest.prices.checks import suspected_splits
from scripts.backtest.prices.panel import Array, Panel
from scripts.backtest.prices.reader import compare_vintages
from scripts.backtest.statistics import metrics as figures
from scripts.backtest.trading.cutoff import cutoff_bands
from scripts.backtest.trading.planning import contract_of, contract_sentences, plan_of, read_market, read_signals
from scripts.backtest.trading.settings import BacktestSettings
from scripts.backtest.trading.simulator import Path as AccountPath
from scripts.backtest.trading.simulator import simulate
from scripts.lib import job
from scripts.lib import ledger as trial_ledger
from scripts.lib.account import EQUITY, TRADES, Description, write_description, write_rows
from scripts.lib.errors import InputError
from scripts.lib.joblog import log


def main(
    predictions: job.InputFile,
    prices: job.InputFile,
    equity: job.OutputFile,
    trades: job.OutputFile,
    settings: BacktestSettings,
    metrics: job.OutputFile | None = None,
    positions: job.OutputFile | None = None,
    account: job.OutputFile | None = None,
    splits: job.InputFile | None = None,
    dividends: job.InputFile | None = None,
    delistings: job.InputFile | None = None,
    earlier: job.InputFile | None = None,
    ledger: Path = trial_ledger.LEDGER,
    name: str = "backtest",
    simulated: bool = False,
) -> None:
    """Let an account trade predictions at raw prices.

    Signals known after a date's close fill at the next session's open (or close). Units = weight x account value /
    price, both at the fill instant's unslipped price and before any order of that session; slippage moves the fill
    price against the order, and fees are charged on the traded notional at that price. Positions are held until the
    next rebalance and marked at closes.

    Args:
        predictions: CSV or Parquet with known_at (a date: after its close; or a zoned instant), asset, signal, horizon
        prices: raw prices, CSV or Parquet with date, asset, open, high, low, close, volume; calendar (the exchange
            calendar of each asset) and currency where there are any
        equity: CSV with one row a session: date, equity, cash, gross, net, turnover (fractions of the account value)
        trades: CSV with date, asset, units (signed), price, fee, slippage (currency), kind
        settings: portfolio rule, fill, costs, statistics
        metrics: JSON of figures
        positions: Parquet with date, asset, units, value (currency, at the close), after sessions with orders or events
        account: JSON that tells what was traded and how, for the programs that judge it
        splits: CSV with date, asset, ratio (new units for one old)
        dividends: CSV with date (ex), asset, amount (currency a unit)
        delistings: CSV with date, asset, return (from the last price to what holders got)
        earlier: an earlier vintage of the prices: what differs is counted
        ledger: folder that counts every configuration ever run on these prices
        name: of the backtest
        simulated: the prices are simulated
    """
    market = read_market(prices, splits, dividends, delistings, settings)
    known, market = read_signals(predictions, market, settings)
    plan, lost = plan_of(known, market, settings)
    if not len(plan.sessions):
        raise InputError(f"{predictions}: no session of {prices} follows its first known_at ({known.day[0]})")
    path = simulate(
        market.panel, plan, contract_of(settings), market.events, int(plan.sessions[0]), positions is not None
    )
    chosen, data = settings.model_dump(mode="json"), trial_ledger.digest(prices)
    trial = trial_ledger.register(ledger, data, chosen, trial_ledger.digest(predictions), returns_of(market.panel, path,
                                  settings.initial_cash))  # fmt: skip
    warn_of_splits(prices, suspects := suspected_splits(market.panel, market.events))
    vintage = compare_vintages(prices, market.panel, earlier, settings.calendar) if earlier else {}
    counts = {
        **market.counts, **lost, **vintage,
        "assets_without_prices": known.without_prices,
        "suspected_splits": len(suspects),
        "delistings": int(path.trades["delisting"].sum()),
        "unfilled_orders": path.unfilled,
        "ruined": int(path.ruined),
    }  # fmt: skip
    write_equity(equity, market.panel, path, known.day[0], settings.initial_cash)
    write_trades(trades, market.panel, path)
    if positions:
        write_positions(positions, market.panel, path)
    if metrics:
        found = {**judged(path, settings, trial_ledger.trials(ledger, data)), **counts}
        metrics.write_text(json.dumps(found, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    if account:
        totals = {"borrow": path.borrow, "interest": path.interest, "dividends": path.dividends}
        last = market.panel.sessions[path.first + len(path.equity) - 1]
        write_description(account, Description(
            name=name, line="backtest", data=data, trial=trial,
            periods_a_year=settings.sessions_a_year, period="session", contract=contract_sentences(settings),
            counts={**counts, **totals}, settings=chosen, simulated=simulated,
            bands=cutoff_bands(settings.model_cutoff, known.day[0], last),
        ))  # fmt: skip
    log.info("%d sessions, %d trades: %s -> %s", len(path.equity), len(path.trades), settings.initial_cash,
             round(float(path.equity[-1]), 2))  # fmt: skip


def returns_of(panel: Panel, path: AccountPath, cash: float) -> tuple[Array, Array]:
    """Dates and simple returns of a path, for the ledger; after a ruin there are none."""
    returns = figures.returns_of(np.append(cash, path.equity))
    return panel.sessions[path.first :][: len(returns)], returns


def judged(path: AccountPath, settings: BacktestSettings, trials: int) -> dict[str, Any]:
    """Figures of a path; null where there is too little to say."""
    equity = np.append(settings.initial_cash, path.equity)
    returns = figures.returns_of(equity)
    trades, year = path.trades, settings.sessions_a_year
    traded = float(np.abs(trades["units"]) @ trades["price"])
    report = {
        "final_equity": float(equity[-1]),
        "total_return": float(equity[-1] / equity[0] - 1),
        "growth_rate": figures.growth_rate(equity, year),
        "sharpe": figures.sharpe(returns, year),
        "sharpe_interval": figures.sharpe_interval(returns, settings.draws, settings.confidence, settings.seed, year),
        "max_drawdown": figures.max_drawdown(equity),
        "fees": float(trades["fee"].sum()),
        "slippage": float(trades["slippage"].sum()),
        "borrow": path.borrow,
        "interest": path.interest,
        "dividends": path.dividends,
        "turnover": figures.annual_turnover(traded, equity, year),
        "trades": len(trades),
        "sessions": len(path.equity),
        "trials": trials,
        "deflated_sharpe": figures.deflated_sharpe(returns, trials),
    }
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in report.items()
    }


def warn_of_splits(prices: Path, suspects: list[tuple[str, str, float]]) -> None:
    if suspects:
        asset, day, factor = suspects[0]
        log.warning("%s: %d moves look like splits that nobody told, the first: %s x %.3g on %s", prices, len(suspects),
                    asset, factor, day)  # fmt: skip


def write_equity(path: Path, panel: Panel, account: AccountPath, start: Array, cash: float) -> None:
    """One row a session, after that of the start."""
    columns = (account.equity, account.cash, account.gross, account.net, account.turnover)
    rows = zip(panel.sessions[account.first :], *columns, strict=True)
    write_rows(path, EQUITY, [(start, float(cash), float(cash), 0.0, 0.0, 0.0), *rows])


def write_trades(path: Path, panel: Panel, account: AccountPath) -> None:
    names = ("units", "price", "fee", "slippage")
    write_rows(path, TRADES, (
        (panel.sessions[trade["session"]], panel.assets[trade["asset"]], *(trade[name] for name in names),
         "delisting" if trade["delisting"] else "order")
        for trade in account.trades
    ))  # fmt: skip


def write_positions(path: Path, panel: Panel, account: AccountPath) -> None:
    held = account.positions
    pd.DataFrame({
        "date": panel.sessions[held["session"]].astype("datetime64[ms]"),
        "asset": np.array(panel.assets, object)[held["asset"]], "units": held["units"], "value": held["value"],
    }).to_parquet(path, index=False)  # fmt: skip


if __name__ == "__main__":
    job.run(main)
