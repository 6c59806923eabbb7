"""Plot a part's price ladder, spread and depth over time."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.plots import ASK, BID, NEUTRAL, save_svg
from scripts.orderbook.states.columns import level_columns
from scripts.orderbook.states.settings import PlotSettings
from scripts.orderbook.states.table import read_states, stored_depth

PRICE_BINS = 240


def main(states: job.InputFile, plot: job.OutputFile, title: str, settings: PlotSettings) -> None:
    """Plot a part's price ladder, spread and depth over time.

    Args:
        states: Parquet of parse_book
        plot: SVG to write
        title: heading of the plot, such as the feed's and the part's name
        settings: levels and points drawn
    """
    depth = stored_depth(states)
    columns = read_states(states, ["event_time", "segment", *level_columns(depth)])
    if not len(columns["event_time"]):
        raise InputError(f"{states}: no state to plot")
    book = BookSample(columns, min(settings.levels, depth), settings.max_points)
    figure, (ladder, spread, size) = plt.subplots(
        3, 1, figsize=(9, 8), sharex=True, height_ratios=[3, 1, 1], layout="constrained"
    )
    figure.suptitle(f"{title}: price ladder, spread and depth")
    plot_ladder(ladder, book)
    plot_spread(spread, book)
    plot_depth(size, book)
    locator = AutoDateLocator()
    size.xaxis.set_major_locator(locator)
    size.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    size.set_xlabel("event time, UTC")
    save_svg(figure, plot, f"{title}: price ladder, spread and depth")


class BookSample:
    """At most `points` states of a part, evenly chosen, with a row of NaN between two segments.

    Attributes: time (n,) datetime64[ms]; bid_px, bid_sz, ask_px, ask_sz (n, levels) in the venue's units, NaN where
    no level is known. The rows of NaN break lines and ladder where the book was not valid.
    """

    def __init__(self, columns: dict[str, np.ndarray], levels: int, points: int) -> None:
        count = len(columns["event_time"])
        chosen = np.unique(np.linspace(0, count - 1, min(points, count)).round().astype(np.int64))
        self.time = columns["event_time"][chosen].astype("datetime64[ns]").astype("datetime64[ms]")
        breaks = np.flatnonzero(np.diff(columns["segment"][chosen])) + 1
        self.time = np.insert(self.time, breaks, self.time[breaks - 1] + np.timedelta64(1, "ms"))
        self.bid_px, self.bid_sz, self.ask_px, self.ask_sz = (
            np.insert(sampled_levels(columns, f"{side}_{what}", levels, chosen), breaks, np.nan, axis=0)
            for side in ("bid", "ask")
            for what in ("px", "sz")
        )

    @property
    def levels(self) -> int:
        return int(self.bid_px.shape[1])


def sampled_levels(columns: dict[str, np.ndarray], name: str, levels: int, rows: np.ndarray) -> np.ndarray:
    """Columns NAME_00 … of the first `levels` levels at some rows, (rows, levels)."""
    return np.column_stack([columns[f"{name}_{i:02d}"][rows] for i in range(levels)])


def plot_ladder(axes: Axes, book: BookSample) -> None:
    """Resting size by price over time: bids blue, asks red, darker for more; best prices as lines."""
    grid, edges = ladder_image(book)
    largest = float(np.nanmax(np.abs(grid))) if np.isfinite(grid).any() else 1.0
    times = np.linspace(0, 1, len(book.time) + 1)
    start, end = book.time[0].astype("float64"), book.time[-1].astype("float64")
    x = (start + times * max(end - start, 1.0)).astype("int64").astype("datetime64[ms]")
    norm = SymLogNorm(linthresh=max(largest / 100, 1e-12), vmin=-largest, vmax=largest)
    axes.pcolormesh(x, edges, grid, cmap="RdBu", norm=norm, rasterized=True)
    axes.plot(book.time, book.bid_px[:, 0], color=BID, label="best bid")
    axes.plot(book.time, book.ask_px[:, 0], color=ASK, label="best ask")
    axes.set_ylabel("price")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


def ladder_image(book: BookSample) -> tuple[np.ndarray, np.ndarray]:
    """Sum of sizes in bins of price and equal steps of time.

    Returns:
        grid (PRICE_BINS, n), bids positive, asks negative, NaN where nothing rests; edges (PRICE_BINS + 1,).
    """
    prices = np.concatenate([book.bid_px.ravel(), book.ask_px.ravel()])
    prices = prices[np.isfinite(prices)]
    low, high = (prices.min(), prices.max()) if len(prices) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, PRICE_BINS + 1)
    elapsed = (book.time - book.time[0]).astype("float64")
    steps = np.linspace(0, max(elapsed[-1], 1.0), len(book.time))
    rows = np.searchsorted(elapsed, steps, side="right") - 1
    grid = np.zeros((PRICE_BINS, len(book.time)))
    for price, size, sign in ((book.bid_px, book.bid_sz, 1.0), (book.ask_px, book.ask_sz, -1.0)):
        bins = np.clip(np.searchsorted(edges, price[rows], side="right") - 1, 0, PRICE_BINS - 1)
        column = np.broadcast_to(np.arange(len(rows))[:, None], bins.shape)
        known = np.isfinite(price[rows])
        np.add.at(grid, (bins[known], column[known]), sign * size[rows][known])
    grid[grid == 0] = np.nan
    return grid, edges


def plot_spread(axes: Axes, book: BookSample) -> None:
    """Spread in basis points of the mid."""
    mid = (book.ask_px[:, 0] + book.bid_px[:, 0]) / 2
    axes.plot(book.time, 1e4 * (book.ask_px[:, 0] - book.bid_px[:, 0]) / mid, color=NEUTRAL, drawstyle="steps-post")
    axes.set_ylabel("spread, bp")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))


def plot_depth(axes: Axes, book: BookSample) -> None:
    """Size summed over the levels drawn."""
    for size, color, label in ((book.bid_sz, BID, "bids"), (book.ask_sz, ASK, "asks")):
        axes.plot(
            book.time, np.where(np.isfinite(size[:, 0]), np.nansum(size, axis=1), np.nan), color=color, label=label
        )
    axes.set_ylabel(f"size in {book.levels} levels")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.95), ncols=2)


if __name__ == "__main__":
    job.run(main)
