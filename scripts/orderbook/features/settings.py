"""Settings of features and of their exploration."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Settings

Window = Annotated[int, Field(ge=2, le=1_000_000)]
Lag = Annotated[int, Field(ge=1, le=8_000)]


class FeatureSettings(Settings):
    """Settings of extract_features."""

    volatility_windows: list[Window] = Field([100, 1_000], max_length=16)
    """Windows of the realised volatility, in states."""
    rolling_windows: list[Window] = Field([100, 1_000], max_length=16)
    """Windows of the rolling order flow imbalance, imbalance and return, in states."""

    @model_validator(mode="after")
    def _windows_differ(self) -> Self:
        for name in ("volatility_windows", "rolling_windows"):
            windows = getattr(self, name)
            if len(set(windows)) < len(windows):
                raise ValueError(f"{name}: a window is named twice")
        return self


class ExploreSettings(Settings):
    """Settings of explore_features."""

    max_states: int = Field(500_000, ge=10_000, le=10_000_000)
    """States used at most, in stretches evenly spaced over all parts; about 0.2 GB of memory a million."""
    bins: int = Field(60, ge=5, le=500)
    """Bins of the histograms, and of each axis of the regime map."""
    lags: list[Lag] = Field([1, 2, 5, 10, 20, 50, 100, 200, 500], min_length=1, max_length=50)
    """Lags of the autocorrelation, in states."""
