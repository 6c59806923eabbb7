"""check_gpus on CPU, in the environment that the rules give it: one process, two processes, and what must fail."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.preflight.settings import CheckSettings
from tests.conftest import ROOT, clean_environment

SMALL = {"device": "cpu", "matrix_size": 32, "buffer_mb": 1, "repeats": 2}
PROGRAM = "scripts.preflight.check_gpus"
FAILING = """
import os
from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.preflight import check_gpus
from scripts.preflight.check_gpus import main

measure = check_gpus.measure

def failing(*arguments):
    if os.environ["RANK"] == "{rank}":
        raise InputError("this rank fails")
    return measure(*arguments)

check_gpus.measure = failing
if __name__ == "__main__":
    job.run(main)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of envs/train.yaml, as the rules use it."""
    prefix = tmp_path_factory.mktemp("envs") / "train"
    conda = [sys.executable, str(ROOT / "envs" / "bin" / "conda.py"), "env", "create"]
    subprocess.run([*conda, "--file", str(ROOT / "envs" / "train.yaml"), "--prefix", str(prefix)], check=True)
    return prefix / "bin" / "python"


def check(
    python: Path, result: Path, *module: str, gpus: int, settings: dict[str, Any], path: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run check_gpus with no GPU in sight, whatever this machine has."""
    arguments = ("--result", str(result), "--gpus", str(gpus), "--settings", json.dumps(settings))
    environment = clean_environment(PYTHONPATH=f"{ROOT}:{path}", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="2")
    return subprocess.run(
        [str(python), "-m", *module, *arguments],
        env=environment, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def assert_rate(value: object) -> None:
    assert isinstance(value, float)
    assert math.isfinite(value)
    assert value > 0


@pytest.mark.parametrize("gpus", [0, 1])
def test_one_process_measures_itself(python: Path, tmp_path: Path, gpus: int) -> None:
    result = tmp_path / "out" / "result.json"
    done = check(python, result, PROGRAM, gpus=gpus, settings=SMALL)
    assert done.returncode == 0, done.stderr
    report = json.loads(result.read_text())
    assert (report["device"], report["gpus_asked_for"], report["processes"]) == ("cpu", gpus, 1)
    (device,) = report["devices"]
    assert (device["rank"], device["name"], device["capability"], device["fp8"]) == (0, "cpu", "0.0", False)
    assert device["all_reduce_gb_per_s"] is None
    for key in ("bf16_tflops", "copy_gb_per_s", "memory_gb"):
        assert_rate(device[key])
    assert list(result.parent.iterdir()) == [result]


def test_two_processes_measure_themselves_and_the_link_and_one_writes(python: Path, tmp_path: Path) -> None:
    result = tmp_path / "out" / "result.json"
    done = check(python, result, "scripts.lib.launch", "--gpus", "2", PROGRAM, gpus=2, settings=SMALL)
    assert done.returncode == 0, done.stderr
    report = json.loads(result.read_text())
    assert (report["gpus_asked_for"], report["processes"]) == (2, 2)
    assert [device["rank"] for device in report["devices"]] == [0, 1]
    for device in report["devices"]:
        for key in ("bf16_tflops", "copy_gb_per_s", "all_reduce_gb_per_s"):
            assert_rate(device[key])
    assert list(result.parent.iterdir()) == [result]
    assert done.stderr.count(f" INFO start {PROGRAM} ") == 1  # the other rank keeps quiet


@pytest.mark.parametrize("gpus", [0, 2])
def test_missing_gpus_are_told_with_both_counts_and_nothing_is_written(python: Path, tmp_path: Path, gpus: int) -> None:
    result = tmp_path / "out" / "result.json"
    done = check(python, result, PROGRAM, gpus=gpus, settings=SMALL | {"device": "cuda"})
    assert done.returncode == 2, done.stderr
    told = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert len(told) == 1
    assert re.search(rf" ERROR {max(gpus, 1)} GPUs were asked for, PyTorch \S+ sees 0$", told[0])
    assert list(result.parent.iterdir()) == []


@pytest.mark.parametrize("rank", [0, 1])
def test_no_result_is_left_when_a_rank_fails(python: Path, tmp_path: Path, rank: int) -> None:
    (tmp_path / "failing_rank.py").write_text(FAILING.format(rank=rank))
    result = tmp_path / "out" / "result.json"
    launch = ("scripts.lib.launch", "--gpus", "2", "failing_rank")
    done = check(python, result, *launch, gpus=2, settings=SMALL, path=str(tmp_path))
    assert done.returncode in (1, 2), "2 of the failing rank, or 1 of the one that lost its peer and was seen first"
    assert "this rank fails" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(result.parent.iterdir()) == []


def test_a_termination_reaches_all_processes_and_leaves_nothing(python: Path, tmp_path: Path) -> None:
    result = tmp_path / "out" / "result.json"
    settings = json.dumps(SMALL | {"matrix_size": 1024, "repeats": 10_000})
    command = [str(python), "-m", "scripts.lib.launch", "--gpus", "2", PROGRAM, "--result", str(result), "--gpus", "2"]
    environment = clean_environment(PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="2")
    process = subprocess.Popen(
        [*command, "--settings", settings], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    assert any(" INFO start " in line for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    rest = process.stderr.read()  # ends when the last process has closed it
    assert process.wait(60) == 128 + signal.SIGTERM
    assert "Traceback" not in rest
    assert not result.exists()


def test_an_older_result_survives_a_failure(python: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text("old")
    assert check(python, result, PROGRAM, gpus=2, settings=SMALL | {"device": "cuda"}).returncode == 2
    assert result.read_text() == "old"


@pytest.mark.parametrize(
    "values", [{"device": "tpu"}, {"matrix_size": 8}, {"repeats": 0}, {"buffer_mb": 0}, {"buffer_mb": 1.5}, {"gpus": 2}]
)
def test_settings_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        CheckSettings.model_validate(values)
