"""Settings of the causality check."""

from __future__ import annotations

from pydantic import Field

from scripts.lib.settings import Settings
from scripts.orderbook.agent.settings import EvaluateOptions
from scripts.orderbook.book.settings import ParseOptions
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.features.settings import FeatureSettings
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.windows.settings import BalanceSettings


class BookCausalityOptions(Settings):
    """What the config says of the causality check."""

    cuts: int = Field(1, ge=1, le=100)
    """Instants after which the captures are changed, in each of training, validation and test."""
    windows: int = Field(2_000, ge=1, le=1_000_000)
    """Windows of a split drawn for it at most."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the changes."""


class BookCausalitySettings(BookCausalityOptions):
    """Settings of check_book_causality: its own, and those of the stages that it runs once more."""

    venue: Venue
    """Venue whose format and sequence rules hold."""
    symbol: str | None = None
    """The instrument to take from a capture of several; null: the only one."""
    chained: bool = False
    """Whether a part goes on with the book that the one before left."""
    parse: ParseOptions = ParseOptions()
    """Raw part to book states."""
    features: FeatureSettings = FeatureSettings()
    """Features of each state."""
    balance: BalanceSettings = BalanceSettings()
    """Windows."""
    evaluate: EvaluateOptions = EvaluateOptions()
    """Splits that the agents trade through."""
    trading: TradingRules = TradingRules()
    """Costs, latency and inventory."""
