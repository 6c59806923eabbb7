"""The test cluster, and Snakemake runs on it with the real profile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, SNAKEMAKE, clean_environment

CLUSTER = ROOT / "tests" / "slurm" / "cluster"
WORKFLOW = ROOT / "tests" / "slurm" / "workflow" / "Snakefile"
# the profile looks at jobs every 20 s and later; here they last seconds
QUICK = ("--slurm-init-seconds-before-status-checks", "2")


def cluster(*arguments: str) -> str:
    """Call the cluster program; its output."""
    done = subprocess.run([str(CLUSTER), *arguments], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    """A running cluster; tests are skipped where Slurm is not installed."""
    missing = [name for name in ("slurmctld", "slurmd", "slurmdbd", "mariadbd", "munged") if not installed(name)]
    if missing:
        pytest.skip(f"no real Slurm here: {', '.join(missing)} not installed (tests/slurm/cluster packages lists them)")
    if os.geteuid() != 0:
        pytest.skip("the test cluster's daemons need root")
    cluster("up")
    try:
        yield
    finally:
        cluster("down", "--wipe")


def installed(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None


class HeadRun:
    """A Snakemake run in the background, in a directory of its own."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.output = directory / "head.out"
        with self.output.open("a") as out:
            self.process = subprocess.Popen(
                [str(SNAKEMAKE), "--directory", str(directory), *QUICK, *arguments],
                cwd=ROOT, env=clean_environment(), stdout=out, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def wait(self, timeout: float = 240) -> int:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            raise AssertionError(f"Snakemake hangs after {timeout} s:\n{self.text()}") from None

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def end(self) -> None:
        """Kill it if it is still there."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()


def misbehave(directory: Path, *arguments: str) -> HeadRun:
    """Run the test workflow with the real profile."""
    profiles = ["--profile", "slurm", "--workflow-profile", str(ROOT / "profiles" / "default")]
    return HeadRun(directory, "-s", str(WORKFLOW), *profiles, *arguments)


@pytest.fixture(scope="session")
def over_time(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadRun]:
    """A run whose job outlasts its time limit, Slurm's shortest; it takes minutes, beside the other tests.

    On a partition of its own, where no other test kills a node.
    """
    directory = tmp_path_factory.mktemp("over_time")
    config = ("--config", "seconds=600", "minutes=1", "partition=a100")
    run = misbehave(directory, "--retries", "0", *config, "--", "sleep")
    yield run
    run.end()


Start = Callable[..., HeadRun]


@pytest.fixture
def start(over_time: HeadRun, tmp_path: Path) -> Iterator[Start]:
    """Start the test workflow in the test's directory; whatever is left of it at the end is ended."""
    runs: list[HeadRun] = []

    def start_run(*arguments: str) -> HeadRun:
        runs.append(misbehave(tmp_path, *arguments))
        return runs[-1]

    yield start_run
    for run in runs:
        run.end()
    if jobs := queue(tmp_path):
        subprocess.run(["scancel", *jobs], check=False)
        wait_for(lambda: not queue(tmp_path), "the queue to empty")


def queue(directory: Path) -> list[str]:
    """Ids of the jobs of a directory that are pending or running."""
    done = subprocess.run(["squeue", "-h", "-o", "%A %Z"], capture_output=True, text=True, check=True)
    jobs = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return [number for number, folder in jobs if folder == str(directory)]


def accounting(fields: str, comment: str) -> list[list[str]]:
    """Rows of sacct, in order of submission, of jobs whose rule is `comment`; fields as in `sacct -o`."""
    command = ["sacct", "-X", "-P", "-n", "-S", "now-1days", "-o", f"Comment,{fields}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return [row[1:] for row in rows if row[0] == comment or row[0].startswith(f"{comment}_wildcards_")]


def wait_for(condition: Callable[[], object], what: str, timeout: float = 90) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"waited {timeout} s for {what}"
        time.sleep(0.5)
