"""How good predictions are before any portfolio."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from scripts.backtest.prices.panel import Array, Events, Panel, opening_times
from scripts.backtest.prices.reader import read_events, read_panel
from scripts.backtest.prices.tables import read_categories, read_table
from scripts.backtest.statistics import forecasts
from scripts.backtest.statistics.forecasts import Estimate
from scripts.backtest.statistics.overfitting import permutation_value
from scripts.backtest.statistics.settings import EvaluateSettings
from scripts.backtest.trading.planning import total_returns
from scripts.backtest.trading.predictions import Predictions, fill_sessions, read_predictions
from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.lib.plots import ASK, BID, NEUTRAL, save_svg

Row = tuple[str, str, Estimate]  # what, of which part, the figure
NAN = float("nan")


def main(
    predictions: job.InputFile,
    prices: job.InputFile,
    figures: job.OutputFile,
    coefficients: job.OutputFile,
    plot: job.OutputFile,
    settings: EvaluateSettings,
    splits: job.InputFile | None = None,
    dividends: job.InputFile | None = None,
    delistings: job.InputFile | None = None,
    categories: job.InputFile | None = None,
    title: str = "predictions",
) -> None:
    """How good predictions are before any portfolio.

    Each signal is compared with the return from the first price at which it could be traded, over its horizon,
    dividends and what was left after a delisting included. Intervals are those of the stationary bootstrap over dates.

    Args:
        predictions: CSV or Parquet with known_at, asset, signal, horizon (sessions), and p_up where there is one
        prices: raw prices, CSV or Parquet with date, asset, open, close
        figures: CSV with figure, part, value, low, high, n
        coefficients: CSV with one row a date: date, ic, rank_ic, hit_rate, base_rate
        plot: SVG of cumulative rank IC, decay by lag, returns by quantile, calibration
        settings: quantiles, lags, periods
        splits: CSV with date, asset, ratio (new units for one old)
        dividends: CSV with date (ex), asset, amount (currency a unit)
        delistings: CSV with date, asset, return (from the last price to what holders got)
        categories: CSV with asset, category
        title: heading of the plot
    """
    panel, _ = read_panel(prices, settings.calendar)
    events = read_events(panel, splits, dividends, delistings, settings.delisting_return, settings.delisted_after)
    known = read_predictions(predictions, panel, settings.signal_column)
    study = Study(panel, events, known, settings)
    if not np.isfinite(study.rank_ic).any():
        raise InputError(f"{predictions}: no date has signals and later prices of {forecasts.MIN_ASSETS} assets")
    chances = _probabilities(predictions, panel, known)
    groups = _categories(categories, panel) if categories else {}
    rows = [*study.rows(), *study.by_category(groups), *calibration_rows(chances, study.returns)]
    write_figures(figures, rows)
    write_coefficients(coefficients, known, study)
    draw(plot, study, rows, title)
    log.info("%d dates: rank IC %.4f", np.isfinite(study.rank_ic).sum(), np.nanmean(study.rank_ic))


class Study:
    """Signals, what followed them, and the coefficients of each date."""

    def __init__(self, panel: Panel, events: Events, known: Predictions, settings: EvaluateSettings) -> None:
        sessions = fill_sessions(known, panel, opening_times(panel))
        prices = total_returns(panel.close if settings.fill == "next_close" else panel.open, panel, events)
        self.settings, self.known = settings, known
        self._prices, self._sessions = prices, np.minimum(sessions, len(panel.sessions))
        self.returns = forecasts.forward_returns(prices, self._sessions, known.horizons)
        self.ic = forecasts.correlations(known.signals, self.returns, ranks=False)
        self.rank_ic = forecasts.correlations(known.signals, self.returns, ranks=True)
        self.hit_rate, self.base_rate = forecasts.hits(known.signals, self.returns)
        self.quantiles = forecasts.by_quantile(known.signals, self.returns, settings.quantiles)

    def mean(self, values: Array) -> Estimate:
        chosen = self.settings
        return forecasts.estimate_mean(values, chosen.draws, chosen.confidence, chosen.seed)

    def rows(self) -> Iterator[Row]:
        yield "ic", "all", self.mean(self.ic)
        yield "rank_ic", "all", self.mean(self.rank_ic)
        yield "icir", "all", _ratio(self.ic)
        yield "rank_icir", "all", _ratio(self.rank_ic)
        yield "permutation_pvalue", "all", self.permuted()
        yield "hit_rate", "all", self.mean(self.hit_rate)
        yield "base_rate", "all", self.mean(self.base_rate)
        yield "hit_rate_less_base_rate", "all", self.mean(self.hit_rate - self.base_rate)
        for group in range(self.settings.quantiles):
            yield "quantile_return", f"{group + 1} of {self.settings.quantiles}", self.mean(self.quantiles[:, group])
        means = np.nanmean(self.quantiles, axis=0) if np.isfinite(self.quantiles).any() else np.full(1, np.nan)
        yield "monotonicity", "all", Estimate(forecasts.monotonicity(means), NAN, NAN, len(means))
        for lag in self.settings.lags:
            yield "rank_ic_by_lag", str(lag), self.mean(self._late(lag))
        years = self.known.day.astype("datetime64[Y]")
        for year in np.unique(years):
            yield "rank_ic_by_year", str(year), self.mean(self.rank_ic[years == year])

    def permuted(self) -> Estimate:
        """p-value of the mean rank IC: dealing the signals of each date anew, as often as the bootstrap draws."""
        chosen, dates = self.settings, int(np.isfinite(self.rank_ic).sum())
        ranks = forecasts.common_ranks(self.known.signals, self.returns)
        return Estimate(permutation_value(*ranks, chosen.draws, chosen.seed), NAN, NAN, dates)

    def _late(self, lag: int) -> Array:
        returns = forecasts.forward_returns(self._prices, self._sessions, self.known.horizons, lag)
        return forecasts.correlations(self.known.signals, returns, ranks=True)

    def by_category(self, groups: dict[str, Array]) -> Iterator[Row]:
        for name, members in groups.items():
            found = forecasts.correlations(self.known.signals[:, members], self.returns[:, members], ranks=True)
            yield "rank_ic_by_category", name, self.mean(found)


def _ratio(values: Array) -> Estimate:
    """Mean over standard deviation (ddof 1) of the dates' coefficients."""
    values = values[np.isfinite(values)]
    spread = values.std(ddof=1) if len(values) > 1 else 0.0
    return Estimate(float(values.mean() / spread) if spread > 0 else NAN, NAN, NAN, len(values))


def _probabilities(path: Path, panel: Panel, known: Predictions) -> Array:
    table = read_table(path, ["known_at"])
    if "p_up" not in table.columns:
        return np.full(known.signals.shape, np.nan)
    chances = read_predictions(path, panel, "p_up").signals
    wrong = chances[np.isfinite(chances) & ((chances < 0) | (chances > 1))]
    if len(wrong):
        raise InputError(f"{path}: p_up {wrong[0]:g} is no probability")
    return chances


def _categories(path: Path, panel: Panel) -> dict[str, Array]:
    found = read_categories(path)
    labels = np.array([found.get(asset, "none") for asset in panel.assets])
    return {str(name): np.flatnonzero(labels == name) for name in np.unique(labels)}


def calibration_rows(chances: Array, returns: Array) -> Iterator[Row]:
    if not np.isfinite(chances).any():
        return
    score, base = forecasts.brier(chances, returns)
    count = int((np.isfinite(chances) & np.isfinite(returns)).sum())
    yield "brier", "all", Estimate(score, NAN, NAN, count)
    yield "brier_of_base_rate", "all", Estimate(base, NAN, NAN, count)
    for said, rose, n in forecasts.calibration(chances, returns):
        yield "share_that_rose", f"p_up {said:.4f}", Estimate(rose, NAN, NAN, n)


def write_figures(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["figure", "part", "value", "low", "high", "n"])
        for figure, part, found in rows:
            writer.writerow([figure, part, *("" if value != value else value for value in found)])


def write_coefficients(path: Path, known: Predictions, study: Study) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["date", "ic", "rank_ic", "hit_rate", "base_rate"])
        columns = (study.ic, study.rank_ic, study.hit_rate, study.base_rate)
        for day, *values in zip(known.day, *columns, strict=True):
            writer.writerow([day, *("" if value != value else float(value) for value in values)])


def draw(path: Path, study: Study, rows: list[Row], title: str) -> None:
    """Four panels: cumulative rank IC, its decay by lag, mean return by quantile, calibration."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
    figure.suptitle(title)
    cumulative, decay, quantiles, chances = axes.flat
    cumulative.plot(study.known.day, np.nancumsum(study.rank_ic), color=BID)
    cumulative.set(title="rank IC, added up", xlabel="date", ylabel="sum of rank IC")
    _bars(decay, [row for row in rows if row[0] == "rank_ic_by_lag"], "rank IC when traded later", "sessions late")
    _bars(
        quantiles,
        [row for row in rows if row[0] == "quantile_return"],
        "mean return by quantile of the signal",
        "quantile",
    )
    bins = [(float(part.split()[1]), found.value) for name, part, found in rows if name == "share_that_rose"]
    chances.plot([0, 1], [0, 1], color=NEUTRAL, linewidth=0.6)
    chances.plot(*zip(*bins, strict=True), "o-", color=ASK) if bins else chances.text(0.5, 0.5, "no p_up", ha="center")
    chances.set(title="calibration", xlabel="forecast probability of a rise", ylabel="share that rose")
    save_svg(figure, path, title)


def _bars(axis: plt.Axes, rows: list[Row], title: str, label: str) -> None:
    values = np.array([row[2].value for row in rows])
    spread = np.abs(np.array([[row[2].low, row[2].high] for row in rows]).T - values)
    axis.bar([row[1].split()[0] for row in rows], values, yerr=np.nan_to_num(spread), color=BID, ecolor=NEUTRAL)
    axis.axhline(0, color=NEUTRAL, linewidth=0.6)
    axis.set(title=title, xlabel=label)


if __name__ == "__main__":
    job.run(main)
