"""Remove the lock that a killed run left, unless jobs of this directory are still in Slurm's queue.

Snakemake does not know jobs again after its death: with the lock removed while they run, it submits second copies
that write the same files.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
SHOWN = 5


def main() -> NoReturn:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m scripts.commands.unlock", description=__doc__)
    parser.parse_args()
    here = Path.cwd().resolve()
    try:
        jobs = queued_jobs(here)
    except RuntimeError as error:
        print(
            f"unlock: {error}; not unlocked, since jobs of this directory may still run"
            " (`snakemake --unlock` does it without asking Slurm)",
            file=sys.stderr,
        )
        sys.exit(1)
    if jobs:
        shown = " ".join(jobs[:SHOWN]) + (" …" if len(jobs) > SHOWN else "")
        print(
            f"unlock: {len(jobs)} Slurm jobs of {here} are still queued or running ({shown}): wait for them, or end "
            f"them with scancel {shown}",
            file=sys.stderr,
        )
        sys.exit(1)
    command = [str(Path(sys.executable).parent / "snakemake"), "--cores", "1", "--unlock", "--directory", str(here)]
    sys.exit(subprocess.run(command, cwd=ROOT).returncode)


def queued_jobs(directory: Path) -> list[str]:
    """Ids of Slurm's jobs whose working directory this is; none on a machine without Slurm.

    Raises:
        RuntimeError: Slurm is installed and does not answer.
    """
    if not shutil.which("squeue"):
        return []
    command = ["squeue", "--noheader", "--format=%A %Z"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise RuntimeError("squeue does not answer") from None
    if done.returncode != 0:
        raise RuntimeError(f"squeue failed: {' '.join(done.stderr.split()) or done.returncode}")
    jobs = [line.partition(" ") for line in done.stdout.splitlines()]
    return sorted({number for number, _, folder in jobs if folder and Path(folder).resolve() == directory})


if __name__ == "__main__":
    main()
