"""Settings of captures: venues, and what is fetched of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scripts.lib.settings import Settings

Venue = Literal[
    "binance-spot", "binance-usdm", "binance-coinm", "bybit", "kraken", "okx", "bitget", "coinbase", "bitmex", "tardis",
    "lobster", "databento",
]  # fmt: skip
# each of their files begins with the whole book; captures of a venue's own stream hold a snapshot where it began
WHOLE_FILES = {"tardis", "lobster", "databento"}
API_KEY = "TARDIS_API_KEY"  # environment variable with the key to all but the free days
Exchange = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class FetchOptions(Settings):
    """What the config says of all feeds of a provider."""

    base_url: str = Field("https://datasets.tardis.dev/v1", pattern=r"^https?://[^/\s]+[^\s]*[^/\s]$")
    """Where the provider's files lie: BASE/EXCHANGE/incremental_book_L2/YYYY/MM/DD/SYMBOL.csv.gz."""


class FetchSettings(FetchOptions):
    """Settings of fetch_book."""

    exchange: Exchange
    """The provider's name of the exchange, such as binance-futures."""
    symbol: str = Field(min_length=1)
    """The exchange's name of the instrument."""
    attempts: int = Field(10, ge=1, le=1_000)
    """Attempts in a row that bring nothing new, before the download is given up."""
    first_wait_s: float = Field(1.0, gt=0, le=600)
    """Wait after the first of them, seconds; each further one waits twice as long, up to two minutes."""
    silence_s: float = Field(60.0, gt=0, le=3_600)
    """Time without a byte after which a connection counts as dead, seconds."""
