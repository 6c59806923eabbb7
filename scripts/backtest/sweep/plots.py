"""The plots of a sweep: Sharpe ratio over the parameters, logits of overfitting, seeds and folds."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import product
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.backtest.prices.panel import Array
from scripts.backtest.sweep.accounts import Grid, levels, short, shown, worded
from scripts.backtest.sweep.figures import Sweep, means_of
from scripts.backtest.sweep.settings import Value
from scripts.backtest.tear_sheet import frame
from scripts.lib.pages import MINUS
from scripts.lib.plots import ASK, BID, NEUTRAL

COLOURS = "RdBu"  # red below 0, blue above: told apart by colour-blind readers too
CELL = (0.5, 0.3)  # least inches of a cell of a heat map
MARGIN = (0.6, 0.75)  # inches around a panel, beside its labels
LETTER = 0.085  # inches
BINS = 30  # on each side of 0
BAND = (0.05, 0.95)
RUINED = 1e-3  # of one unit: what is left below it is not drawn


def draw_heatmap(sweep: Sweep, title: str) -> Figure:
    """Mean Sharpe ratio by the first two keys that vary, a panel for each value of the third; of one key, bars."""
    keys = [key for key in sweep.grid.keys if len(levels(sweep.grid, key)) > 1] or [sweep.grid.keys[0]]
    heading = "\n".join(textwrap.wrap(f"{title}: mean Sharpe ratio a year over {averaged(sweep.grid, keys[3:])}", 110))
    if len(keys) > 1:
        return _maps(sweep, keys[:3], heading)
    return _bars(sweep, keys[0], heading) if sweep.best is not None else _empty(heading, "no trial moves")


def averaged(grid: Grid, keys: Sequence[str]) -> str:
    """Over what a cell is a mean, in words."""
    parts = [f"{len(levels(grid, key))} values of {frame.shown(short(key, grid.keys))}" for key in keys]
    parts += [f"{count} {name}{'s' if count > 1 else ''}"
              for count, name in ((len(grid.seeds), "seed"), (len(grid.folds), "fold"))]  # fmt: skip
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def cells(sweep: Sweep, keys: Sequence[str]) -> dict[tuple[Value, ...], float]:
    """Mean Sharpe ratio of all defined trials with the same values of `keys`; NaN where none is defined."""
    columns = [sweep.grid.keys.index(key) for key in keys]
    found: dict[tuple[Value, ...], list[Array]] = {
        place: [] for place in product(*(levels(sweep.grid, key) for key in keys))
    }
    for setting, own in zip(sweep.grid.settings, sweep.sharpes, strict=True):
        found[tuple(setting[column] for column in columns)].append(own.ravel())
    return {place: float(means_of(np.concatenate(own)[None])[0]) if own else float("nan")
            for place, own in found.items()}  # fmt: skip


def _maps(sweep: Sweep, keys: Sequence[str], heading: str) -> Figure:
    """Panels of the third key's values, the first key downwards and the second across."""
    values = cells(sweep, keys)
    down, across, *others = (levels(sweep.grid, key) for key in keys)
    panels = others[0] if others else [None]
    wide = max(CELL[0], LETTER * (_longest(across) + 1)) * len(across) + LETTER * _longest(down) + MARGIN[0]
    high = CELL[1] * len(down) + MARGIN[1]
    columns = min(len(panels), max(1, int(frame.WIDTH / wide)))
    rows = -(-len(panels) // columns)
    size = (max(frame.WIDTH, wide * columns), max(rows * high, 1.6) + 0.9)
    figure: Figure
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    figure.suptitle(heading, x=0.01, ha="left")
    defined = [abs(value) for value in values.values() if np.isfinite(value)]
    limit = max(defined, default=0.0) or 1.0
    for place, panel in zip(axes.flat, panels, strict=False):
        chosen = (panel,) if others else ()
        grid = np.array([[values[(row, column, *chosen)] for column in across] for row in down])
        mesh = _map(place, grid, limit)
        place.set_xticks(np.arange(len(across)) + 0.5, [_label(value) for value in across])
        place.set_yticks(np.arange(len(down)) + 0.5, [_label(value) for value in down])
        place.set(ylabel=_name(sweep.grid, keys[0]), xlabel=_name(sweep.grid, keys[1]))
        if others:
            place.set_title(f"{_name(sweep.grid, keys[2])} {_label(panel)}")
    for place in axes.flat[len(panels) :]:
        place.set_axis_off()
    figure.colorbar(mesh, ax=axes, label="mean Sharpe ratio a year", fraction=0.03, aspect=30)
    return figure


def _longest(values: Sequence[Value]) -> int:
    return max(len(_label(value)) for value in values)


def _map(axes: Axes, grid: Array, limit: float) -> matplotlib.collections.QuadMesh:
    """Cells coloured from loss over white to gain, with their values; grey where no trial moved."""
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(grid), cmap=COLOURS, vmin=-limit, vmax=limit, edgecolors="white", linewidth=1.0
    )
    axes.set_facecolor("#d9d9d9")
    for (row, column), value in np.ndenumerate(grid):
        dark = bool(np.isfinite(value)) and abs(value) > 0.6 * limit
        axes.text(column + 0.5, row + 0.5, number(value), ha="center", va="center", fontsize=8,
                  color="white" if dark else "#222222")  # fmt: skip
    axes.set_ylim(len(grid), 0)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return mesh


def number(value: float) -> str:
    """A Sharpe ratio in a cell, two digits; a dash where it is undefined."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", MINUS) if np.isfinite(value) else "–"


def _label(value: Value) -> str:
    return frame.shown(shown(value))


def _name(grid: Grid, key: str) -> str:
    return frame.shown(short(key, grid.keys))


def _bars(sweep: Sweep, key: str, heading: str) -> Figure:
    """Of one key: the mean as a line, every trial as a dot."""
    values, column = levels(sweep.grid, key), sweep.grid.keys.index(key)
    means = cells(sweep, [key])
    figure, (axes,) = frame.panels(height=3.4)
    figure.suptitle(heading, x=0.01, ha="left")
    for setting, own in zip(sweep.grid.settings, sweep.sharpes, strict=True):
        place = values.index(setting[column])
        known = own[np.isfinite(own)]
        axes.plot(np.full(len(known), place), known, "o", color=NEUTRAL, alpha=0.35, markersize=4, markeredgewidth=0,
                  label="a trial")  # fmt: skip
    shown_means = [means[(value,)] for value in values]
    axes.plot(range(len(values)), shown_means, "o-", color=BID, markersize=7, linewidth=1.6, label="mean")
    for place, mean in enumerate(shown_means):
        axes.annotate(number(mean), (place, mean if np.isfinite(mean) else 0), xytext=(9, 0), va="center",
                      textcoords="offset points", color=BID, fontsize=8,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    frame.zero_line(axes)
    axes.set_xticks(range(len(values)), [_label(value) for value in values])
    axes.set_xlim(-0.5, len(values) - 0.3)
    axes.set(xlabel=_name(sweep.grid, key), ylabel="Sharpe ratio a year")
    frame.legend_below(figure)
    return figure


def draw_logits(sweep: Sweep, title: str) -> Figure:
    """Histogram of the logits; what counts as overfitted, 0 included, is red."""
    found = sweep.overfitting
    if found is None:
        return _empty(f"{title}: probability of overfitting undefined", sweep.figures["reasons"]["pbo"])
    figure, (axes,) = frame.panels(height=3.2)
    axes.set_title(f"{title}: probability of overfitting {found.probability:.3g}, {sweep.figures['pbo_settings']}"
                   f" settings, {sweep.figures['pbo_blocks']} blocks, {len(found.logits):,} ways to halve the time",
                   loc="left")  # fmt: skip
    edges, shares = histogram(found.logits)
    colours = [ASK if end <= 0 else BID for end in edges[1:]]
    axes.bar(edges[:-1], 100 * shares, np.diff(edges), align="edge", color=colours, edgecolor="white", linewidth=0.4)
    axes.axvline(0, color="black", linewidth=1.2)
    axes.set(xlabel="logit of the rank in one half of the setting that was best in the other", ylabel="share, %",
             xlim=(edges[0], edges[-1]), ylim=(0, 118 * shares.max()))  # fmt: skip
    for place, text, colour in ((0.01, "winner in the worse half", ASK), (0.99, "winner in the better half", BID)):
        axes.text(place, 0.97, text, transform=axes.transAxes, ha="left" if place < 0.5 else "right", va="top",
                  color=colour)  # fmt: skip
    return figure


def histogram(logits: Array) -> tuple[Array, Array]:
    """(B+1,) edges with 0 among them and (B,) shares of the logits in (edge, edge]."""
    widest = 1.02 * (float(np.abs(logits).max()) or 1.0)
    edges = np.linspace(-widest, widest, 2 * BINS + 1)
    edges[BINS] = 0.0
    count, _ = np.histogram(-logits, bins=-edges[::-1])  # its bins hold their left edges: mirrored, the right ones
    return edges, count[::-1] / len(logits)


def draw_fan(sweep: Sweep, title: str) -> Figure:
    """Above: what one unit became, seeds and folds of the best and the median setting; below: each fold's Sharpe."""
    if sweep.best is None or sweep.median is None or not len(sweep.joined.dates):
        reason = "no trial moves" if sweep.best is None else "no date is covered by all settings"
        return _empty(f"{title}: seeds and folds", reason)
    chosen = {sweep.best: "Best"} | ({sweep.median: "Median"} if sweep.median != sweep.best else {})
    figure: Figure
    figure, axes = plt.subplots(
        2, len(chosen), figsize=(frame.WIDTH, 5.0), layout="constrained", sharex=True, sharey="row", squeeze=False,
        height_ratios=[2.4, 1],
    )  # fmt: skip
    figure.suptitle(f"{title}: {averaged(sweep.grid, [])}", x=0.01, ha="left")
    shown_paths = [_paths(axes[0, column], sweep, setting) for column, setting in enumerate(chosen)]
    for column, (setting, name) in enumerate(chosen.items()):
        words = textwrap.wrap(worded(sweep.grid.keys, sweep.grid.settings[setting]), 62)
        axes[0, column].set_title("\n".join([f"{name}, mean Sharpe ratio {number(sweep.means[setting])}", *words]))
        _steps(axes[1, column], sweep, setting)
        frame.time_axis(axes[1, column], sweep.joined.dates)
    values = np.concatenate(shown_paths)
    frame.growth_axis(axes[0, 0], float(np.nanmin(values)), float(np.nanmax(values)))
    axes[0, 0].set_ylabel("value of 1, log scale")
    axes[1, 0].set_ylabel("Sharpe, by fold")
    frame.legend_below(figure)
    return figure


def growth(returns: Array) -> Array:
    """(…, T) what one unit became; NaN where nothing is left, which a logarithmic axis cannot show."""
    values = np.cumprod(np.maximum(1 + returns, 0), axis=-1)
    return np.where(values > RUINED, values, np.nan)


def _paths(axes: Axes, sweep: Sweep, setting: int) -> Array:
    """Lines of a setting and the band of all settings. Returns the values that are drawn."""
    dates, own = sweep.joined.dates, growth(sweep.joined.returns[setting])
    mean, every = growth(sweep.joined.means[setting]), np.nan_to_num(growth(sweep.joined.means), nan=RUINED)
    low, high = np.quantile(every, BAND, axis=0)
    at = frame.thinned(mean, low, high)
    if len(every) > 1:
        axes.fill_between(
            dates[at], low[at], high[at], color=frame.PALE, linewidth=0, label="5 to 95 % of the settings"
        )
    for path in own if len(own) > 1 else []:
        axes.plot(dates[at], path[at], color=frame.BEFORE_COSTS, linewidth=0.7, label="a seed, folds joined")
    axes.plot(dates[at], mean[at], color=BID, linewidth=2, label="mean of the seeds" if len(own) > 1 else "the seed")
    axes.axhline(1, color=NEUTRAL, linewidth=0.8)
    _boundaries(axes, sweep, setting)
    return np.concatenate([own.ravel(), low, high, [1.0]])


def _spans(sweep: Sweep, setting: int) -> list[tuple[Any, Any]]:
    """First and last date of each fold of a setting."""
    accounts = [[sweep.accounts[place] for place in fold] for fold in sweep.grid.places[setting].T]
    return [(min(one.dates[0] for one in fold), max(one.dates[-1] for one in fold)) for fold in accounts]


def _boundaries(axes: Axes, sweep: Sweep, setting: int) -> None:
    first = sweep.joined.dates[0]
    for begins, _ in _spans(sweep, setting):
        if begins > first:
            axes.axvline(begins, color=NEUTRAL, linewidth=0.8, linestyle=":", label="a fold begins anew")


def _steps(axes: Axes, sweep: Sweep, setting: int) -> None:
    """The Sharpe ratio of each fold over its time: thin a seed, thick the mean."""
    own = sweep.sharpes[setting]
    for fold, (begins, ends) in enumerate(_spans(sweep, setting)):
        for ratio in own[:, fold] if len(own) > 1 else []:
            axes.plot([begins, ends], [ratio, ratio], color=frame.BEFORE_COSTS, linewidth=0.7)
        mean = means_of(own[:, fold][None])[0]
        axes.plot([begins, ends], [mean, mean], color=BID, linewidth=2)
    frame.zero_line(axes)
    _boundaries(axes, sweep, setting)


def _empty(heading: str, reason: str) -> Figure:
    figure, (axes,) = frame.panels(height=1.6)
    axes.set_title(heading, loc="left")
    axes.text(0.5, 0.5, "\n".join(textwrap.wrap(reason, 110)), ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()
    return figure
