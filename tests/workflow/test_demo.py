"""The README's commands, typed in a fresh clone."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import clean_environment, copy_repository


def make(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=clone, env=clean_environment(), capture_output=True, text=True, timeout=900
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone without any environment."""
    target = copy_repository(tmp_path_factory.mktemp("fresh") / "clone")
    (target / ".venv").unlink()
    return target


@pytest.fixture(scope="module")
def demo(clone: Path) -> subprocess.CompletedProcess[str]:
    done = make(clone, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_demo_prints_the_report_s_path_and_ten_lines(demo: subprocess.CompletedProcess[str], clone: Path) -> None:
    last = demo.stdout.rstrip().splitlines()[-11:]
    report = re.match(r"Report: (.+) \(", last[0])
    assert report is not None, last
    assert Path(report[1]) == clone / "results" / "report.html"
    assert Path(report[1]).is_file()
    assert len(last) == 11
    assert (clone / ".venv" / "bin" / "snakemake").exists()
    assert list((clone / ".snakemake" / "conda").glob("*/bin/python"))


def test_the_demo_s_books_equal_the_venue_s_best_quotes(demo: subprocess.CompletedProcess[str], clone: Path) -> None:
    reports = [json.loads(path.read_text()) for path in clone.glob("results/orderbook/simulated/quality/*.json")]
    assert len(reports) == 2
    for report in reports:
        assert report["best_quote_check"]["equal"] == report["best_quote_check"]["compared"] == report["states"]


def test_a_second_demo_has_nothing_to_do(demo: subprocess.CompletedProcess[str], clone: Path) -> None:
    before = (clone / "results" / "report.html").stat().st_mtime_ns
    again = make(clone, "demo")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr
    assert (clone / "results" / "report.html").stat().st_mtime_ns == before


def test_the_crate_of_the_demo_is_written(demo: subprocess.CompletedProcess[str], clone: Path) -> None:
    done = make(clone, "crate")
    assert done.returncode == 0, done.stderr
    assert (clone / "results" / "crate.zip").is_file()


def test_the_demo_runs_on_a_real_capture_by_one_change_of_the_config(
    demo: subprocess.CompletedProcess[str], clone: Path, real_data: Callable[[str], Path]
) -> None:
    """The change is the one that the README shows."""
    capture = real_data("orderbook/binance/usdm/btcusdt_20240808.gz")
    example = re.search(r"```yaml\n# mine\.yaml\n(.*?)```", (clone / "README.md").read_text(), re.DOTALL)
    assert example is not None
    (clone / "mine.yaml").write_text(example[1].replace("/data/binance", str(capture.parent)))
    done = make(clone, "demo", "CONFIG=mine.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    quality = json.loads((clone / "results/orderbook/btcusdt/quality/20240808.json").read_text())
    check = quality["best_quote_check"]
    assert quality["gaps"] == quality["bad_lines"] == 0
    assert check["equal"] >= 0.999 * check["compared"] > 6_000
    assert b"btcusdt" in (clone / "results" / "report.html").read_bytes()


def test_help_lists_every_target() -> None:
    from tests.conftest import ROOT

    listed = make(ROOT, "help").stdout
    for target in ("demo", "test", "check", "bench", "report", "crate", "watch", "unlock", "help"):
        assert re.search(rf"^{target} ", listed, re.MULTILINE), target


def test_a_machine_without_the_right_python_is_told_so(clone: Path) -> None:
    done = make(clone, "env", "PYTHON=python9.99")
    assert done.returncode == 2
    assert "python9.99 is not on the PATH" in done.stderr
