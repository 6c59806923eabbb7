"""Requests to stop: SIGTERM and SIGUSR1, and the end of a Slurm job's time. They are noted here and obeyed by the loop,
which saves at the next step's end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any

from scripts.lib.joblog import log

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
SHARE = 0.1  # of the time left at the start that is kept back at most: a short job is to do some work too


class StopRequests:
    """Notes requests to stop while it is open.

    Args:
        stop_minutes: time before the end of the job at which to stop, minutes.
        end: end of the job, seconds since 1970, as of `end_of_job`; None: not known.
        clock: seconds since 1970.
    """

    def __init__(self, stop_minutes: float, end: float | None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._signal: str | None = None
        self._before: dict[int, Any] = {}
        self._deadline: float | None = None
        if end is not None:
            now = clock()
            self._deadline = end - min(stop_minutes * 60, max(end - now, 0.0) * SHARE)
            log.info("the job's time ends in %.0f s: the training stops %.0f s before", end - now, end - self._deadline)

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def reason(self) -> str | None:
        """Why to stop; None: go on."""
        if self._signal:
            return self._signal
        if self._deadline is not None and self._clock() >= self._deadline:
            return "the job's time is nearly over"
        return None

    def _note(self, number: int, frame: object) -> None:
        self._signal = f"{signal.Signals(number).name} came"


def end_of_job() -> float | None:
    """End of this Slurm job's time, seconds since 1970; None outside of a job, or where Slurm does not say.

    Slurm 23.02 and newer hand it over; older ones are asked.
    """
    if text := os.environ.get("SLURM_JOB_END_TIME"):
        return float(text)
    job = os.environ.get("SLURM_JOB_ID")
    return ask_slurm(job) if job else None


def ask_slurm(job: str) -> float | None:
    """End of a job as `scontrol show job` tells it, in the node's local time."""
    try:
        done = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, timeout=60)
        match = re.search(r"EndTime=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", done.stdout)
    except (OSError, subprocess.SubprocessError):
        match = None
    if match is None:
        log.warning("Slurm does not say when job %s ends: the training cannot stop in time by itself", job)
        return None
    return datetime.fromisoformat(match[1]).timestamp()
