"""Trainings side by side, out of their metrics: curves and a table of what they came to."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.lib.errors import InputError
from scripts.lib.plots import NEUTRAL
from scripts.lib.training.metrics import read_metrics

Row = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Run:
    """The records of one training by kind, as scripts/lib/training/metrics.py describes them."""

    name: str
    records: dict[str, list[dict[str, Any]]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Records of a kind, in their order."""
        return self.records.get(kind, [])

    def curve(self, kind: str, figure: str) -> tuple[list[float], list[float]]:
        """Samples seen and value, where there is one."""
        found = [(record["samples"], record[figure]) for record in self.of(kind) if record.get(figure) is not None]
        return [float(x) for x, _ in found], [float(y) for _, y in found]


def read_run(name: str, path: Path) -> Run:
    """Read a training's metrics.

    Raises:
        InputError: the file holds none, or no start and no step.
    """
    records: dict[str, list[dict[str, Any]]] = {}
    for record in read_metrics(path):
        records.setdefault(str(record.get("kind")), []).append(record)
    if not records.get("start") or not records.get("train"):
        raise InputError(f"{path}: no training's metrics: no record of a start or of a step")
    return Run(name, records)


def summary(run: Run) -> Row:
    """One row of the table: what was trained on what, and what came out. Empty where it was not measured.

    Rates and norms are medians over the records; `starts` counts the first one and each time it went on.
    """
    start, last = run.of("start")[-1], run.of("train")[-1]
    validations, end = run.of("validation"), (run.of("end") or [{}])[-1]
    best = min(validations, key=lambda record: float(record["loss"]), default={})
    norms = run.curve("train", "gradient_norm")[1]
    return {
        "run": run.name,
        "parameters": start.get("parameters"),
        "precision": start.get("precision"),
        "device": start.get("device"),
        "processes": start.get("processes"),
        "starts": len(run.of("start")),
        "steps": last["step"],
        "samples": last["samples"],
        "train_loss": last.get("loss"),
        "best_step": best.get("step"),
        "validation_loss": best.get("loss"),
        "copy_last_loss": best.get("copy_last"),
        "gradient_norm": _median(norms),
        "largest_gradient_norm": max(norms, default=None),
        "samples_per_s": _median(run.curve("train", "samples_per_s")[1]),
        "mfu": _median(run.curve("train", "mfu")[1]),
        "out_of_memory": sum(record.get("event") == "out_of_memory" for record in run.of("event")),
        "ended": end.get("reason"),
    }


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def draw_runs(runs: list[Run], title: str) -> Figure:
    """Loss, learning rate, gradient norm and throughput over the samples seen, one colour a run."""
    figure: Figure
    figure, grid = plt.subplots(2, 2, figsize=(11, 6.5), layout="constrained", sharex=True)
    figure.suptitle(title)
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    for number, run in enumerate(runs):
        colour = colours[number % len(colours)]
        draw_loss(grid[0, 0], run, colour)
        for axes, name in ((grid[0, 1], "learning_rate"), (grid[1, 0], "gradient_norm"), (grid[1, 1], "samples_per_s")):
            axes.plot(*run.curve("train", name), color=colour, label=run.name)
    labels = {grid[0, 0]: "loss", grid[0, 1]: "learning rate", grid[1, 0]: "gradient norm", grid[1, 1]: "samples/s"}
    for axes, label in labels.items():
        axes.set_ylabel(label)
    grid[0, 0].set_yscale("log")
    grid[1, 0].set_yscale("log")
    grid[1, 1].set_ylim(bottom=0)
    for axes in grid[1]:
        axes.set_xlabel("samples seen")
    grid[0, 0].legend(fontsize=7)
    return figure


def draw_loss(axes: Axes, run: Run, colour: str) -> None:
    """Training loss thin, validation loss with dots, what copying would have cost in grey where it was measured."""
    axes.plot(*run.curve("train", "loss"), color=colour, linewidth=0.6, alpha=0.6)
    axes.plot(*run.curve("validation", "loss"), color=colour, marker="o", markersize=3, label=run.name)
    copied = run.curve("validation", "copy_last")
    if copied[0]:
        axes.plot(*copied, color=NEUTRAL, linestyle=":", label=f"{run.name}: copy last")
