"""Plot of the agents' evaluation: equity over time, and what was earned with intervals."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from scripts.lib.plots import ASK, BID, NEUTRAL
from scripts.orderbook.trading.statistics import Earned
from scripts.orderbook.trading.walk import Traded

COLOURS = {"agent": BID, "imbalance": ASK, "random": "#999999", "hold": "#7a9a3a", "flat": NEUTRAL}
POINTS = 1_000  # of a curve


def draw_evaluation(found: list[Traded], table: list[Earned], title: str) -> Figure:
    """Left: equity net of costs, one panel a split; right: the net with its interval, all splits together."""
    figure: Figure
    widths = [3] * len(found) + [2]
    figure, panels = plt.subplots(1, len(found) + 1, figsize=(12, 4), width_ratios=widths, layout="constrained")
    figure.suptitle(f"{title}: agents and baselines out of sample, net of costs")
    for axes, part in zip(panels, found, strict=False):
        draw_equity(axes, part)
    panels[0].set_ylabel("net, bp of the largest position")
    draw_intervals(panels[-1], [row for row in table if row.split == table[-1].split])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(COLOURS))
    return figure


def draw_equity(axes: Axes, part: Traded) -> None:
    """Net of each run over event time; the mean of a trader's runs is thick."""
    for trader, runs in part.walks.items():
        times = part.tape.event_time[runs[0].row].astype("datetime64[ns]")
        shown = np.unique(np.linspace(0, len(times) - 1, min(POINTS, len(times))).round().astype(int))
        nets = np.array([run.net.cumsum()[shown] for run in runs])
        for net in nets if len(runs) > 1 else []:
            axes.plot(times[shown], net, color=COLOURS[trader], linewidth=0.5, alpha=0.4)
        axes.plot(times[shown], nets.mean(axis=0), color=COLOURS[trader], linewidth=1.6, label=trader)
    axes.set_title(part.split, fontsize=9)
    axes.set_xlabel("event time, UTC")
    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def draw_intervals(axes: Axes, rows: list[Earned]) -> None:
    """A point and a bar a trader."""
    for place, row in enumerate(reversed(rows)):
        axes.plot([row.low_bps, row.high_bps], [place, place], color=COLOURS[row.trader], linewidth=2)
        axes.plot(row.net_bps, place, marker="o", markersize=5, color=COLOURS[row.trader])
    axes.axvline(0, color=NEUTRAL, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row.trader for row in reversed(rows)])
    axes.set_xlabel("net, bp, 95 % interval")
    axes.set_title(f"{rows[0].split}: {rows[0].decisions} decisions", fontsize=9)
