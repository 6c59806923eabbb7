"""Settings of simulated captures."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Settings

Signal = Annotated[float, Field(ge=0, lt=1)]
ACCIDENT_MESSAGES = 8
"""Depth messages that an accident of a simulated stream needs to itself, beside `snapshot_after`."""


class SimulateOptions(Settings):
    """What the config says of simulated feeds."""

    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the random numbers; each part of a feed draws its own from it and from the part's name."""
    messages: int = Field(2_000, ge=10, le=100_000_000)
    """Depth messages a part."""
    interval_ms: int = Field(100, ge=1, le=60_000)
    """Time between two depth messages, milliseconds."""
    events_per_message: float = Field(20.0, gt=0, le=10_000)
    """Mean number of order-book events between two depth messages."""
    start_price: float = Field(60_000.0, gt=0, le=1e9)
    """Mid price at the start, quote currency."""
    tick: float = Field(0.1, ge=1e-8, le=1e6)
    """Smallest price step, quote currency."""
    lot: float = Field(0.001, gt=0, le=1e6)
    """Smallest size step, base currency."""
    snapshot_levels: int = Field(1_000, ge=1, le=5_000)
    """Levels a side in the REST snapshot."""
    snapshot_after: int = Field(3, ge=0, le=1_000)
    """Depth messages that the collector received before the snapshot came, at the start and after each gap."""
    regime_messages: float = Field(200.0, ge=1, le=1e9)
    """Mean stay in a regime, depth messages; volatility, spread and depth each change theirs by themselves."""
    volatility_ticks: list[Annotated[float, Field(ge=0, le=1_000)]] = Field([2.0, 6.0], min_length=1, max_length=10)
    """Standard deviation of the mid's change from one depth message to the next, ticks; one value a regime."""
    spread_ticks: list[Annotated[float, Field(ge=1, le=1_000)]] = Field([1.5, 4.0], min_length=1, max_length=10)
    """Mean spread, ticks; one value a regime."""
    depth_lots: list[Annotated[float, Field(ge=1, le=1e9)]] = Field([200.0, 800.0], min_length=1, max_length=10)
    """Mean size of a level, lots; one value a regime."""
    pressure_messages: float = Field(200.0, ge=1, le=1e9)
    """Life (1/e) of the pressure that makes the sizes of one side larger than those of the other, depth messages."""
    lost_diffs: int = Field(0, ge=0, le=1_000_000)
    """Depth messages a part that are missing: each is a gap, and a later REST snapshot mends it."""
    swapped_diffs: int = Field(0, ge=0, le=1_000_000)
    """Depth messages a part that stand after the next one: each is a gap, too."""
    negative_sizes: int = Field(0, ge=0, le=1_000_000)
    """Depth messages a part that hold a negative size: each is a bad line and, since it is missing, a gap."""
    doubled_diffs: int = Field(0, ge=0, le=1_000_000)
    """Depth messages a part that stand there twice."""
    garbage_lines: int = Field(0, ge=0, le=1_000_000)
    """Lines a part that are no messages: noise, or the beginning of one."""
    cut_bytes: int = Field(0, ge=0, le=1_000_000)
    """Bytes missing at the end of each packed part: one bad line, and the last messages are lost."""

    @property
    def accidents(self) -> int:
        """Accidents a part, but for the cut."""
        return self.lost_diffs + self.swapped_diffs + self.negative_sizes + self.doubled_diffs + self.garbage_lines

    @model_validator(mode="after")
    def _a_book_can_be_rebuilt(self) -> Self:
        if self.snapshot_after >= self.messages:
            raise ValueError(f"snapshot_after: {self.snapshot_after} with {self.messages} messages: no snapshot comes")
        needed = (self.accidents + 1) * (self.snapshot_after + ACCIDENT_MESSAGES)
        if self.accidents and needed > self.messages:
            raise ValueError(f"messages: {self.accidents} accidents a part need {needed}, not {self.messages}")
        return self


class SimulateSettings(SimulateOptions):
    """Settings of simulate_book."""

    symbol: str = Field("BTCUSDT", min_length=1)
    """Symbol written into the messages."""
    signal: Signal = 0.0
    """Correlation of the pressure, which the imbalance of the sizes shows, with the mid's next change. 0: the mid is a
    random walk that has nothing to do with the book."""
