"""Plots over time: account value, drawdowns, rolling figures, exposure, costs, splits."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view

from scripts.backtest.statistics.bootstrap import interval
from scripts.backtest.tear_sheet import frame
from scripts.backtest.tear_sheet.frame import shown, thinned, time_axis
from scripts.backtest.tear_sheet.sheet import Array, NotDrawn, Sheet, returns_of
from scripts.backtest.trading.cutoff import AFTER, BEFORE
from scripts.lib.plots import NEUTRAL

POINTS, BAND_POINTS = 600, 60  # of a rolling figure, and of its band
COST_BINS = 60
BAND_COLOURS = {  # by a band's name, or its first word
    "train": "#b9c4cc", "validation": frame.BEFORE_COSTS, "test": frame.STRATEGY, "traded here": NEUTRAL,
    BEFORE: frame.LOSS, AFTER: frame.GAIN,
}  # fmt: skip


def equity(sheet: Sheet) -> Figure:
    """Value of one unit of currency: net, before costs, benchmarks; random runs as a band from lowest to highest."""
    figure, (axes,) = frame.panels(height=4.2)
    start, dates = sheet.equity.equity[0], sheet.equity.dates
    curves = {"net of all costs": sheet.equity.equity / start, "before fees and slippage": before_costs(sheet) / start}
    others = {name: path / path[0] for name, path in sheet.named_benchmarks.items()}
    runs = sheet.random_runs / sheet.random_runs[:, :1]
    styles: tuple[dict[str, Any], ...] = ({"color": frame.STRATEGY, "linewidth": 1.8, "zorder": 4},
              {"color": frame.BEFORE_COSTS, "linestyle": "--", "zorder": 3})  # fmt: skip
    for (name, path), style in zip(curves.items(), styles, strict=True):
        _line(axes, dates, path, label=name, **style)
    for (name, path), colour in zip(others.items(), cycle(frame.OTHERS), strict=False):
        _line(axes, dates, path, color=colour, label=shown(name), zorder=2)
    if len(runs):
        low, high = runs.min(axis=0), runs.max(axis=0)
        places = thinned(low, high)
        axes.fill_between(dates[places], low[places], high[places], color=frame.PALE, linewidth=0, zorder=1,
                          label=f"{len(runs)} random runs, lowest to highest")  # fmt: skip
    _value_axis(axes, [*curves.values(), *others.values(), *runs])
    axes.axhline(1, color=NEUTRAL, linewidth=0.6)
    time_axis(axes, dates)
    frame.legend_below(figure, columns=4)
    return figure


def _value_axis(axes: Axes, curves: list[Array]) -> None:
    """Logarithmic where all values are positive: a ruined account has no logarithm."""
    lowest, highest = min(curve.min() for curve in curves), max(curve.max() for curve in curves)
    if lowest > 0:
        frame.growth_axis(axes, lowest, highest)
        axes.set_ylabel("value of 1 at the start, log scale")
    else:
        axes.set_ylabel("value of 1 at the start, linear scale")


def before_costs(sheet: Sheet) -> Array:
    """(S,) account value plus fees and slippage paid so far; what they would have earned since is not counted."""
    paid: Array = sheet.equity.equity + costs_so_far(sheet)[0] + costs_so_far(sheet)[1]
    return paid


def costs_so_far(sheet: Sheet) -> tuple[Array, Array]:
    """(S,) fees and (S,) slippage paid up to each row, currency."""
    trades, dates = sheet.trades, sheet.equity.dates
    rows = np.minimum(np.searchsorted(dates, trades.dates, side="left"), len(dates) - 1)
    fees, slippage = (np.cumsum(np.bincount(rows, part, len(dates))) for part in (trades.fee, trades.slippage))
    return fees, slippage


def _line(axes: Axes, dates: Array, values: Array, **style: Any) -> None:
    places = thinned(values)
    axes.plot(dates[places], values[places], **style)


def drawdown(sheet: Sheet) -> Figure:
    """Under water: loss since the highest value so far; the deepest ones of the table are shaded."""
    figure, (axes,) = frame.panels(height=2.8)
    dates, depth = sheet.equity.dates, under_water(sheet.equity.equity)
    places = thinned(depth)
    axes.fill_between(dates[places], depth[places], 0, color=frame.BAND, linewidth=0)
    axes.plot(dates[places], depth[places], color=frame.STRATEGY, label="strategy")
    best = sheet.metrics.get("best_benchmark")
    if isinstance(best, str) and best in sheet.benchmarks:
        _line(axes, dates, under_water(sheet.benchmarks[best]), color=frame.OTHERS[0], linewidth=0.8, label=shown(best))
    for place, row in enumerate(sheet.drawdowns[:5]):
        _mark(axes, place, row["start"], row["trough"])
    frame.percent_axis(axes.yaxis)
    axes.set_ylabel("below the peak so far")
    time_axis(axes, dates)
    frame.legend_below(figure)
    return figure


def _mark(axes: Axes, place: int, start: str, trough: str) -> None:
    begin, end = (float(date2num(np.datetime64(cell.removesuffix("Z"), "ns"))) for cell in (start, trough))
    axes.axvspan(begin, end, color=frame.OTHERS[0], alpha=0.08, linewidth=0)
    axes.text((begin + end) / 2, 0.02, str(place + 1), ha="center", color=frame.LOSS,
              transform=axes.get_xaxis_transform())  # fmt: skip


def under_water(values: Array) -> Array:
    depth: Array = values / np.maximum.accumulate(values) - 1
    return depth


def rolling_sharpe(sheet: Sheet) -> Figure:
    """Sharpe ratio of the last periods, with a stationary-bootstrap band of each window."""
    window, returns = _window(sheet)
    chosen, views = _windows(returns, window, POINTS)
    dates = sheet.dates[chosen]
    figure, (axes,) = frame.panels(height=3.0)
    places, views_of_band = _windows(returns, window, BAND_POINTS)
    bands = np.array([_band(sheet, part) for part in views_of_band])
    axes.fill_between(sheet.dates[places], bands[:, 0], bands[:, 1], color=frame.BAND, linewidth=0,
                      label=f"{100 * sheet.settings.confidence:g} % interval")  # fmt: skip
    axes.plot(dates, sharpes(views) * sheet.scale, color=frame.STRATEGY, label=f"last {window} periods")
    if (whole := sheet.metric("sharpe")) is not None:
        axes.axhline(whole, color=NEUTRAL, linewidth=0.8, linestyle="--", label="all periods")
    frame.zero_line(axes)
    axes.set_ylabel(f"Sharpe ratio {sheet.annualised}")
    time_axis(axes, dates)
    frame.legend_below(figure)
    return figure


def _window(sheet: Sheet) -> tuple[int, Array]:
    window = sheet.settings.window
    if len(sheet.returns) < window + 2:
        raise NotDrawn(f"{len(sheet.returns)} returns, fewer than a window of {window} and two more")
    return window, sheet.returns


def _windows(values: Array, window: int, points: int) -> tuple[Array, Array]:
    """Places of the windows' ends and (points, window) values; windows evenly spaced, first and last among them."""
    ends = np.unique(np.linspace(window - 1, len(values) - 1, points).round().astype(int))
    return ends, sliding_window_view(values, window)[ends - window + 1]


def sharpes(windows: Array) -> Array:
    """Mean over standard deviation (ddof 1) of each row; NaN where nothing moves."""
    spread = windows.std(axis=-1, ddof=1)
    ratios: Array = windows.mean(axis=-1) / np.where(spread > 1e-15, spread, np.nan)
    return ratios


def _band(sheet: Sheet, window: Array) -> tuple[float, float]:
    if np.std(window) < 1e-15:
        return float("nan"), float("nan")
    chosen = sheet.settings
    low, high = interval(window, lambda part: float(sharpes(part)), chosen.draws, chosen.confidence, chosen.seed)
    return low * sheet.scale, high * sheet.scale


def rolling_beta(sheet: Sheet) -> Figure:
    """Slope of the account's returns on those of the market benchmark, over the last periods."""
    if sheet.market is None:
        raise NotDrawn("no benchmark stands for the market")
    window, returns = _window(sheet)
    name, path = sheet.market
    market = returns_of(path)
    count = min(len(market), len(returns))
    if count < window + 2:
        raise NotDrawn(f"{name} has {len(market)} returns, fewer than a window of {window} and two more")
    ends, mine = _windows(returns[:count], window, POINTS)
    slopes = betas(mine, _windows(market[:count], window, POINTS)[1])
    if not np.isfinite(slopes).any():
        raise NotDrawn(f"{name} does not move")
    figure, (axes,) = frame.panels(height=2.6)
    axes.plot(sheet.dates[ends], slopes, color=frame.STRATEGY, label=f"beta to {shown(name)}, last {window} periods")
    frame.zero_line(axes)
    axes.set_ylabel("beta")
    time_axis(axes, sheet.dates[ends])
    frame.legend_below(figure)
    return figure


def betas(returns: Array, market: Array) -> Array:
    """Slope of each row of returns on that of the market's; NaN where the market does not move."""
    centred = market - market.mean(axis=-1, keepdims=True)
    spread = (centred**2).sum(axis=-1)
    slopes: Array = (returns * centred).sum(axis=-1) / np.where(spread > 1e-24, spread, np.nan)
    return slopes


def exposure(sheet: Sheet) -> Figure:
    """Gross and net exposure, and below them how many names are held and how large the largest is."""
    held = held_names(sheet)
    figure, axes = frame.stacked([2, 1] if held is not None else [1], 3.8 if held is not None else 2.6)
    dates = sheet.equity.dates
    for values, colour, label in (
        (sheet.equity.gross, frame.STRATEGY, "gross: longs and shorts"),
        (sheet.equity.net, frame.OTHERS[0], "net: longs less shorts"),
    ):
        places = thinned(values)
        axes[0].step(dates[places], values[places], where="post", color=colour, label=label)
    frame.zero_line(axes[0])
    frame.percent_axis(axes[0].yaxis)
    axes[0].set_ylabel("of the account value")
    if held is not None:
        axes[1].step(*held, where="post", color=NEUTRAL)
        axes[1].set_ylabel("names held")
        axes[1].set_ylim(bottom=0)
    time_axis(axes[-1], dates)
    frame.legend_below(figure, axes[:1])
    return figure


def held_names(sheet: Sheet) -> tuple[Array, Array] | None:
    """Dates and names held from then on; a date with trades and no position is one without any."""
    if sheet.positions is None or not len(sheet.positions.dates):
        return None
    dates = np.union1d(sheet.positions.dates, np.unique(sheet.trades.dates))
    names = np.zeros(len(dates), int)
    names[np.searchsorted(dates, sheet.positions.dates)] = sheet.positions.names
    return np.append(dates, sheet.equity.dates[-1]), np.append(names, names[-1])


def costs(sheet: Sheet) -> Figure:
    """Turnover by stretch of time, and what fees and slippage have taken so far."""
    if not len(sheet.trades.dates):
        raise NotDrawn("nothing was traded")
    figure, (left, right) = frame.panels(2)
    dates = sheet.equity.dates
    edges, traded = turnover_bins(dates, sheet.equity.turnover)
    left.stairs(traded, edges, fill=True, color=frame.STRATEGY)
    left.set_title(f"turnover, {len(traded)} equal stretches of time")
    left.set_ylabel("of the account value")
    frame.percent_axis(left.yaxis)
    fees, slippage = costs_so_far(sheet)
    start = sheet.equity.equity[0]
    places = thinned(fees + slippage)
    right.stackplot(dates[places], fees[places] / start, slippage[places] / start, labels=["fees", "slippage"],
                    colors=[frame.STRATEGY, frame.BEFORE_COSTS], linewidth=0)  # fmt: skip
    right.set_title("costs so far")
    right.set_ylabel("of the start's value")
    right.legend(loc="upper left")
    frame.percent_axis(right.yaxis)
    for axes in (left, right):
        time_axis(axes, dates)
    return figure


def turnover_bins(dates: Array, turnover: Array) -> tuple[Array, Array]:
    """Edges in time of at most COST_BINS equal stretches, and the turnover that fell into each."""
    count = max(min(COST_BINS, (len(dates) - 1) // 5), 1)
    since = (dates - dates[0]).astype(np.int64).astype(float)
    span = since[-1] or 1.0
    bins = np.minimum((since / span * count).astype(int), count - 1)
    edges = dates[0] + (np.linspace(0, span, count + 1)).astype("timedelta64[ns]")
    return edges, np.bincount(bins, turnover, count)


def timeline(sheet: Sheet) -> Figure:
    """Stretches of time of the splits or folds, and what was traded."""
    bands = [(band.name, band.start, band.end) for band in sheet.description.bands]
    if not bands:
        raise NotDrawn("the account names no splits or folds")
    traded = [str(date) for date in sheet.equity.dates[[0, -1]]]
    rows = [*bands, ("traded here", *traded)]
    names = list(dict.fromkeys(name for name, *_ in rows))
    figure: Figure
    figure, axes = plt.subplots(figsize=(frame.WIDTH, 0.8 + 0.34 * len(names)), layout="constrained")
    moments = np.array([cell.removesuffix("Z") for _, *cells in rows for cell in cells], "datetime64[ns]")
    for place, (name, *_) in enumerate(rows):
        begin, end = moments[2 * place : 2 * place + 2]
        axes.plot([begin, end], [names.index(name)] * 2, color=_band_colour(name), linewidth=9, solid_capstyle="butt")
    axes.set_yticks(range(len(names)), [shown(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    time_axis(axes, np.array([moments.min(), moments.max()]))
    return figure


def _band_colour(name: str) -> str:
    return BAND_COLOURS.get(name, BAND_COLOURS.get(name.split()[0], frame.OTHERS[1]))
