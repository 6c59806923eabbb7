"""What the template of a tear sheet is filled with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from scripts.backtest.tear_sheet.alarms import alarms_of
from scripts.backtest.tear_sheet.figures import figures_of, headlines_of
from scripts.backtest.tear_sheet.plots import Drawn, Missing
from scripts.backtest.tear_sheet.questions import answers_of
from scripts.backtest.tear_sheet.sheet import RANDOM, Sheet
from scripts.lib.figures import method_of, words_of
from scripts.lib.pages import as_number, download
from scripts.lib.tables import Row

# Column, heading and format of each table; a format of None is text.
Columns = tuple[tuple[str, str, str | None], ...]
COMPARISON: Columns = (
    ("name", "", None), ("total_return", "total return", "percent"), ("growth_rate", "growth", "percent"),
    ("sharpe", "Sharpe ratio", "ratio"), ("max_drawdown", "largest drawdown", "percent"),
    ("turnover", "turnover", "ratio"),
)  # fmt: skip
PERIODS: Columns = (
    ("period", "period", None), ("return", "return", "percent"), ("sharpe", "Sharpe ratio", "ratio"),
    ("volatility", "volatility", "percent"), ("max_drawdown", "largest drawdown", "percent"),
    ("turnover", "turnover", "ratio"), ("trades", "trades", "count"),
)  # fmt: skip
DRAWDOWNS: Columns = (
    ("start", "peak", "date"), ("trough", "trough", "date"), ("end", "recovered", "date"),
    ("depth", "depth", "percent"), ("sessions", "periods to the trough or end", "count"),
    ("recovery_sessions", "periods to recover", "count"),
)  # fmt: skip
TRADES: Columns = (
    ("date", "date", "date"), ("asset", "asset", None), ("units", "units", "digits"), ("price", "price", "digits"),
    ("fee", "fee", "money"), ("slippage", "slippage", "money"), ("kind", "kind", None),
)  # fmt: skip
STRESS: Columns = (
    ("family", "what was changed", None), ("setting", "to", None), ("total_return", "total return", "percent"),
    ("sharpe", "Sharpe ratio", "ratio"), ("low", "low", "ratio"), ("high", "high", "ratio"),
    ("turnover", "turnover", "ratio"), ("final_equity", "value at the end", "money"),
)  # fmt: skip
SHOWN_DRAWDOWNS = 5


def values_of(sheet: Sheet, drawn: list[Drawn], missing: list[Missing], files: list[Path]) -> dict[str, Any]:
    """All that the template names.

    Args:
        sheet: the inputs.
        drawn: plots of the page, in its order.
        missing: what was not drawn, and why.
        files: that the page offers or names.
    """
    figures = figures_of(sheet)
    return {
        "sheet": sheet.description,
        "metrics": sheet.metrics,
        "start": _moment(sheet, 0),
        "end": _moment(sheet, -1),
        "words": words_of(sheet.description.periods_a_year, sheet.description.period),
        "alarms": alarms_of(sheet),
        "headlines": headlines_of(figures),
        "figures": figures,
        "method": method_of(sheet.metrics),
        "comparison": compared(sheet.comparison),
        "excess": any("excess_sharpe_low" in row for row in sheet.comparison),
        "sections": sections(drawn),
        "tables": {"comparison": COMPARISON, "periods": PERIODS, "drawdowns": DRAWDOWNS, "trades": TRADES,
                   "stress": STRESS},
        "periods": sheet.periods,
        "drawdowns": sheet.drawdowns[:SHOWN_DRAWDOWNS],
        "stress": sheet.stress,
        "trades": sample(sheet),
        "trade_count": len(sheet.trades.dates),
        "answers": answers_of(sheet),
        "missing": [*missing, *not_given(sheet)],
        "downloads": {path.name: download(path, sheet.settings.embed_mb) for path in files},
        "embed_mb": sheet.settings.embed_mb,
        "settings": flattened(sheet.description.settings),
    }  # fmt: skip


def _moment(sheet: Sheet, row: int) -> str:
    return _text(sheet, sheet.equity.dates[row])


def _text(sheet: Sheet, date: np.datetime64) -> str:
    """A date, or an instant to the second, as the files write it."""
    text = str(date.astype("datetime64[s]"))
    return f"{text}Z" if sheet.equity.intraday else text[:10]


def compared(rows: list[Row]) -> list[Row]:
    """The rows of comparison.csv, random runs left out but for their best and median; these are all in the CSV."""
    random = [row for row in rows if RANDOM.fullmatch(row["name"])]
    kept = [row for row in rows if not RANDOM.fullmatch(row["name"])]
    ordered = sorted(random, key=lambda row: (-(as_number(row["total_return"]) or 0.0), row["name"]))
    if not ordered:
        return kept
    best, middle = ordered[0], ordered[len(ordered) // 2]
    named = [{**best, "name": f"{best['name']} (best of {len(ordered)})"}]
    return kept + named + ([{**middle, "name": f"{middle['name']} (middle)"}] if len(ordered) > 2 else [])


def sections(drawn: list[Drawn]) -> list[tuple[str, list[Drawn]]]:
    """Plots by section, in their order."""
    names = dict.fromkeys(each.plot.section for each in drawn)
    return [(name, [each for each in drawn if each.plot.section == name]) for name in names]


def sample(sheet: Sheet) -> list[Row]:
    """Evenly spaced trades, the first and the last among them."""
    trades, count = sheet.trades, sheet.settings.trades_shown
    places = np.unique(np.linspace(0, len(trades.dates) - 1, min(count, len(trades.dates))).round().astype(int))
    return [
        {
            "date": _text(sheet, trades.dates[place]), "asset": str(trades.assets[place]),
            "kind": str(trades.kind[place]),
            **{name: repr(float(getattr(trades, name)[place])) for name in ("units", "price", "fee", "slippage")},
        }
        for place in places
    ]  # fmt: skip


def not_given(sheet: Sheet) -> Iterable[Missing]:
    """Parts of a backtest that were not run, where no plot tells of it."""
    for given, title, reason in (
        (sheet.stress, "Stress", "other costs, delays and planted signals were not run"),
        (sheet.figures, "Forecasts", "evaluate_predictions was not run on these predictions"),
        (sheet.causality, "Causality", "check_causality was not run"),
        (sheet.sweep, "Sweep", "no sweep over settings, seeds and folds was run"),
        (sheet.positions, "Positions", "the account has no positions.parquet: names held are not drawn"),
    ):
        if not given:
            yield Missing(title, reason)


def flattened(settings: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Settings as (dotted key, text), in order of the keys."""
    found: list[tuple[str, str]] = []
    for key in sorted(settings):
        value = settings[key]
        if isinstance(value, dict):
            found += flattened(value, f"{before}{key}.")
        else:
            found.append((f"{before}{key}", "none" if value is None else str(value)))
    return found
