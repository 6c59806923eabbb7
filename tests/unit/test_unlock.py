"""`make unlock` asks Slurm before it removes a lock. squeue and snakemake are stand-ins that note their call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.commands.unlock import at_work
from tests.conftest import ROOT, clean_environment


class Machine:
    """A folder of programs: a Python whose neighbour `snakemake` is ours, and `squeue` where a test puts one."""

    def __init__(self, root: Path) -> None:
        self.bin, self.run, self.called = root / "bin", root / "run", root / "called"
        self.bin.mkdir()
        self.run.mkdir()
        (self.bin / "python").symlink_to(os.path.realpath(sys.executable))
        self.program(self.bin / "snakemake", f'pwd -P >> "{self.called}"\necho "$@" >> "{self.called}"\nexit 4')

    def program(self, path: Path, body: str) -> None:
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def squeue(self, *jobs: str, body: str = "") -> None:
        """An squeue that knows these "ID FOLDER" lines, if asked for them in this format."""
        (self.run.parent / "jobs").write_text("".join(f"{job}\n" for job in jobs))
        answer = f'while read -r line; do echo "$line"; done < "{self.run.parent}/jobs"'
        asked = 'case "$*" in *--noheader*"%A %Z"*) ;; *) echo "squeue: asked $*" >&2; exit 9;; esac'
        self.program(self.bin / "squeue", body or f"{asked}\n{answer}")

    def unlock(self, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / "python"), "-m", "scripts.commands.unlock"],
            cwd=cwd or self.run, env=clean_environment(PYTHONPATH=str(ROOT), PATH=str(self.bin)),
            capture_output=True, text=True,
        )  # fmt: skip

    def unlocked(self) -> bool:
        """Whether snakemake was called, with the right option and folder."""
        if not self.called.exists():
            return False
        folder, options = self.called.read_text().splitlines()
        assert folder == str(ROOT), "where profiles and config files are looked up"
        assert "--unlock" in options
        assert options.endswith(f"--directory {self.run}")
        return True


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_jobs_of_this_directory_keep_the_lock_and_are_named(machine: Machine) -> None:
    machine.squeue(f"17 {machine.run}", "18 /elsewhere", f"19 {machine.run}")
    done = machine.unlock()
    assert done.returncode == 1
    assert "2 Slurm jobs" in done.stderr
    assert "scancel 17 19" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not machine.unlocked()


def test_long_lists_of_jobs_are_cut(machine: Machine) -> None:
    machine.squeue(*[f"{number} {machine.run}" for number in range(10, 20)])
    done = machine.unlock()
    assert "10 Slurm jobs" in done.stderr
    assert "(10 11 12 13 14 …)" in done.stderr


@pytest.mark.parametrize("jobs", [[], ["17 /elsewhere"], ["17 {run}/below", "18 {run}2", "19 "]])
def test_jobs_of_other_directories_do_not_matter(machine: Machine, jobs: list[str]) -> None:
    machine.squeue(*[job.format(run=machine.run) for job in jobs])
    done = machine.unlock()
    assert done.stderr == ""
    assert machine.unlocked()
    assert done.returncode == 4, "the exit code is Snakemake's"


def test_without_slurm_the_lock_is_removed(machine: Machine) -> None:
    machine.unlock()
    assert machine.unlocked()


@pytest.mark.parametrize("body", ["echo 'slurm_load_jobs error:\nUnable to contact' >&2; exit 1", "exit 3"])
def test_silent_slurm_keeps_the_lock(machine: Machine, body: str) -> None:
    machine.squeue(body=body)
    done = machine.unlock()
    assert done.returncode == 1
    assert "unlock: squeue failed: " in done.stderr
    assert done.stderr.count("\n") == 1
    assert not machine.unlocked()


@pytest.mark.parametrize("linked", ["job", "shell"])
def test_symlinked_directory_is_the_same_directory(machine: Machine, linked: str) -> None:
    link = machine.run.parent / "link"
    link.symlink_to(machine.run)
    machine.squeue(f"17 {link if linked == 'job' else machine.run}")
    assert machine.unlock(cwd=link if linked == "shell" else machine.run).returncode == 1
    assert not machine.unlocked()


def test_directory_with_spaces_is_found(machine: Machine) -> None:
    machine.run = machine.run.rename(machine.run.with_name("my run"))
    machine.squeue(f"17 {machine.run}")
    assert machine.unlock().returncode == 1


@pytest.mark.parametrize(
    ("words", "working"),
    [
        (["/x/bin/python", "/y/.venv/bin/snakemake", "--profile", "local"], True),
        (["/x/bin/python", "-m", "snakemake", "--snakefile", "S"], True),
        (["python", "-m", "scripts.orderbook.parse_book", "--raw", "a"], True),
        (["python", "-m", "scripts.commands.unlock"], False),
        (["vim", "snakemake.txt"], False),
        (["bash", "-c", "make unlock"], False),
        ([], False),
    ],
)
def test_who_is_at_work_is_told_by_the_command_line(words: list[str], working: bool) -> None:
    assert at_work(words) is working


def test_a_living_run_on_this_machine_keeps_the_lock(machine: Machine) -> None:
    machine.program(machine.run / "snakemake", "echo ready; read -r _")
    head = subprocess.Popen(
        ["sh", str(machine.run / "snakemake")],
        cwd=machine.run,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert head.stdout
    assert head.stdout.readline() == "ready\n"
    done = machine.unlock()
    assert done.returncode == 1
    assert f"process {head.pid} is still at work" in done.stderr
    assert not machine.unlocked()
    head.communicate("\n")
    assert machine.unlock().returncode == 4
    assert machine.unlocked()
