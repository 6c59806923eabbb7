"""Reading of job logs, and what is logged when."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scripts.lib.joblog import log, log_done, read_job_log, set_up_logging

START = (
    "2026-11-20T10:58:00.123Z INFO start scripts.orderbook.parse_book"
    " host=c7 pid=4 slurm_job=17 python=3.11.7 threads=2"
)
DONE = "2026-11-20T10:58:03.456Z INFO done seconds=3.3"
PROGRESS = "2026-11-20T10:58:01.000Z INFO progress read 50.0 % 1/2 B 1 B/s ETA 0:00:01"
ERROR = "2026-11-20T10:58:02.000Z ERROR a.gz: line 3: no JSON"
NOISE = "/lib/x.py:3: UserWarning: 2026 is a year"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "job.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture
def fresh_logging() -> Iterator[None]:
    """Put pytest's handlers and the levels back afterwards."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], (root.level, log.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    log.setLevel(levels[1])


def test_start_line_holds_who_where_and_when(tmp_path: Path) -> None:
    job = read_job_log(write(tmp_path, NOISE, START, DONE))
    assert job
    assert (job.program, job.host, job.pid, job.slurm_job) == ("scripts.orderbook.parse_book", "c7", 4, "17")
    assert (job.python, job.threads) == ("3.11.7", 2)
    assert job.start == datetime(2026, 11, 20, 10, 58, 0, 123_000, tzinfo=UTC)
    assert job.end == datetime(2026, 11, 20, 10, 58, 3, 456_000, tzinfo=UTC)


def test_job_outside_of_slurm_has_no_slurm_job(tmp_path: Path) -> None:
    job = read_job_log(write(tmp_path, START.replace("slurm_job=17", "slurm_job=-")))
    assert job
    assert job.slurm_job is None


@pytest.mark.parametrize(
    ("lines", "ended", "failed", "last"),
    [
        ([], False, False, "start scripts.orderbook.parse_book"),
        ([PROGRESS], False, False, "progress read 50.0 %"),
        ([PROGRESS, NOISE], False, False, "progress read 50.0 %"),
        ([PROGRESS, DONE], True, False, "done seconds=3.3"),
        ([DONE, NOISE], True, False, "done seconds=3.3"),
        ([PROGRESS, ERROR], True, True, "a.gz: line 3: no JSON"),
        ([ERROR, "Traceback (most recent call last):", "  ..."], True, True, "a.gz: line 3: no JSON"),
        ([PROGRESS.replace("INFO", "WARNING")], False, False, "progress read"),
        ([PROGRESS.replace("progress", "done-ish")], False, False, "done-ish"),
    ],
)
def test_last_line_tells_how_the_job_stands(
    tmp_path: Path, lines: list[str], ended: bool, failed: bool, last: str
) -> None:
    job = read_job_log(write(tmp_path, START, *lines))
    assert job
    assert (job.end is not None, job.failed) == (ended, failed)
    assert job.last.startswith(last)


@pytest.mark.parametrize("lines", [[], [NOISE], [DONE], [START.replace("pid=4", "pid=x")], [f"  {START}"]])
def test_log_without_a_start_line_is_no_job(tmp_path: Path, lines: list[str]) -> None:
    assert read_job_log(write(tmp_path, *lines)) is None


def test_missing_log_and_folder_are_no_job(tmp_path: Path) -> None:
    assert read_job_log(tmp_path / "gone.log") is None
    assert read_job_log(tmp_path) is None


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path, START, DONE)
    path.write_bytes(b"\xff\xfe\n" + path.read_bytes() + b"\x80\n")
    job = read_job_log(path)
    assert job
    assert job.end


@pytest.mark.parametrize(
    ("debug", "quiet", "levels"),
    [
        (False, False, ["INFO", "WARNING", "ERROR"]),
        (True, False, ["DEBUG", "INFO", "WARNING", "ERROR"]),
        (False, True, ["WARNING", "ERROR"]),
    ],
)
@pytest.mark.usefixtures("fresh_logging")
def test_levels(capsys: pytest.CaptureFixture[str], debug: bool, quiet: bool, levels: list[str]) -> None:
    set_up_logging(debug, quiet)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.log(level, "text")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == levels


@pytest.mark.usefixtures("fresh_logging")
def test_libraries_are_heard_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(debug=True)
    logging.getLogger("matplotlib").info("chatter")
    logging.getLogger("matplotlib").warning("careful")
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()] == ["WARNING careful"]


@pytest.mark.usefixtures("fresh_logging")
def test_lines_have_utc_times_to_the_millisecond(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging()
    log_done(3.25)
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO done seconds=3\.2\n"
    assert re.fullmatch(pattern, capsys.readouterr().err)
