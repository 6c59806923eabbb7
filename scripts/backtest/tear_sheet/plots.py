"""The plots of a tear sheet with the words above each: what it shows, how to read it, what would be a bad sign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from scripts.backtest.tear_sheet import bars, curves, frame
from scripts.backtest.tear_sheet.sheet import NotDrawn, Sheet
from scripts.lib.pages import SVG, data_uri
from scripts.lib.plots import save_svg
from scripts.lib.progress import track


class Plot(NamedTuple):
    """A plot and its words."""

    name: str  # of its file
    section: str
    title: str
    shows: str
    read: str
    bad: str
    draw: Callable[[Sheet], Figure] | None = None  # None: drawn by another program, and given as a file


class Drawn(NamedTuple):
    """A plot on the page."""

    plot: Plot
    uri: str


class Missing(NamedTuple):
    """What is not on the page, and why."""

    title: str
    reason: str


PLOTS = (
    Plot(
        "equity", "Account", "Value of the account",
        "What one unit of currency became, net of all costs and before fees and slippage, beside the benchmarks, which"
        " pay the same costs. The grey band holds the runs of random signals with the same turnover.",
        "Equal vertical distances are equal percentages. The gap between the two blue lines is what trading has cost;"
        " costs are added back as paid, without what they would have earned since.",
        "A line inside the grey band, one good stretch that makes the whole gain, or a gain before costs that is gone"
        " after them.", curves.equity,
    ),
    Plot(
        "drawdown", "Account", "Below the highest value so far",
        "How far the account stood below its own peak; the deepest falls, from peak to trough, are shaded and numbered"
        " as in the table.",
        "0 is a new peak. The thin red line is the benchmark with the highest Sharpe ratio, random runs left out.",
        "Falls that deepen with time, that last for years, or that come at the same time as the benchmark's although"
        " the portfolio is meant to be neutral.", curves.drawdown,
    ),
    Plot(
        "rolling_sharpe", "Account", "Sharpe ratio over time",
        "The Sharpe ratio of the last periods at each date, with the bootstrap interval of that window.",
        "The dashed line is the ratio of all periods. A window holds few periods, so the band is wide: only what leaves"
        " the band is a change.",
        "A band that holds 0 nearly everywhere, or a ratio that was high early and has faded.", curves.rolling_sharpe,
    ),
    Plot(
        "months", "Account", "Return of each month, percent",
        "One row a year, one column a month; the year's own return stands at the right.",
        "Blue is gain, red is loss, the deeper the larger. The first and last month may be parts of one.",
        "Few months that make the whole result, or a season in all years that nobody has explained.", bars.months,
    ),
    Plot(
        "years", "Account", "Return of each year",
        "The return of each calendar year, beside the benchmark with the highest Sharpe ratio, random runs left out.",
        "First and last year may be parts of one; they are not annualised.",
        "One year that carries the rest, or losses in the last years.", bars.years,
    ),
    Plot(
        "returns", "Account", "Distribution of the returns",
        "How often returns of each size came, and their quantiles against those of a normal distribution.",
        "Points below the line at the left end are losses larger than a normal distribution of the same spread has.",
        "Rare large losses among many small gains: then the Sharpe ratio flatters. Many returns of exactly 0: the"
        " account was often empty.", bars.returns,
    ),
    Plot(
        "exposure", "Trading", "Exposure",
        "Gross (longs and shorts added up) and net (longs less shorts) as shares of the account value, and the number"
        " of names held.",
        "Gross above 100 % is borrowed money. A market-neutral portfolio has a net near 0.",
        "A net that follows the market, gross that grows as the account falls, or few names.", curves.exposure,
    ),
    Plot(
        "costs", "Trading", "Turnover and costs",
        "How much was traded in each stretch of time, and the fees and slippage paid so far.",
        "Turnover of 100 % buys or sells the account's value once.",
        "Costs larger than the profit before costs, or turnover in bursts that a real market could not take.",
        curves.costs,
    ),
    Plot(
        "contributions", "Trading", "Who earned it",
        "Profit by asset net of its own fees and slippage, the best and the worst, and by category where these are"
        " known.",
        "The sum over all assets is the profit of the positions; interest and borrow fees may stand apart.",
        "A few names that make the whole profit: see the return without the best three among the figures.",
        bars.contributions,
    ),
    Plot(
        "rolling_beta", "Trading", "Beta over time",
        "The slope of the account's returns on those of the benchmark that stands for the market, over the last"
        " periods.",
        "1 moves with the market, 0 has nothing to do with it.",
        "A beta far from 0 where neutrality is claimed: then the return is the market's, at other costs.",
        curves.rolling_beta,
    ),
    Plot(
        "forecasts", "Forecasts", "How good the signals are before any portfolio",
        "Rank correlation of the signals with what followed (rank IC), added up over the dates; its mean when trading"
        " is late; the mean return of assets by quantile of the signal; forecast probabilities against frequencies."
        " Whiskers are bootstrap intervals.",
        "A steady rise at the upper left, bars that climb from the lowest to the highest quantile, and points on the"
        " diagonal are good.",
        "A rise that ends, a correlation that lives only without any delay, or a profit from the shorts alone.",
        bars.forecasts,
    ),
    Plot(
        "cost_sensitivity", "What if", "At other costs",
        "The same signals at other fees and other slippage, each alone; all else as in the contract.",
        "Where a line meets 0 lies the cost at which nothing is left. Bands are bootstrap intervals.",
        "A line that falls through 0 near the costs assumed.", bars.cost_sensitivity,
    ),
    Plot(
        "lag_sensitivity", "What if", "Traded later, and with planted signals",
        "Left: the same signals filled some periods later. Right: other fills; the signals of each date dealt"
        " anew among its names; the true label as the signal (positive control); the signal with its sign flipped.",
        "Late fills should cost a little. Dealt signals should earn nothing before costs, the positive control very"
        " much; else the machinery is broken. They say nothing of look-ahead. Lines are bootstrap intervals.",
        "A ratio that collapses with one period's delay (the signal may know its own fill price), or dealt signals"
        " that earn.", bars.lag_sensitivity,
    ),
    Plot(
        "deflated_sharpe", "Selection", "Deflated Sharpe ratio by the number of trials",
        "The probability that the true Sharpe ratio is above what the best of so many worthless configurations would"
        " show (Bailey and López de Prado 2014).",
        "The dot is the number of configurations that the ledger has counted on these data. If more were tried outside"
        " of the workflow, read further to the right.",
        "A dot below 0.95, or a curve that falls below it within a few more trials.", bars.deflated,
    ),
    Plot(
        "heatmap", "Selection", "Sharpe ratio over the parameters",
        "The mean Sharpe ratio over seeds and folds at each setting of the sweep.",
        "Neighbours should look alike: a plateau is worth more than a peak.",
        "One good cell among bad neighbours.",
    ),
    Plot(
        "logits", "Selection", "Probability of backtest overfitting",
        "For each way to halve the time: the rank, in one half, of the configuration that was best in the other, as a"
        " logit (Bailey, Borwein, López de Prado and Zhu 2017).",
        "Left of 0 the winner of one half was in the worse part of the other; the share left of 0 is the probability of"
        " overfitting.",
        "A heap around or left of 0.",
    ),
    Plot(
        "fan", "Selection", "Seeds and folds",
        "The best and the median setting of the sweep: the value of the account for each seed, its folds joined,"
        " and the Sharpe ratio of each fold.",
        "The spread between the lines is luck: of the training or of the names drawn. A difference between settings"
        " must be seen beside it.",
        "A result that one seed or one fold alone reaches, or a best setting inside of the spread of the"
        " median one.",
    ),
    Plot(
        "timeline", "Selection", "Which time was used for what",
        "The stretches used for training, validation and test or folds, those up to and after the model's cutoff where"
        " one is told, and the one that was traded here.",
        "What was traded should lie in test alone, or in the tests of the folds, with gaps before them as long as"
        " labels reach, and after the model's cutoff.",
        "Trading inside of train or validation, or up to the cutoff (red): then the result is not out of sample.",
        curves.timeline,
    ),
)  # fmt: skip


def draw_all(sheet: Sheet, folder: Path) -> tuple[list[Drawn], list[Missing]]:
    """Draw what there are data for, as files and for the page; tell what is missing."""
    drawn, missing = [], []
    with frame.house_style():
        for plot in track(PLOTS, "draw", len(PLOTS), "plots"):
            try:
                drawn.append(Drawn(plot, data_uri(_draw(plot, sheet, folder), SVG)))
            except NotDrawn as reason:
                missing.append(Missing(plot.title, str(reason)))
    return drawn, missing


def _draw(plot: Plot, sheet: Sheet, folder: Path) -> bytes:
    """The bytes of a plot, after it was saved under its name."""
    path = folder / f"{plot.name}.svg"
    if plot.draw is None:
        if plot.name not in sheet.pictures:
            raise NotDrawn("no sweep over settings, seeds and folds was run")
        path.write_bytes(sheet.pictures[plot.name].read_bytes())
    else:
        save_svg(plot.draw(sheet), path, f"{sheet.description.name}: {plot.title}")
    return path.read_bytes()
