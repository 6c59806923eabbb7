"""Settings of the GPU checks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scripts.lib.settings import Launch, Settings


class CheckSettings(Settings):
    """Settings of check_gpus."""

    device: Literal["cuda", "cpu"] = "cuda"
    """Where to compute; cpu exercises the same steps on a machine without GPUs."""
    matrix_size: int = Field(8_192, ge=16, le=65_536)
    """Rows and columns of the matrices multiplied in BF16."""
    buffer_mb: int = Field(1_024, ge=1, le=65_536)
    """Size of the buffers copied and reduced, MB."""
    repeats: int = Field(20, ge=1, le=10_000)
    """Timed repetitions of each step."""


class PreflightLaunch(Settings):
    """The two shapes of GPU job that the lines ask for."""

    pair: Launch
    """Two GPUs of one node."""
    node: Launch
    """All eight GPUs of one node."""


class PreflightConfig(Settings):
    """The `preflight:` block of the config."""

    check: CheckSettings = CheckSettings()
    """check_gpus: what a GPU job really gets."""
    launch: PreflightLaunch
    """GPUs, threads, memory and time of the checks."""
