"""The rows of the overview: all numbers of the page, which is filled from them alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from scripts.lib.figures import DEFINITIONS, Definition, method_of, words_of
from scripts.lib.pages import as_number
from scripts.lib.tables import Row
from scripts.report.backtests import Backtest
from scripts.report.settings import OverviewSettings
from scripts.report.verdicts import STATUSES, Check, Verdict, worst

COLUMNS = ("kind", "line", "subject", "figure", "value", "low", "high", "n", "unit", "threshold", "status", "text")
HEADLINES = (
    "total_return", "sharpe", "excess_sharpe", "max_drawdown", "deflated_sharpe", "pbo", "trials", "turnover",
)  # fmt: skip
OF_BENCHMARK = ("total_return", "sharpe", "max_drawdown", "turnover")
NOTHING = "nothing was run"


class Headline(NamedTuple):
    """A figure with its interval."""

    key: str
    kind: str  # of its number
    value: object
    low: object
    high: object


class Card(NamedTuple):
    """A backtest on the page."""

    name: str
    line: str
    unit: str
    figures: dict[str, Headline]
    benchmark: str
    benchmarks: dict[str, Headline]  # its figures
    causality: str
    reason: str
    simulated: bool
    n: object  # returns behind its intervals
    page: str


class Line(NamedTuple):
    """A line of the workflow on the page."""

    name: str
    state: str  # the worst of its gates, or "no gate", or that nothing was run
    backtests: int
    gates: dict[str, int]  # how many of each status
    looked_ahead: str  # worst of its checks for look-ahead


class Unit(NamedTuple):
    """Definitions of the figures under one way to annualise."""

    heading: str
    method: str
    definitions: list[tuple[str, str, str]]  # key, label, text


def card_of(backtest: Backtest) -> Card:
    """What is shown of a backtest."""
    known = backtest.metrics
    words = words_of(backtest.description.periods_a_year, backtest.description.period)
    defined = {found.key: found for found in DEFINITIONS}
    figures = {key: _headline(known, defined[key]) for key in HEADLINES}
    row = backtest.benchmark
    others = _of_benchmark(row, defined) if row else {}
    return Card(
        backtest.name, backtest.description.line, words["year"], figures, row["name"] if row else "", others,
        backtest.causality, backtest.reason, backtest.description.simulated, known.get("n"), backtest.page,
    )  # fmt: skip


def _of_benchmark(row: Row, defined: dict[str, Definition]) -> dict[str, Headline]:
    bounds = {"sharpe": (row["low"], row["high"])}
    return {key: Headline(key, defined[key].kind, row[key], *bounds.get(key, (None, None))) for key in OF_BENCHMARK}


def _headline(metrics: dict[str, Any], found: Definition) -> Headline:
    bounds = metrics.get(found.bounds) if found.bounds else None
    low, high = bounds if isinstance(bounds, list) and len(bounds) == 2 else (None, None)
    return Headline(found.key, found.kind, as_number(metrics.get(found.key)), as_number(low), as_number(high))


def lines_of(settings: OverviewSettings, cards: list[Card], verdicts: list[Verdict]) -> list[Line]:
    """The lines of the settings, then any other that something was run of."""
    names = dict.fromkeys([*settings.lines, *(card.line for card in cards), *(verdict.line for verdict in verdicts)])
    return [_line(name, cards, verdicts) for name in names]


def _line(name: str, cards: list[Card], verdicts: list[Verdict]) -> Line:
    mine = [card for card in cards if card.line == name]
    statuses = [verdict.status for verdict in verdicts if verdict.line == name]
    order = ("fail", "not checked", "pass")
    looked = min((card.causality for card in mine), key=order.index) if mine else ""
    state = worst(statuses) or ("no gate" if mine else NOTHING)
    return Line(name, state, len(mine), {status: statuses.count(status) for status in reversed(STATUSES)}, looked)


def units_of(backtests: list[Backtest]) -> list[Unit]:
    """Definitions for each way to annualise that occurs."""
    found: dict[str, Unit] = {}
    for backtest in backtests:
        words = words_of(backtest.description.periods_a_year, backtest.description.period)
        if words["figures"] not in found:
            rows = [(each.key, each.label.format(**words), each.text.format(**words)) for each in DEFINITIONS
                    if each.key in HEADLINES]  # fmt: skip
            found[words["figures"]] = Unit(words["figures"], _method(backtest), rows)
    return list(found.values())


def _method(backtest: Backtest) -> str:
    """How intervals were made; n is each backtest's own."""
    return method_of({key: value for key, value in backtest.metrics.items() if key != "n"})


def rows_of(
    lines: list[Line], cards: list[Card], verdicts: list[Verdict], settings: OverviewSettings
) -> Iterator[tuple[object, ...]]:
    """overview.csv."""
    for line in lines:
        yield _row("line", line.name, "", "backtests", line.backtests, status=line.state)
        for status, count in line.gates.items():
            yield _row("line", line.name, "", f"gates {status}", count, status=line.state)
    for card in cards:
        yield from _figures("backtest", card, card.name, card.figures)
        yield _row("backtest", card.line, card.name, "causality", status=card.causality, text=card.reason)
        yield from _figures("benchmark", card, f"{card.name}/{card.benchmark}", card.benchmarks)
    for verdict in verdicts:
        subject = f"{verdict.stage}/{verdict.subject}"
        yield _row("gate", verdict.line, subject, "checks", len(verdict.checks), status=verdict.status)
        for check in verdict.checks:
            yield _check(verdict, subject, check)
    for text in settings.not_run:
        yield _row("not run", text=text)


def _figures(kind: str, card: Card, subject: str, figures: dict[str, Headline]) -> Iterator[tuple[object, ...]]:
    for each in figures.values():
        n = card.n if each.low is not None and kind == "backtest" else None
        yield _row(kind, card.line, subject, each.key, each.value, each.low, each.high, n, card.unit)


def _check(verdict: Verdict, subject: str, check: Check) -> tuple[object, ...]:
    text = "; ".join([check.reason, *(f"{key}: {value}" for key, value in check.waiver.items())]).strip("; ")
    return _row("check", verdict.line, subject, check.name, check.value, check.low, check.high, check.n,
                threshold=check.threshold, status=check.status, text=text)  # fmt: skip


def _row(
    kind: str, line: str = "", subject: str = "", figure: str = "", value: object = None, low: object = None,
    high: object = None, n: object = None, unit: str = "", threshold: object = None, status: str = "", text: str = "",
) -> tuple[object, ...]:  # fmt: skip
    return (kind, line, subject, figure, value, low, high, n, unit, threshold, status, text)
