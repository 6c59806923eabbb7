"""Settings of the report's pages."""

from __future__ import annotations

from pydantic import Field

from scripts.lib.settings import Settings


class OverviewSettings(Settings):
    """Settings of write_overview."""

    lines: list[str] = Field(default_factory=list)
    """Lines of the workflow, in the order shown; one of which nothing was run is told so."""
    not_run: list[str] = Field(default_factory=list)
    """What was not run, in sentences or names, such as gates without a verdict."""
