"""Plots of sums and distributions: months, years, returns, contributions, forecasts, stress, number of trials."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.backtest.statistics import metrics
from scripts.backtest.tear_sheet import frame
from scripts.backtest.tear_sheet.frame import shown, time_axis
from scripts.backtest.tear_sheet.sheet import MIN_RETURNS, Array, NotDrawn, Sheet, column
from scripts.lib.account import EquityTable
from scripts.lib.pages import MINUS, as_number
from scripts.lib.plots import NEUTRAL
from scripts.lib.tables import Row

MIN_DAYS = 60  # under two months there are no months to compare
EXTREMES = 10  # assets shown at each end
HEAT_ROWS_HEIGHT = 0.3
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]  # in any locale
TRIALS = np.unique(np.geomspace(1, 10_000, 60).round().astype(int))


class Months(NamedTuple):
    """Returns by calendar month."""

    months: Array  # (M,) datetime64[M], all from the first to the last
    returns: Array  # (M,) NaN where no period ends, or after a ruin


def monthly_returns(dates: Array, values: Array) -> Months:
    """Return of each calendar month, from the last mark of the one before; that of the first from the start."""
    month = dates[1:].astype("datetime64[M]")
    months = np.arange(month[0], month[-1] + 1)
    last = np.searchsorted(month, months, side="right")  # rows of `values`, which has one more
    ends = values[np.append(0, last)]
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.where((ends[:-1] > 0) & (np.diff(np.append(0, last)) > 0), ends[1:] / ends[:-1] - 1, np.nan)
    return Months(months, returns)


def yearly_returns(dates: Array, values: Array) -> tuple[Array, Array]:
    """(Y,) years and (Y,) returns, those of their months compounded."""
    months, returns = monthly_returns(dates, values)
    year = months.astype("datetime64[Y]").astype(int) + 1970
    years = np.unique(year)
    known = np.isfinite(returns)
    total = [np.prod(1 + returns[(year == one) & known]) - 1 if (known & (year == one)).any() else np.nan
             for one in years]  # fmt: skip
    return years, np.array(total)


def _long_enough(sheet: Sheet, what: str) -> EquityTable:
    if sheet.span_days < MIN_DAYS:
        raise NotDrawn(f"the data span {sheet.span_days:.3g} days, less than the two months that {what} need")
    return sheet.equity


def months(sheet: Sheet) -> Figure:
    """Heat map: a row a year, a column a month, and the year's return beside."""
    table = _long_enough(sheet, "months")
    found, returns = monthly_returns(table.dates, table.equity)
    years, total = yearly_returns(table.dates, table.equity)
    grid = np.full((len(years), 12), np.nan)
    grid[found.astype("datetime64[Y]").astype(int) + 1970 - years[0], found.astype(int) % 12] = returns
    height = 0.75 + HEAT_ROWS_HEIGHT * len(years)
    figure: Figure
    figure, (axes, side) = plt.subplots(
        1, 2, figsize=(frame.WIDTH, height), layout="constrained", width_ratios=[12, 1.2]
    )
    _heat(axes, grid, MONTHS, [str(year) for year in years])
    _heat(side, total[:, None], ["year"], [""] * len(years))
    return figure


def _heat(axes: Axes, grid: Array, columns: list[str], rows: list[str]) -> None:
    """Cells coloured from loss over white to gain, with their percentages."""
    largest = float(np.nanmax(np.abs(grid))) if np.isfinite(grid).any() else 0.0
    axes.pcolormesh(
        np.ma.masked_invalid(grid), cmap="RdBu", vmin=-1.3 * (largest or 1), vmax=1.3 * (largest or 1),
        edgecolors="white", linewidth=1.5,
    )  # fmt: skip
    for (row, place), value in np.ndenumerate(grid):
        if np.isfinite(value):
            axes.text(place + 0.5, row + 0.5, _percent_cell(value), ha="center", va="center",
                      color="white" if abs(value) > 0.9 * largest > 0 else "#222222")  # fmt: skip
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.set_ylim(len(rows), 0)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _percent_cell(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:.1f}".replace("-", MINUS)  # + 0.0: no minus before a rounded nought


def years(sheet: Sheet) -> Figure:
    """Return of each year, beside that of the best benchmark."""
    table = _long_enough(sheet, "years")
    labels, mine = yearly_returns(table.dates, table.equity)
    bars = [("strategy", mine, frame.STRATEGY)]
    best = sheet.metrics.get("best_benchmark")
    if isinstance(best, str) and best in sheet.benchmarks:
        bars.append((shown(best), yearly_returns(table.dates, sheet.benchmarks[best])[1], frame.OTHERS[0]))
    figure, (axes,) = frame.panels(height=2.8)
    width = 0.7 / len(bars)
    for place, (name, values, colour) in enumerate(bars):
        at = np.arange(len(labels)) + (place - (len(bars) - 1) / 2) * width
        axes.bar(at, np.nan_to_num(values), width, color=colour, label=name)
    frame.zero_line(axes)
    axes.set_xticks(np.arange(len(labels)), [str(year) for year in labels])
    reach = max(len(labels), 6) / 2 + 0.2
    axes.set_xlim((len(labels) - 1) / 2 - reach, (len(labels) - 1) / 2 + reach)
    frame.percent_axis(axes.yaxis)
    frame.legend_below(figure)
    return figure


def returns(sheet: Sheet) -> Figure:
    """Histogram of the periods' returns and their quantiles against those of a normal distribution."""
    found = sheet.returns
    if len(found) < MIN_RETURNS or np.ptp(found) == 0:
        raise NotDrawn(f"{len(found)} returns, or all alike: fewer than {MIN_RETURNS} have no distribution")
    figure, (left, right) = frame.panels(2)
    mean, spread = found.mean(), found.std(ddof=1)
    edges = np.histogram_bin_edges(found, "fd")
    edges = edges if len(edges) <= 81 else np.linspace(found.min(), found.max(), 81)
    counts, _ = np.histogram(found, edges)
    left.stairs(counts, edges, fill=True, color=frame.STRATEGY, label="returns")
    at = np.linspace(edges[0], edges[-1], 200)
    normal = (
        len(found) * (edges[1] - edges[0]) * np.exp(-(((at - mean) / spread) ** 2) / 2) / spread / np.sqrt(2 * np.pi)
    )
    left.plot(at, normal, color=frame.LOSS, label="normal of the same mean and spread")
    left.set(title="returns of the periods", ylabel="periods")
    frame.percent_axis(left.xaxis)
    left.locator_params(axis="x", nbins=6)
    left.legend(loc="upper left", fontsize=8)
    left.set_ylim(top=1.3 * max(counts.max(), normal.max()))
    _quantiles(right, np.sort((found - mean) / spread))
    return figure


def _quantiles(axes: Axes, ordered: Array) -> None:
    """QQ plot; the places are (k − 0.5) / n."""
    places = frame.thinned(ordered)
    expected = [NormalDist().inv_cdf((place + 0.5) / len(ordered)) for place in places]
    reach = max(abs(expected[0]), abs(expected[-1]))
    axes.plot([-reach, reach], [-reach, reach], color=NEUTRAL, linewidth=0.8)
    axes.plot(expected, ordered[places], "o", color=frame.STRATEGY, markersize=2.5)
    axes.set(title="against a normal distribution", xlabel="quantile of the normal", ylabel="standardised return")


def contributions(sheet: Sheet) -> Figure:
    """Profit of the best and worst assets, and by category where there are several."""
    profits = [(row["asset"], value) for row in sheet.contributions if (value := as_number(row["profit"])) is not None]
    if len(profits) < 2:
        raise NotDrawn(f"only {profits[0][0]} was held" if profits else "no asset was held")
    profits.sort(key=lambda item: (-item[1], item[0]))
    both = profits if len(profits) <= 2 * EXTREMES else profits[:EXTREMES] + profits[-EXTREMES:]
    groups = by_category(sheet.contributions)
    height = 0.9 + 0.2 * max(len(both), len(groups), 4)
    figure, axes = frame.panels(2 if len(groups) > 1 else 1, height)
    several = len(profits) > len(both)
    title = f"the {EXTREMES} best and {EXTREMES} worst of {len(profits)} assets" if several else "all assets"
    _profits(axes[0], both, title, cut=EXTREMES if several else None)
    if len(groups) > 1:
        _profits(axes[1], groups, "categories")
    return figure


def by_category(rows: list[Row]) -> list[tuple[str, float]]:
    """Profit by category, the largest first."""
    found: dict[str, float] = {}
    for row in rows:
        name = row["category"] or "none"
        found[name] = found.get(name, 0.0) + (as_number(row["profit"]) or 0.0)
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def _profits(axes: Axes, rows: list[tuple[str, float]], title: str, cut: int | None = None) -> None:
    values = [value for _, value in rows]
    colours = [frame.GAIN if value >= 0 else frame.LOSS for value in values]
    axes.barh(range(len(rows)), values, color=colours, height=0.75)
    axes.set_yticks(range(len(rows)), [shown(name) for name, _ in rows], fontsize=8)
    axes.set_ylim(max(len(rows), 6) - 0.4, -0.6)
    axes.axvline(0, color=NEUTRAL, linewidth=0.8)
    if cut is not None:
        axes.axhline(cut - 0.5, color=NEUTRAL, linewidth=0.8, linestyle=":")
    axes.set(title=title, xlabel="profit, currency")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}".replace("-", MINUS))
    axes.locator_params(axis="x", nbins=6)
    axes.grid(visible=False, axis="y")


def forecasts(sheet: Sheet) -> Figure:
    """Four panels: rank IC added up, its decay by lag, mean return by quantile, calibration."""
    if not sheet.coefficients or not sheet.figures:
        raise NotDrawn("the predictions were not evaluated")
    figure: Figure
    figure, axes = plt.subplots(2, 2, figsize=(frame.WIDTH, 6), layout="constrained")
    summed, decay, quantiles, chances = axes.flat
    dates = np.array([row["date"].removesuffix("Z") for row in sheet.coefficients], "datetime64[ns]")
    total = np.nancumsum(column(sheet.coefficients, "rank_ic"))
    places = frame.thinned(total)
    summed.plot(dates[places], total[places], color=frame.STRATEGY)
    summed.set(title="rank IC, added up over the dates")
    time_axis(summed, dates)
    frame.zero_line(summed)
    _estimates(decay, sheet.forecast("rank_ic_by_lag"), "mean rank IC when traded later", "sessions late")
    _estimates(quantiles, sheet.forecast("quantile_return"), "mean return by quantile of the signal",
               "quantile, smallest signals first")  # fmt: skip
    frame.percent_axis(quantiles.yaxis)
    _calibration(chances, sheet.forecast("share_that_rose"))
    return figure


def _estimates(axes: Axes, rows: list[Row], title: str, label: str) -> None:
    """Bars with whiskers from low to high; no whisker where there was too little for one."""
    values, low, high = (column(rows, name) for name in ("value", "low", "high"))
    whiskers = np.nan_to_num(np.abs(np.array([values - low, high - values])))
    axes.bar(range(len(rows)), np.nan_to_num(values), yerr=whiskers, color=frame.STRATEGY, ecolor=NEUTRAL, capsize=3)
    axes.set_xticks(range(len(rows)), [row["part"].split()[0] for row in rows])
    axes.set(title=title, xlabel=label)
    frame.zero_line(axes)


def _calibration(axes: Axes, rows: list[Row]) -> None:
    axes.set(title="calibration", xlabel="forecast probability of a rise", ylabel="share that rose")
    if not rows:
        axes.text(0.5, 0.5, "the predictions have no probabilities", ha="center", transform=axes.transAxes)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    said = [float(row["part"].split()[-1]) for row in rows]
    axes.plot([0, 1], [0, 1], color=NEUTRAL, linewidth=0.8)
    axes.plot(said, column(rows, "value"), "o-", color=frame.STRATEGY)
    axes.set(xlim=(0, 1), ylim=(0, 1))


def cost_sensitivity(sheet: Sheet) -> Figure:
    """Sharpe ratio and total return by fee and by slippage, basis points of what is traded."""
    families = [name for name in ("slippage_bps", "fee_bps") if len(sheet.stressed(name)) > 1]
    if not families:
        raise NotDrawn("the backtest was not repeated at other costs")
    figure, axes = frame.panels(2)
    names = {"slippage_bps": "slippage", "fee_bps": "fee"}
    for family, colour in zip(families, (frame.STRATEGY, frame.OTHERS[0]), strict=False):
        rows = sorted(sheet.stressed(family), key=lambda row: float(row["setting"]))
        at, label = column(rows, "setting"), f"by {names[family]}"
        axes[0].fill_between(at, column(rows, "low"), column(rows, "high"), color=colour, alpha=0.15, linewidth=0)
        axes[0].plot(at, column(rows, "sharpe"), "o-", color=colour, markersize=4, label=label)
        axes[1].plot(at, column(rows, "total_return"), "o-", color=colour, markersize=4, label=label)
    axes[0].set(title=f"Sharpe ratio {sheet.annualised}, with interval", xlabel="basis points of what is traded")
    axes[1].set(title="total return", xlabel="basis points of what is traded")
    frame.percent_axis(axes[1].yaxis)
    for each in axes:
        frame.zero_line(each)
    frame.legend_below(figure)
    return figure


def lag_sensitivity(sheet: Sheet) -> Figure:
    """Sharpe ratio when orders fill later, and of the other trials of the machinery."""
    rows = sorted(sheet.stressed("lag"), key=lambda row: float(row["setting"]))
    others = [row for family in ("fill", "shuffled_labels", "positive_control", "sign_flip")
              for row in sheet.stressed(family)]  # fmt: skip
    if not rows and not others:
        raise NotDrawn("the backtest was not repeated with delay or with other signals")
    figure, axes = frame.panels(2 if rows and others else 1, 3.2)
    if rows:
        _whiskers(axes[0], rows, [row["setting"] for row in rows])
        axes[0].set(title="traded later", xlabel="periods late", ylabel=f"Sharpe ratio {sheet.annualised}")
    if others:
        _whiskers(axes[-1], others, [stress_name(row) for row in others])
        axes[-1].set_title("other fills and planted signals")
        axes[-1].set_ylabel(f"Sharpe ratio {sheet.annualised}")
    return figure


def stress_name(row: Row) -> str:
    """Name of a row of stress.csv in two short lines."""
    family = {"fill": "fill", "shuffled_labels": "shuffled labels", "positive_control": "positive control",
              "sign_flip": "sign flipped"}[row["family"]]  # fmt: skip
    setting = shown(row["setting"].replace("_", " "))
    return family if setting in ("", family) else f"{family}\n{setting}"


def _whiskers(axes: Axes, rows: list[Row], labels: list[str]) -> None:
    """A point a row with its interval."""
    at = np.arange(len(rows))
    axes.vlines(at, column(rows, "low"), column(rows, "high"), color=frame.BEFORE_COSTS, linewidth=4)
    axes.plot(at, column(rows, "sharpe"), "o", color=frame.STRATEGY)
    frame.zero_line(axes)
    axes.set_xticks(at, labels, fontsize=8)
    axes.set_xlim(-0.6, len(rows) - 0.4)


def deflated(sheet: Sheet) -> Figure:
    """Deflated Sharpe ratio by the number of trials, the ledger's count marked."""
    found = [metrics.deflated_sharpe(sheet.returns, int(count)) for count in TRIALS]
    values = np.array([np.nan if value is None else value for value in found], float)
    if not np.isfinite(values).any():
        raise NotDrawn(f"{len(sheet.returns)} returns, or all alike: too little for a deflated Sharpe ratio")
    figure, (axes,) = frame.panels(height=2.8)
    axes.plot(TRIALS, values, color=frame.STRATEGY, label="deflated Sharpe ratio")
    axes.axhline(0.95, color=NEUTRAL, linewidth=0.8, linestyle="--", label="0.95")
    count, mine = sheet.metric("trials"), sheet.metric("deflated_sharpe")
    if count and mine is not None:
        axes.plot(count, mine, "o", color=frame.LOSS, markersize=7, label=f"{count:,.0f} trials counted")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlabel="number of trials, log scale", ylabel="probability", ylim=(-0.03, 1.03))
    frame.legend_below(figure)
    return figure
