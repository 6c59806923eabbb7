"""What is to be believed of a backtest: its figures with intervals, beside its benchmarks and all other trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scripts.backtest.judging import assets, stretches
from scripts.backtest.judging.comparison import COLUMNS, Comparison, compare, comparison_rows
from scripts.backtest.judging.evidence import (
    Evidence,
    Figures,
    causality_status,
    forecast_figures,
    is_random,
    replay_figures,
    stress_figures,
    sweep_figures,
)
from scripts.backtest.judging.settings import JudgeSettings
from scripts.backtest.judging.trials import trial_figures, trials_of
from scripts.backtest.prices.tables import read_categories
from scripts.backtest.statistics import metrics as figures_of
from scripts.backtest.trading.cutoff import cutoff_of
from scripts.lib import job
from scripts.lib import ledger as trial_ledger
from scripts.lib.account import read_benchmarks, read_description, read_equity, read_traded, read_trades
from scripts.lib.documents import write_object
from scripts.lib.errors import InputError
from scripts.lib.figures import DEFINITIONS, method_of, words_of
from scripts.lib.joblog import log
from scripts.lib.tables import write_csv

BPS = 1e4
DIGITS = 17  # of tables: figures on pages are found in them again


def main(
    equity: job.InputFile,
    trades: job.InputFile,
    benchmarks: job.InputFile,
    account: job.InputFile,
    metrics: job.OutputFile,
    periods: job.OutputFile,
    drawdowns: job.OutputFile,
    contributions: job.OutputFile,
    comparison: job.OutputFile,
    settings: JudgeSettings,
    table: job.OutputFile | None = None,
    positions: job.InputFile | None = None,
    stress: job.InputFile | None = None,
    figures: job.InputFile | None = None,
    coefficients: job.InputFile | None = None,
    causality: job.InputFile | None = None,
    sweep: job.InputFile | None = None,
    replay: job.InputFile | None = None,
    prices: job.InputFile | None = None,
    splits: job.InputFile | None = None,
    dividends: job.InputFile | None = None,
    categories: job.InputFile | None = None,
    ledger: Path = trial_ledger.LEDGER,
) -> None:
    """What is to be believed of a backtest: its figures with intervals, beside its benchmarks and all other trials.

    The account may be that of any line. How many configurations were ever run on its data, and what these earned, is
    read from the ledger. Figures are annualised as account.json says; what is undefined is null, with its reason.

    Args:
        equity: equity.csv of the account
        trades: trades.csv of the account
        benchmarks: benchmarks.csv of the account
        account: account.json
        metrics: JSON of all figures, with their definitions, counts and reasons
        periods: CSV with period, return, sharpe, volatility, max_drawdown, turnover, trades: by year, band or part
        drawdowns: CSV with start, trough, end, depth, sessions (to the trough), recovery_sessions
        contributions: CSV with asset, category, profit (currency), share (of all |profits|), trades
        comparison: CSV with the figures of the strategy (first row) and of each benchmark
        settings: draws, confidence, blocks
        table: CSV of the plain figures of the JSON: figure, value, low, high, definition
        positions: Parquet with date, asset, units, value; needed where there are no prices
        stress: stress.csv of stress_backtest
        figures: figures.csv of evaluate_predictions
        coefficients: coefficients.csv of evaluate_predictions
        causality: causality.json of check_causality
        sweep: sweep.json of judge_sweep
        replay: replay.json of replay_trades
        prices: raw prices that the account traded, for contributions and capacity
        splits: CSV with date, asset, ratio (new units for one old)
        dividends: CSV with date (ex), asset, amount (currency a unit)
        categories: CSV with asset, category
        ledger: folder of the trials
    """
    path = read_equity(equity)
    evidence = Evidence(
        path, read_trades(trades, path.dates), read_benchmarks(benchmarks, path.dates), read_traded(benchmarks),
        read_description(account), settings,
    )  # fmt: skip
    known: Figures = {
        **stress_figures(stress), **forecast_figures(figures, coefficients), "causality": causality_status(causality),
        "sweep": sweep_figures(sweep), **replay_figures(replay, equity),
    }  # fmt: skip
    names = assets.ledger_of(evidence)
    if prices and trial_ledger.digest(prices) != evidence.description.data:
        raise InputError(f"{prices}: not the prices that {account} tells of: their sha256 is another one")
    market = assets.read_market(prices, splits, dividends, evidence, names) if prices else None
    profit = assets.profits(evidence, names, market, positions)
    compared, reasons = compare(evidence), dict[str, str]()
    found = {
        **account_figures(evidence), **benchmark_figures(evidence, compared),
        **trial_figures(evidence, trials_of(evidence, ledger), compared, reasons),
        **known, **assets.capacity(evidence, names, market),
        "return_without_best_3_names": assets.without_best_names(evidence, profit),
        "profit_of_no_asset": float(path.equity[-1] - path.equity[0] - profit.sum()),
        **origin(evidence, equity),
    }  # fmt: skip
    for key, reason in reasons.items():
        log.warning("%s: undefined: %s", key, reason)
    write_object(metrics, found | {"reasons": reasons, "definitions": definitions(evidence, found)})
    if table:
        write_csv(table, figure_rows(found, definitions(evidence, found)), FIGURES, DIGITS)
    write_csv(periods, stretches.period_rows(evidence), stretches.PERIODS, DIGITS)
    write_csv(drawdowns, stretches.drawdown_rows(evidence), stretches.DRAWDOWNS, DIGITS)
    rows = assets.contribution_rows(names, profit, read_categories(categories) if categories else {})
    write_csv(contributions, rows, assets.CONTRIBUTIONS, DIGITS)
    write_csv(comparison, comparison_rows(evidence, compared), COLUMNS, DIGITS)
    log.info("Sharpe ratio %.3f, deflated %s at %d trials", found["sharpe"], found["deflated_sharpe"], found["trials"])


FIGURES = ("figure", "value", "low", "high", "definition")


def figure_rows(found: Figures, texts: dict[str, str]) -> list[Figures]:
    """Rows of the table: every figure that is a number, with its interval where it has one."""
    rows = []
    for key, value in sorted(found.items()):
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = found.get(f"{key}_interval") or (None, None)
            rows.append({"figure": key, "value": value, "low": low, "high": high, "definition": texts.get(key, "")})
    return rows


def account_figures(evidence: Evidence) -> Figures:
    """Figures of the account alone."""
    path, returns, trades = evidence.equity.equity, evidence.returns, evidence.trades
    settings, counts = evidence.settings, evidence.description.counts
    fees, slippage = float(trades.fee.sum()), float(trades.slippage.sum())
    ordered = float(evidence.trade_values[trades.kind == "order"].sum())
    gain, cutoff = float(path[-1] - path[0]), cutoff_of(evidence.description)
    return {
        "final_equity": float(path[-1]), "total_return": gain / float(path[0]),
        "growth_rate": figures_of.growth_rate(path, evidence.periods),
        "sharpe": figures_of.sharpe(returns, evidence.periods),
        "volatility": figures_of.volatility(returns, evidence.periods),
        "max_drawdown": figures_of.max_drawdown(path), "fees": fees, "slippage": slippage,
        **{key: counts.get(key) for key in ("borrow", "interest", "dividends")},
        "turnover": evidence.turnover(float(evidence.trade_values.sum()), path), "trades": len(trades.units),
        "sessions": len(path) - 1, "n": len(returns),
        "periods_before_cutoff": 0 if cutoff is None else int((evidence.dates <= cutoff).sum()),
        "gross_total_return": (gain + fees + slippage) / float(path[0]),
        "cost_per_turnover_bps": (fees + slippage) / ordered * BPS if ordered else None,
        "break_even_bps": (gain + fees + slippage) / ordered * BPS if ordered else None,
        "return_without_best_10": stretches.without_best(returns),
        "draws": settings.draws, "confidence": settings.confidence, "seed": settings.seed,
    }  # fmt: skip


def benchmark_figures(evidence: Evidence, found: Comparison) -> Figures:
    """Figures of the account beside its benchmarks."""
    best, path = found.best, evidence.equity.equity
    random = np.array([values[-1] for name, values in evidence.benchmarks.items() if is_random(name)])
    return {
        "sharpe_interval": found.bounds[0], "best_benchmark": found.names[best] if best else None,
        "excess_sharpe": float(found.sharpe[0] - found.sharpe[best]) if best else None,
        "excess_sharpe_interval": found.excess[best] if best else [None, None],
        "market_benchmark": found.market, "alpha": found.alpha, "alpha_interval": found.alpha_bounds,
        "beta": found.beta, "random_beaten_share": float((random < path[-1]).mean()) if len(random) else None,
        "random_runs": len(random),
    }  # fmt: skip


def origin(evidence: Evidence, equity: Path) -> Figures:
    """What the figures are of."""
    description = evidence.description
    return {
        "name": description.name, "line": description.line, "data": description.data, "trial": description.trial,
        "account": trial_ledger.digest(equity), "simulated": description.simulated,
        "periods_a_year": description.periods_a_year, "period": description.period, "start": evidence.text(0),
        "end": evidence.text(-1), "counts": description.counts,
    }  # fmt: skip


def definitions(evidence: Evidence, found: dict[str, Any]) -> dict[str, str]:
    """By key of a figure: what it is, in one line."""
    words = words_of(evidence.description.periods_a_year, evidence.description.period)
    texts = {each.key: each.text.format(**words) for each in DEFINITIONS if each.key in found}
    texts |= {each.bounds: method_of(found) for each in DEFINITIONS if each.bounds in found}
    return texts


if __name__ == "__main__":
    job.run(main)
