"""One page that shows a backtest whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.backtest.tear_sheet.page import values_of
from scripts.backtest.tear_sheet.plots import draw_all
from scripts.backtest.tear_sheet.settings import TearSheetSettings
from scripts.backtest.tear_sheet.sheet import Sheet, read_positions
from scripts.lib import job
from scripts.lib.account import read_benchmarks, read_description, read_equity, read_trades
from scripts.lib.documents import read_object
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.lib.ledger import digest
from scripts.lib.pages import as_number, render
from scripts.lib.tables import Row, read_rows

PERIODS = ("period", "return", "sharpe", "volatility", "max_drawdown", "turnover", "trades")
DRAWDOWNS = ("start", "trough", "end", "depth", "sessions", "recovery_sessions")
CONTRIBUTIONS = ("asset", "category", "profit", "share", "trades")
COMPARISON = ("name", "total_return", "growth_rate", "sharpe", "low", "high", "max_drawdown", "turnover")
STRESS = ("family", "setting", "total_return", "sharpe", "low", "high", "turnover", "final_equity")
NUMBERED = ("lag", "slippage_bps", "fee_bps")
FIGURES = ("figure", "part", "value", "low", "high", "n")
COEFFICIENTS = ("date", "ic", "rank_ic", "hit_rate", "base_rate")


def main(
    equity: job.InputFile,
    trades: job.InputFile,
    benchmarks: job.InputFile,
    description: job.InputFile,
    metrics: job.InputFile,
    periods: job.InputFile,
    drawdowns: job.InputFile,
    contributions: job.InputFile,
    comparison: job.InputFile,
    template: job.InputFile,
    layout: job.InputFile,
    page: job.OutputFile,
    plots: job.OutputDirectory,
    settings: TearSheetSettings,
    positions: job.InputFile | None = None,
    stress: job.InputFile | None = None,
    figures: job.InputFile | None = None,
    coefficients: job.InputFile | None = None,
    causality: job.InputFile | None = None,
    sweep: job.InputFile | None = None,
    sweep_table: job.InputFile | None = None,
    heatmap: job.InputFile | None = None,
    logits: job.InputFile | None = None,
    fan: job.InputFile | None = None,
) -> None:
    """One page that shows a backtest whole: figures with intervals, plots with words, warnings, answers, files.

    The page holds its pictures and small tables itself: it needs neither other files nor a network. What was not run
    is listed on it.

    Args:
        equity: equity.csv of the account
        trades: trades.csv of the account
        benchmarks: benchmarks.csv of the account
        description: account.json
        metrics: metrics.json of judge_backtest
        periods: CSV with period, return, sharpe, volatility, max_drawdown, turnover, trades
        drawdowns: CSV with start, trough, end, depth, sessions, recovery_sessions, the deepest first
        contributions: CSV with asset, category, profit, share, trades
        comparison: CSV with the figures of the strategy (first row) and each benchmark
        template: Jinja2 template of the page
        layout: Jinja2 template that it extends
        page: HTML to write
        plots: folder for the plots, SVG
        settings: windows, draws, sizes
        positions: Parquet with date, asset, units, value
        stress: CSV with family, setting and figures of stress_backtest
        figures: figures.csv of evaluate_predictions
        coefficients: coefficients.csv of evaluate_predictions
        causality: causality.json of check_causality
        sweep: sweep.json of judge_sweep
        sweep_table: its CSV of all trials
        heatmap: its SVG of the parameters
        logits: its SVG of the probability of overfitting
        fan: its SVG of seeds and folds
    """
    table = read_equity(equity)
    given = {"heatmap": heatmap, "logits": logits, "fan": fan}
    sheet = Sheet(
        table, read_trades(trades, table.dates), read_benchmarks(benchmarks, table.dates),
        read_description(description),
        read_metrics(metrics, equity), read_rows(periods, PERIODS), read_rows(drawdowns, DRAWDOWNS),
        read_rows(contributions, CONTRIBUTIONS), read_rows(comparison, COMPARISON), settings,
        positions=read_positions(positions) if positions else None,
        stress=read_stress(stress) if stress else [],
        figures=read_rows(figures, FIGURES) if figures else [],
        coefficients=read_rows(coefficients, COEFFICIENTS) if coefficients else [],
        causality=read_object(causality) if causality else None,
        sweep=read_object(sweep) if sweep else None,
        pictures={name: path for name, path in given.items() if path},
    )  # fmt: skip
    drawn, missing = draw_all(sheet, plots)
    offered = [metrics, description, equity, trades, benchmarks, comparison, periods, drawdowns, contributions,
               stress, figures, coefficients, causality, sweep, sweep_table]  # fmt: skip
    values = values_of(sheet, drawn, missing, [path for path in offered if path])
    page.write_text(render(template, layout, values), encoding="utf-8")
    log.info("%d plots, %d without data, %d warnings", len(drawn), len(missing), len(values["alarms"]))


def read_metrics(path: Path, equity: Path) -> dict[str, Any]:
    """metrics.json.

    Raises:
        InputError: it is no object, holds no figures, or the judge saw another account.
    """
    found = read_object(path)
    judged = found.get("account")
    if judged is not None and judged != digest(equity):
        raise InputError(f"{path}: judges another account than {equity} (sha256 {str(judged)[:16]}…)")
    if "sharpe" not in found:
        raise InputError(f"{path}: no 'sharpe' in it: not metrics.json of judge_backtest")
    return found


def read_stress(path: Path) -> list[Row]:
    """stress.csv.

    Raises:
        InputError: a column is missing, or a setting that must be a number is none.
    """
    rows = read_rows(path, STRESS)
    for place, row in enumerate(rows):
        if row["family"] in NUMBERED and as_number(row["setting"]) is None:
            raise InputError(f"{path}: row {place + 2}: setting {row['setting']!r}: not a number")
    return rows


if __name__ == "__main__":
    job.run(main)
