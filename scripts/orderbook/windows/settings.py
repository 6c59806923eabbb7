"""Settings of the windows for training."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Settings


class BalanceSettings(Settings):
    """Settings of balance_windows."""

    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the draw of windows."""
    levels: int = Field(24, ge=1, le=1_000)
    """Levels a side, at most those of the states; a window has 4 features a level."""
    known_levels: int | None = Field(None, ge=0, le=1_000)
    """Levels a side that must be certain in each state of a window; null: all of its levels. Beyond the outermost price
    of the last REST snapshot, levels that no message has named since are missing: after long drifts nothing is certain
    until the next snapshot. Fewer than all: the others are taken as the messages tell."""
    length: int = Field(256, ge=2, le=65_536)
    """States a window."""
    stride: int = Field(64, ge=1, le=1_000_000)
    """States from the beginning of one window to that of the next."""
    train_share: float = Field(0.70, gt=0, lt=1)
    """Share of the states, in order of time, that are for training."""
    validation_share: float = Field(0.25, gt=0, lt=1)
    """Share of the states after those that are for validation; the rest is for the test."""
    embargo: int | None = Field(None, ge=0)
    """States left out between two splits, beside the windows that reach over the cut; null: a window's length."""
    tick: float | None = Field(None, ge=1e-8, le=1e6)
    """Smallest price step, quote currency; null: the largest step that divides all prices of the training states."""
    volatility_bins: int = Field(3, ge=1, le=20)
    """Quantile bins of the realised volatility of a window's mid."""
    trend_bins: int = Field(3, ge=1, le=20)
    """Quantile bins of the change of the mid over a window."""
    spread_bins: int = Field(3, ge=1, le=20)
    """Quantile bins of the mean spread of a window, in ticks."""
    depth_bins: int = Field(3, ge=1, le=20)
    """Quantile bins of the mean logarithm of the size of all levels of both sides."""
    min_windows: int = Field(20, ge=1)
    """A condition with fewer windows in a split is rare: it does not lower the number that is taken of the others."""
    rare: Literal["keep", "drop"] = "keep"
    """What is taken of a rare condition. keep: all of its windows; drop: none. Nothing is ever taken twice."""
    evaluation: Literal["natural", "balanced"] = "natural"
    """Validation and test windows. natural: as the market has them; balanced: drawn like the training windows."""
    max_train_windows: int = Field(200_000, ge=1)
    """Training windows at most; 4 * 4 * levels * length bytes each."""
    max_evaluation_windows: int = Field(20_000, ge=1)
    """Validation windows at most, and test windows at most."""

    @model_validator(mode="after")
    def _something_is_left_for_the_test(self) -> Self:
        if self.train_share + self.validation_share >= 1:
            raise ValueError("validation_share: nothing is left for the test")
        return self

    @property
    def certain(self) -> int:
        """Levels a side that must be certain."""
        return self.levels if self.known_levels is None else self.known_levels
