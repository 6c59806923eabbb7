"""From a fresh clone to the report: `make demo` with no environment built, packages from the installer's cache.

    python -m tests.bench.set_up [--cold]

--cold also starts from an empty package cache, so that the time holds the downloads.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from tests.bench.timing import seconds, show
from tests.conftest import SNAKEMAKE, copy_repository


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.set_up", description=__doc__)
    parser.add_argument("--cold", action="store_true", help="empty package cache as well")
    cold = parser.parse_args().cold
    with tempfile.TemporaryDirectory() as folder:
        clone = copy_repository(Path(folder, "clone"))
        (clone / ".venv").unlink()
        os.environ["XDG_CACHE_HOME"] = str(Path(folder, "cache"))
        if not cold:  # uv keeps what it downloaded in a cache of its own, pip too
            home = Path(os.environ.get("UV_CACHE_DIR", Path.home() / ".cache" / "uv"))
            os.environ["UV_CACHE_DIR"] = str(home)
        what = "no environment and no package at hand" if cold else "no environment, packages in the cache"
        show(f"make demo, {what}", [seconds((["make", "demo"], clone))], "s")
        show("make demo again: nothing to be done", [seconds((["make", "demo"], clone))], "s")
        show(
            "snakemake --version, of which Snakemake's own start",
            [seconds(([str(SNAKEMAKE), "--version"], clone))],
            "s",
        )


if __name__ == "__main__":
    main()
