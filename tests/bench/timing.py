"""Timing of whole processes, in turn, so that a drift of the machine's speed meets both sides alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Command = tuple[Sequence[str], Path]
"""A command line and the directory to run it in."""


def seconds(command: Command) -> float:
    """Wall time of one run, seconds; a failing command is an error, not a figure."""
    from tests.conftest import clean_environment  # the rivals' environment, which times no process, has no pytest

    arguments, directory = command
    start = time.perf_counter()
    done = subprocess.run(arguments, cwd=directory, env=clean_environment(), capture_output=True, text=True)
    took = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
    return took


def peak_memory(command: Command) -> float:
    """Largest resident memory of one run, MB (10^6 bytes); of what it starts, nothing is counted."""
    from tests.conftest import clean_environment

    arguments, directory = command
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(arguments, cwd=directory, env=clean_environment(), stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            raise RuntimeError(f"{arguments}: {log.read()[-2000:].decode()}")
    return usage.ru_maxrss * 1024 / 1e6


def in_turn(ours: Command, rival: Command, repeats: int) -> list[tuple[float, float]]:
    """Pairs of (ours, rival) in seconds, after one warm-up of each."""
    seconds(ours), seconds(rival)
    return [(seconds(ours), seconds(rival)) for _ in range(repeats)]


def show(name: str, values: Sequence[float], unit: str, limit: str = "") -> None:
    """One line: median, smallest and largest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{name:58} {middle:7.2f} {unit:2} ({low:.2f} to {high:.2f}, n={len(values)}){limit}")


def derived(pairs: list[tuple[float, float]], function: Callable[[float, float], float]) -> list[float]:
    return [function(ours, rival) for ours, rival in pairs]
