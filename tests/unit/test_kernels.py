"""Compiled functions: what they compute, and where they are kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment

HELPER = """
from scripts.lib.kernels import kernel

@kernel
def factor(x):
    return {factor} * x
"""
PROGRAM = """
from scripts.lib.kernels import kernel
from toy.helper import factor

@kernel
def total(values):
    result = 0
    for i in range(values.size):
        result += factor(values[i])
    return result
"""
RUN = """
import numpy as np
from toy.program import total
print(total(np.arange(4)), sum(total.stats.cache_hits.values()))
"""


class Toy:
    """A package with a kernel that calls one of another file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "toy").mkdir()
        (root / "toy" / "program.py").write_text(PROGRAM)
        self.write(2)

    def write(self, factor: int) -> None:
        (self.root / "toy" / "helper.py").write_text(HELPER.format(factor=factor))

    def run(self, **environment: str) -> str:
        settings = {"PYTHONPATH": f"{ROOT}:{self.root}", "XDG_CACHE_HOME": str(self.root / "cache")} | environment
        done = subprocess.run(
            [sys.executable, "-B", "-c", RUN], env=clean_environment(**settings), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def test_second_process_compiles_nothing(toy: Toy) -> None:
    assert [toy.run(), toy.run()] == ["12 0", "12 1"]
    assert not list((toy.root / "toy").glob("__pycache__"))


def test_changed_helper_of_another_file_is_compiled_again(toy: Toy) -> None:
    assert toy.run() == "12 0"
    stamp = (toy.root / "toy" / "program.py").stat().st_mtime_ns
    toy.write(3)
    os.utime(toy.root / "toy" / "program.py", ns=(stamp, stamp))
    assert toy.run() == "18 0"


def test_changed_constant_of_another_file_is_compiled_again(toy: Toy) -> None:
    constants, helper = toy.root / "toy" / "constants.py", toy.root / "toy" / "helper.py"
    helper.write_text("from toy.constants import FACTOR\n" + HELPER.replace("{factor}", "FACTOR"))
    found = []
    for factor in (2, 2, 3):
        constants.write_text(f"FACTOR = {factor}\n")
        found.append(toy.run())
    assert found == ["12 0", "12 1", "18 0"]


def test_changed_helper_of_the_line_is_compiled_again_in_its_packages(tmp_path: Path) -> None:
    """A kernel of `top.line.part.program` calls one of `top.line.helper`."""
    line = tmp_path / "top" / "line"
    (line / "part").mkdir(parents=True)
    (line / "part" / "program.py").write_text(PROGRAM.replace("toy.helper", "top.line.helper"))
    run = RUN.replace("toy.program", "top.line.part.program")
    settings = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    found = []
    for factor in (2, 2, 3):
        (line / "helper.py").write_text(HELPER.format(factor=factor))
        done = subprocess.run(
            [sys.executable, "-B", "-c", run], env=clean_environment(**settings), capture_output=True, text=True
        )
        found.append(done.stdout.strip())
    assert found == ["12 0", "12 1", "18 0"]


def test_user_without_a_cache_gets_a_temporary_folder(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "tmp").mkdir()
    places = {"XDG_CACHE_HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path / "tmp")}
    assert [toy.run(**places), toy.run(**places)] == ["12 0", "12 1"]
    shutil.rmtree(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    assert toy.run(**places) == "12 0"
