"""Show trainings side by side: loss, learning rate, gradient norm and throughput."""

from __future__ import annotations

from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.plots import save_svg
from scripts.lib.tables import write_csv
from scripts.lib.training.curves import draw_runs, read_run, summary

TITLE = "Trainings of the order-book encoder"


def main(history: list[job.InputFile], names: list[str], curves: job.OutputFile, table: job.OutputFile) -> None:
    """Show trainings side by side: loss, learning rate, gradient norm and throughput.

    Args:
        history: metrics of pretrain_encoder, one file a run
        names: names of the runs, in the same order
        curves: SVG with the curves over the samples seen
        table: CSV with one row a run
    """
    if len(names) != len(history):
        raise InputError(f"--names: {len(names)} names for {len(history)} files")
    if len(set(names)) < len(names):
        raise InputError("--names: a name is given twice")
    runs = [read_run(name, path) for name, path in zip(names, history, strict=True)]
    save_svg(draw_runs(runs, TITLE), curves, TITLE)
    write_csv(table, [summary(run) for run in runs], digits=6)


if __name__ == "__main__":
    job.run(main)
