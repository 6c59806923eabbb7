"""Twenty questions that a skeptical reader asks of any backtest, answered from the files or told as not answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from markupsafe import Markup

from scripts.backtest.tear_sheet.sheet import Sheet
from scripts.backtest.trading.cutoff import AFTER, BEFORE
from scripts.lib.pages import interval, number

Answer = Markup | None


class Question(NamedTuple):
    """A question, and what answers it; an answer is None where the files have none."""

    text: str
    answer: Callable[[Sheet], Answer]


class Answered(NamedTuple):
    """A question on the page."""

    number: int
    text: str
    answer: Answer


def answers_of(sheet: Sheet) -> list[Answered]:
    return [Answered(place + 1, each.text, each.answer(sheet)) for place, each in enumerate(QUESTIONS)]


def _figures(sheet: Sheet, *wanted: tuple[str, str, str]) -> Answer:
    """Those of the figures (label, key, kind) that have a value; None where none has."""
    found = [
        Markup("{} {}").format(label, number(sheet.metrics[key], kind))
        for label, key, kind in wanted
        if sheet.metric(key) is not None
    ]
    return Markup("; ").join(found) if found else None


def _bounds(sheet: Sheet, label: str, key: str, kind: str = "ratio") -> Answer:
    found = sheet.bounds(key)
    return Markup("{} {}").format(label, interval(found, kind)) if found else None


def _joined(*parts: Answer) -> Answer:
    found = [part for part in parts if part]
    return Markup("; ").join(found) if found else None


def _counts(sheet: Sheet, *keys: str) -> Answer:
    """Counts of account.json that are there."""
    counts = sheet.description.counts
    found = [
        Markup("{} {}").format(key.replace("_", " "), number(counts[key], "count")) for key in keys if key in counts
    ]
    return Markup("; ").join(found) if found else None


def _setting(sheet: Sheet, key: str) -> object:
    return sheet.description.settings.get(key)


def _contract(sheet: Sheet) -> Answer:
    return (
        Markup("See the contract above, {} sentences.").format(len(sheet.description.contract))
        if sheet.description.contract
        else None
    )


def _costs(sheet: Sheet) -> Answer:
    return _figures(
        sheet, ("before costs", "gross_total_return", "percent"), ("net", "total_return", "percent"),
        ("cost of what is traded", "cost_per_turnover_bps", "bps"), ("break-even", "break_even_bps", "bps"),
    )  # fmt: skip


def _trials(sheet: Sheet) -> Answer:
    return _figures(
        sheet, ("trials", "trials", "count"), ("deflated Sharpe ratio", "deflated_sharpe", "probability"),
        ("probability of overfitting", "pbo", "probability"), ("superior ability, p", "spa_pvalue", "probability"),
    )  # fmt: skip


def _versus(sheet: Sheet) -> Answer:
    names = [row["name"] for row in sheet.comparison[1:]]
    if not names:
        return None
    random = sum(name.startswith("random_") for name in names)
    others = [name for name in names if not name.startswith("random_")]
    text = Markup("{}").format(", ".join(others))
    text = Markup("{}, {} random runs").format(text, random) if random else text
    return _joined(text, _bounds(sheet, "Sharpe ratio above the best", "excess_sharpe_interval"))


def _alpha(sheet: Sheet) -> Answer:
    parts = _figures(sheet, ("alpha", "alpha", "percent"), ("beta", "beta", "ratio"))
    found = _joined(parts, _bounds(sheet, "interval of alpha", "alpha_interval", "percent"))
    return Markup("{} (one factor, the market benchmark; no other factors)").format(found) if found else None


def _periods(sheet: Sheet) -> Answer:
    table = Markup("{} periods in the table below").format(len(sheet.periods)) if sheet.periods else None
    return _joined(table, _figures(
        sheet, ("without the 10 best periods", "return_without_best_10", "percent"),
        ("without the 3 best names", "return_without_best_3_names", "percent"),
    ))  # fmt: skip


def _seeds(sheet: Sheet) -> Answer:
    best = (sheet.sweep or {}).get("best")
    if not isinstance(best, dict):
        return None
    names = (("mean Sharpe ratio of the best setting", "mean_sharpe"), ("lowest trial", "lowest_sharpe"),
             ("highest trial", "highest_sharpe"), ("standard deviation over seeds", "spread_over_seeds"),
             ("over folds", "spread_over_folds"))  # fmt: skip
    found = [Markup("{} {}").format(label, number(best[key])) for label, key in names if best.get(key) is not None]
    return _joined(*found)


def _missing(sheet: Sheet) -> Answer:
    return _counts(sheet, "price_rows", "missing_prices", "missing_sessions", "rows_outside_sessions", "duplicate_rows",
                   "zero_prices", "contradicting_bars", "stale_bars", "price_spikes", "unfilled_orders")  # fmt: skip


def _prices(sheet: Sheet) -> Answer:
    keys = ("suspected_splits", "vintage_differences", "vintage_adjustments", "vintage_bars_gone")
    return _joined(Markup("sha256 <code>{}</code>").format(sheet.description.data), _counts(sheet, *keys))


def _turnover(sheet: Sheet) -> Answer:
    held = _figures(sheet, ("turnover", "turnover", "ratio"), ("trades", "trades", "count"))
    return Markup("{}; exposure and names held are drawn above").format(held) if held else None


def _capacity(sheet: Sheet) -> Answer:
    return _figures(sheet, *((f"at {size} M", f"capacity_adv_{size}m", "percent") for size in (1, 10, 100)))


def _borrow(sheet: Sheet) -> Answer:
    rate = _setting(sheet, "borrow_rate")
    if rate is None:
        return None
    paid = _figures(sheet, ("paid", "borrow", "money"))
    text = Markup("fee {} a year on shorts; that all names can be borrowed is assumed").format(number(rate, "percent"))
    return _joined(text, paid)


def _late(sheet: Sheet) -> Answer:
    late = _figures(sheet, ("Sharpe ratio one period later", "lag_1_sharpe", "ratio"))
    fills = [Markup("filled at {}: {}").format(row["setting"], number(row["sharpe"])) for row in sheet.stressed("fill")]
    return _joined(late, *fills)


def _forecast(sheet: Sheet) -> Answer:
    found = _figures(
        sheet, ("rank IC", "rank_ic", "ratio"), ("hit rate", "hit_rate", "share"), ("base rate", "base_rate", "share"),
        ("permutation, p", "permutation_pvalue", "probability"),
    )  # fmt: skip
    drawn = Markup("decay, quantiles and calibration are drawn above") if sheet.figures else None
    return _joined(found, drawn)


def _splits(sheet: Sheet) -> Answer:
    names = ", ".join(
        f"{band.name} {band.start} to {band.end}"
        for band in sheet.description.bands
        if band.name not in (BEFORE, AFTER)
    )
    touched = _figures(sheet, ("configurations run on these data", "trials", "count"))
    return _joined(Markup("{}").format(names), touched) if names else None


def _cutoff(sheet: Sheet) -> Answer:
    cutoff = _setting(sheet, "model_cutoff")
    if not cutoff:
        return None
    rows = [(row["period"], row["sharpe"]) for row in sheet.periods if row["period"] in (BEFORE, AFTER)]
    parts = [Markup("Sharpe ratio {} {}").format(name, number(value)) for name, value in rows]
    return _joined(Markup("they end on {}").format(str(cutoff)), *parts)


def _cash(sheet: Sheet) -> Answer:
    rate = _setting(sheet, "cash_rate")
    if rate is None:
        return None
    text = Markup("cash earns and costs {} a year; taxes are not modelled").format(number(rate, "percent"))
    return _joined(text, _figures(sheet, ("interest", "interest", "money"), ("dividends", "dividends", "money")))


def _peer(sheet: Sheet) -> Answer:
    found = _figures(
        sheet, ("largest difference of the account value, as a fraction of it,", "peer_difference", "power"),
        ("sessions compared", "peer_sessions", "count"),
    )  # fmt: skip
    if found is None:
        return None
    beyond = sheet.metrics.get("peer_first_beyond")
    told = Markup("{}: {}").format(sheet.metrics.get("peer_simulator") or "the second simulator", found)
    return _joined(told, Markup("beyond the tolerance from {} on").format(beyond) if beyond else None)


QUESTIONS = (
    Question("When is the signal known, and at which price is it filled?", _contract),
    Question("What is left after costs, and at which cost would nothing be left?", _costs),
    Question("How many trials, and what remains of the result at that number?", _trials),
    Question("An interval of the Sharpe ratio, not a point?",
             lambda sheet: _bounds(sheet, "Sharpe ratio", "sharpe_interval")),
    Question("Compared with what?", _versus),
    Question("What is left without the market's own return?", _alpha),
    Question("By sub-period; without the best days and names?", _periods),
    Question("How far do seeds and folds lie apart?", _seeds),
    Question("Universe as of when; how many names died, and at which return?",
             lambda sheet: _counts(sheet, "assets", "delistings", "assets_without_prices", "long_gaps")),
    Question("Which prices: vintage, adjustment, digest?", _prices),
    Question("Missing, stale and holiday rows: how many, and what was done?", _missing),
    Question("Turnover, holding, exposure, names?", _turnover),
    Question("Capacity: which share of daily volume?", _capacity),
    Question("Borrow fees, and can these names be borrowed?", _borrow),
    Question("What does a late fill cost, and what another fill price?", _late),
    Question("Are the forecasts good before any portfolio?", _forecast),
    Question("Which time was for training, validation and test, and how often was test touched?", _splits),
    Question("Does the model's training data end before the test (language models)?", _cutoff),
    Question("Taxes, financing, interest on cash?", _cash),
    Question("Does a second simulator agree on the same orders?", _peer),
)  # fmt: skip
