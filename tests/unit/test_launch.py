"""One process a GPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lib.launch import exit_code, main, share_threads, torchrun_arguments
from tests.conftest import ROOT, clean_environment

SHOW = "import os, sys\nprint(sys.argv[1:], os.environ.get('OMP_NUM_THREADS'), os.getpid())\nsys.exit(7)\n"


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.lib.launch", *arguments],
        env=clean_environment(PYTHONPATH=f"{ROOT}:{folder}", **environment), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_more_gpus_are_torchrun_on_this_node() -> None:
    arguments = torchrun_arguments(8, ["scripts.x", "--a", "b c"])
    assert arguments == ["--standalone", "--nproc-per-node=8", "-m", "scripts.x", "--a", "b c"]


@pytest.mark.parametrize("gpus", ["0", "1"])
def test_program_takes_the_place_of_the_launcher(tmp_path: Path, gpus: str) -> None:
    (tmp_path / "toy.py").write_text(SHOW)
    process = start(tmp_path, "--gpus", gpus, "toy", "--settings", '{"a": "b c"}', OMP_NUM_THREADS="6")
    out, err = process.communicate()
    assert (process.returncode, err) == (7, "")
    assert out == f"['--settings', '{{\"a\": \"b c\"}}'] 6 {process.pid}\n"


def test_signals_reach_the_program(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    process = start(tmp_path, "--gpus", "1", "toy")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 5


@pytest.mark.parametrize(
    ("processes", "threads", "each"), [(2, "16", "8"), (8, "64", "8"), (8, "4", "1"), (3, "8", "2")]
)
def test_processes_share_the_threads_of_the_rule(
    monkeypatch: pytest.MonkeyPatch, processes: int, threads: str, each: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    share_threads(processes)
    assert os.environ["OMP_NUM_THREADS"] == each


def test_a_signal_is_passed_on_to_all_processes_of_the_launcher() -> None:
    code = (
        "import signal, subprocess\nfrom scripts.lib.launch import pass_on\n"
        "children = [subprocess.Popen(['sleep', '60']) for _ in range(2)]\n"
        "pass_on(signal.SIGUSR1, None)\nprint(*[child.wait(30) for child in children])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "-10 -10\n"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([1], 1), ([1, 2], 2), ([2], 2), ([-15], 143), ([-9, 1], 137), ([-15, 75], 75), ([75, 2], 2)],
)
def test_the_ranks_codes_become_one(codes: list[int], expected: int) -> None:
    assert exit_code(codes) == expected


@pytest.mark.parametrize(
    "arguments",
    [[], ["toy"], ["--gpus", "2"], ["--gpus", "two", "toy"], ["--gpus", "-1", "toy"], ["toy", "--gpus", "2"]],
)
def test_wrong_call_shows_the_usage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("must not start"))
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")
