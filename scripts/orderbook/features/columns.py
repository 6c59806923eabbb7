"""Columns of a features file: names, units, formulas and their sources.

A row is a state, in the states' order, and uses that state and earlier ones of its segment only. b and a are the best
bid and ask price, B and A their sizes, t the state's place in its segment. "Price" is the quote currency a unit of
base, "size" is what the venue calls so (base currency, or contracts for COIN-M).

mid (price)
    (b + a) / 2.
spread (price)
    a − b. Zero or less marks a locked or crossed state; such states are not left out.
microprice (price)
    (b A + a B) / (B + A), the mid weighted with the opposite side's size, as in Gatheral and Oomen (2010). Stoikov
    (2018) calls this simple form the weighted mid-price; his micro-price, an expectation fitted to data, is not meant.
imbalance_1, imbalance_5, imbalance_all (−1 to 1)
    (bids − asks) / (bids + asks) of the sizes summed over the best level, five and all levels of the states. Gould and
    Bonart (2016) for the best level.
bid_slope, ask_slope (size / price)
    Slope of the size cumulated over the levels against their distance from the side's best price, by least squares: how
    fast the book fills up. The idea is the order-book slope of Næs and Skjeltorp (2006); theirs takes logarithms of
    sizes and divides by the distance to the mid, which sizes below 1 and locked books do not bear.
bid_vwap_distance, ask_vwap_distance (price)
    Distance between the mid and a side's size-weighted mean price, positive away from the mid.
ofi_1 (size)
    Order flow imbalance, Cont, Kukanov and Stoikov (2014): what comes at the bid and goes at the ask,
    [b ≥ b'] B − [b ≤ b'] B' − [a ≤ a'] A + [a ≥ a'] A', where ' is the state before.
ofi_10 (size)
    The same at each of the ten best levels (Xu, Gould and Howison 2018; Kolm, Turiel and Westray 2023), plainly summed.
log_return (log)
    ln(mid / mid'). NaN where a mid is not positive.
interval (s)
    Event time since the state before; negative where the venue's clock went back.
volatility_W (log)
    Realised volatility √Σ r², over the last W log returns r of the mid, neither annualised nor scaled (Andersen and
    Bollerslev 1998). Of the mid, since the bounce of trade prices between bid and ask would be counted as
    volatility (Gatheral and Oomen 2010).
ofi_1_sum_W, ofi_10_sum_W (size), imbalance_1_mean_W (−1 to 1), return_W (log)
    Sum, mean or, for the log return, sum over the last W states.

Unknown is NaN, and nothing is filled in:
- a level without a price counts as empty, and so does a side whose best level is: sums go over the levels that are
  there, and a slope needs two. While a side is empty, all but ofi, interval and the other side's slope is NaN. Order
  flow takes an empty level as size 0 at a price infinitely far away;
- the first state of a segment has no log_return, ofi and interval, and a window is NaN until the segment has filled
  it: first defined at t = W, counted from 0, imbalance_1_mean_W at W − 1. A window that holds a NaN is NaN. No value
  spans two segments, and each part begins anew;
- states with fewer than 5 or 10 levels a side: imbalance_5 and ofi_10 sum those that there are.

There is no trade sign: states hold no trades.

Sources: Andersen and Bollerslev (1998), Answering the skeptics, International Economic Review 39. Cont, Kukanov and
Stoikov (2014), The price impact of order book events, Journal of Financial Econometrics 12. Gatheral and Oomen (2010),
Zero-intelligence realized variance estimation, Finance and Stochastics 14. Gould and Bonart (2016), Queue imbalance as
a one-tick-ahead price predictor in a limit order book, Market Microstructure and Liquidity 2. Kolm, Turiel and Westray
(2023), Deep order flow imbalance, Mathematical Finance 33. Næs and Skjeltorp (2006), Order book characteristics and the
volume–volatility relation, Journal of Financial Markets 9. Stoikov (2018), The micro-price, Quantitative Finance 18.
Xu, Gould and Howison (2018), Multi-level order-flow imbalance in a limit order book, Market Microstructure and
Liquidity 4.
"""

from __future__ import annotations

import re

from scripts.orderbook.features.settings import FeatureSettings

NEAR_LEVELS, FLOW_LEVELS = 5, 10
STATE = {
    "mid": "price",
    "spread": "price",
    "microprice": "price",
    "imbalance_1": "",
    "imbalance_5": "",
    "imbalance_all": "",
    "bid_slope": "size / price",
    "ask_slope": "size / price",
    "bid_vwap_distance": "price",
    "ask_vwap_distance": "price",
}
"""Features of a state by itself, with their units."""
CHANGE = {"ofi_1": "size", "ofi_10": "size", "log_return": "log", "interval": "s"}
"""Features of a state and the one before it, with their units."""
POINT = STATE | CHANGE
VOLATILITY = "volatility"
ROLLING = {"ofi_1_sum": "ofi_1", "ofi_10_sum": "ofi_10", "imbalance_1_mean": "imbalance_1", "return": "log_return"}
"""Rolling features, without the window, and what is summed."""


def feature_names(settings: FeatureSettings) -> list[str]:
    """The columns after the keys, in the file's order."""
    volatility = [f"{VOLATILITY}_{window}" for window in settings.volatility_windows]
    rolling = [f"{name}_{window}" for window in settings.rolling_windows for name in ROLLING]
    return [*POINT, *volatility, *rolling]


def unit(name: str) -> str:
    """Unit of a feature, empty where it has none."""
    stem = re.sub(r"_\d+$", "", name)
    if stem == VOLATILITY:
        return POINT["log_return"]
    return POINT[ROLLING.get(stem, name)]
