"""Settings of the tear sheets."""

from __future__ import annotations

from pydantic import Field

from scripts.lib.settings import Settings


class TearSheetSettings(Settings):
    """Settings of draw_tear_sheet."""

    window: int = Field(126, ge=20, le=100_000)
    """Periods of the rolling Sharpe ratio and beta."""
    draws: int = Field(300, ge=100, le=100_000)
    """Draws of the stationary bootstrap for each point of the rolling Sharpe ratio's band."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of that band."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of that bootstrap."""
    embed_mb: float = Field(1.0, ge=0, le=100)
    """Largest table that the page holds for download, MB; of larger ones it names the path."""
    trades_shown: int = Field(12, ge=0, le=1_000)
    """Trades in the sample on the page."""
