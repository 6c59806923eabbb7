"""What all tests share: where the real data lie, how Snakemake and the programs are run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TIDEMILL_DATA", ROOT.parent / "shared" / "data"))
SNAKEMAKE = ROOT / ".venv" / "bin" / "snakemake"

Run = Callable[..., subprocess.CompletedProcess[str]]

ON_SIGTERM = signal.getsignal(signal.SIGTERM)


@pytest.fixture(autouse=True)
def sigterm() -> None:
    """Every test begins with pytest's own handler: a program run in this process, by a test or by a fixture of a whole
    module, leaves its own behind.
    """
    signal.signal(signal.SIGTERM, ON_SIGTERM)


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Path of a real data file; the test is skipped where the data are not at hand."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"real data not at hand: {path} (set TIDEMILL_DATA)")
        return path

    return find


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without what pytest or an outer make, Snakemake or Slurm put there."""
    foreign = ("SLURM", "PYTEST", "SNAKEMAKE", "MAKE", "MFLAGS", "PYTHONPATH")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)} | extra


def snakemake(
    *arguments: str | Path, cwd: Path = ROOT, timeout: float = 600, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the workflow's own Snakemake and capture what it prints."""
    return subprocess.run(
        [str(SNAKEMAKE), *map(str, arguments)],
        cwd=cwd, env=clean_environment(**environment), capture_output=True, text=True, timeout=timeout,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the repository's files (as git would give them, local changes included) to change at will."""
    return copy_repository(tmp_path / "clone")


def copy_repository(target: Path) -> Path:
    """Copy tracked and new files, links kept as links, and link the workflow's environment."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listing.stdout.splitlines():
        source, copy = ROOT / name, target / name
        if source.is_symlink() or source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)
    (target / ".venv").symlink_to((ROOT / ".venv").resolve())
    return target
