"""The features written once more, with pandas and with polars: oracles of the tests and rivals of the benchmark.

Both take the states of one segment. `gaps` says whether levels may be missing: without it the rivals are spared the
work that full books do not need.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl

from scripts.orderbook.features.settings import FeatureSettings

SIDES = (("bid", 1), ("ask", -1))


def pandas_features(states: pd.DataFrame, depth: int, settings: FeatureSettings, gaps: bool = True) -> pd.DataFrame:
    price, size = (
        {side: states[[f"{side}_{what}_{i:02d}" for i in range(depth)]] for side, _ in SIDES} for what in ("px", "sz")
    )
    if gaps:
        for side, _ in SIDES:
            there = price[side].notna().to_numpy()
            price[side] = price[side].where(there & there[:, :1])
            size[side] = size[side].where(price[side].notna().to_numpy())
    bid, ask = (price[side].iloc[:, 0] for side, _ in SIDES)
    bid_size, ask_size = (size[side].iloc[:, 0] for side, _ in SIDES)
    mid = (bid + ask) / 2
    found = {"mid": mid, "spread": ask - bid}
    found["microprice"] = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
    for name, levels in (("1", 1), ("5", 5), ("all", depth)):
        bids, asks = (size[side].iloc[:, :levels].sum(axis=1) for side, _ in SIDES)
        found[f"imbalance_{name}"] = ((bids - asks) / (bids + asks)).where(mid.notna())
    for levels in (1, 10):
        found[f"ofi_{levels}"] = pandas_flow(price, size, min(levels, depth), gaps)
    for side, sign in SIDES:
        found[f"{side}_slope"] = pandas_slope(price[side], size[side], sign)
    for side, sign in SIDES:
        average = (price[side].to_numpy() * size[side]).sum(axis=1) / size[side].sum(axis=1)
        found[f"{side}_vwap_distance"] = sign * (mid - average)
    found["log_return"] = np.log(mid).diff()
    found["interval"] = states["event_time"].diff() / 1e9
    squares = found["log_return"] ** 2
    for window in settings.volatility_windows:
        found[f"volatility_{window}"] = np.sqrt(squares.rolling(window).sum().clip(lower=0))
    for window in settings.rolling_windows:
        for name in ("ofi_1", "ofi_10"):
            found[f"{name}_sum_{window}"] = found[name].rolling(window).sum()
        found[f"imbalance_1_mean_{window}"] = found["imbalance_1"].rolling(window).mean()
        found[f"return_{window}"] = found["log_return"].rolling(window).sum()
    return pd.DataFrame(found)


def pandas_flow(price: dict[str, pd.DataFrame], size: dict[str, pd.DataFrame], levels: int, gaps: bool) -> pd.Series:
    total = 0.0
    for side, sign in SIDES:
        for level in range(levels):
            p, q = sign * price[side].iloc[:, level], size[side].iloc[:, level]
            if gaps:
                p, q = p.fillna(-np.inf), q.fillna(0.0)
            before, gone = p.shift(), q.shift()
            total += sign * np.where(p > before, q, np.where(p == before, q - gone, -gone))
    return pd.Series(total, index=price["bid"].index)


def pandas_slope(price: pd.DataFrame, size: pd.DataFrame, sign: int) -> pd.Series:
    """Covariance over variance, both around the means of the levels that are there."""
    distance = -sign * price.sub(price.iloc[:, 0], axis=0)
    cumulated = size.cumsum(axis=1).set_axis(distance.columns, axis=1)
    from_mean = distance.sub(distance.mean(axis=1), axis=0)
    return (from_mean * cumulated.sub(cumulated.mean(axis=1), axis=0)).sum(axis=1) / (from_mean**2).sum(axis=1)


def polars_features(states: pl.LazyFrame, depth: int, settings: FeatureSettings, gaps: bool = True) -> pl.DataFrame:
    if gaps:
        states = states.with_columns(pl.selectors.float().fill_nan(None)).with_columns(
            pl.when(pl.col(f"{side}_px_00").is_not_null()).then(pl.col(f"{side}_{what}_{i:02d}")).name.keep()
            for side, _ in SIDES
            for what in ("px", "sz")
            for i in range(1, depth)
        )
    bid, ask, bid_size, ask_size = (pl.col(f"{side}_{what}_00") for what in ("px", "sz") for side, _ in SIDES)
    mid = (bid + ask) / 2
    found = {"mid": mid, "spread": ask - bid}
    found["microprice"] = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
    found["imbalance_1"] = (bid_size - ask_size) / (bid_size + ask_size)
    for name, levels in (("5", min(5, depth)), ("all", depth)):
        bids, asks = (pl.sum_horizontal(column(side, "sz", i) for i in range(levels)) for side, _ in SIDES)
        found[f"imbalance_{name}"] = (bids - asks) / (bids + asks)
        if gaps:
            found[f"imbalance_{name}"] = pl.when(mid.is_not_null()).then(found[f"imbalance_{name}"])
    for levels in (1, 10):
        flows = [polars_flow(side, sign, i, gaps) for side, sign in SIDES for i in range(min(levels, depth))]
        found[f"ofi_{levels}"] = pl.sum_horizontal(flows, ignore_nulls=False)
    slopes = {f"{side}_slope": polars_slope(side, sign, depth, gaps) for side, sign in SIDES}
    for side, sign in SIDES:
        worth = pl.sum_horizontal(column(side, "px", i) * column(side, "sz", i) for i in range(depth))
        average = worth / pl.sum_horizontal(column(side, "sz", i) for i in range(depth))
        found[f"{side}_vwap_distance"] = sign * (mid - average)
    found["log_return"] = mid.log().diff()
    found["interval"] = pl.col("event_time").diff() / 1e9
    sizes = states.with_columns(  # the cumulated sizes as columns: as one expression they would be of quadratic length
        pl.cum_sum_horizontal(*(column(side, "sz", i) for i in range(depth))).struct.rename_fields(
            [f"{side}_cum_{i:02d}" for i in range(depth)]
        ).alias(f"{side}_cum")
        for side, _ in SIDES
    ).unnest("bid_cum", "ask_cum")  # fmt: skip
    shapes = sizes.select(**found, **slopes)
    return shapes.with_columns(**polars_windows(settings)).collect()


def polars_windows(settings: FeatureSettings) -> dict[str, pl.Expr]:
    found = {}
    squares = pl.col("log_return") ** 2
    for window in settings.volatility_windows:
        found[f"volatility_{window}"] = squares.rolling_sum(window).clip(lower_bound=0).sqrt()
    for window in settings.rolling_windows:
        for name in ("ofi_1", "ofi_10"):
            found[f"{name}_sum_{window}"] = pl.col(name).rolling_sum(window)
        found[f"imbalance_1_mean_{window}"] = pl.col("imbalance_1").rolling_mean(window)
        found[f"return_{window}"] = pl.col("log_return").rolling_sum(window)
    return found


def column(side: str, what: str, level: int) -> pl.Expr:
    return pl.col(f"{side}_{what}_{level:02d}")


def polars_flow(side: str, sign: int, level: int, gaps: bool) -> pl.Expr:
    price, size = sign * column(side, "px", level), column(side, "sz", level)
    if gaps:
        price, size = price.fill_null(-np.inf), size.fill_null(0.0)
    before, gone = price.shift(), size.shift()
    return sign * pl.when(price > before).then(size).when(price == before).then(size - gone).otherwise(-gone)


def polars_slope(side: str, sign: int, depth: int, gaps: bool) -> pl.Expr:
    steps = [sign * (column(side, "px", 0) - column(side, "px", i)) for i in range(depth)]
    sizes = [column(side, "cum", i) for i in range(depth)]
    if gaps:
        sizes = [pl.when(step.is_not_null()).then(size) for step, size in zip(steps, sizes, strict=True)]
    count = pl.sum_horizontal(step.is_not_null() for step in steps) if gaps else pl.lit(float(depth))
    both = pl.sum_horizontal(step * size for step, size in zip(steps, sizes, strict=True))
    squares, step = pl.sum_horizontal(step * step for step in steps), pl.sum_horizontal(steps)
    return (both - step * pl.sum_horizontal(sizes) / count) / (squares - step * step / count)
