"""What a sweep over settings, seeds and folds says: table, heat map, overfitting, dispersion."""

from __future__ import annotations

from scripts.backtest.sweep.accounts import grid_of, join, read_account, table_rows
from scripts.backtest.sweep.figures import judge
from scripts.backtest.sweep.plots import draw_fan, draw_heatmap, draw_logits
from scripts.backtest.sweep.settings import SweepSettings
from scripts.backtest.sweep.trials import all_trials
from scripts.backtest.tear_sheet.frame import house_style
from scripts.lib import job
from scripts.lib.documents import write_object
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.lib.plots import save_svg
from scripts.lib.progress import track
from scripts.lib.tables import write_csv


def main(
    table: job.OutputFile,
    heatmap: job.OutputFile,
    logits: job.OutputFile,
    fan: job.OutputFile,
    summary: job.OutputFile,
    settings: SweepSettings,
    equity: list[job.InputFile] | None = None,
    accounts: job.InputFile | None = None,
    title: str = "sweep",
) -> None:
    """What a sweep over settings, seeds and folds says: table, heat map, overfitting, dispersion.

    A setting's folds are joined by date and its seeds averaged; dates that some setting lacks are left out. After a
    ruin an account earns 0. Sharpe ratios are those of a year.

    Args:
        table: CSV with one row a trial: its values, seed, fold and figures
        heatmap: SVG of the mean Sharpe ratio by the first two keys that vary
        logits: SVG of the probability of overfitting
        fan: SVG of seeds and folds of the best and of the median setting
        summary: JSON of figures
        settings: trials, blocks, draws
        equity: equity.csv of each trial, in the order of the trials
        accounts: instead of these the folder that holds TRIAL/equity.csv; a shell takes no command beyond 128 KiB
        title: heading of the plots
    """
    trials = settings.trials or all_trials(settings.grid, settings.seeds, settings.folds)
    if (equity is None) == (accounts is None):
        raise InputError("--equity, --accounts: one of them must be given")
    paths = equity or [accounts / trial.name / "equity.csv" for trial in trials if accounts]
    if len(paths) != len(trials):
        raise InputError(f"--equity: {len(paths)} files for {len(trials)} trials")
    grid = grid_of(trials)
    earned = [read_account(path, settings.sessions_a_year) for path in track(paths, "read", len(paths), "trials")]
    sweep = judge(grid, earned, join(grid, earned, paths), settings)
    write_csv(table, table_rows(grid, trials, earned))
    write_object(summary, sweep.figures)
    with house_style():
        save_svg(draw_heatmap(sweep, title), heatmap, f"{title}: Sharpe ratio over the parameters")
        save_svg(draw_logits(sweep, title), logits, f"{title}: probability of overfitting")
        save_svg(draw_fan(sweep, title), fan, f"{title}: seeds and folds")
    log.info("%d settings, %d trials, probability of overfitting: %s", len(grid.settings), len(earned),
             sweep.figures["pbo"])  # fmt: skip


if __name__ == "__main__":
    job.run(main)
