"""What a job writes to its log, and how the log is read back by `make watch` and by the provenance crate.

Every program begins its log with a line that says where it runs and ends it with one that says how it went:

    2026-11-20T10:58:00.123Z INFO start scripts.orderbook.parse_book host=c7 pid=4 slurm_job=17 python=3.11.7 threads=2
    2026-11-20T10:58:03.456Z INFO done seconds=3.3
"""

from __future__ import annotations

import logging
import os
import platform
import re
import socket
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

START = re.compile(
    r"^(?P<time>\S+Z) INFO start (?P<program>\S+) host=(?P<host>\S+) pid=(?P<pid>\d+) slurm_job=(?P<slurm>\S+)"
    r" python=(?P<python>\S+) threads=(?P<threads>\d+)$"
)
LINE = re.compile(r"^(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<level>[A-Z]+) (?P<text>.*)$")

log = logging.getLogger("tidemill")


@dataclass(frozen=True)
class JobLog:
    """One job as its log tells it; `end` is None while it runs, or when it was killed. Times are UTC."""

    program: str
    host: str
    pid: int
    slurm_job: str | None
    python: str
    threads: int
    start: datetime
    end: datetime | None
    failed: bool
    last: str


def set_up_logging(debug: bool = False, quiet: bool = False) -> None:
    """Log to stderr with UTC times to the millisecond; `quiet` (all ranks but the first) keeps warnings only."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    log.setLevel(logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO)


def log_start(program: str, threads: int) -> None:
    slurm_job = os.environ.get("SLURM_JOB_ID", "-")
    log.info(
        "start %s host=%s pid=%d slurm_job=%s python=%s threads=%d",
        program, os.environ.get("SLURMD_NODENAME") or socket.gethostname(), os.getpid(), slurm_job,
        platform.python_version(), threads,
    )  # fmt: skip


def log_done(seconds: float) -> None:
    log.info("done seconds=%.1f", seconds)


def read_job_log(path: Path) -> JobLog | None:
    """Read the log of a job; None if the file is missing or its job was not started by `scripts.lib.job`."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    start = next((match for line in lines if (match := START.match(line))), None)
    if start is None:
        return None
    last = next((match for line in reversed(lines) if (match := LINE.match(line))), start)
    text = last["text"] if "text" in last.re.groupindex else ""
    failed = "level" in last.re.groupindex and last["level"] == "ERROR"
    return JobLog(
        program=start["program"],
        host=start["host"],
        pid=int(start["pid"]),
        slurm_job=None if start["slurm"] == "-" else start["slurm"],
        python=start["python"],
        threads=int(start["threads"]),
        start=_time(start["time"]),
        end=_time(last["time"]) if failed or text.startswith("done ") else None,
        failed=failed,
        last=text,
    )


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
