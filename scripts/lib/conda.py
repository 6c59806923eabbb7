"""Make a conda available to Snakemake on machines that have none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

STAND_IN = Path(__file__).resolve().parents[2] / "envs" / "bin"


def provide_conda() -> None:
    """Append the stand-in (envs/bin/conda) to the PATH where there is no conda; a real one is always preferred."""
    if not shutil.which("conda"):
        os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(STAND_IN)])
