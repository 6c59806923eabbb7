"""The stand-in for conda on the PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from scripts.lib.conda import STAND_IN, provide_conda


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
