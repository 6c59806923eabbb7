"""What looks wrong with prices. Nothing is repaired: it is counted, and the first of each kind is named."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scripts.backtest.prices.panel import Array, Events, Panel, last_sessions, marks

SPLIT_RATIO = 1.4  # the least move that may be a split: 3 for 2, less what the market did
SPLIT_TOLERANCE = 0.025  # of the ratios 3/2, 2, 3, 4 …: an unadjusted split looks like one at the open or the close
SURELY = 5.0  # a move by this factor is told whatever the ratio
SPIKE_RATIO = 1.3
LONG_GAP = 60  # sessions; a name that comes back after so many is taken for another company
SAME = 1e-6  # relative: what printing and adjusting leave of equal prices
ONE_FACTOR = 2e-3  # relative: what rounding to cents leaves of a constant factor


def missing_prices(panel: Panel) -> int:
    """Cells without an open or a close from an asset's first close to its last, its exchange being open."""
    known = np.isfinite(panel.close)
    first, rows = np.argmax(known, axis=0), np.arange(len(known))[:, None]
    alive = (rows >= first) & (rows <= last_sessions(panel))
    if panel.trading is not None:
        alive &= panel.trading
    return int((alive & ~(known & np.isfinite(panel.open))).sum())


def stale_bars(panel: Panel) -> int:
    """Bars whose open and close are the close before, to the digit, and in which no unit is known to be traded."""
    same = (panel.open[1:] == panel.close[1:]) & (panel.close[1:] == panel.close[:-1])
    return int((same & ~(panel.volume[1:] > 0)).sum())


def price_spikes(panel: Panel) -> list[str]:
    """Opens and closes that differ by 1.3 or more, to one side, from the price before and from the one after."""
    both = np.stack([panel.open, panel.close], axis=1).reshape(-1, len(panel.assets))
    with np.errstate(invalid="ignore", divide="ignore"):
        came, went = np.log(both[1:-1] / both[:-2]), np.log(both[1:-1] / both[2:])
    least = np.log(SPIKE_RATIO)
    spike = ((came >= least) & (went >= least)) | ((came <= -least) & (went <= -least))
    return [
        f"{panel.assets[asset]} at the {('open', 'close')[(row + 1) % 2]} of {panel.sessions[(row + 1) // 2]}"
        for row, asset in np.argwhere(spike)
    ]


def pauses(panel: Panel) -> list[tuple[int, int, int]]:
    """(asset, last session before, first session after) of assets without a price for 60 sessions or more."""
    found = []
    for asset in range(len(panel.assets)):
        rows = np.flatnonzero(np.isfinite(panel.close[:, asset]))
        found += [(asset, int(rows[at]), int(rows[at + 1])) for at in np.flatnonzero(np.diff(rows) > LONG_GAP)]
    return found


def long_gaps(panel: Panel) -> list[str]:
    """The pauses in words."""
    return [
        f"{panel.assets[asset]} from {panel.sessions[last]} to {panel.sessions[back]}"
        for asset, last, back in pauses(panel)
    ]


def suspected_splits(panel: Panel, events: Events) -> list[tuple[str, str, float]]:
    """(asset, date, factor) of moves from one close to the next that no split explains but that look like one.

    Open and close are both away from the close before by 3/2, 2, 3, 4 … or their reciprocals, or by 5 and more. Told
    splits are taken out first, so that one that the prices hold already, or one upside down, is found too. Raw prices
    with a split that nobody told look like this, two vintages of adjusted prices joined, and a name used again.
    """
    before = marks(panel, events.splits)[:-1].copy()
    for event in events.splits:
        if event.session:
            before[event.session - 1, event.asset] /= event.value
    with np.errstate(invalid="ignore", divide="ignore"):
        at_close = panel.close[1:] / before
        at_open = np.where(np.isfinite(panel.open[1:]), panel.open[1:] / before, at_close)
    sizes = [np.exp(np.abs(np.log(moves))) for moves in (at_open, at_close)]
    large = (sizes[0] >= SPLIT_RATIO) & (sizes[1] >= SPLIT_RATIO) & ((at_open > 1) == (at_close > 1))
    suspect = large & (_near_ratio(sizes[0]) | _near_ratio(sizes[1]) | (sizes[1] >= SURELY))
    return [
        (panel.assets[asset], str(panel.sessions[row + 1]), float(at_close[row, asset]))
        for row, asset in np.argwhere(suspect)
    ]


def _near_ratio(sizes: Array) -> Array:
    ratios = np.where(sizes < 1.75, 1.5, np.round(sizes))
    near: Array = np.abs(sizes / ratios - 1) < SPLIT_TOLERANCE
    return near


class Vintage(NamedTuple):
    """What became of an asset's bars since an earlier vintage."""

    gone: int  # bars without a close now
    different: int  # bars of which open or close differ
    adjusted: bool  # all different bars by one factor: a split or dividend adjustment, which raw prices do not have
    words: str  # the first difference; empty where there is none


def vintages(panel: Panel, earlier: Panel) -> list[Vintage]:
    """What became of each asset of an earlier vintage of the prices."""
    _, now, then = np.intersect1d(panel.sessions, earlier.sessions, return_indices=True)
    places = {name: place for place, name in enumerate(panel.assets)}
    return [_vintage(panel, earlier, places.get(name), place, now, then) for place, name in enumerate(earlier.assets)]


def _vintage(panel: Panel, earlier: Panel, asset: int | None, place: int, now: Array, then: Array) -> Vintage:
    name, up_to_end = earlier.assets[place], earlier.sessions <= panel.sessions[-1]
    bars = int(np.isfinite(earlier.close[up_to_end, place]).sum())
    if asset is None:
        return Vintage(bars, 0, False, f"{name} is gone")
    old = np.stack([earlier.close[then, place], earlier.open[then, place]])
    new = np.stack([panel.close[now, asset], panel.open[now, asset]])
    gone = bars - int(np.isfinite(old[0] + new[0]).sum())
    ratios = new / old
    different = (np.abs(ratios - 1) > SAME).any(axis=0)
    if not different.any():
        return Vintage(gone, 0, False, f"{name}: {gone} bars are gone" if gone else "")
    factors, row = ratios[:, different], int(np.argmax(different))
    adjusted = bool(np.nanmax(factors) / np.nanmin(factors) - 1 < ONE_FACTOR)
    how = f"all by {np.nanmedian(factors):.6g}: an adjustment" if adjusted else "by no one factor"
    at = int(not abs(ratios[0, row] - 1) > SAME)
    words = (
        f"{name} on {panel.sessions[now[row]]}: {('close', 'open')[at]} {old[at, row]:g}, now {new[at, row]:g}"
        f" ({int(different.sum())} bars differ, {how})"
    )
    return Vintage(gone, int(different.sum()), adjusted, words)
