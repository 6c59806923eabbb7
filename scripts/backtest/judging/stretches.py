"""The account in pieces: by year or band, its drawdowns, and what is left without its best periods."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from scripts.backtest.judging.evidence import Evidence, Figures
from scripts.backtest.prices.panel import Array
from scripts.backtest.statistics import metrics
from scripts.lib.account import Band
from scripts.lib.errors import InputError

PERIODS = ("period", "return", "sharpe", "volatility", "max_drawdown", "turnover", "trades")
DRAWDOWNS = ("start", "trough", "end", "depth", "sessions", "recovery_sessions")
BEST = 10  # periods

Stretch = tuple[str, int, int]
"""Name, and the numbers of the first period and of the one after the last."""


def period_rows(evidence: Evidence) -> list[Figures]:
    """Rows of periods.csv: calendar years where figures are annualised, then bands; equal parts if there are none."""
    years = [] if evidence.description.periods_a_year is None or evidence.equity.intraday else list(_years(evidence))
    found = [*years, *_bands(evidence)] or list(_parts(evidence))
    return [_period(evidence, name, first, last) for name, first, last in found]


def _years(evidence: Evidence) -> Iterator[Stretch]:
    years = evidence.dates.astype("datetime64[Y]")
    for year in np.unique(years):
        yield str(year), int(np.searchsorted(years, year)), int(np.searchsorted(years, year, side="right"))


def _bands(evidence: Evidence) -> Iterator[Stretch]:
    for band in evidence.description.bands:
        first, last = (int(place) for place in np.searchsorted(evidence.dates, _edges(band)))
        if first < last:
            yield band.name, first, last


def _parts(evidence: Evidence) -> Iterator[Stretch]:
    count = min(evidence.settings.parts, len(evidence.dates))
    cuts = np.linspace(0, len(evidence.dates), count + 1).round().astype(int)
    for part, (first, last) in enumerate(pairwise(cuts)):
        yield f"part {part + 1} of {count}", int(first), int(last)


def _edges(band: Band) -> tuple[np.datetime64, np.datetime64]:
    """Begin of a band, and the instant after its end.

    Raises:
        InputError: one of them is no date or instant.
    """
    try:
        start, end = (np.datetime64(text.removesuffix("Z")) for text in (band.start, band.end))
    except ValueError:
        raise InputError(
            f"account.json: bands: {band.name}: {band.start} to {band.end}: not dates or instants"
        ) from None
    after = end + 1 if end.dtype == np.dtype("datetime64[D]") else end.astype("datetime64[ns]") + 1
    return start.astype("datetime64[ns]"), after.astype("datetime64[ns]")


def _period(evidence: Evidence, name: str, first: int, last: int) -> Figures:
    returns, path = evidence.returns[first:last], evidence.equity.equity[first : last + 1]
    traded = (evidence.trade_periods >= first) & (evidence.trade_periods < last)
    return {
        "period": name, "return": float(path[-1] / path[0] - 1), "sharpe": metrics.sharpe(returns, evidence.periods),
        "volatility": metrics.volatility(returns, evidence.periods), "max_drawdown": metrics.max_drawdown(path),
        "turnover": evidence.turnover(float(evidence.trade_values[traded].sum()), path), "trades": int(traded.sum()),
    }  # fmt: skip


def drawdown_rows(evidence: Evidence) -> list[Figures]:
    """Rows of drawdowns.csv, the deepest first: peak, trough, and the date at which the peak is reached again."""
    path = evidence.equity.equity
    peak = np.maximum.accumulate(path)
    under = path < peak
    edges = np.flatnonzero(np.diff(np.concatenate([[0], under.astype(np.int8), [0]])))
    begins, ends = edges[::2], edges[1::2]
    if not len(begins):
        return []
    depth = np.minimum.reduceat(path / peak - 1, begins)  # beyond a drawdown's end it is 0
    order = np.lexsort((begins, depth))[: evidence.settings.drawdowns]
    return [_drawdown(evidence, path, int(begins[each]), int(ends[each]), float(depth[each])) for each in order]


def _drawdown(evidence: Evidence, path: Array, begin: int, end: int, depth: float) -> Figures:
    """One that is under water from the row `begin` up to before the row `end`."""
    trough = begin + int(np.argmin(path[begin:end]))
    recovered = end < len(path)
    return {
        "start": evidence.text(begin - 1), "trough": evidence.text(trough),
        "end": evidence.text(end) if recovered else None, "depth": depth, "sessions": trough - begin + 1,
        "recovery_sessions": end - trough if recovered else None,
    }  # fmt: skip


def without_best(returns: Array, count: int = BEST) -> float | None:
    """Total return if the best periods had been 0; None where there are no others."""
    if len(returns) <= count:
        return None
    rest = np.sort(returns)[:-count]
    return float(np.prod(1 + rest) - 1)
