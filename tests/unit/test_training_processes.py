"""The training loop in one and two real processes: killed at random moments, short of memory in one of them, asked to
stop through the launcher. The processes are forks of one that has PyTorch loaded."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.lib.training.metrics import read_metrics
from tests.conftest import ROOT, clean_environment
from tests.unit import training_toy
from tests.unit.test_training_trainer import close, equal, timeless

TRAINING: dict[str, Any] = {
    "batch": 4, "accumulation": 2, "epochs": 6, "learning_rate": 0.01, "gradient_norm": 1.0,
    "run": {"log_every": 2, "checkpoint_minutes": 0.0, "keep": 3},
}  # fmt: skip
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.unit.training_toy", "torch.utils.tensorboard", "torch._dynamo"])


class Job:
    """One training of the toy: a folder of checkpoints, and any number of attempts."""

    def __init__(self, folder: Path, world: int) -> None:
        self.folder, self.world = folder, world
        self.model = folder / "model.pt"
        folder.mkdir(parents=True)

    def begin(self, **troubles: Any) -> list[ForkServerProcess]:
        """Start the processes of an attempt."""
        settings = json.dumps({"training": TRAINING} | troubles)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = []
        for rank in range(self.world):
            environment = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
            if self.world > 1:
                environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(self.world)}
                environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            arguments = (
                str(self.folder / "checkpoints"),
                str(self.model),
                settings,
                environment,
                str(self.folder / "log"),
            )
            processes.append(FORKS.Process(target=training_toy.start, args=arguments))
            processes[-1].start()
        return processes

    def attempt(self, **troubles: Any) -> list[int | None]:
        """Exit codes of an attempt that nobody disturbs."""
        processes = self.begin(**troubles)
        return [end(process) for process in processes]

    def attempt_killed(self, after: float) -> list[int | None]:
        """Exit codes of an attempt whose processes are killed some seconds after its first checkpoint."""
        newest = self.newest()
        processes = self.begin(pause=0.005, hold_after=8)  # four steps
        self.wait_for_checkpoint(newest)
        processes[0].join(after)
        for process in processes:
            process.kill()
        return [end(process) for process in processes]

    def newest(self) -> int:
        """Step of the newest checkpoint; 0 if there is none."""
        return max((int(path.name[5:]) for path in self.folder.glob("checkpoints/*/step-*")), default=0)

    def wait_for_checkpoint(self, after: int = 0) -> None:
        """Wait until the training is under way: there is a checkpoint of a later step."""
        limit = time.monotonic() + 120
        while self.newest() <= after and time.monotonic() < limit:
            time.sleep(0.005)

    def weights(self) -> dict[str, torch.Tensor]:
        loaded: dict[str, torch.Tensor] = torch.load(self.model, weights_only=True)
        return loaded

    def errors(self) -> list[str]:
        """Lines of errors in the log of all attempts."""
        return [line for line in (self.folder / "log").read_text().splitlines() if " ERROR " in line]

    def metrics(self) -> Path:
        (path,) = self.folder.glob("checkpoints/*/metrics.jsonl")
        return path


def end(process: ForkServerProcess) -> int | None:
    process.join(180)
    if process.is_alive():
        process.kill()
        pytest.fail("a process hangs")
    return process.exitcode


@pytest.fixture(scope="module", params=[1, 2], ids=["one", "two"])
def straight(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """An undisturbed training in one or two processes."""
    found = Job(tmp_path_factory.mktemp("straight") / "job", request.param)
    assert found.attempt() == [0] * request.param
    return found


def assert_same_end(job: Job, straight: Job) -> None:
    assert equal(job.weights(), straight.weights())
    assert timeless(job.metrics()) == timeless(straight.metrics())
    assert not list(job.folder.glob("checkpoints/*/.step-*")), "what a killed attempt left is still there"


def test_killed_at_random_moments_it_ends_bit_equal(straight: Job, tmp_path: Path) -> None:
    job = Job(tmp_path / "job", straight.world)
    moments = random.Random(straight.world)
    for _ in range(4):
        assert job.attempt_killed(moments.uniform(0.0, 0.05)) == [-signal.SIGKILL] * straight.world
    assert 4 <= job.newest() < 27, "the last attempt was under way when it was killed"
    assert job.attempt() == [0] * straight.world
    assert_same_end(job, straight)
    starts = [start["step"] for start in read_metrics(job.metrics(), "start")]
    assert starts == sorted(set(starts))
    assert len(starts) == 5


@pytest.mark.parametrize("file", [1, 4, 7])
def test_killed_in_the_middle_of_a_save_it_ends_bit_equal(straight: Job, tmp_path: Path, file: int) -> None:
    job = Job(tmp_path / "job", straight.world)
    processes = job.begin(die_in_save=file)
    assert end(processes[0]) == -signal.SIGKILL
    for process in processes[1:]:  # a launcher would end them
        process.kill()
        end(process)
    assert len(list(job.folder.glob("checkpoints/*/.step-*"))) == 1
    assert len(list(job.folder.glob("checkpoints/*/step-*"))) == min((file - 1) // 2, 3)
    assert job.attempt() == [0] * straight.world
    assert_same_end(job, straight)


def test_two_processes_come_to_what_one_does(tmp_path: Path) -> None:
    """But for rounding, and for dropout, which belongs to a micro-batch."""
    ends = []
    for world in (1, 2):
        job = Job(tmp_path / str(world), world)
        assert job.attempt(dropout=0.0) == [0] * world
        ends.append(job)
    assert close(ends[0].weights(), ends[1].weights())
    losses = [[record["loss"] for record in read_metrics(job.metrics(), "validation")] for job in ends]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("world", [1, 2])
def test_another_number_of_processes_takes_over(tmp_path: Path, world: int) -> None:
    job, straight = Job(tmp_path / "job", world), Job(tmp_path / "straight", 1)
    assert job.attempt_killed(0.0) == [-signal.SIGKILL] * world
    job.world = 3 - world
    assert job.attempt() == [0] * job.world
    assert straight.attempt() == [0]
    assert close(job.weights(), straight.weights())
    starts = read_metrics(job.metrics(), "start")
    assert [start["processes"] for start in starts] == [world, 3 - world]
    assert starts[1]["step"] > 0


def test_one_process_short_of_memory_shrinks_the_micro_batch_of_both(tmp_path: Path) -> None:
    plenty, short = Job(tmp_path / "plenty", 2), Job(tmp_path / "short", 2)
    assert plenty.attempt(dropout=0.0) == [0, 0]
    assert short.attempt(dropout=0.0, memory=1, short_rank=1) == [0, 0]
    assert close(plenty.weights(), short.weights())
    assert [event["micro_batch"] for event in read_metrics(short.metrics(), "event")] == [2, 1]
    assert {record["micro_batch"] for record in read_metrics(short.metrics(), "train")} == {1}


def test_no_memory_in_one_process_ends_both_with_one_line(tmp_path: Path) -> None:
    job = Job(tmp_path / "job", 2)
    assert job.attempt(memory=0, short_rank=1) == [2, 2]
    (line,) = job.errors()
    assert "step 1: out of memory with one sample at a time" in line


@pytest.mark.parametrize("world", [1, 2])
def test_a_second_copy_stops_with_a_clear_line(tmp_path: Path, world: int) -> None:
    job = Job(tmp_path / "job", world)
    first = job.begin(hold_after=4)
    job.wait_for_checkpoint()
    assert job.attempt() == [2] * world
    (line,) = job.errors()
    assert f"another copy of this job is at work there: host={socket.gethostname()} pid={first[0].pid}" in line
    for process in first:
        process.kill()
        end(process)
    assert job.attempt() == [0] * world, "a dead holder frees the lock"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 75)])
def test_the_launcher_passes_a_stop_on_and_the_next_attempt_goes_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Through torchrun, as a rule starts it; killed ones and straight ones are compared above."""
    job = Job(tmp_path / "job", 2)
    settings = json.dumps({"training": TRAINING, "pause": 0.05, "hold_after": 16})
    program = [training_toy.PROGRAM, "--checkpoints", str(job.folder / "checkpoints"), "--model", str(job.model)]
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.lib.launch", "--gpus", "2", *program, "--settings", settings], cwd=ROOT,
        env=clean_environment(PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="2"),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    job.wait_for_checkpoint()
    process.send_signal(number)
    _, text = process.communicate(timeout=120)
    assert process.returncode == code, text
    assert f"stopped: {number.name} came; saved at step " in text
    assert text.count(" ERROR ") == 1
    assert not job.model.exists()
    stopped_at = job.newest()
    assert 0 < stopped_at < 28
    assert job.attempt() == [0, 0]
    starts = read_metrics(job.metrics(), "start")
    assert [start["step"] for start in starts] == [0, stopped_at]
