"""Portfolio rules: signals of one date to target weights.

Every rule ranks the assets that have a signal on that date; equal signals rank by the asset's name, so that the order
of rows in a file changes nothing. Weights are fractions of the account value.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scripts.backtest.prices.panel import Array, carried
from scripts.backtest.trading.settings import Portfolio

DUST = 1e-12  # what is left of equal signals less their mean, relative to the signals


def weights_of(signals: Array, portfolio: Portfolio) -> Array:
    """(R, N) target weights of signals (R, N), NaN where an asset has none."""
    rows = {
        "quantile": _quantile, "top_k": _top_k, "proportional": _proportional, "equal": _equal, "given": _given,
    }[portfolio.rule](signals, portfolio)  # fmt: skip
    return limited(np.array(list(rows)).reshape(signals.shape), portfolio)


def _quantile(signals: Array, portfolio: Portfolio) -> Iterator[Array]:
    """Long the floor(q N) largest signals, short as many of the smallest; half the gross a side."""
    for row in signals:
        order = _ranked(row)
        count = int(portfolio.quantile * len(order) + 1e-9)  # 0.1 x 30 is 3, though the product is 2.9999…
        weights = np.zeros(len(row))
        if count:
            sides = 1 if portfolio.long_only else 2
            weights[order[len(order) - count :]] = portfolio.gross / sides / count
            if not portfolio.long_only:
                weights[order[:count]] = -portfolio.gross / sides / count
        yield weights


def _top_k(signals: Array, portfolio: Portfolio) -> Iterator[Array]:
    """Hold the k largest signals, equal weights; of the names held, at most `dropout` leave a date.

    Names leave when they have no signal any more, or when they are among the worst held ones and a better one is at
    hand (TopkDropoutStrategy of qlib).
    """
    held: list[int] = []
    for row in signals:
        best = _ranked(row)[::-1].tolist()
        place = {asset: rank for rank, asset in enumerate(best)}
        held = sorted((asset for asset in held if asset in place), key=place.__getitem__)
        free = [asset for asset in best if asset not in held]
        drops = len(held) if portfolio.dropout is None else min(portfolio.dropout, len(held))
        for _ in range(drops):
            if not free or len(held) < portfolio.k or place[free[0]] > place[held[-1]]:
                break
            held[-1] = free.pop(0)
            held.sort(key=place.__getitem__)
        held += free[: max(portfolio.k - len(held), 0)]
        weights = np.zeros(len(row))
        weights[held] = portfolio.gross / portfolio.k
        yield weights


def _proportional(signals: Array, portfolio: Portfolio) -> Iterator[Array]:
    """Weights in proportion to the signal, less its mean where the book is to be neutral; they add up to the gross."""
    for row in signals:
        known = np.isfinite(row)
        weights = np.where(known, row, 0.0)
        if portfolio.neutral and known.any():
            weights = np.where(known, row - row[known].mean(), 0.0)
            weights[np.abs(weights) < DUST * np.abs(row[known]).max()] = 0.0
        if portfolio.long_only:
            weights = np.maximum(weights, 0.0)
        total = np.abs(weights).sum()
        yield weights * (portfolio.gross / total) if total > 0 else np.zeros(len(row))


def _equal(signals: Array, portfolio: Portfolio) -> Iterator[Array]:
    """Equal weights of all assets that have a signal, whatever it says."""
    for row in signals:
        known = np.isfinite(row)
        yield np.where(known, portfolio.gross / max(int(known.sum()), 1), 0.0)


def _given(signals: Array, portfolio: Portfolio) -> Iterator[Array]:
    """The signal is the weight."""
    yield from np.nan_to_num(signals, nan=0.0)


def _ranked(row: Array) -> Array:
    """Assets that have a signal, from the smallest to the largest; of equal ones the first name first."""
    count = int(np.isfinite(row).sum())
    order: Array = np.argsort(row)[:count]  # NaN comes last; a stable sort takes three times as long
    ranked = row[order]
    return np.argsort(row, kind="stable")[:count] if (ranked[1:] == ranked[:-1]).any() else order


def limited(weights: Array, portfolio: Portfolio) -> Array:
    """Cut weights to the limits: each weight first, then the net, then the gross. Nothing is given to other names."""
    if portfolio.max_weight is not None:
        weights = np.clip(weights, -portfolio.max_weight, portfolio.max_weight)
    if portfolio.max_net is not None:
        weights = _net_limited(weights, portfolio.max_net)
    if portfolio.max_gross is not None:
        gross = np.abs(weights).sum(axis=1, keepdims=True)
        weights = weights * np.minimum(1.0, portfolio.max_gross / np.maximum(gross, 1e-300))
    return weights


def _net_limited(weights: Array, most: float) -> Array:
    """Scale the larger side of each row down until the net is within the limit."""
    longs, shorts = np.maximum(weights, 0).sum(axis=1), np.maximum(-weights, 0).sum(axis=1)
    long_scale = np.minimum(1.0, (shorts + most) / np.maximum(longs, 1e-300))
    short_scale = np.minimum(1.0, (longs + most) / np.maximum(shorts, 1e-300))
    scaled: Array = np.where(weights > 0, weights * long_scale[:, None], weights * short_scale[:, None])
    return scaled


def volatility_scaled(
    weights: Array, decided: Array, closes: Array, portfolio: Portfolio, sessions_a_year: float
) -> Array:
    """Scale each row of weights so that its volatility over the sessions before the decision is the target.

    Args:
        weights: (R, N).
        decided: (R,) the last session whose close is known when the weights are decided.
        closes: (T, N) adjusted for splits; NaN where there is no price.
        portfolio: target (a year), sessions, and the largest gross that scaling may lead to.
        sessions_a_year: by which the volatility of a session becomes that of a year.
    """
    if portfolio.volatility_target is None:
        return weights
    scaled, filled = weights.copy(), carried(closes)
    most = portfolio.max_gross if portfolio.max_gross is not None else portfolio.gross
    for row, last in enumerate(decided):
        window = filled[max(last - portfolio.volatility_sessions, 0) : last + 1]
        held = np.flatnonzero(weights[row])
        with np.errstate(invalid="ignore", divide="ignore"):
            returns = np.nan_to_num(np.diff(window[:, held], axis=0) / window[:-1, held]) @ weights[row, held]
        volatility = returns.std(ddof=1) * np.sqrt(sessions_a_year) if len(returns) > 1 else 0.0
        gross = np.abs(weights[row]).sum()
        if volatility > 0 and gross > 0:
            scaled[row] *= min(portfolio.volatility_target / volatility, most / gross)
    return scaled


def tranches(sessions: Array, weights: Array, horizons: Array, length: int) -> tuple[Array, Array]:
    """Overlapping tranches: each date's weights get 1/h of the book for h sessions.

    Args:
        sessions: (R,) sessions at which the weights would be traded.
        weights: (R, N).
        horizons: (R,) h, sessions.
        length: sessions of the panel.

    Returns:
        sessions at which a tranche begins or ends, ascending, and the book's weights there.
    """
    changes = np.zeros((length + 1, weights.shape[1]))
    ends = np.minimum(sessions + horizons, length)
    np.add.at(changes, sessions, weights / horizons[:, None])
    np.subtract.at(changes, ends, weights / horizons[:, None])
    moved = np.unique(np.concatenate([sessions, ends]))
    moved = moved[moved < length]
    return moved, _cleaned(np.cumsum(changes, axis=0))[moved]


def _cleaned(weights: Array) -> Array:
    """Without the dust that adding and subtracting leaves where nothing is held."""
    return np.where(np.abs(weights) < 1e-14, 0.0, weights)
