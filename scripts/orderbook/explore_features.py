"""Show a feed's features: distributions, autocorrelation, regimes of volatility and spread."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from scripts.lib import job
from scripts.lib.joblog import log
from scripts.lib.plots import NEUTRAL, save_svg
from scripts.lib.tables import write_csv
from scripts.orderbook.features.columns import VOLATILITY, unit
from scripts.orderbook.features.sample import FeatureSample, read_sample
from scripts.orderbook.features.settings import ExploreSettings
from scripts.orderbook.features.statistics import autocorrelation_of, feature_statistics

SHOWN = (0.005, 0.995)  # quantiles between which the axes run
CORRELATED = ("log_return", "ofi_1", "ofi_10", "imbalance_1", "spread", "interval")
THIRDS = ("low", "middle", "high")
COLUMNS = 4


def main(
    features: list[job.InputFile],
    distributions: job.OutputFile,
    autocorrelation: job.OutputFile,
    regimes: job.OutputFile,
    statistics: job.OutputFile,
    title: str,
    settings: ExploreSettings,
) -> None:
    """Show a feed's features: distributions, autocorrelation, regimes of volatility and spread.

    Args:
        features: Parquet of extract_features, all parts of a feed in time order
        distributions: SVG with a histogram a feature
        autocorrelation: SVG with the autocorrelation of some features
        regimes: SVG with how often volatility and spread come together
        statistics: CSV with one row a feature
        title: heading of the plots, such as the feed's name
        settings: states used, bins and lags
    """
    sample = read_sample(features, settings.max_states)
    log.info("%d of %d states, %d features", sample.size, sample.states, len(sample.values))
    save_svg(draw_distributions(sample, settings.bins, title), distributions, f"{title}: distributions of the features")
    save_svg(draw_autocorrelation(sample, settings.lags, title), autocorrelation, f"{title}: autocorrelation")
    save_svg(draw_regimes(sample, settings.bins, title), regimes, f"{title}: regimes of volatility and spread")
    write_csv(statistics, feature_statistics(sample, settings.lags))


def draw_distributions(sample: FeatureSample, bins: int, title: str) -> Figure:
    """A histogram a feature, between its 0.5 % and 99.5 % quantiles."""
    rows = -(-len(sample.values) // COLUMNS)
    figure: Figure
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(11, 1.7 * rows), layout="constrained", squeeze=False)
    figure.suptitle(f"{title}: distributions of the features")
    for axes in grid.flat[len(sample.values) :]:
        axes.set_axis_off()
    for axes, (name, values) in zip(grid.flat, sample.values.items(), strict=False):
        axes.set_title(name, fontsize=9)
        axes.set_xlabel(unit(name))
        draw_histogram(axes, values, bins)
    return figure


def draw_histogram(axes: Axes, values: np.ndarray, bins: int) -> None:
    """Share of the defined values in each bin, percent."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        say(axes, "never defined")
        return
    counts, edges = np.histogram(defined, shown_edges(defined, bins))
    axes.stairs(100 * counts / len(defined), edges, fill=True, color=NEUTRAL)
    axes.set_ylabel("%")
    axes.locator_params(axis="x", nbins=3)


def shown_edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Edges of equal bins between the quantiles that are shown, wide enough for a constant."""
    low, high = np.quantile(values, SHOWN)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        low, high = low - max(abs(low), 1.0) * 1e-6, high + max(abs(high), 1.0) * 1e-6
    return np.linspace(low, high, bins + 1)


def draw_autocorrelation(sample: FeatureSample, lags: list[int], title: str) -> Figure:
    """Autocorrelation by lag, with the band in which 95 % of an uncorrelated series' values lie."""
    figure: Figure
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    figure.suptitle(f"{title}: autocorrelation of the features")
    lags = sorted(set(lags))
    bands = np.zeros(len(lags))
    for name in CORRELATED:
        found = [autocorrelation_of(sample.values[name], sample.stretch, lag) for lag in lags]
        axes.plot(lags, [value for value, _ in found], marker="o", markersize=3, label=name)
        bands = np.maximum(bands, [1.96 / np.sqrt(pairs) if pairs > 3 else 0.0 for _, pairs in found])
    axes.fill_between(lags, -bands, bands, color="#dddddd", linewidth=0, label="95 % of no correlation")
    axes.set_xscale("log")
    axes.set_xlabel("lag, states")
    axes.set_ylabel("correlation")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def draw_regimes(sample: FeatureSample, bins: int, title: str) -> Figure:
    """How often volatility and spread come together: in bins, and by thirds of each."""
    figure: Figure
    figure, (chart, table) = plt.subplots(1, 2, figsize=(10, 4.2), width_ratios=[3, 2], layout="constrained")
    figure.suptitle(f"{title}: regimes of volatility and spread")
    name = next((name for name in sample.values if name.startswith(f"{VOLATILITY}_")), None)
    if name is None:
        say(chart, "no volatility window is set")
        table.set_axis_off()
        return figure
    volatility, spread = regime_axes(sample, name)
    if not len(volatility):
        say(chart, f"{name} is never defined: the segments are shorter")
        table.set_axis_off()
        return figure
    draw_map(chart, volatility, spread, bins)
    chart.set_xlabel(f"{name}, bp")
    chart.set_ylabel("spread, price")
    draw_thirds(table, volatility, spread)
    return figure


def regime_axes(sample: FeatureSample, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Volatility in basis points (1e-4) and spread in prices, of the states that have both.

    Spreads are rounded to 1e-10 of the mid, so that spreads of as many ticks are equal: as differences of prices they
    differ in their last digits, and as shares of the mid they would tell its level where they are mostly one tick.
    """
    volatility, spread, mid = 1e4 * sample.values[name], sample.values["spread"], sample.values["mid"]
    both = np.isfinite(volatility) & np.isfinite(spread)
    if not both.any():
        return volatility[both], spread[both]
    step = 1e-10 * np.median(np.abs(mid[both]))
    digits = int(np.ceil(-np.log10(step))) if step > 0 else 12
    return volatility[both], spread[both].round(digits)


def draw_map(axes: Axes, volatility: np.ndarray, spread: np.ndarray, bins: int) -> None:
    """Number of states in bins of both; what lies beyond the axes counts in the outermost bins."""
    x, y = shown_edges(volatility, bins), shown_edges(spread, bins)
    counts, _, _ = np.histogram2d(np.clip(volatility, x[0], x[-1]), np.clip(spread, y[0], y[-1]), [x, y])
    image = axes.pcolormesh(
        x, y, np.ma.masked_equal(counts.T, 0), cmap="Blues", rasterized=True, norm=LogNorm(1, max(counts.max(), 10.0))
    )
    axes.figure.colorbar(image, ax=axes, label="states")


def draw_thirds(axes: Axes, volatility: np.ndarray, spread: np.ndarray) -> None:
    """Share of the states by thirds of volatility and of spread, percent."""
    shares = 100 * thirds(volatility, spread)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=max(shares.max(), 1.0), origin="lower")
    for (row, column), share in np.ndenumerate(shares):
        dark = share > 0.6 * shares.max()
        axes.text(column, row, f"{share:.1f} %", ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(3), THIRDS)
    axes.set_yticks(range(3), THIRDS)
    axes.set_xlabel("volatility")
    axes.set_ylabel("spread")
    axes.grid(False)


def thirds(volatility: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Shares (3, 3) of the states by thirds of spread (rows) and of volatility; equal values are of one third."""
    row, column = (np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values) for values in (spread, volatility))
    shares = np.zeros((3, 3))
    np.add.at(shares, (row, column), 1 / len(volatility))
    return shares


def say(axes: Axes, text: str) -> None:
    """Words in the place of a plot."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)


if __name__ == "__main__":
    job.run(main)
