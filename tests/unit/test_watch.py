"""`make watch`: which logs are of jobs that run now."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from scripts.commands.watch import FORGET_AFTER, plain, running, table
from tests.conftest import ROOT, clean_environment

HERE = socket.gethostname()
PROGRESS = "INFO progress read 37.5 % 1.2 G/3.2 GB 40 MB/s ETA 0:00:50"


def dead_pid() -> int:
    """Id of a process that was and is no more."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def write(
    logs: Path, *said: str, host: str = HERE, pid: int | None = None, name: str = "parse/a", minute: int = 0
) -> Path:
    """The log of a job that began at a minute past ten and said these things."""
    path = logs / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    start = f"INFO start scripts.x host={host} pid={pid or os.getpid()} slurm_job=- python=3.11.7 threads=1"
    lines = [f"2026-01-02T10:{minute:02d}:00.000Z {text}\n" for text in (start, *said)]
    path.write_text("".join(lines))
    return path


def names(logs: Path) -> list[str]:
    return [job.name for job in running(logs)]


def test_live_process_runs(tmp_path: Path) -> None:
    write(tmp_path, PROGRESS)
    assert names(tmp_path) == ["parse/a"]


def test_dead_process_on_this_host_does_not_run(tmp_path: Path) -> None:
    write(tmp_path, PROGRESS, pid=dead_pid())
    assert names(tmp_path) == []


def test_job_on_another_host_runs_while_its_log_speaks(tmp_path: Path) -> None:
    path = write(tmp_path, PROGRESS, host="node-of-elsewhere", pid=dead_pid())
    assert names(tmp_path) == ["parse/a"]
    long_ago = time.time() - FORGET_AFTER - 60
    os.utime(path, (long_ago, long_ago))
    assert names(tmp_path) == []


@pytest.mark.parametrize("end", ["INFO done seconds=3.3", "ERROR a.gz: line 3: no JSON"])
@pytest.mark.parametrize("host", [HERE, "node-of-elsewhere"])
def test_finished_and_failed_jobs_do_not_run(tmp_path: Path, end: str, host: str) -> None:
    write(tmp_path, PROGRESS, end, host=host)
    assert names(tmp_path) == []


def test_oldest_job_comes_first(tmp_path: Path) -> None:
    for name, minute in (("a", 5), ("deep/er/b", 1), ("c", 3)):
        write(tmp_path, name=name, minute=minute)
    assert names(tmp_path) == ["deep/er/b", "c", "a"]


def test_other_files_and_logs_that_vanish_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "other.log").write_text("not ours\n")
    (tmp_path / "empty.log").touch()
    (tmp_path / "folder.log").mkdir()
    (tmp_path / "gone.log").symlink_to("nowhere")
    (tmp_path / "note.txt").write_text((tmp_path / "parse" / "a.log").read_text())
    assert names(tmp_path) == ["parse/a"]


def test_no_logs_no_jobs(tmp_path: Path) -> None:
    assert running(tmp_path / "logs") == []


def test_plain_line_names_job_host_and_last_word(tmp_path: Path) -> None:
    write(tmp_path, PROGRESS)
    (job,) = running(tmp_path)
    assert plain(job).startswith(f"parse/a  {HERE}  ")
    assert plain(job).endswith("  progress read 37.5 % 1.2 G/3.2 GB 40 MB/s ETA 0:00:50")


def test_table_draws_a_bar_for_progress_and_text_for_the_rest(tmp_path: Path) -> None:
    write(tmp_path, PROGRESS, minute=1)
    write(tmp_path, "INFO fitting", name="fit/b", minute=2)
    screen = io.StringIO()
    Console(file=screen, width=200, force_terminal=False).print(table(running(tmp_path)))
    _, first, second = screen.getvalue().rstrip().splitlines()
    assert "parse/a" in first
    assert "━" in first
    assert "38 % 1.2 G/3.2 GB 40 MB/s ETA 0:00:50" in first
    assert "fit/b" in second
    assert "━" not in second
    assert "fitting" in second


@pytest.mark.parametrize(("count", "expected"), [(0, "no job runs in this directory"), (1, "parse/a  ")])
def test_without_a_terminal_the_jobs_are_printed_once(tmp_path: Path, count: int, expected: str) -> None:
    if count:
        write(tmp_path / "logs")
    done = subprocess.run(
        [sys.executable, "-m", "scripts.commands.watch"],
        cwd=tmp_path, env=clean_environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(expected)
    assert done.stdout.count("\n") == 1
