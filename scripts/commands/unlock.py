"""Remove the lock that a killed run left, unless something of that run is still at work.

That is jobs of this directory in Slurm's queue, or a Snakemake or one of its programs on this machine. Snakemake does
not know jobs again after its death: with the lock removed while they run, it starts second copies that write the same
files.
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
    if processes := running_processes(here):
        number, name = processes[0]
        print(f"unlock: process {number} is still at work in {here} ({name}); not unlocked", file=sys.stderr)
        sys.exit(1)
    command = [str(Path(sys.executable).parent / "snakemake"), "--cores", "1", "--unlock", "--directory", str(here)]
    sys.exit(subprocess.run(command, cwd=ROOT).returncode)


def running_processes(directory: Path) -> list[tuple[int, str]]:
    """Processes of this machine at work in a directory: Snakemake itself, or a program of ours; (pid, command)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if at_work(words) and (process / "cwd").resolve() == directory:
                found.append((int(process.name), " ".join(words)[:80].strip()))
        except OSError:
            continue  # it just ended, or is not ours to look at
    return sorted(found)


def at_work(words: list[str]) -> bool:
    """Whether a command line is Snakemake's or a program's; the commands of `make` change no result."""
    program = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    if program:
        ours = program.startswith("scripts.") and not program.startswith("scripts.commands.")
        return ours or program == "snakemake"
    return any(Path(word).name == "snakemake" for word in words[:2])


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
