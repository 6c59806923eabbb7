"""Settings of the figures of forecasts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scripts.lib.settings import Settings


class EvaluateOptions(Settings):
    """What the config says of evaluate_predictions."""

    quantiles: int = Field(5, ge=2, le=20)
    """Groups of assets by signal."""
    lags: list[Annotated[int, Field(ge=0, le=252)]] = Field([0, 1, 2, 5, 10, 20], min_length=1, max_length=30)
    """Sessions by which the trade is late, for the decay."""
    draws: int = Field(2_000, ge=100, le=100_000)
    """Draws of the stationary bootstrap."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of intervals."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the bootstrap."""


class EvaluateSettings(EvaluateOptions):
    """Settings of evaluate_predictions; column, fill and calendar are those of the trade."""

    signal_column: str = Field("signal", min_length=1)
    """Column of the predictions that is judged."""
    fill: Literal["next_open", "next_close"] = "next_open"
    """Price from which, and to which, returns are taken."""
    calendar: str | None = Field(None, min_length=1)
    """Exchange calendar, as in the backtest."""
    delisting_return: float = Field(0.0, ge=-1, le=10)
    """As in the backtest: return from the last price of assets whose prices end."""
    delisted_after: int = Field(5, ge=1, le=252)
    """As in the backtest: sessions without a price after which an asset counts as delisted."""
