"""From files to what the account trades: prices, events and predictions to a plan of target weights.

All programs that trade the same predictions read them through here, so that a benchmark or a stressed run differs from
the backtest in nothing but what it says.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.backtest.prices.panel import Array, Events, Panel, marks, opening_times
from scripts.backtest.prices.reader import read_events, read_panel
from scripts.backtest.trading.costs import Costs
from scripts.backtest.trading.portfolio import tranches, volatility_scaled, weights_of
from scripts.backtest.trading.predictions import Predictions, decided_sessions, fill_sessions, read_predictions
from scripts.backtest.trading.settings import BacktestSettings
from scripts.backtest.trading.simulator import Contract, Plan
from scripts.lib.errors import InputError


class Market(NamedTuple):
    """Prices with what happened to the assets."""

    panel: Panel
    events: Events
    counts: dict[str, int]  # what was wrong with the prices


def read_market(
    prices: Path, splits: Path | None, dividends: Path | None, delistings: Path | None, settings: BacktestSettings
) -> Market:
    """Raises: InputError: see `read_panel` and `read_events`."""
    panel, counts = read_panel(prices, settings.calendar)
    events = read_events(panel, splits, dividends, delistings, settings.delisting_return, settings.delisted_after)
    return Market(panel, events, counts)


def read_signals(path: Path, market: Market, settings: BacktestSettings) -> tuple[Predictions, Market]:
    """Predictions of the settings' stretch of time and share of the assets, and the market up to that stretch's end.

    Raises:
        InputError: see `read_predictions`; no signal or session is left.
    """
    known = read_predictions(path, market.panel, settings.signal_column)
    if settings.portfolio.tranches and known.no_tranches:
        raise InputError(f"{path}: {known.no_tranches}")
    begin, end = stretch(known.day, settings)
    inside = (known.day >= begin) & (known.day < end)
    if not inside.any():
        raise InputError(f"{path}: no known_at from {settings.begin or 'the start'} to {settings.end or 'the end'}")
    signals = np.where(drawn_assets(len(market.panel.assets), settings), known.signals, np.nan)
    kept = Predictions(
        known.known_at[inside], known.day[inside], known.dated[inside], signals[inside], known.horizons[inside],
        known.without_prices,
    )  # fmt: skip
    length = max(int(np.searchsorted(market.panel.sessions, end)), 1)
    return kept, Market(*until(market.panel, market.events, length), market.counts)


def stretch(days: Array, settings: BacktestSettings) -> tuple[np.datetime64, np.datetime64]:
    """First day of the signals that are traded, and the day before which they and the sessions end.

    Folds share the days of signals evenly; the last one goes on to the end of the prices.

    Raises:
        InputError: fewer days than folds.
    """
    begin = np.datetime64(settings.begin or "0001-01-01", "D")
    end = np.datetime64(settings.end or "9999-12-31", "D")
    moments = np.unique(days[(days >= begin) & (days < end)])
    if settings.folds == 1:
        return begin, end
    if len(moments) < settings.folds:
        raise InputError(f"{len(moments)} dates of signals are too few for {settings.folds} folds")
    edges = np.linspace(0, len(moments), settings.folds + 1).round().astype(int)
    begin = moments[edges[settings.fold]]
    return begin, end if settings.fold == settings.folds - 1 else moments[edges[settings.fold + 1]]


def until(panel: Panel, events: Events, length: int) -> tuple[Panel, Events]:
    """The first `length` sessions, and the events up to there."""
    kept = {
        name: getattr(panel, name)[:length]
        for name in ("sessions", "open", "close", "volume", "opens", "trading")
        if getattr(panel, name) is not None
    }
    return panel._replace(**kept), Events(
        *(tuple(event for event in kind if event.session < length) for kind in events)
    )


def drawn_assets(count: int, settings: BacktestSettings) -> Array:
    """(N,) bool: the assets that may be traded, a share drawn by the universe's seed."""
    if settings.universe_share == 1:
        return np.ones(count, bool)
    kept = max(round(count * settings.universe_share), 1)
    chosen = np.zeros(count, bool)
    chosen[np.random.default_rng(settings.universe_seed).permutation(count)[:kept]] = True
    return chosen


def plan_of(
    known: Predictions, market: Market, settings: BacktestSettings, lag: int = 0
) -> tuple[Plan, dict[str, int]]:
    """Target weights and the sessions at which they are traded.

    Of several instants that the same session fills, the last one counts; those after the last session never fill.

    Args:
        known: the signals.
        market: prices and events.
        settings: portfolio rule.
        lag: sessions by which every trade is late.
    """
    panel, opens = market.panel, opening_times(market.panel)
    sessions = fill_sessions(known, panel, opens) + lag
    weights = weights_of(known.signals, settings.portfolio)
    if settings.portfolio.volatility_target is not None:
        adjusted = forward_adjusted(marks(panel, market.events.splits), market.events)
        decided = decided_sessions(known, panel, opens)
        weights = volatility_scaled(weights, decided, adjusted, settings.portfolio, settings.sessions_a_year)
    in_time = sessions < len(panel.sessions)
    last = np.append(sessions[1:] != sessions[:-1], True) if len(sessions) else in_time
    taken = in_time & last
    lost = {
        "dates_after_last_session": int((~in_time).sum()),
        "dates_superseded": int((in_time & ~last).sum()),
        "dates_without_position": int((~weights[taken].any(axis=1)).sum()),
    }
    if not settings.portfolio.tranches:
        return Plan(sessions[taken], weights[taken]), lost
    found = tranches(sessions[taken], weights[taken], known.horizons[taken], len(panel.sessions))
    return Plan(*found), lost


def forward_adjusted(closes: Array, events: Events) -> Array:
    """(T, N) prices without the jumps of splits: those after a split in units before it.

    The other way round, as vendors do it, every split would change the prices before it, if only in their last bits.
    """
    adjusted = closes.copy()
    for event in events.splits:
        adjusted[event.session :, event.asset] *= event.value
    return adjusted


def total_returns(prices: Array, panel: Panel, events: Events) -> Array:
    """(T, N) prices whose ratios are what holders earned: splits, dividends and delistings are in them.

    A dividend is put back into the asset at the close before its ex-date; from a delisting on stands what holders got,
    the last close times (1 + delisting return), so that a name that dies counts with its loss.

    Args:
        prices: (T, N) raw fill prices.
        panel: the raw prices.
        events: splits, dividends, delistings.
    """
    closes = marks(panel, events.splits)
    found, last = forward_adjusted(prices, events), forward_adjusted(closes, events)
    ratios: dict[tuple[int, int], float] = {}
    for event in events.splits:
        ratios[event[:2]] = ratios.get(event[:2], 1.0) * event.value
    for event in events.dividends:
        units = ratios.get(event[:2], 1.0)  # dividends are paid on the new units
        before = closes[event.session - 1, event.asset] / units if event.session else np.nan
        if before > event.value:
            for values in (found, last):
                values[event.session :, event.asset] *= before / (before - event.value)
    for event in events.delistings:
        back = np.isfinite(panel.close[event.session :, event.asset])
        end = event.session + (int(np.argmax(back)) if back.any() else len(back))
        found[event.session : end, event.asset] = last[event.session - 1, event.asset] * (1 + event.value)
    return found


def contract_of(settings: BacktestSettings) -> Contract:
    costs = Costs(
        settings.fee_bps, settings.fee_per_unit, settings.fee_minimum, settings.slippage_bps, settings.impact,
        settings.impact_days, settings.borrow_rate, settings.cash_rate,
    )  # fmt: skip
    return Contract(
        settings.initial_cash, settings.fill == "next_close", settings.whole_units, settings.no_price == "wait",
        settings.portfolio.max_turnover, costs,
    )  # fmt: skip


def contract_sentences(settings: BacktestSettings) -> list[str]:
    """The contract in words, for the page."""
    price = "close" if settings.fill == "next_close" else "open"
    sessions = settings.calendar or (
        "every date of the prices, or those of each asset's exchange where the prices name it: a session is then a day"
        " on which any is open, and it opens when the first of them does"
    )
    return [
        "A signal stamped with a date is known after that date's close, one stamped with an instant at that instant; it"
        f" fills at the {price} of the first session strictly after it. Sessions: {sessions}.",
        f"Units are weight × account value / price, both at the fill instant's unslipped price and before any order of"
        f" that session{', rounded toward zero to whole units' if settings.whole_units else ''}.",
        f"Slippage of {settings.slippage_bps:g} bp"
        + (f" and square-root impact ({settings.impact:g} × volatility × √(units/volume))" if settings.impact else "")
        + f" move the fill price against the order; fees of {settings.fee_bps:g} bp of the traded notional"
        + (f", {settings.fee_per_unit:g} a unit" if settings.fee_per_unit else "")
        + (f", at least {settings.fee_minimum:g} an order" if settings.fee_minimum else "")
        + " are charged at that price.",
        f"Short positions pay {settings.borrow_rate:.2%} a year on their value, cash earns {settings.cash_rate:.2%} a"
        " year (actual/365 both). Splits and dividends are events of units and cash.",
        f"An asset whose prices end for {settings.delisted_after} sessions, or pause for 60 or more (the name is then"
        " another company's), is closed at its last price × (1 + delisting return),"
        f" {settings.delisting_return:.0%} where no file tells one.",
        "An order without a price, or before the asset's first close, "
        + ("waits for the asset's next one, until the next rebalance." if settings.no_price == "wait" else "lapses."),
        "Positions are marked at the close, or at the last one known.",
    ]
