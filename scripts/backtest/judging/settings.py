"""Settings of the judge."""

from __future__ import annotations

from pydantic import Field

from scripts.lib.settings import Settings


class JudgeSettings(Settings):
    """Settings of judge_backtest."""

    draws: int = Field(2_000, ge=100, le=100_000)
    """Draws of the stationary bootstrap."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of intervals; the rest of it is the family-wise error with which trials are called superior."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the bootstrap."""
    blocks: int = Field(16, ge=4, le=20, multiple_of=2)
    """Blocks of time whose halves are compared for the probability of overfitting; fewer when time is short."""
    coverage: float = Field(0.8, gt=0, le=1)
    """Share of the account's periods that a trial of the ledger must have returns of, to be compared with it."""
    parts: int = Field(4, ge=1, le=100)
    """Equal parts of time in the table of periods, of accounts that have neither years nor bands."""
    drawdowns: int = Field(10, ge=1, le=1_000)
    """Drawdowns in the table, the deepest ones."""
