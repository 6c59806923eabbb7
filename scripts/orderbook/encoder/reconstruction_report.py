"""Tables and figures of reconstruction errors: by mask mode and market condition, and by level of the book."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scripts.lib.plots import ASK, BID, NEUTRAL
from scripts.lib.tables import write_csv
from scripts.orderbook.encoder.reconstruction import ALL, COPY_LAST, LINEAR, METHODS, MODEL, Errors, Estimate, estimate

COLOURS = {MODEL: BID, COPY_LAST: NEUTRAL, LINEAR: ASK}
NAMES = {MODEL: "model", COPY_LAST: "copy last", LINEAR: "linear interpolation"}
FIGURES = ("windows", "entries", "mse", "mse_low", "mse_high", "gain", "gain_low", "gain_high")
CONDITIONS_DRAWN = 40

Row = dict[str, str | int | float]


def condition_rows(split: str, mode: str, errors: Errors, condition: NDArray[np.object_]) -> list[Row]:
    """One row a condition and method; first those of all windows together."""
    rows: list[Row] = []
    for name in [ALL, *sorted(set(condition))]:
        chosen = np.full(len(condition), True) if name == ALL else condition == name
        for method in METHODS:
            keys: Row = {"split": split, "mode": mode, "condition": name, "method": method}
            rows.append(keys | figures(estimate(errors, method, chosen, slice(None))))
    return rows


def level_rows(split: str, mode: str, errors: Errors, names: list[str]) -> list[Row]:
    """One row a level and kind (price, size), both sides together, and method."""
    rows: list[Row] = []
    for (kind, level), columns in level_columns(names).items():
        for method in METHODS:
            keys: Row = {"split": split, "mode": mode, "kind": kind, "level": level, "method": method}
            rows.append(keys | figures(estimate(errors, method, slice(None), columns)))
    return rows


def level_columns(names: list[str]) -> dict[tuple[str, int], list[int]]:
    """Columns of each level's prices and of its sizes, out of names such as bid_px_00."""
    columns: dict[tuple[str, int], list[int]] = {}
    for column, name in enumerate(names):
        _, kind, level = name.split("_")
        columns.setdefault(("price" if kind == "px" else "size", int(level)), []).append(column)
    return dict(sorted(columns.items()))


def figures(found: Estimate) -> Row:
    """The numbers of an estimate under their columns' names."""
    values = (found.windows, found.entries, *found.mse, *found.gain)
    return dict(zip(FIGURES, values, strict=True))


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write a CSV; numbers with six digits, empty where there is none."""
    write_csv(path, rows, digits=6)


def draw_conditions(rows: list[Row], title: str) -> Figure:
    """Left: error by mask mode and method. Right: the model's gain over copying by condition, for each mode."""
    modes = list(dict.fromkeys(str(row["mode"]) for row in rows))
    figure: Figure
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=[2, 3], layout="constrained")
    figure.suptitle(f"{title}: hidden entries filled in")
    _draw_modes(axes[0], rows, modes)
    _draw_gains(axes[1], rows, modes)
    return figure


def _draw_modes(axes: Axes, rows: list[Row], modes: list[str]) -> None:
    for shift, method in enumerate(METHODS):
        found = [_one(rows, mode=mode, condition=ALL, method=method) for mode in modes]
        x = np.arange(len(modes), dtype=np.float64) + 0.25 * (shift - 1)
        _bars(axes, x, found, "mse", 0.23, COLOURS[method], NAMES[method])
    axes.set_xticks(np.arange(len(modes)), modes)
    axes.set_axisbelow(True)
    axes.set_ylabel("mean squared error, scaled units")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=7)


def _draw_gains(axes: Axes, rows: list[Row], modes: list[str]) -> None:
    conditions = list(dict.fromkeys(str(row["condition"]) for row in rows))[:CONDITIONS_DRAWN]
    markers = "osD^v"
    for shift, mode in enumerate(modes):
        found = [_one(rows, mode=mode, condition=name, method=MODEL) for name in conditions]
        y = np.arange(len(conditions)) + 0.2 * (shift - 1)
        value = 100 * np.array([float(row["gain"]) for row in found])
        axes.errorbar(
            value, y, xerr=100 * _bounds(found, "gain"), fmt=markers[shift % len(markers)], markersize=3, label=mode
        )
    axes.axvline(0, color=NEUTRAL, linewidth=0.8)
    axes.set_yticks(np.arange(len(conditions)), conditions, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("error below copy last, %")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(modes), fontsize=7)


def draw_levels(rows: list[Row], title: str) -> Figure:
    """Error by level of the book, one panel a mask mode and kind of entry."""
    modes = list(dict.fromkeys(str(row["mode"]) for row in rows))
    figure: Figure
    figure, grid = plt.subplots(
        2, len(modes), figsize=(3.7 * len(modes), 5), layout="constrained", squeeze=False, sharex=True
    )
    figure.suptitle(f"{title}: error by level of the book")
    for column, mode in enumerate(modes):
        for axes, kind in zip(grid[:, column], ("price", "size"), strict=True):
            for method in METHODS:
                found = [row for row in rows if (row["mode"], row["kind"], row["method"]) == (mode, kind, method)]
                _band(axes, found, COLOURS[method], NAMES[method])
            axes.set_title(f"{mode}, {kind}", fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("level, 0 the best")
    for axes in grid[:, 0]:
        axes.set_ylabel("mean squared error")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(METHODS))
    return figure


def _band(axes: Axes, rows: list[Row], colour: str, label: str) -> None:
    level = [int(row["level"]) for row in rows]
    axes.plot(level, [float(row["mse"]) for row in rows], color=colour, label=label, marker="o", markersize=2)
    low, high = ([float(row[f"mse_{bound}"]) for row in rows] for bound in ("low", "high"))
    axes.fill_between(level, low, high, color=colour, alpha=0.2, linewidth=0)


def _bars(axes: Axes, x: NDArray[np.float64], rows: list[Row], key: str, width: float, colour: str, label: str) -> None:
    values = [float(row[key]) for row in rows]
    axes.bar(x, values, width, color=colour, label=label, yerr=_bounds(rows, key), error_kw={"linewidth": 0.8})


def _bounds(rows: list[Row], key: str) -> NDArray[np.float64]:
    """Lengths of the error bars below and above (2, n); 0 where there is no interval."""
    value = np.array([float(row[key]) for row in rows])
    low, high = (np.array([float(row[f"{key}_{bound}"]) for row in rows]) for bound in ("low", "high"))
    lengths: NDArray[np.float64] = np.nan_to_num(np.maximum(np.stack([value - low, high - value]), 0))
    return lengths


def _one(rows: list[Row], **keys: str) -> Row:
    return next(row for row in rows if all(row[key] == value for key, value in keys.items()))
