"""Cut a feed's states into windows for training, drawn evenly from the market's conditions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.lib.plots import ASK, BID, NEUTRAL, save_svg
from scripts.lib.splits import LEFT_OUT, NAMES, SPLITS, TRAIN, assign, cut_places
from scripts.lib.tables import write_csv
from scripts.orderbook.windows.conditions import Conditions, draw, fit_conditions
from scripts.orderbook.windows.scan import MEASURES, Scan, count_states, scan
from scripts.orderbook.windows.settings import BalanceSettings
from scripts.orderbook.windows.writer import write_windows


@dataclass(frozen=True)
class Draw:
    """Windows of a split: those available and the places of those taken, with the condition of each available one."""

    windows: np.ndarray
    codes: np.ndarray
    taken: np.ndarray

    @property
    def chosen(self) -> np.ndarray:
        chosen: np.ndarray = self.windows[self.taken]
        return chosen


def main(
    states: list[job.InputFile],
    train: job.OutputFile,
    validation: job.OutputFile,
    test: job.OutputFile,
    windows: job.OutputFile,
    scaling: job.OutputFile,
    conditions: job.OutputFile,
    summary: job.OutputFile,
    plot: job.OutputFile,
    title: str,
    settings: BalanceSettings,
) -> None:
    """Cut a feed's states into windows for training, drawn evenly from the market's conditions.

    The states are split by time. Windows reach over neither a gap, a part's end, nor a cut, and hold all their levels.
    Edges of the conditions, tick and scaling are fitted on the training states. scripts/orderbook/windows/inputs.py
    has the features and their units.

    Args:
        states: Parquet of parse_book, all parts of a feed in time order
        train: training windows (.npy), float32 (windows, length, 4 * levels), scaled
        validation: validation windows, alike
        test: test windows, alike
        windows: Parquet with one row a window: split, row in its .npy, part, place, times, condition,
            segment, certain levels a side
        scaling: JSON with tick, levels, length, mean and standard deviation of each feature
        conditions: CSV with the windows available and taken of each condition in each split
        summary: JSON with the edges of the conditions and what was left out
        plot: SVG of the training windows' conditions before and after the draw
        title: heading of the plot, such as the feed's name
        settings: form of the windows, conditions, splits and seed
    """
    count = count_states(states)
    cuts = cut_places(count, settings.train_share, settings.validation_share)
    found = scan(states, settings, cuts[0])
    split = split_windows(found.windows, cuts, settings)
    check_none_is_empty(split, count, settings)
    bins = fit_conditions(found.windows[split == TRAIN], settings)
    draws = [draw_split(found.windows[split == part], bins, NAMES[part], settings) for part in SPLITS]
    write_windows(states, found.scaling, settings.certain, [drawn.chosen for drawn in draws], [train, validation, test])
    write_table(windows, draws, bins, [path.stem for path in states])
    found.scaling.save(scaling)
    rows = condition_rows(draws, bins)
    write_csv(conditions, rows)
    write_summary(summary, found, cuts, int((split == LEFT_OUT).sum()), draws, bins)
    save_svg(draw_conditions(rows, title), plot, f"{title}: conditions of the windows")
    told = ", ".join(f"{len(d.taken)} of {len(d.windows)} for {name}" for d, name in zip(draws, NAMES, strict=True))
    log.info("%d states, tick %g; windows: %s", count, found.scaling.tick, told)


def split_windows(windows: np.ndarray, cuts: tuple[int, int], settings: BalanceSettings) -> np.ndarray:
    """The split of each window, by the places of its first and last state among all states."""
    embargo = settings.length if settings.embargo is None else settings.embargo
    return assign(windows["position"], windows["position"] + settings.length - 1, cuts, embargo)


def check_none_is_empty(split: np.ndarray, count: int, settings: BalanceSettings) -> None:
    """Refuse splits without a window.

    Raises:
        InputError: with the first one's name.
    """
    for part in SPLITS:
        if not (split == part).any():
            raise InputError(
                f"no window for {NAMES[part]}: its part of {count} states has no unbroken stretch of {settings.length}"
                f" states with {settings.certain} known levels"
                " (settings: length, levels, known_levels, embargo, shares)"
            )


def draw_split(windows: np.ndarray, bins: Conditions, name: str, settings: BalanceSettings) -> Draw:
    """Draw the windows of a split.

    Raises:
        InputError: none was taken.
    """
    codes = bins.codes(windows)
    taken = draw(codes, bins.names, name, settings)
    if not len(taken):
        raise InputError(
            f"no window for {name} is left after the draw: of {len(windows)} in {len(np.unique(codes))} conditions,"
            " none is in a common one, or fewer are allowed than there are conditions (settings: min_windows, rare,"
            " max_train_windows)"
        )
    return Draw(windows, codes, taken)


def write_table(path: Path, draws: list[Draw], bins: Conditions, parts: list[str]) -> None:
    """Write one row a window taken."""
    names = np.array(bins.names)
    tables = []
    for split, drawn in zip(NAMES, draws, strict=True):
        chosen = drawn.chosen
        columns = {"split": pa.array([split] * len(chosen)), "index": pa.array(np.arange(len(chosen)))}
        columns["part"] = pa.array(np.array(parts)[chosen["part"]].tolist())
        columns |= {name: pa.array(chosen[name]) for name in ("start_row", "start_time", "end_time")}
        columns["condition"] = pa.array(names[drawn.codes[drawn.taken]].tolist())
        columns |= {name: pa.array(chosen[name]) for name in ("segment", "known_levels")}
        tables.append(pa.table(columns))
    pq.write_table(pa.concat_tables(tables), path, compression="zstd", write_page_checksum=True)


def condition_rows(draws: list[Draw], bins: Conditions) -> list[dict[str, Any]]:
    """One row a split and condition: bins, windows available and taken."""
    rows = []
    for split, drawn in zip(NAMES, draws, strict=True):
        available, taken = (
            np.bincount(codes, minlength=len(bins.names)) for codes in (drawn.codes, drawn.codes[drawn.taken])
        )
        for code, (name, places) in enumerate(zip(bins.names, bins.bins, strict=True)):
            counts = {"available": int(available[code]), "taken": int(taken[code])}
            rows.append({"condition": name, "split": split} | counts | dict(zip(MEASURES, places, strict=True)))
    return rows


def write_summary(
    path: Path, found: Scan, cuts: tuple[int, int], between: int, draws: list[Draw], bins: Conditions
) -> None:
    """Write the edges of the conditions, and how many windows there were and what became of them."""
    states = np.diff([0, *cuts, found.states]).tolist()
    counts = [
        {
            "states": size,
            "available": len(drawn.windows),
            "taken": len(drawn.taken),
            "taken_with_uncertain_levels": int((drawn.chosen["known_levels"] < found.scaling.levels).sum()),
        }
        for size, drawn in zip(states, draws, strict=True)
    ]
    content = {
        "states": found.states,
        "tick": found.scaling.tick,
        "edges": {name: {"unit": MEASURES[name], "edges": edges.tolist()} for name, edges in bins.edges.items()},
        "splits": dict(zip(NAMES, counts, strict=True)),
        "left_out": found.left_out | {"between_splits": between},
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def draw_conditions(rows: list[dict[str, Any]], title: str) -> Figure:
    """Windows of each condition: in training before and after the draw, and shares in validation and test."""
    figure: Figure
    names = [row["condition"] for row in rows if row["split"] == "train"]
    width = max(7.0, min(0.16 * len(names), 14.0))
    figure, (before, after) = plt.subplots(2, 1, figsize=(width, 6), sharex=True, layout="constrained")
    figure.suptitle(f"{title}: conditions of the windows")
    places = np.arange(len(names))
    before.bar(places, column(rows, "train", "available"), color="#bbbbbb", label="training, available")
    before.bar(places, column(rows, "train", "taken"), width=0.5, color=BID, label="training, taken")
    before.set_ylabel("windows")
    for split, color, shift in (("validation", NEUTRAL, -0.2), ("test", ASK, 0.2)):
        taken = column(rows, split, "taken")
        after.bar(
            places + shift, 100 * taken / taken.sum(), width=0.4, color=color, label=f"{split}, {taken.sum()} taken"
        )
    after.set_ylabel("% of the windows")
    for axes in (before, after):
        axes.legend(loc="upper right", fontsize=8)
    name_conditions(after, names)
    return figure


def name_conditions(axes: Axes, names: list[str]) -> None:
    """Name the conditions below the axis, as many as can be read."""
    shown = range(0, len(names), -(-len(names) // 100))
    axes.set_xticks(list(shown), [names[i] for i in shown], rotation=90, fontsize=6)
    axes.set_xlabel("condition: bins of volatility, trend, spread, depth")


def column(rows: list[dict[str, Any]], split: str, name: str) -> np.ndarray:
    return np.array([row[name] for row in rows if row["split"] == split])


if __name__ == "__main__":
    job.run(main)
