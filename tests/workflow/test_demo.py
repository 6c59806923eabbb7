"""The README's commands, typed in a fresh clone."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import clean_environment, copy_repository
from tests.workflow.conftest import SMALL, TOY


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
    """The change is the one that the README shows; smaller sizes lie over the demo's."""
    capture = real_data("orderbook/binance/usdm/btcusdt_20240808.gz")
    example = re.search(r"```yaml\n# mine\.yaml\n(.*?)```", (clone / "README.md").read_text(), re.DOTALL)
    assert example is not None
    (clone / "mine.yaml").write_text(example[1].replace("/data/binance", str(capture.parent)))
    (clone / "toy.yaml").write_text(TOY)
    done = make(clone, "demo", "CONFIG=mine.yaml toy.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    quality = json.loads((clone / "results/orderbook/btcusdt/quality/20240808.json").read_text())
    check = quality["best_quote_check"]
    assert quality["gaps"] == quality["bad_lines"] == 0
    assert check["equal"] >= 0.999 * check["compared"] > 6_000
    assert b"btcusdt" in (clone / "results" / "report.html").read_bytes()


def test_the_last_run_s_report_is_built_whatever_its_config(clone: Path) -> None:
    """After a run on a feed of one's own, not the demo's."""
    (clone / "small.yaml").write_text(SMALL)
    (clone / "other.yaml").write_text(
        "orderbook: {feeds: [other], books: {other: "
        "{venue: binance-usdm, symbol: XYZ, parts: ['20230101', '20230102']}}}"
    )
    done = make(clone, "demo", "CONFIG=small.yaml other.yaml", f"DIRECTORY={clone.parent}/elsewhere")
    assert done.returncode == 0, done.stdout + done.stderr
    done = make(clone, "report", "FORMAT=zip", f"DIRECTORY={clone.parent}/elsewhere")
    assert done.returncode == 0, done.stderr
    assert (clone.parent / "elsewhere" / "results" / "report.zip").is_file()


@pytest.mark.parametrize(
    ("content", "named"),
    [(None, "bad.yaml: No such file"), (b"\xff\xfe", "bad.yaml"), (b"- a\n", "bad.yaml"), (b"a: [\n", "bad.yaml")],
)
def test_a_config_that_is_no_yaml_mapping_is_one_line(clone: Path, content: bytes | None, named: str) -> None:
    (clone / "bad.yaml").unlink(missing_ok=True)
    if content is not None:
        (clone / "bad.yaml").write_bytes(content)
    done = make(clone, "demo", "CONFIG=bad.yaml")
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ")]
    assert done.returncode == 2
    assert len(said) == 1
    assert named in said[0]


def test_a_program_runs_by_hand_as_the_readme_tells(demo: subprocess.CompletedProcess[str], clone: Path) -> None:
    readme = (clone / "README.md").read_text()
    command = re.search(r"^    (\.envs/data/bin/python .*--help)$", readme, re.MULTILINE)
    assert "    make env-data\n" in readme
    assert command is not None
    assert make(clone, "env-data").returncode == 0
    done = subprocess.run(
        ["bash", "-c", command[1]], cwd=clone, env=clean_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "max_bad_lines" in done.stdout


def test_help_lists_every_target() -> None:
    from tests.conftest import ROOT

    listed = make(ROOT, "help").stdout
    for target in ("demo", "test", "check", "bench", "report", "crate", "watch", "unlock", "help"):
        assert re.search(rf"^{target} ", listed, re.MULTILINE), target


def test_a_machine_without_the_right_python_is_told_so(clone: Path) -> None:
    done = make(clone, "env", "PYTHON=python9.99")
    assert done.returncode == 2
    assert "python9.99 is not on the PATH" in done.stderr
