"""What the plots of a tear sheet share: sizes, axes of time and percent, legends, thinned curves, plain names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from scripts.lib.pages import MINUS
from scripts.lib.plots import ASK, BID, NEUTRAL

Array = np.ndarray[Any, Any]

STRATEGY, BEFORE_COSTS, LOSS, GAIN, PALE, BAND = BID, "#7fb0d6", ASK, BID, "#e9e9e9", "#cfe0ee"
OTHERS = (ASK, "#7a9a3a", "#8e5ea2", "#d08a1d", "#2f8f8b", "#9c6b4f", "#6b7a8f")
WIDTH = 10.0  # inches: 960 px on the page
MAX_POINTS = 1_500  # of a curve
LONGEST_NAME = 28


@contextmanager
def house_style() -> Iterator[None]:
    """Names out of data are no formulas: $x$ stays as it is."""
    with matplotlib.rc_context({"text.parse_math": False, "axes.titlesize": 10, "axes.titlelocation": "left"}):
        yield


def panels(count: int = 1, height: float = 3.2, **layout: Any) -> tuple[Figure, list[Axes]]:
    """A figure of the page's width with panels side by side."""
    figure, axes = plt.subplots(1, count, figsize=(WIDTH, height), layout="constrained", **layout)
    return figure, list(np.atleast_1d(axes))


def stacked(heights: list[float], height: float) -> tuple[Figure, list[Axes]]:
    """A figure with panels one below the other over one axis of time."""
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(WIDTH, height), layout="constrained", sharex=True, height_ratios=heights,
        squeeze=False,
    )  # fmt: skip
    return figure, list(axes[:, 0])


def thinned(*curves: Array) -> Array:
    """Places of at most about MAX_POINTS of a long curve: in each stretch its extremes, so that no peak is lost."""
    count = len(curves[0])
    if count <= MAX_POINTS:
        return np.arange(count)
    edges = np.linspace(0, count, MAX_POINTS // (2 * len(curves)) + 1).astype(int)
    found = {0, count - 1}
    for low, high in pairwise(edges):
        for curve in curves:
            part = np.nan_to_num(curve[low:high])
            found |= {low + int(part.argmin()), low + int(part.argmax())}
    return np.array(sorted(found))


def time_axis(axes: Axes, dates: Array) -> None:
    """Dates, or times of day, as long as the data ask for."""
    locator = AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    if dates[-1] > dates[0]:
        axes.set_xlim(dates[0], dates[-1])


def percent_axis(axis: Any) -> None:
    """An axis of fractions, labelled in percent with as many digits as its ticks differ in."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))


def percent(value: float) -> str:
    return f"{round(100 * value, 10):.6g} %".replace("-", MINUS) if abs(value) >= 1e-9 else "0 %"


def growth_axis(axes: Axes, lowest: float, highest: float) -> None:
    """A logarithmic axis with plain numbers; a narrow range has no powers of ten, so it is labelled evenly."""
    axes.set_yscale("log")
    if highest / lowest < 4:
        ticks = matplotlib.ticker.MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(lowest, highest)
        axes.set_yticks([tick for tick in ticks if lowest * 0.98 <= tick <= highest * 1.02])
    else:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def legend_below(figure: Figure, axes: list[Axes] | None = None, columns: int = 6) -> None:
    """One legend for all panels, below them."""
    found = {label: handle for each in axes or figure.axes for handle, label in zip(*each.get_legend_handles_labels(),
                                                                                    strict=True)}  # fmt: skip
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=min(columns, len(found)))


def shown(name: str) -> str:
    """A name out of data: short, and without what an SVG may not hold."""
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return clean if len(clean) <= LONGEST_NAME else clean[: LONGEST_NAME - 1] + "…"


def zero_line(axes: Axes) -> None:
    axes.axhline(0, color=NEUTRAL, linewidth=0.8)
