"""Follow the jobs that run now: one bar a job, read from the logs below logs/ of this directory."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from scripts.lib.joblog import JobLog, read_job_log
from scripts.lib.progress import clock, read_line

FORGET_AFTER = 24 * 3600  # seconds without a word: the job was killed on another host


@dataclass(frozen=True)
class Running:
    """A job that runs: its log's path below logs/, what it last said, and how long ago, seconds."""

    name: str
    log: JobLog
    silent: float


def main() -> NoReturn:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m scripts.commands.watch", description=__doc__)
    parser.add_argument("--once", action="store_true", help="print the jobs as plain lines and exit")
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="time between looks (default 2)")
    options = parser.parse_args()
    if options.once or not sys.stdout.isatty():
        print("\n".join(plain(job) for job in running(Path("logs"))) or "no job runs in this directory")
        sys.exit(0)
    try:
        follow(options.every)
    except KeyboardInterrupt:
        sys.exit(0)


def running(logs: Path) -> list[Running]:
    """Jobs whose log has a beginning and no end, oldest first."""
    now = time.time()
    found = []
    for path in logs.rglob("*.log"):
        log = read_job_log(path)
        try:
            silent = now - path.stat().st_mtime
        except FileNotFoundError:  # Snakemake removes a job's log before it starts it again
            continue
        if log and log.end is None and silent < FORGET_AFTER and _alive(log):
            found.append(Running(str(path.relative_to(logs).with_suffix("")), log, silent))
    return sorted(found, key=lambda job: job.log.start)


def _alive(log: JobLog) -> bool:
    """Whether the process is there, as far as that can be told: on another host only its log speaks for it."""
    return log.host != socket.gethostname() or os.path.exists(f"/proc/{log.pid}")


def plain(job: Running) -> str:
    """One line: name, host, time since its start, last word."""
    return f"{job.name}  {job.log.host}  {_age(job)}  {job.log.last}"


def _age(job: Running) -> str:
    return clock((datetime.now(UTC) - job.log.start).total_seconds())


def follow(every: float) -> NoReturn:
    """Draw the table of running jobs until interrupted."""
    with Live(console=Console(), refresh_per_second=4) as live:
        while True:
            jobs = running(Path("logs"))
            live.update(table(jobs) if jobs else "no job runs in this directory (Ctrl-C to leave)")
            time.sleep(every)


def table(jobs: list[Running]) -> Table:
    """Jobs with bars where they report progress."""
    grid = Table("job", "host", "running", "progress", "", "silent for", box=None)
    for job in jobs:
        reading = read_line(job.log.last)
        bar = ProgressBar(total=100, completed=reading.percent, width=24) if reading else ""
        text = f"{reading.percent:.0f} % {reading.rest}" if reading else job.log.last
        grid.add_row(job.name, job.log.host, _age(job), bar, text, clock(job.silent))
    return grid


if __name__ == "__main__":
    main()
