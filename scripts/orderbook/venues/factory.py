"""The adapter of each venue."""

from __future__ import annotations

from scripts.orderbook.capture.raw import BadLines
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.venues.adapter import Adapter
from scripts.orderbook.venues.binance import Binance
from scripts.orderbook.venues.bitget import Bitget
from scripts.orderbook.venues.bitmex import Bitmex
from scripts.orderbook.venues.bybit import Bybit
from scripts.orderbook.venues.coinbase import Coinbase
from scripts.orderbook.venues.databento import Databento
from scripts.orderbook.venues.kraken import Kraken
from scripts.orderbook.venues.lobster import Lobster
from scripts.orderbook.venues.okx import Okx
from scripts.orderbook.venues.tardis import Tardis

ADAPTERS: dict[Venue, type[Adapter]] = {
    "binance-spot": Binance,
    "binance-usdm": Binance,
    "binance-coinm": Binance,
    "kraken": Kraken,
    "okx": Okx,
    "bitget": Bitget,
    "bybit": Bybit,
    "coinbase": Coinbase,
    "bitmex": Bitmex,
    "tardis": Tardis,
    "lobster": Lobster,
    "databento": Databento,
}


def make_adapter(venue: Venue, symbol: str | None, bad: BadLines) -> Adapter:
    """The adapter that reads a venue's captures.

    Args:
        venue: whose formats hold.
        symbol: the instrument to take; None: the only one.
        bad: where bad lines are counted.
    """
    return ADAPTERS[venue](venue, symbol, bad)
