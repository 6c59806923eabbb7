"""Other signals in place of the predictions, at the same instants and for the same assets: what they are measured by.

Signals are (R, N), NaN where an asset has none; dates and names are those of the predictions.
"""

from __future__ import annotations

import numpy as np

from scripts.backtest.prices.panel import Array, carried, marks, opening_times
from scripts.backtest.statistics.forecasts import forward_returns
from scripts.backtest.trading.planning import Market, forward_adjusted, total_returns
from scripts.backtest.trading.predictions import Predictions, decided_sessions, fill_sessions
from scripts.backtest.trading.settings import BacktestSettings

LATELY = 4  # dates for which an asset without a signal still belongs to the others


def renamed(signals: Array, members: Array, random: np.random.Generator) -> Array:
    """The same rows of signals with the assets' identities exchanged once for all dates.

    The assets stand in a circle in random order, and each takes the signal, or the lack of one, of the member before
    it. So every date keeps its signals, and a member that comes or goes changes the signals of two: turnover and
    autocorrelation stay what they are, only what the signals know is lost.

    Args:
        signals: (R, N).
        members: (R, N) bool, those with a signal among them.
        random: of the circle.
    """
    circle = random.permutation(signals.shape[1])
    found = np.full(signals.shape, np.nan)
    for row, belong in enumerate(members):
        places = circle[belong[circle]]
        found[row, places] = signals[row, np.roll(places, 1)]
    return found


def members_of(known: Predictions, market: Market) -> Array:
    """(R, N) bool: the assets with a signal, and those that had one lately and still have a close.

    A signal that is missing for a date or two so stays a gap of its own, wherever it is dealt.
    """
    panel, signalled = market.panel, np.isfinite(known.signals)
    last = decided_sessions(known, panel, opening_times(panel))
    priced = np.isfinite(panel.close[np.maximum(last, 0)]) & (last >= 0)[:, None]
    lately = signalled.copy()
    for late in range(1, LATELY + 1):
        lately[late:] |= signalled[:-late]
    found: Array = signalled | (lately & priced)
    return found


def dealt_anew(signals: Array, random: np.random.Generator) -> Array:
    """The signals of each date dealt at random among the assets that have one on that date."""
    found = np.full(signals.shape, np.nan)
    for row, known in enumerate(np.isfinite(signals)):
        found[row, known] = random.permutation(signals[row, known])
    return found


def past_returns(known: Predictions, market: Market, sessions: int) -> Array:
    """(R, N) return of each asset over the last closes known at each instant; NaN where they are too few.

    Args:
        known: the predictions.
        market: prices and events.
        sessions: over which the return is taken.
    """
    panel = market.panel
    closes = forward_adjusted(marks(panel, market.events.splits), market.events)
    last = decided_sessions(known, panel, opening_times(panel))
    found = np.full(known.signals.shape, np.nan)
    enough = last >= sessions
    found[enough] = closes[last[enough]] / closes[last[enough] - sessions] - 1
    return _where(known.signals, found)


def returns_to_come(known: Predictions, market: Market, settings: BacktestSettings) -> Array:
    """(R, N) return of each asset while it will be held: from its fill to that of the next date, of tranches over the
    horizon. It knows the future, and must earn.
    """
    panel = market.panel
    prices = carried(total_returns(panel.close if settings.fill == "next_close" else panel.open, panel, market.events))
    fills = np.minimum(fill_sessions(known, panel, opening_times(panel)), len(panel.sessions))
    if settings.portfolio.tranches:
        until = fills + known.horizons
    else:
        later = np.searchsorted(fills, fills, side="right")
        until = np.append(fills, len(panel.sessions))[later]
    until = np.minimum(until, len(panel.sessions) - 1)
    return _where(known.signals, forward_returns(prices, fills, np.maximum(until - fills, 0)))


def _where(signals: Array, values: Array) -> Array:
    """Values of the assets that have a signal."""
    found: Array = np.where(np.isfinite(signals) & np.isfinite(values), values, np.nan)
    return found
