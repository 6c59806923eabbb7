"""Settings of the reconstruction of books."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Settings
from scripts.orderbook.capture.settings import Venue


class ParseOptions(Settings):
    """What the config says of all feeds."""

    depth: int = Field(24, ge=1, le=1_000)
    """Levels a side in each state."""
    every_messages: int = Field(1, ge=1, le=1_000_000_000)
    """A state is written after this many depth messages; 1: after each. A segment's first state always is."""
    every_ms: int | None = Field(None, ge=1, le=86_400_000)
    """Instead: once this much event time has passed since the last state written, milliseconds; null: by messages."""
    crossed: Literal["drop_older", "flag", "resync"] = "drop_older"
    """What is done when a message leaves the best bid at or above the best ask. drop_older: the one of the two that
    was set earlier is removed, until they no longer cross (but none where the venue's checksum proves the book); flag:
    nothing, it is only counted; resync: the segment ends, and the next snapshot begins a new one."""
    max_bad_lines: int = Field(100, ge=0)
    """Lines that may be unreadable before the part is refused."""

    @model_validator(mode="after")
    def _rows_come_by_messages_or_by_time(self) -> Self:
        if self.every_ms is not None and self.every_messages != 1:
            raise ValueError("every_messages and every_ms: set one of them")
        return self


class ParseSettings(ParseOptions):
    """Settings of parse_book."""

    venue: Venue
    """Venue whose format and sequence rules hold."""
    symbol: str | None = None
    """The instrument to take from a capture of several; null: the only one."""
