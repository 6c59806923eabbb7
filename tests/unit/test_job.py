"""How programs run: command line, errors, signals, outputs. Every case is a real program in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.lib import job
from scripts.lib.joblog import read_job_log
from tests.conftest import ROOT, clean_environment

SETTINGS = '''\
from pydantic import Field

from scripts.lib.settings import Settings


class ToySettings(Settings):
    """Settings of the toy."""

    depth: int = Field(24, ge=1, le=1_000)
    """Levels a side."""
    pause: float = Field(0.5, gt=0)
    """Time between two messages, seconds."""
    seed: int = 0
    """Seed."""
'''
PROGRAM = '''\
from __future__ import annotations

import os
import random
import sys
import time

import numpy

from scripts.lib import job
from scripts.lib.errors import InputError
from toy_settings import ToySettings


def main(
    raw: list[job.InputFile],
    table: job.OutputFile,
    settings: ToySettings,
    folder: job.OutputDirectory | None = None,
    extra: job.InputFile | None = None,
    part_name: str | None = None,
    scale: float = 1.5,
) -> None:
    """Do the toy's work at 100 %.

    Args:
        raw: raw captures, more than 50 % of them
        table: table to write, the text of which goes
            on in a second line
        settings: 10 % of what it knows
        part_name: name of the part
    """
BODY

if __name__ == "__main__":
    job.run(main)
'''
HELD = "table.write_text('half')\nprint('ready', flush=True)\ntime.sleep(60)"


class Toy:
    """A program with the body that a test gives it, run in a folder with an input `a.raw`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = folder / "out" / "table.csv"
        (folder / "toy_settings.py").write_text(SETTINGS)
        (folder / "a.raw").write_text("A")
        self.body("table.write_text('new')")

    def body(self, body: str) -> None:
        (self.folder / "toy.py").write_text(PROGRAM.replace("BODY\n", textwrap.indent(body, "    ") + "\n\n"))

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "toy", "--raw", "a.raw", "--table", "out/table.csv", *options]

    def environment(self, **extra: str) -> dict[str, str]:
        return clean_environment(PYTHONPATH=f"{ROOT}:{self.folder}", **extra)

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run_command(self.command(*options), **environment)

    def run_command(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(**environment), capture_output=True, text=True, timeout=60
        )

    def stop(self, number: int) -> tuple[int, str]:
        """Send a signal in the middle of the work; returns exit code and stderr."""
        process = subprocess.Popen(
            self.command(), cwd=self.folder, env=self.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where a shell ignores it for us
        )  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        assert self.left() != []
        process.send_signal(number)
        stderr = process.communicate(timeout=60)[1]
        return process.returncode, stderr

    def left(self) -> list[str]:
        """What stands in the output folder."""
        return sorted(path.name for path in self.table.parent.iterdir()) if self.table.parent.exists() else []


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def test_help_shows_options_settings_units_and_bounds(toy: Toy) -> None:
    done = toy.run_command([sys.executable, "-m", "toy", "--help"], COLUMNS="200")
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "usage: python -m toy",
        "Do the toy's work at 100 %.",
        "raw captures, more than 50 % of them",
        "table to write, the text of which goes on in a second line",
        "10 % of what it knows: JSON text, or a file that holds it",
        "--part-name STR",
        "--scale FLOAT",
        "--folder FOLDER",
        "--debug",
        "  depth\n      int, >= 1, <= 1000, default 24. Levels a side.",
        "  pause\n      float, > 0, default 0.5. Time between two messages, seconds.",
    ):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--raw", "gone.raw"], "ERROR --raw: no such file: gone.raw"),
        (["--raw", "a.raw", "gone.raw"], "ERROR --raw: no such file: gone.raw"),
        (["--extra", "gone"], "ERROR --extra: no such file: gone"),
        (["--settings", '{"depth": 24'], "ERROR settings: settings: invalid JSON"),
        (["--settings", '{"depth":\n 24'], "ERROR settings: settings: invalid JSON"),
        (["--settings", '{"dept": 24}'], "ERROR settings: dept: unknown key"),
        (["--settings", '{"depth": 0}'], "ERROR settings: depth: input should be greater than or equal to 1, not 0"),
        (["--settings", "gone.json"], "ERROR --settings: neither JSON nor a readable file: gone.json"),
        (["--scale", "wide"], "argument --scale: invalid float value: 'wide'"),
        (["--bad", "1"], "unrecognized arguments: --bad 1"),
    ],
)
def test_bad_input_is_one_line_and_code_2(toy: Toy, options: list[str], expected: str) -> None:
    done = toy.run(*options)
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert toy.left() == []


def test_missing_option_is_one_line_and_code_2(toy: Toy) -> None:
    done = toy.run_command([sys.executable, "-m", "toy", "--raw", "a.raw"])
    assert done.returncode == 2
    assert done.stderr == "python -m toy: the following arguments are required: --table (--help lists all options)\n"


def test_input_error_of_the_program_is_one_line_even_with_newlines(toy: Toy) -> None:
    toy.body("table.write_text('half')\nraise InputError('a.raw: line 3:\\nno time')")
    done = toy.run()
    assert done.returncode == 2
    assert [line[25:] for line in done.stderr.splitlines()][1:] == ["ERROR a.raw: line 3: no time"]
    assert toy.left() == []


def test_work_that_stopped_with_its_state_saved_is_one_line_and_code_75(toy: Toy) -> None:
    toy.body("from scripts.lib.errors import Stopped\nif table: table.touch()\nraise Stopped('saved at step 3')")
    done = toy.run()
    assert done.returncode == 75
    assert [line[25:] for line in done.stderr.splitlines()][1:] == ["ERROR stopped: saved at step 3"]
    assert toy.left() == []
    told_by_the_first = toy.run(RANK="1")
    assert (told_by_the_first.returncode, told_by_the_first.stderr) == (75, "")


def test_an_error_that_the_first_rank_tells_is_not_repeated(toy: Toy) -> None:
    toy.body("from scripts.lib.errors import EchoedError\nraise EchoedError('a.raw: empty')")
    done = toy.run(RANK="1")
    assert (done.returncode, done.stderr) == (2, "")
    assert "DEBUG a.raw: empty" in toy.run("--debug", RANK="1").stderr


def test_fault_of_ours_is_one_line_with_file_and_line(toy: Toy) -> None:
    toy.body("table.write_text('half')\nraise ValueError('no\\ngood')")
    done = toy.run()
    assert done.returncode == 1
    _, error = done.stderr.splitlines()
    line = next(n for n, text in enumerate((toy.folder / "toy.py").read_text().splitlines(), 1) if "raise" in text)
    assert error.endswith(f"ERROR ValueError: no good at toy.py:{line} (--debug shows the traceback)")
    assert toy.left() == []


def test_traceback_only_on_request(toy: Toy) -> None:
    toy.body("raise ValueError('bad')")
    assert "Traceback" not in toy.run().stderr
    done = toy.run("--debug")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "ERROR ValueError: bad at toy.py" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("call", "code"), [("sys.exit()", 1), ("sys.exit(0)", 1), ("sys.exit(3)", 3), ("sys.exit('x')", 1)]
)
def test_program_that_exits_by_itself_has_failed(toy: Toy, call: str, code: int) -> None:
    toy.body(f"table.write_text('half')\n{call}")
    assert toy.run().returncode == code
    assert toy.left() == []


def test_outputs_appear_when_the_program_is_done(toy: Toy) -> None:
    toy.body(
        "folder.joinpath('x').write_text('X')\ntable.write_text('new')\n"
        "print(os.path.exists('out/table.csv'), os.path.exists('out/folder'), table.suffix)"
    )
    done = toy.run("--folder", "out/folder")
    assert (done.returncode, done.stdout) == (0, "False False .csv\n")
    assert toy.left() == ["folder", "table.csv"]
    assert toy.table.read_text() == "new"


def test_output_directory_replaces_the_old_one_whole(toy: Toy) -> None:
    old = toy.folder / "out" / "folder"
    old.mkdir(parents=True)
    (old / "old").touch()
    toy.body(
        "assert not any(folder.iterdir())\nfolder.joinpath('new').touch()\ntable.touch()\n"
        "assert os.listdir('out/folder') == ['old']"
    )
    assert toy.run("--folder", "out/folder").returncode == 0
    assert os.listdir(old) == ["new"]
    assert toy.left() == ["folder", "table.csv"]


def test_forgotten_output_is_an_error_and_leaves_nothing(toy: Toy) -> None:
    toy.body("folder.joinpath('x').touch()")
    done = toy.run("--folder", "out/folder")
    assert done.returncode == 1
    assert "the program did not write its output table (out/table.csv)" in done.stderr
    assert toy.left() == []


@pytest.mark.parametrize(
    ("body", "code"), [("raise ValueError", 1), ("raise InputError('x')", 2), ("os.kill(os.getpid(), 9)", -9)]
)
def test_old_output_survives_a_failing_run(toy: Toy, body: str, code: int) -> None:
    toy.table.parent.mkdir()
    toy.table.write_text("old")
    toy.body(f"table.write_text('half')\n{body}")
    assert toy.run().returncode == code
    assert toy.table.read_text() == "old"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_ends_with_its_code_one_line_and_no_file(toy: Toy, number: int, code: int) -> None:
    toy.body(HELD)
    returned, stderr = toy.stop(number)
    assert returned == code
    assert "nothing was written" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
    assert toy.left() == []


def test_what_a_killed_run_leaves_is_hidden_and_swept_by_the_next(toy: Toy) -> None:
    toy.body(HELD)
    assert toy.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    (partial,) = toy.left()
    assert partial.startswith(".table.")
    toy.body("table.write_text('new')")
    assert toy.run().returncode == 0
    assert toy.left() == ["table.csv"]


def test_several_inputs_optional_parameters_and_settings_file(toy: Toy) -> None:
    (toy.folder / "b.raw").touch()
    (toy.folder / "s.json").write_text('{"depth": 7}')
    body = "import json\ntable.touch()\n"
    toy.body(body + "print(json.dumps([[str(p) for p in raw], settings.depth, folder, extra, part_name, scale]))")
    given = toy.run("--raw", "a.raw", "b.raw", "--settings", "s.json", "--part-name", "p 1", "--scale", "2")
    assert json.loads(given.stdout) == [["a.raw", "b.raw"], 7, None, None, "p 1", 2.0]
    assert json.loads(toy.run().stdout) == [["a.raw"], 24, None, None, None, 1.5]


@pytest.mark.parametrize("text", ["{x}", "it's", '"quoted"', "$HOME `date`", "Ä\n"])
def test_text_arrives_as_given(toy: Toy, text: str) -> None:
    toy.body("table.write_text(part_name)")
    assert toy.run("--part-name", text).returncode == 0
    assert toy.table.read_text() == text


def test_only_the_first_rank_writes(toy: Toy) -> None:
    toy.body("print(table, folder)")
    done = toy.run("--folder", "out/folder", RANK="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "None None\n", "")
    assert toy.left() == []


def test_first_rank_writes_as_a_single_process_does(toy: Toy) -> None:
    assert toy.run(RANK="0").returncode == 0
    assert toy.left() == ["table.csv"]


def test_errors_of_other_ranks_are_told(toy: Toy) -> None:
    toy.body("raise ValueError('bad')")
    done = toy.run(RANK="1")
    assert done.returncode == 1
    assert "ERROR ValueError: bad" in done.stderr


def test_seed_makes_runs_repeatable(toy: Toy) -> None:
    toy.body("table.touch()\nprint(random.random(), numpy.random.rand(), random.getrandbits(64))")
    first, again, other = (toy.run("--settings", f'{{"seed": {seed}}}').stdout for seed in (1, 1, 2))
    assert first == again
    assert not set(first.split()) & set(other.split())


def test_rule_threads_reach_libraries_and_log(toy: Toy) -> None:
    toy.body("print(pyarrow.cpu_count())\ntable.touch()")
    text = (toy.folder / "toy.py").read_text()
    (toy.folder / "toy.py").write_text(text.replace("import numpy", "import numpy, pyarrow\npyarrow.set_cpu_count(7)"))
    done = toy.run(OMP_NUM_THREADS="3")
    assert done.stdout == "3\n"
    assert " threads=3\n" in done.stderr
    assert f" threads={len(os.sched_getaffinity(0))}\n" in toy.run(OMP_NUM_THREADS="").stderr


def test_collector_passes_over_what_was_imported_and_still_collects(toy: Toy) -> None:
    toy.body(
        "import gc, weakref\n"
        "class Loop: pass\n"
        "loop = Loop()\n"
        "loop.self, watched = loop, weakref.ref(loop)\n"
        "del loop\n"
        "gc.collect()\n"
        "print(any(item is numpy for item in gc.get_objects()), watched())\n"
        "table.touch()"
    )
    assert toy.run().stdout == "False None\n"


def test_start_and_done_lines_read_back(toy: Toy) -> None:
    toy.body("print(os.getpid())\ntable.touch()")
    done = toy.run(SLURM_JOB_ID="17", SLURMD_NODENAME="c7", TZ="Asia/Tokyo")
    (toy.folder / "log").write_text(done.stderr)
    read = read_job_log(toy.folder / "log")
    assert read
    assert (read.program, read.host, read.slurm_job, read.failed) == ("toy", "c7", "17", False)
    assert read.pid == int(done.stdout)
    assert read.python == ".".join(map(str, sys.version_info[:3]))
    assert re.fullmatch(r"done seconds=\d+\.\d", read.last)
    assert read.end
    assert read.start <= read.end
    assert abs(datetime.now(UTC) - read.start) < timedelta(hours=1)  # UTC whatever the time zone


def test_failed_program_reads_back_as_failed(toy: Toy) -> None:
    toy.body("raise InputError('a.raw: empty')")
    (toy.folder / "log").write_text(toy.run().stderr)
    read = read_job_log(toy.folder / "log")
    assert read
    assert (read.failed, read.last, read.slurm_job) == (True, "a.raw: empty", None)
    assert read.end


def test_outputs_that_are_one_file_or_an_input_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def copy(source: job.InputFile, first: job.OutputFile, second: job.OutputFile) -> None:
        """Copy a file twice."""
        for path in (first, second):
            path.write_bytes(source.read_bytes())

    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("x")
    for first, second, named in ((target, target, "--second"), (source, target, "--first")):
        with pytest.raises(SystemExit) as ended:
            job.run(copy, ["--source", str(source), "--first", str(first), "--second", str(second)])
        assert ended.value.code == 2
        assert named in capsys.readouterr().err
    assert source.read_text() == "x"
    assert not target.exists()
