"""What a reader must know before any figure: in red what voids a result, in amber what weakens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from scripts.backtest.tear_sheet.sheet import Sheet
from scripts.backtest.trading.cutoff import cutoff_of
from scripts.lib.pages import short_date, written

RED, AMBER = "red", "amber"
DAYS_A_YEAR, WRONG_YEAR = 365.25, 0.1  # of the periods a year: holidays make less
TOO_GOOD, FEW_RETURNS, LUCK, CONTROL = 3.0, 252, 0.95, 1.0


DOUBTS = {  # counts of account.json that make prices doubtful
    "price_spikes": "prices jump and come back",
    "contradicting_bars": "bars contradict themselves, such as a high below the close",
    "long_gaps": "names have no price for months and then one again: other companies under old names?",
    "vintage_differences": "bars differ from an earlier vintage of the prices",
}


class Alarm(NamedTuple):
    """A warning on the page."""

    colour: str
    text: str


def alarms_of(sheet: Sheet) -> list[Alarm]:
    """All warnings, red ones first."""
    found = [alarm for check in CHECKS for alarm in check(sheet)]
    return sorted(found, key=lambda alarm: alarm.colour != RED)


def _causality(sheet: Sheet) -> Iterator[Alarm]:
    status = sheet.metrics.get("causality", "not checked")
    if sheet.causality is not None:
        status = sheet.causality.get("status", status)
    if status == "fail":
        yield Alarm(RED, f"Look-ahead: what was known at a time changes with data after it{_offence(sheet)}.")
    elif status != "pass":
        reason = (sheet.causality or {}).get("reason")
        why = f" ({reason})" if reason else ""
        yield Alarm(RED, f"Look-ahead was not checked{why}: nothing shows that the signals do not know the future.")


def _offence(sheet: Sheet) -> str:
    """The first offence in words."""
    offences: list[dict[str, Any]] = (sheet.causality or {}).get("offences") or []
    if not offences:
        return ""
    first = offences[0]
    of = f" of {first['key']}" if first.get("key") else ""
    return (
        f"; first: {first.get('artifact')}, {first.get('column')}{of} at {first.get('at')} depends on what came after"
        f" {first.get('cut')} (reaches back {first.get('reach_back')}: {first.get('reads')})"
    )


def _account(sheet: Sheet) -> Iterator[Alarm]:
    if sheet.description.simulated:
        yield Alarm(RED, "Simulated prices: this says that the machinery works, and nothing of any market.")
    if sheet.ruined:
        row = int(np.argmax(sheet.equity.equity <= 0))
        moment = short_date(str(sheet.equity.dates[row]).removesuffix("T00:00:00.000000000"))
        yield Alarm(RED, f"Ruined: the account value fell to 0 or below on {moment}; figures end there.")
    if closed := sheet.description.counts.get("closed_for_good_after_decision"):
        yield Alarm(RED, f"Most of the capital was lost: the account was closed for good at {sheet.description.period}"
                         f" {written(closed, 'count')}.")  # fmt: skip
    if not len(sheet.trades.dates):
        yield Alarm(RED, "Nothing was traded.")
    if sheet.description.counts.get("suspected_splits"):
        count = written(sheet.description.counts["suspected_splits"], "count")
        yield Alarm(RED, f"{count} price moves look like splits that nobody told: their profits may be false.")


def _cutoff(sheet: Sheet) -> Iterator[Alarm]:
    cutoff = cutoff_of(sheet.description)
    if cutoff is not None and (known := int((sheet.dates <= cutoff).sum())):
        yield Alarm(RED, f"Up to {cutoff} the model may have read in training what happened: {known} of"
                         f" {len(sheet.dates)} periods are no evidence.")  # fmt: skip


def _prices(sheet: Sheet) -> Iterator[Alarm]:
    for key, text in DOUBTS.items():
        if count := sheet.description.counts.get(key):
            yield Alarm(AMBER, f"{written(count, 'count')} {text}.")


def _size(sheet: Sheet) -> Iterator[Alarm]:
    if len(sheet.returns) < FEW_RETURNS:
        yield Alarm(AMBER, f"Short: {len(sheet.returns)} returns; intervals from so few are themselves uncertain.")
    trials = sheet.metric("trials")
    if trials is not None and trials < 2:
        yield Alarm(
            AMBER, "The ledger counts one configuration: what was tried elsewhere is not in the deflated figures."
        )


def _year(sheet: Sheet) -> Iterator[Alarm]:
    """Whether a year has as many periods as figures are annualised by; no say on less than a year."""
    told, days = sheet.description.periods_a_year, sheet.span_days
    if told is None or days < DAYS_A_YEAR:
        return
    seen = (len(sheet.equity.dates) - 1) / days * DAYS_A_YEAR
    if abs(seen / told - 1) > WRONG_YEAR:
        yield Alarm(AMBER, f"Figures a year count {told:g} {sheet.description.period}s, the account has {seen:.0f}:"
                           f" ratios a year are off by a factor of {(told / seen) ** 0.5:.2f}.")  # fmt: skip


def _luck(sheet: Sheet) -> Iterator[Alarm]:
    bounds, excess, chance = (
        sheet.bounds("sharpe_interval"),
        sheet.bounds("excess_sharpe_interval"),
        sheet.metric("deflated_sharpe"),
    )
    if bounds and bounds[0] <= 0 <= bounds[1]:
        yield Alarm(AMBER, "The interval of the Sharpe ratio holds 0.")
    if excess and excess[0] <= 0:
        yield Alarm(AMBER, f"Not shown to be better than {sheet.metrics.get('best_benchmark') or 'the best benchmark'}:"
                           " the interval of the difference reaches 0.")  # fmt: skip
    if chance is not None and chance < LUCK:
        yield Alarm(AMBER, f"Deflated Sharpe ratio {written(chance, 'probability')}, below {LUCK}: as many worthless"
                           " trials could show as much.")  # fmt: skip
    if (share := sheet.metric("pbo")) is not None and share >= 0.5:
        yield Alarm(
            RED, f"Probability of overfitting {written(share, 'probability')}: choosing the best trial chose luck."
        )


def _controls(sheet: Sheet) -> Iterator[Alarm]:
    ratio, control, shuffled = (sheet.metric(key) for key in ("sharpe", "positive_control_sharpe", "shuffled_sharpe"))
    if control is not None and (control <= 0 or control < (ratio or 0)):
        yield Alarm(
            RED, "The true label traded as the signal does not earn more than the signal: the machinery is broken."
        )
    if shuffled is not None and ratio is not None and 0 < ratio <= shuffled:
        yield Alarm(RED, "Shuffled labels earn as much as the signal.")
    if ratio is not None and ratio > TOO_GOOD and sheet.description.periods_a_year:
        yield Alarm(
            RED, f"A Sharpe ratio above {TOO_GOOD:g} a year after costs is more often an error than a discovery."
        )
    if beyond := sheet.metrics.get("peer_first_beyond"):
        yield Alarm(
            RED, f"A second simulator does not agree on the same orders, from {beyond} on: one of the two is wrong."
        )
    late = sheet.metric("lag_1_sharpe")
    if late is not None and ratio is not None and ratio > 0 and late < ratio / 2:
        yield Alarm(
            AMBER, "One period later less than half of the Sharpe ratio is left: look at when the signal is known."
        )


def _profit(sheet: Sheet) -> Iterator[Alarm]:
    total, before = sheet.metric("total_return"), sheet.metric("gross_total_return")
    if total is not None and before is not None and total <= 0 < before:
        yield Alarm(AMBER, "Costs took the whole profit.")
    for key, what in (("return_without_best_10", "10 best periods"), ("return_without_best_3_names", "3 best names")):
        left = sheet.metric(key)
        if total is not None and left is not None and left <= 0 < total:
            yield Alarm(AMBER, f"Without the {what} nothing was earned.")


CHECKS: tuple[Callable[[Sheet], Iterator[Alarm]], ...] = (
    _account,
    _causality,
    _cutoff,
    _year,
    _controls,
    _luck,
    _profit,
    _prices,
    _size,
)
