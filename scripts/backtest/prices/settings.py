"""Settings of prices: where they come from, how they are simulated and changed."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from scripts.lib.settings import DAY, Settings


class CausalityOptions(Settings):
    """What the config says of check_causality."""

    cuts: int = Field(4, ge=1, le=100)
    """Dates after which the prices are changed, evenly spaced over those of the predictions."""
    format: Literal["parquet", "csv"] = "parquet"
    """What the command writes for {predictions}."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the changes."""


class CausalitySettings(CausalityOptions):
    """Settings of check_causality."""

    calendar: str | None = Field(None, min_length=1)
    """Exchange calendar, as in the backtest: an instant is compared up to the opening of the first changed session."""


class SimulatePricesOptions(Settings):
    """What the config says of simulated prices."""

    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the random numbers."""
    first: str = Field("2015-01-01", pattern=DAY)
    """First day."""
    sessions: int = Field(2_520, ge=120, le=100_000)
    """Sessions, Mondays to Fridays."""
    assets: int = Field(100, ge=10, le=1_000)
    """Assets."""
    volatility: float = Field(0.015, gt=0, le=0.2)
    """Standard deviation of a session's return, fraction."""
    holes: float = Field(0.001, ge=0, le=0.5)
    """Share of the prices that are missing."""


class SimulatePricesSettings(SimulatePricesOptions):
    """Settings of simulate_prices."""

    signal: float = Field(0.0, ge=0, le=1)
    """Standard deviation of the assets' drifts over that of their returns: what momentum can find; 0: nothing."""


class PricesConfig(Settings):
    """Prices that backtests trade on: files of one's own, of another line, or simulated."""

    path: str | None = None
    """CSV or Parquet with date, asset, open, high, low, close, volume; null: simulate_prices makes them."""
    splits: str | None = None
    """CSV with date, asset, ratio; null: none."""
    dividends: str | None = None
    """CSV with date, asset, amount; null: none."""
    delistings: str | None = None
    """CSV with date, asset, return; null: none."""
    categories: str | None = None
    """CSV with asset, category; null: none."""
    earlier: str | None = None
    """An earlier vintage of the prices; null: none."""
    signal: float = Field(0.0, ge=0, le=1)
    """Simulated: strength of the momentum."""

    @model_validator(mode="after")
    def _events_belong_to_files(self) -> Self:
        if self.path is None:
            for name in ("splits", "dividends", "delistings", "categories", "earlier"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: simulated prices have their own; name a path")
        elif self.signal:
            raise ValueError("signal: only simulated prices have one")
        return self
