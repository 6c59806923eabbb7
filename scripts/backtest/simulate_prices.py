"""Daily prices of a simulated market, with a momentum of known strength that can be switched off."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from scripts.backtest.prices.panel import Array
from scripts.backtest.prices.settings import SimulatePricesSettings
from scripts.lib import job
from scripts.lib.joblog import log

CATEGORIES = ("energy", "finance", "health", "industry", "technology")
PERSISTENCE = 0.98  # of the drifts from day to day: half of one is gone after 34 sessions
DIGITS = {"open": 4, "high": 4, "low": 4, "close": 4}  # of prices, currency
MARKET_SHARE = 0.4  # of a return's variance that all assets have in common


class SimulatedMarket(NamedTuple):
    """Adjusted prices and what happens to the assets; rows are sessions, columns assets."""

    days: Array  # (T,) datetime64[D]
    open: Array  # (T, N), NaN where an asset is not listed or has a hole
    close: Array
    volume: Array  # (T, N) units
    splits: list[tuple[int, int, float]]  # session, asset, new units for one old
    dividends: list[tuple[int, int, float]]  # session, asset, currency a unit
    delistings: list[tuple[int, int, float]]  # last session, asset, return to what holders got


def main(
    prices: job.OutputFile,
    splits: job.OutputFile,
    dividends: job.OutputFile,
    delistings: job.OutputFile,
    categories: job.OutputFile,
    settings: SimulatePricesSettings,
) -> None:
    """Daily prices of a simulated market, with a momentum of known strength that can be switched off.

    Each asset has a drift that comes and goes over months (an autoregression); past returns tell of it, so momentum
    earns as far as `signal` lets it. Prices are raw: splits and dividends jump, some assets are listed late, some are
    delisted, some days have no price.

    Args:
        prices: Parquet with date, asset, open, high, low, close, volume
        splits: CSV with date, asset, ratio (new units for one old)
        dividends: CSV with date (ex), asset, amount (currency a unit)
        delistings: CSV with date (of the last price), asset, return (from that price to what holders got)
        categories: CSV with asset, category
        settings: sizes, strength of the signal, seed
    """
    market = simulated(settings)
    names = np.array([f"SIM{asset:03d}" for asset in range(settings.assets)])
    price_table(market, names, np.random.default_rng([settings.seed, 1])).to_parquet(prices, index=False)
    for path, events, column in (
        (splits, market.splits, "ratio"), (dividends, market.dividends, "amount"),
        (delistings, market.delistings, "return"),
    ):  # fmt: skip
        write_events(path, market.days, names, events, column)
    sectors = [CATEGORIES[asset % len(CATEGORIES)] for asset in range(settings.assets)]
    pd.DataFrame({"asset": names, "category": sectors}).to_csv(categories, index=False, lineterminator="\n")
    log.info("%d sessions of %d assets, %d splits, %d delistings", len(market.days), settings.assets,
             len(market.splits), len(market.delistings))  # fmt: skip


def simulated(settings: SimulatePricesSettings) -> SimulatedMarket:
    random = np.random.default_rng(settings.seed)
    shape = settings.sessions, settings.assets
    days = np.busday_offset(np.datetime64(settings.first, "D"), np.arange(shape[0]), roll="forward")
    close = 50 * np.exp(np.cumsum(returns(shape, settings, random), axis=0))
    opened = np.roll(close, 1, axis=0) * np.exp(random.normal(0, settings.volatility / 3, shape))
    opened[0] = close[0]
    volume = np.round(1e6 * np.exp(random.normal(0, 0.5, shape)) * np.exp(random.normal(0, 1, shape[1])))
    splits, factor = drawn_splits(settings, random)
    raw = 1 / np.cumprod(factor, axis=0)
    opened, close, volume = opened * raw, close * raw, volume / raw
    delistings = unlist(opened, close, settings, random)
    dividends = [
        (session, asset, round(0.004 * close[session - 1, asset], 4))
        for asset in range(0, shape[1], 3)
        for session in range(40 + asset, shape[0], 63)
        if np.isfinite(close[session - 1 : session + 1, asset]).all()
    ]
    return SimulatedMarket(days, opened, close, volume, splits, dividends, delistings)


def returns(shape: tuple[int, int], settings: SimulatePricesSettings, random: np.random.Generator) -> Array:
    """(T, N) log returns: a market's, each asset's own, and its drift, whose deviation is `signal` x volatility."""
    shocks = random.normal(0, settings.signal * settings.volatility * np.sqrt(1 - PERSISTENCE**2), shape)
    drift = np.zeros(shape)
    for session in range(1, shape[0]):
        drift[session] = PERSISTENCE * drift[session - 1] + shocks[session]
    common = random.normal(2e-4, settings.volatility * np.sqrt(MARKET_SHARE), (shape[0], 1))
    own = random.normal(0, settings.volatility * np.sqrt(1 - MARKET_SHARE), shape)
    made: Array = common + own + drift
    return made


def drawn_splits(
    settings: SimulatePricesSettings, random: np.random.Generator
) -> tuple[list[tuple[int, int, float]], Array]:
    """Splits, a reverse one among them, and (T, N) the ratio of each session."""
    factor = np.ones((settings.sessions, settings.assets))
    chosen = random.choice(settings.assets, size=max(settings.assets // 10, 1), replace=False)
    splits = []
    for place, asset in enumerate(chosen):
        session = int(random.integers(settings.sessions // 4, settings.sessions * 3 // 4))
        ratio = (2.0, 0.25, 3.0)[place % 3]
        factor[session, asset] = ratio
        splits.append((session, int(asset), ratio))
    return sorted(splits), factor


def unlist(
    opened: Array, close: Array, settings: SimulatePricesSettings, random: np.random.Generator
) -> list[tuple[int, int, float]]:
    """Take prices away: of assets listed late, of delisted ones, and single days. Returns the delistings."""
    sessions, assets = close.shape
    late, gone = np.array_split(random.choice(assets, size=max(assets // 10, 2), replace=False), 2)
    delistings = []
    for asset in late:
        opened[: sessions // 3, asset] = close[: sessions // 3, asset] = np.nan
    for asset in gone:
        last = int(random.integers(sessions // 2, sessions - 30))
        opened[last + 1 :, asset] = close[last + 1 :, asset] = np.nan
        delistings.append((last, int(asset), -0.3))
    holes = random.random(close.shape) < settings.holes
    opened[holes] = close[holes] = np.nan
    return sorted(delistings)


def price_table(market: SimulatedMarket, names: Array, random: np.random.Generator) -> pd.DataFrame:
    """Long form, rounded to hundredths of a cent; rows without a price left out."""
    width = np.abs(random.normal(0, 0.004, market.close.shape))
    high = np.maximum(market.open, market.close) * (1 + width)
    low = np.minimum(market.open, market.close) * (1 - width)
    sessions, assets = market.close.shape
    table = pd.DataFrame({
        "date": np.repeat(market.days.astype("datetime64[ms]"), assets), "asset": np.tile(names, sessions),
        "open": market.open.ravel(), "high": high.ravel(), "low": low.ravel(), "close": market.close.ravel(),
        "volume": np.round(market.volume.ravel()),
    })  # fmt: skip
    return table[table["close"].notna()].round(DIGITS).reset_index(drop=True)


def write_events(path: Path, days: Array, names: Array, events: list[tuple[int, int, float]], column: str) -> None:
    rows = [(str(days[session]), names[asset], value) for session, asset, value in events]
    pd.DataFrame(rows, columns=["date", "asset", column]).to_csv(path, index=False, lineterminator="\n")


if __name__ == "__main__":
    job.run(main)
