"""Make a conda available to Snakemake on machines that have none."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from scripts.lib.errors import InputError

STAND_IN = Path(__file__).resolve().parents[2] / "envs" / "bin"


def provide_conda() -> None:
    """Append the stand-in (envs/bin/conda) to the PATH where there is no conda; a real one is always preferred.

    Raises:
        InputError: the stand-in's path holds blanks or quotes, which Snakemake does not quote when it activates an
            environment: jobs would silently run in another one.
    """
    if shutil.which("conda"):
        return
    if re.search(r"[\s'\"$\\]", str(STAND_IN)):
        raise InputError(f"{STAND_IN.parents[1]}: the workflow's path must hold no blanks or quotes: move the clone")
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(STAND_IN)])
    os.environ["TIDEMILL_PYTHON"] = sys.executable  # the stand-in's interpreter, in jobs too
