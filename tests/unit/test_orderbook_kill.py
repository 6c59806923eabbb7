"""parse_book killed at random moments."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import ROOT, clean_environment

NAMES = ("states.parquet", "quality.json", "book.npz")
SIMULATED = '{"messages": 20000, "events_per_message": 5.0, "lost_diffs": 2, "garbage_lines": 3}'
PROGRAM = (sys.executable, "-m", "scripts.orderbook.parse_book")


def start(raw: Path, folder: Path) -> subprocess.Popen[bytes]:
    outputs = [word for name in NAMES for word in (f"--{name.split('.')[0]}", str(folder / name))]
    outputs[outputs.index("--book")] = "--book-out"
    arguments = ["--raw", str(raw), *outputs, "--settings", '{"venue": "binance-usdm"}']
    environment = clean_environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    return subprocess.Popen([*PROGRAM, *arguments], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name in NAMES}


def test_killed_at_any_moment_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    raw, out = tmp_path / "20240101.gz", tmp_path / "out"
    made = [sys.executable, "-m", "scripts.orderbook.simulate_book", "--raw", str(raw), "--part", "20240101"]
    subprocess.run([*made, "--settings", SIMULATED], cwd=ROOT, env=clean_environment(PYTHONPATH=str(ROOT)), check=True)
    assert start(raw, tmp_path / "whole").wait() == 0
    whole = read(tmp_path / "whole")
    assert set(whole) == set(NAMES)
    chosen, killed = random.Random(0), 0
    for _ in range(6):
        process = start(raw, out)
        while process.poll() is None and not list(out.glob(".states.*")):  # it has begun to write
            time.sleep(0.005)
        time.sleep(chosen.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        for name, content in read(out).items():  # what has its name is whole
            assert content == whole[name]
    assert killed > 0
    assert start(raw, out).wait() == 0
    assert read(out) == whole
    assert sorted(path.name for path in out.iterdir()) == sorted(NAMES)
