"""What trading and holding cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scripts.backtest.prices.panel import Array, Event, Panel

BASIS_POINT = 1e-4


class Costs(NamedTuple):
    """Costs of orders and positions; zero where not named."""

    fee_bps: float = 0.0  # of the traded notional
    fee_per_unit: float = 0.0  # currency
    fee_minimum: float = 0.0  # currency an order
    slippage_bps: float = 0.0  # of the price, against the order
    impact: float = 0.0  # Y of the square-root law; 0: none
    impact_days: int = 20  # sessions of the mean volume and of the volatility
    borrow_rate: float = 0.0  # a year, on the value of short positions
    cash_rate: float = 0.0  # a year, on cash of either sign


def fill(units: Array, prices: Array, impact: Array, costs: Costs) -> tuple[Array, Array, Array]:
    """Fill orders.

    Args:
        units: (orders,) signed, none of them zero.
        prices: (orders,) unslipped.
        impact: (orders,) fractions of the price that the orders' own size adds.

    Returns:
        (orders,) fill prices; fees and slippage in currency, both positive.
    """
    moved, sizes = costs.slippage_bps * BASIS_POINT + impact, np.abs(units)
    filled = prices * (1.0 + np.copysign(moved, units))
    fees = sizes * filled * costs.fee_bps * BASIS_POINT
    if costs.fee_per_unit or costs.fee_minimum:
        fees = np.maximum(fees + sizes * costs.fee_per_unit, costs.fee_minimum)
    return filled, fees, sizes * prices * moved


class Market:
    """How deep the market is, from the sessions before an order."""

    def __init__(self, panel: Panel, costs: Costs, splits: tuple[Event, ...] = ()) -> None:
        self._panel, self._costs, self._splits = panel, costs, splits

    def impact(self, session: int, assets: Array, units: Array) -> Array:
        """(orders,) square-root impact: Y x daily volatility x sqrt(units / mean daily volume), as a fraction.

        Source: Almgren, Thum, Hauptmann, Li (2005), Direct estimation of equity market impact; Toth et al. (2011) for
        the exponent 1/2. Volatility (ddof 1) and volume are of the `impact_days` sessions before the order. Where these
        are not known, the largest impact of the other orders of that session is taken, or the daily volatility of 2 %
        over the whole volume where there is none: an unknown market is no free one.
        """
        costs, start = self._costs, max(session - self._costs.impact_days, 0)
        if costs.impact == 0:
            return np.zeros(len(assets))
        closes, volumes = self._window(start, session, assets)
        with np.errstate(invalid="ignore", divide="ignore"):
            returns = np.diff(closes, axis=0) / closes[:-1]
            known = np.isfinite(returns).sum(axis=0) > 1
            spread = np.full(len(assets), np.nan)
            spread[known] = np.nanstd(returns[:, known], axis=0, ddof=1)
            traded = np.nansum(volumes, axis=0) / max(len(volumes), 1)
            impact = np.where(traded > 0, costs.impact * spread * np.sqrt(np.abs(units) / traded), np.nan)
        worst = np.nanmax(impact) if np.isfinite(impact).any() else costs.impact * 0.02
        return np.where(np.isfinite(impact), impact, worst)

    def _window(self, start: int, session: int, assets: Array) -> tuple[Array, Array]:
        """(sessions, orders) closes and volumes before `session`, in the units that are traded at it."""
        closes, volumes = self._panel.close[start:session, assets], self._panel.volume[start:session, assets]
        for event in self._splits:
            if start < event.session <= session:
                column = assets == event.asset
                closes[: event.session - start, column] /= event.value
                volumes[: event.session - start, column] *= event.value
        return closes, volumes
