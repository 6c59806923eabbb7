"""Let an account trade predictions at raw prices: equity, trades and metrics."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from scripts.backtest import ledger as trial_ledger
from scripts.backtest import metrics as figures
from scripts.backtest.costs import Costs
from scripts.backtest.panel import Array, Events, Panel, marks
from scripts.backtest.portfolio import tranches, volatility_scaled, weights_of
from scripts.backtest.predictions import Predictions, decided_sessions, fill_sessions, read_predictions
from scripts.backtest.prices import openings, read_events, read_panel, suspected_splits
from scripts.backtest.settings import BacktestSettings
from scripts.backtest.simulator import Contract, Plan, simulate
from scripts.backtest.simulator import Path as AccountPath
from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.joblog import log

LEDGER = Path("results/backtest/trials")


def main(
    predictions: job.InputFile,
    prices: job.InputFile,
    equity: job.OutputFile,
    trades: job.OutputFile,
    metrics: job.OutputFile,
    settings: BacktestSettings,
    splits: job.InputFile | None = None,
    dividends: job.InputFile | None = None,
    delistings: job.InputFile | None = None,
    ledger: Path = LEDGER,
) -> None:
    """Let an account trade predictions at raw prices.

    Signals known after a date's close fill at the next session's open (or close). Units = weight x account value /
    price, both at the fill instant's unslipped price and before any order of that session; slippage moves the fill
    price against the order, and fees are charged on the traded notional at that price. Positions are held until the
    next rebalance and marked at closes.

    Args:
        predictions: CSV or Parquet with known_at (a date: after its close; or a zoned instant), asset, signal, horizon
        prices: raw prices, CSV or Parquet with date, asset, open, high, low, close, volume
        equity: CSV with one row a session: date, equity, cash, gross, net, turnover (fractions of the account value)
        trades: CSV with date, asset, units (signed), price, fee, slippage (currency), kind
        metrics: JSON of figures
        settings: portfolio rule, fill, costs, statistics
        splits: CSV with date, asset, ratio (new units for one old)
        dividends: CSV with date (ex), asset, amount (currency a unit)
        delistings: CSV with date, asset, return (from the last price to what holders got)
        ledger: folder that counts every configuration ever run on these prices
    """
    panel, counts = read_panel(prices, settings.calendar)
    events = read_events(panel, splits, dividends, delistings, settings.delisting_return, settings.delisted_after)
    known = read_predictions(predictions, panel, settings.signal_column)
    plan, lost = plan_of(known, panel, events, settings)
    if not len(plan.sessions):
        raise InputError(f"{predictions}: no session of {prices} follows its first known_at ({known.day[0]})")
    path = simulate(panel, plan, contract_of(settings), events, int(plan.sessions[0]))
    chosen = settings.model_dump(mode="json")
    data = trial_ledger.digest(prices)
    trial_ledger.register(ledger, data, chosen, trial_ledger.digest(predictions))
    warn_of_splits(prices, suspects := suspected_splits(panel, events))
    write_equity(equity, panel, path, known.day[0], settings.initial_cash)
    write_trades(trades, panel, path)
    report = {
        **judged(path, settings, trial_ledger.trials(ledger, data)),
        **counts,
        **lost,
        "assets_without_prices": known.without_prices,
        "suspected_splits": len(suspects),
        "delistings": int(path.trades["delisting"].sum()),
        "unfilled_orders": path.unfilled,
        "ruined": int(path.ruined),
    }
    metrics.write_text(json.dumps(report, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    log.info("%d sessions, %d trades: %s -> %s", len(path.equity), len(path.trades), settings.initial_cash,
             round(float(path.equity[-1]), 2))  # fmt: skip


def plan_of(
    known: Predictions, panel: Panel, events: Events, settings: BacktestSettings
) -> tuple[Plan, dict[str, int]]:
    """Target weights and the sessions at which they are traded.

    Of several instants that the same session fills, the last one counts; those after the last session never fill.
    """
    opens = openings(settings.calendar, panel.sessions)
    sessions = fill_sessions(known, panel, opens)
    weights = weights_of(known.signals, settings.portfolio)
    if settings.portfolio.volatility_target is not None:
        adjusted = back_adjusted(marks(panel, events.splits), events)
        weights = volatility_scaled(weights, decided_sessions(known, panel, opens), adjusted, settings.portfolio)
    in_time = sessions < len(panel.sessions)
    last = np.append(sessions[1:] != sessions[:-1], True) if len(sessions) else in_time
    taken = in_time & last
    lost = {
        "dates_after_last_session": int((~in_time).sum()),
        "dates_superseded": int((in_time & ~last).sum()),
        "dates_without_position": int((~weights[taken].any(axis=1)).sum()),
    }
    if not settings.portfolio.tranches:
        return Plan(sessions[taken], weights[taken]), lost
    found = tranches(sessions[taken], weights[taken], known.horizons[taken], len(panel.sessions))
    return Plan(*found), lost


def back_adjusted(closes: Array, events: Events) -> Array:
    """(T, N) closes without the jumps of splits: those before a split in units after it."""
    adjusted = closes.copy()
    for event in events.splits:
        adjusted[: event.session, event.asset] /= event.value
    return adjusted


def contract_of(settings: BacktestSettings) -> Contract:
    costs = Costs(
        settings.fee_bps, settings.fee_per_unit, settings.fee_minimum, settings.slippage_bps, settings.impact,
        settings.impact_days, settings.borrow_rate, settings.cash_rate,
    )  # fmt: skip
    return Contract(
        settings.initial_cash, settings.fill == "next_close", settings.whole_units, settings.no_price == "wait",
        settings.portfolio.max_turnover, costs,
    )  # fmt: skip


def judged(path: AccountPath, settings: BacktestSettings, trials: int) -> dict[str, Any]:
    """Figures of a path; null where there is too little to say."""
    equity = np.append(settings.initial_cash, path.equity)
    returns = figures.returns_of(equity)
    trades = path.trades
    traded = float(np.abs(trades["units"]) @ trades["price"])
    report = {
        "final_equity": float(equity[-1]),
        "total_return": float(equity[-1] / equity[0] - 1),
        "growth_rate": figures.growth_rate(equity),
        "sharpe": figures.sharpe(returns),
        "sharpe_interval": figures.sharpe_interval(returns, settings.draws, settings.confidence, settings.seed),
        "max_drawdown": figures.max_drawdown(equity),
        "fees": float(trades["fee"].sum()),
        "slippage": float(trades["slippage"].sum()),
        "borrow": path.borrow,
        "interest": path.interest,
        "dividends": path.dividends,
        "turnover": figures.annual_turnover(traded, equity),
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
    rows = zip(
        panel.sessions[account.first :], account.equity, account.cash, account.gross, account.net, account.turnover,
        strict=True,
    )  # fmt: skip
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["date", "equity", "cash", "gross", "net", "turnover"])
        writer.writerow([start, float(cash), float(cash), 0.0, 0.0, 0.0])
        writer.writerows([row[0], *map(float, row[1:])] for row in rows)


def write_trades(path: Path, panel: Panel, account: AccountPath) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["date", "asset", "units", "price", "fee", "slippage", "kind"])
        for trade in account.trades:
            figures_of_it = [float(trade[name]) for name in ("units", "price", "fee", "slippage")]
            kind = "delisting" if trade["delisting"] else "order"
            writer.writerow([panel.sessions[trade["session"]], panel.assets[trade["asset"]], *figures_of_it, kind])


if __name__ == "__main__":
    job.run(main)
