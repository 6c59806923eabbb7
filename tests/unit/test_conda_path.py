"""The stand-in for conda on the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.lib import conda
from scripts.lib.conda import STAND_IN, provide_conda
from scripts.lib.errors import InputError


@pytest.mark.parametrize("other", ["", "tool"])
def test_stand_in_comes_last_where_there_is_no_conda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    path = str(tmp_path / other)
    monkeypatch.setenv("PATH", path)
    provide_conda()
    assert os.environ["PATH"].split(os.pathsep) == [path, str(STAND_IN)]
    assert shutil.which("conda") == str(STAND_IN / "conda")


def test_real_conda_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conda = tmp_path / "conda"
    conda.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    provide_conda()
    assert os.environ["PATH"] == str(tmp_path)
    assert shutil.which("conda") == str(conda)


def test_second_call_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    provide_conda()
    provide_conda()
    assert os.environ["PATH"].count(str(STAND_IN)) == 1


def test_without_a_path_the_system_folders_stay_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    monkeypatch.setattr(os, "defpath", "/nonexistent/bin")
    provide_conda()
    assert os.environ["PATH"].split(os.pathsep) == ["/nonexistent/bin", str(STAND_IN)]


@pytest.mark.parametrize("name", ["a b", "it's", 'say "x"', "a$b"])
def test_a_path_that_snakemake_does_not_quote_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(conda, "STAND_IN", tmp_path / name / "envs" / "bin")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="move the clone"):
        provide_conda()


def test_the_stand_in_runs_in_the_python_of_snakemake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine may have neither python3 nor python3.11 on its PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    provide_conda()
    done = subprocess.run([STAND_IN / "conda", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("conda "), done.stderr
