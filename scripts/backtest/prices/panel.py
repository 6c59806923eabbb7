"""Daily prices as arrays: one row a session, one column an asset, NaN where an asset has no price."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Panel(NamedTuple):
    """Raw prices of all assets over all sessions."""

    sessions: Array  # (T,) datetime64[D], ascending
    assets: tuple[str, ...]  # (N,), ascending
    open: Array  # (T, N)
    close: Array  # (T, N)
    volume: Array  # (T, N), units traded; NaN where it is not known
    opens: Array | None = None  # (T,) datetime64[ns] UTC: when each session opens; None: at midnight UTC
    trading: Array | None = None  # (T, N) bool: whether the asset's own exchange has the session; None: always


class Event(NamedTuple):
    """Something that happens to an asset at the start of a session, before any order."""

    session: int
    asset: int
    value: float  # of a split: new units for one old; of a dividend: currency a unit; of a delisting: its return


class Events(NamedTuple):
    """Corporate actions, each list in order of its sessions."""

    splits: tuple[Event, ...] = ()
    dividends: tuple[Event, ...] = ()
    delistings: tuple[Event, ...] = ()


def opening_times(panel: Panel) -> Array:
    """(T,) instants, datetime64[ns] UTC, at which sessions open: of several exchanges that of the first one."""
    return panel.sessions.astype("datetime64[ns]") if panel.opens is None else panel.opens


def carried(prices: Array) -> Array:
    """Each price, or the last one before it where there is none; NaN before an asset's first price."""
    if np.isfinite(prices.sum()):
        return prices
    known = np.isfinite(prices)
    last = np.where(known, np.arange(len(prices))[:, None], 0)
    np.maximum.accumulate(last, axis=0, out=last)
    return np.take_along_axis(prices, last, axis=0)


def marks(panel: Panel, splits: tuple[Event, ...]) -> Array:
    """(T, N) closes at which positions are valued: the last one known, in units after the splits since."""
    closes = carried(panel.close)
    if closes is panel.close and splits:
        return closes
    for event in splits:
        later = np.isfinite(panel.close[event.session :, event.asset])
        end = event.session + (int(np.argmax(later)) if later.any() else len(later))
        closes[event.session : end, event.asset] /= event.value
    return closes


def last_sessions(panel: Panel) -> Array:
    """(N,) the last session at which each asset has a close, -1 where it has none."""
    known = np.isfinite(panel.close)
    last = len(known) - 1 - np.argmax(known[::-1], axis=0)
    return np.where(known.any(axis=0), last, -1)
