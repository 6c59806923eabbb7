"""Figures of backtests: how each is called and written, and what it is, for all pages that show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Definition(NamedTuple):
    """How a figure is called and written, and what it is; {year}, {root} stand for the annualisation."""

    key: str
    label: str
    kind: str
    text: str
    bounds: str = ""  # key of its interval


DEFINITIONS = (
    Definition("total_return", "Total return", "percent", "Last over first account value, less 1; net of all costs."),
    Definition("growth_rate", "Growth {year}", "percent", "Compound return {year}."),
    Definition("sharpe", "Sharpe ratio {year}", "ratio",
               "Mean / standard deviation (ddof 1) of simple returns{root}; risk-free rate 0.", "sharpe_interval"),
    Definition("volatility", "Volatility {year}", "percent",
               "Standard deviation (ddof 1) of simple returns{root}."),
    Definition("max_drawdown", "Largest drawdown", "percent", "Largest fall from a peak so far, the start included."),
    Definition("final_equity", "Value at the end", "money", "Currency, marked at the last price."),
    Definition("gross_total_return", "Total return before costs", "percent",
               "As the total return, fees and slippage added back as they were paid."),
    Definition("fees", "Fees", "money", "Currency, sum over all trades."),
    Definition("slippage", "Slippage", "money",
               "Currency: traded units × distance of the fill from the unslipped price, sum over all trades."),
    Definition("borrow", "Borrow fees", "money", "Currency, on short positions."),
    Definition("interest", "Interest", "money", "Currency, on cash of either sign."),
    Definition("dividends", "Dividends", "money", "Currency, received on longs less paid on shorts."),
    Definition("turnover", "Turnover {whole}", "ratio",
               "Sum of traded values / mean account value{per_year}; 1 trades the account once."),
    Definition("cost_per_turnover_bps", "Cost of what is traded", "bps", "Fees and slippage / traded value."),
    Definition("break_even_bps", "Break-even cost", "bps",
               "Cost of what is traded at which the total return would be 0."),
    Definition("trades", "Trades", "count", "Fills, closing at a delisting among them."),
    Definition("sessions", "Periods", "count", "Rows of the account after its start."),
    Definition("periods_before_cutoff", "Periods up to the model's cutoff", "count",
               "Those whose outcome the model may have read in training; 0 where no cutoff is given."),
    Definition("trials", "Trials", "count",
               "Configurations that the ledger has counted on these data, this one among them."),
    Definition("trials_with_returns", "Trials with returns", "count",
               "Those of them whose returns are known over the same time."),
    Definition("probabilistic_sharpe", "Probabilistic Sharpe ratio", "probability",
               "Probability that the true ratio is above 0, with skewness and kurtosis (Bailey, López de Prado 2012)."),
    Definition("deflated_sharpe", "Deflated Sharpe ratio", "probability",
               "Probability that the true ratio is above what the best of the trials would show if all were worthless"
               " (Bailey and López de Prado 2014); spread of the trials' ratios 1 / √(T − 1)."),
    Definition("deflated_sharpe_of_trials", "Deflated, by the trials' spread", "probability",
               "The same, with the spread that the trials' ratios really have."),
    Definition("pbo", "Probability of overfitting", "probability",
               "Share of the ways to halve the time in which the winner of one half is at or below the median of the"
               " other."),
    Definition("spa_pvalue", "Superior ability, p", "probability",
               "Hansen (2005), consistent p-value: that no trial has a higher mean return than the best benchmark, the"
               " search being accounted for."),
    Definition("excess_sharpe", "Sharpe ratio above the best benchmark", "ratio",
               "Difference of the two ratios {year}; paired draws of the stationary bootstrap.",
               "excess_sharpe_interval"),
    Definition("alpha", "Alpha {year}", "percent",
               "Intercept of the account's returns on the market benchmark's{times}; one factor only.",
               "alpha_interval"),
    Definition("beta", "Beta", "ratio", "Slope of the same regression."),
    Definition("random_beaten_share", "Random runs beaten", "share",
               "Share of the random signals of the same turnover that ended below this account."),
    Definition("return_without_best_10", "Return without the 10 best periods", "percent",
               "Total return if these had been 0."),
    Definition("return_without_best_3_names", "Return without the 3 best names", "percent",
               "Total return less their profit."),
    Definition("rank_ic", "Rank IC", "ratio",
               "Mean over dates of the rank correlation, across assets, of signal and following return.",
               "rank_ic_interval"),
    Definition("hit_rate", "Hit rate", "share", "Share of forecasts whose direction was right."),
    Definition("base_rate", "Base rate", "share", "What always saying the commoner direction would have scored."),
    Definition("permutation_pvalue", "Permutation, p", "probability",
               "Share of signals dealt anew among the assets of each date whose rank IC is at least as high."),
    Definition("positive_control_sharpe", "Sharpe ratio of the true label", "ratio",
               "The label itself as the signal: must be very high, else the machinery is broken."),
    Definition("shuffled_sharpe", "Sharpe ratio of dealt signals", "ratio",
               "The signals of each date dealt anew among its assets, mean over seeds: must not earn; costs make it"
               " fall below 0."),
    Definition("lag_1_sharpe", "Sharpe ratio one period later", "ratio", "All orders filled one period later."),
    Definition("peer_difference", "Difference to a second simulator", "power",
               "Largest difference of the account value / account value, at any session's close, to that of bt, which"
               " replays the same orders on the raw prices and keeps cash, positions and events itself."),
    Definition("capacity_adv_1m", "Share of daily volume at 1 M", "percent",
               "Trade of median size / mean daily volume, account of 1 million."),
    Definition("capacity_adv_10m", "Share of daily volume at 10 M", "percent", "The same at 10 million."),
    Definition("capacity_adv_100m", "Share of daily volume at 100 M", "percent", "The same at 100 million."),
)  # fmt: skip


def words_of(periods_a_year: float | None, period: str) -> dict[str, str]:
    """How figures are annualised, in the words that the definitions leave open.

    Args:
        periods_a_year: by which they are annualised; None: they are those of a period.
        period: what a period is, such as session or decision.
    """
    if periods_a_year is None:
        return {
            "figures": f"Figures are per {period}, not annualised", "year": f"per {period}",
            "root": f" per {period}, not annualised", "per_year": ", not annualised", "whole": "in all",
            "times": f", per {period}",
        }  # fmt: skip
    year = f"{periods_a_year:g} {period}s"
    return {
        "figures": f"Figures are annualised, {year} a year", "year": "a year",
        "root": f" × √{periods_a_year:g}, {year} a year", "per_year": f", a year of {year}", "whole": "a year",
        "times": f" × {periods_a_year:g}, a year",
    }  # fmt: skip


def method_of(metrics: Mapping[str, object]) -> str:
    """How intervals were made, with the numbers behind them."""
    parts = [
        "percentile intervals of the stationary bootstrap (Politis and Romano 1994; blocks by Politis and White 2004)"
    ]
    if isinstance(confidence := metrics.get("confidence"), float):
        parts.append(f"confidence {100 * confidence:g} %")
    parts += [f"{name} {metrics[name]}" for name in ("draws", "seed", "n") if metrics.get(name) is not None]
    return ", ".join(parts)
