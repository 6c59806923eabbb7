"""The figures of a tear sheet: those of metrics.json, each with what it is."""

from __future__ import annotations

from typing import NamedTuple

from scripts.backtest.tear_sheet.sheet import Sheet
from scripts.lib.figures import DEFINITIONS, Definition, words_of


class Figure(NamedTuple):
    """A figure on the page."""

    key: str
    label: str
    kind: str
    text: str
    value: object
    bounds: object


HEADLINES = (
    "total_return", "growth_rate", "sharpe", "excess_sharpe", "max_drawdown", "deflated_sharpe", "pbo", "trials",
    "turnover", "break_even_bps", "rank_ic", "random_beaten_share",
)  # fmt: skip


def figures_of(sheet: Sheet) -> list[Figure]:
    """All figures that metrics.json has, those without a value too, in the order of the definitions."""
    return [_figure(sheet, found) for found in DEFINITIONS if _known(sheet, found)]


def _known(sheet: Sheet, found: Definition) -> bool:
    return found.key in sheet.metrics or (bool(found.bounds) and found.bounds in sheet.metrics)


def _figure(sheet: Sheet, found: Definition) -> Figure:
    words = words_of(sheet.description.periods_a_year, sheet.description.period)
    bounds = sheet.bounds(found.bounds) if found.bounds else None
    label, text = (words_in.format(**words) for words_in in (found.label, found.text))
    return Figure(found.key, label, found.kind, text, sheet.metrics.get(found.key), bounds)


def headlines_of(figures: list[Figure]) -> list[Figure]:
    """The figures of the box at the top that have a value."""
    found = {figure.key: figure for figure in figures if figure.value is not None or figure.bounds is not None}
    return [found[key] for key in HEADLINES if key in found]
