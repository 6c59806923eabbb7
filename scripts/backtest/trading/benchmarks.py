"""What the predictions are measured by: plans of the same market, instants and contract that know less than they.

buy_and_hold   the assets with a signal at the first date, equal weights, held
equal_weight   the assets with a signal at each date, equal weights
index          the asset that is the index, held
momentum       the return over the last 60 sessions as the signal, reversal the negative of that over the last 5
random_…       the predictions with the assets' identities exchanged: the same turnover without the knowledge
others         naive models of the line, each with a signal of its own

The first three are long the portfolio's gross and know no other limit; the rest follows the portfolio rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.backtest.prices.panel import Array
from scripts.backtest.prices.tables import read_table
from scripts.backtest.trading.placebos import members_of, past_returns, renamed
from scripts.backtest.trading.planning import Market, contract_of, drawn_assets, plan_of
from scripts.backtest.trading.predictions import Predictions, read_predictions
from scripts.backtest.trading.settings import BacktestSettings, Portfolio
from scripts.backtest.trading.simulator import Contract, Plan
from scripts.lib.errors import InputError
from scripts.lib.joblog import log

MOMENTUM, REVERSAL = 60, 5  # sessions
RUNS = 20  # of random signals
NAMES = ("buy_and_hold", "equal_weight", "index", "momentum", "reversal")
NO_SIGNALS = ("known_at", "asset", "horizon")  # columns of naive models that are none


class Benchmark(NamedTuple):
    """What to hold, and how it is traded."""

    name: str
    plan: Plan
    contract: Contract


def benchmarks_of(
    known: Predictions, market: Market, settings: BacktestSettings, index: int | None, naive: Mapping[str, Predictions]
) -> Iterator[Benchmark]:
    """All benchmarks.

    Args:
        known: the predictions.
        market: prices and events.
        settings: of the backtest.
        index: place of the index among the assets; it is no part of what is held beside it.
        naive: signals of the line's naive models by name.
    """
    held, first = unlimited(contract_of(settings)), int(plan_of(known, market, settings)[0].sessions[0])
    members = known._replace(signals=without(known.signals, index))
    equal = plan_of(members, market, with_portfolio(settings, Portfolio(rule="equal", gross=settings.portfolio.gross)))
    yield Benchmark("buy_and_hold", first_of(equal[0]), held)
    yield Benchmark("equal_weight", equal[0], held)
    if index is not None:
        weights = np.zeros((1, len(market.panel.assets)))
        weights[0, index] = settings.portfolio.gross
        yield Benchmark("index", Plan(np.array([first]), weights), held)
    for name, signals in signals_of(members, known, market, settings.seed):
        ruled = settings if name.startswith("random_") else with_portfolio(settings, ranking(settings.portfolio))
        yield Benchmark(name, plan_of(known._replace(signals=signals), market, ruled)[0], contract_of(settings))
    for name, model in naive.items():
        yield Benchmark(name, from_session(plan_of(model, market, settings)[0], first), contract_of(settings))


def signals_of(members: Predictions, known: Predictions, market: Market, seed: int) -> Iterator[tuple[str, Array]]:
    """Signals that anybody has, and those that nobody needs."""
    yield "momentum", past_returns(members, market, MOMENTUM)
    yield "reversal", -past_returns(members, market, REVERSAL)
    belong = members_of(known, market)
    for run in range(RUNS):
        yield f"random_{run:02d}", renamed(known.signals, belong, np.random.default_rng([seed, run]))


def ranking(portfolio: Portfolio) -> Portfolio:
    """The portfolio rule for signals that are no weights."""
    return portfolio.model_copy(update={"rule": "proportional"}) if portfolio.rule == "given" else portfolio


def with_portfolio(settings: BacktestSettings, portfolio: Portfolio) -> BacktestSettings:
    return settings.model_copy(update={"portfolio": portfolio})


def unlimited(contract: Contract) -> Contract:
    return contract._replace(max_turnover=None)


def without(signals: Array, asset: int | None) -> Array:
    """Signals without those of an asset."""
    kept = signals.copy()
    if asset is not None:
        kept[:, asset] = np.nan
    return kept


def first_of(plan: Plan) -> Plan:
    """The first weights of a plan that hold something."""
    row = int(np.argmax(plan.weights.any(axis=1)))
    return Plan(plan.sessions[row : row + 1], plan.weights[row : row + 1])


def from_session(plan: Plan, first: int) -> Plan:
    """A plan that begins no earlier: of what came before, the last weights are traded then."""
    sessions = np.maximum(plan.sessions, first)
    last = sessions != np.append(sessions[1:], -1)
    return Plan(sessions[last], plan.weights[last])


def index_of(asset: str | None, known: Predictions, market: Market, path: Path) -> int | None:
    """Place of the index among the assets.

    Raises:
        InputError: it has no prices.
    """
    if asset is None:
        return None
    if asset not in market.panel.assets:
        raise InputError(f"{path}: no prices of the index '{asset}'")
    place = market.panel.assets.index(asset)
    if np.isfinite(known.signals[:, place]).any():
        log.warning("the index '%s' has signals of its own: the strategy may trade it", asset)
    return place


def read_naive(
    path: Path | None, known: Predictions, market: Market, settings: BacktestSettings
) -> dict[str, Predictions]:
    """Signals of naive models, from the strategy's first date on, of the assets that it may trade.

    Raises:
        InputError: see `read_predictions`; no model, or one that is called as another benchmark.
    """
    if path is None:
        return {}
    columns = [str(name) for name in read_table(path, ["known_at", "asset"]).columns if name not in NO_SIGNALS]
    if not columns:
        raise InputError(f"{path}: no naive model: a column each beside known_at, asset and horizon")
    for name in columns:
        if name in ("strategy", *NAMES) or name.startswith("random_"):
            raise InputError(f"{path}: column '{name}': that is the name of the strategy or of another benchmark")
    drawn = drawn_assets(len(market.panel.assets), settings)
    return {name: _since(read_predictions(path, market.panel, name), known.day[0], drawn) for name in columns}


def _since(model: Predictions, day: np.datetime64, drawn: Array) -> Predictions:
    kept = model.day >= day
    return Predictions(
        model.known_at[kept], model.day[kept], model.dated[kept], np.where(drawn, model.signals[kept], np.nan),
        model.horizons[kept], model.without_prices,
    )  # fmt: skip
