"""Settings of what is drawn of the states."""

from __future__ import annotations

from pydantic import Field

from scripts.lib.settings import Settings


class PlotSettings(Settings):
    """Settings of plot_book."""

    levels: int = Field(20, ge=1, le=1_000)
    """Levels a side drawn in the ladder and summed in the depth."""
    max_points: int = Field(2_000, ge=10, le=100_000)
    """States drawn at most, evenly chosen over the part."""
