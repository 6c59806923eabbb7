"""`make report`: when it is built anew, and that a failure leaves the old one. Snakemake is a stand-in."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Template

from scripts.commands import report as module
from scripts.commands.report import build, config_files, up_to_date
from scripts.config import read_files
from scripts.lib.errors import InputError
from tests.conftest import ROOT

MADE = 1_000_000_000
WRITES = """
while [ $# -gt 0 ]; do
    [ "$1" != --report ] || echo whole > "$2"
    echo "$1" >> "${0%/bin/*}/options"
    shift
done
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory with results, a record and a report that is newer than both, all of known age."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "ROOT", tmp_path / "workflow")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    for name in ("workflow/report/workflow.rst", "results/a/x.csv", ".snakemake/metadata/m", "results/report.html"):
        aged(tmp_path / name, MADE - 10)
    aged(tmp_path / "results/report.html", MADE)
    return tmp_path


def aged(path: Path, time: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time, time))


def snakemake(run: Path, body: str) -> None:
    program = run / "bin" / "snakemake"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def test_report_newer_than_all_it_shows_is_up_to_date(run: Path) -> None:
    assert up_to_date(Path("results/report.html"))


@pytest.mark.parametrize(
    "newer",
    [
        "results/a/x.csv",
        "results/new/y.svg",
        ".snakemake/metadata/m",
        ".snakemake/metadata/@a/b",
        "workflow/report/c.rst",
    ],
)
def test_anything_newer_asks_for_a_new_report(run: Path, newer: str) -> None:
    aged(run / newer, MADE + 1)
    assert not up_to_date(Path("results/report.html"))


def test_missing_report_is_not_up_to_date(run: Path) -> None:
    assert not up_to_date(Path("results/report.zip"))


def test_the_other_kind_of_report_and_dead_links_do_not_matter(run: Path) -> None:
    aged(run / "results/report.zip", MADE + 1)
    (run / "results" / "gone").symlink_to("nowhere")
    assert up_to_date(Path("results/report.html"))


def test_report_is_built_with_the_options_of_the_run(run: Path) -> None:
    snakemake(run, WRITES)
    assert build(Path("out/report.zip"), ["a.yaml", "b.yaml"], ["orderbook"]) == 0
    assert [path.name for path in (run / "out").iterdir()] == ["report.zip"]
    assert Path("out/report.zip").read_text() == "whole\n"
    options = Path("options").read_text().split()
    configs = options.index("--configfile")
    assert options[configs : configs + 5] == ["--configfile", "a.yaml", "b.yaml", "--", "orderbook"]
    assert options[options.index("--directory") + 1] == str(run)
    assert options[options.index("--report") + 1].endswith(".zip"), "Snakemake chooses the format by the suffix"


def test_failure_keeps_the_old_report_and_shows_why(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snakemake(run, f"{WRITES}\necho 'no such rule' >&2\nexit 3")
    old = run / "results/report.html"
    old.write_text("old")
    assert build(Path("results/report.html"), [], []) == 3
    assert old.read_text() == "old"
    assert sorted(path.name for path in old.parent.iterdir()) == ["a", "report.html"]
    assert "no such rule" in capsys.readouterr().err


HEAD = "  Snakefile: {run}/workflow/Snakefile\n  Config file(s): ['{files}']\n1 of 1 steps (100%) done\n"


def write_log(run: Path, *files: str) -> None:
    log = run / ".snakemake/log/1.snakemake.log"
    log.parent.mkdir(parents=True)
    log.write_text(HEAD.format(run=run, files="', '".join([*files, f"{run}/workflow/config/config.yaml"])))


def test_the_last_run_s_config_files_are_used_in_its_order(run: Path) -> None:
    for name in ("demo.yaml", "mine.yaml"):
        (run / name).touch()
    write_log(run, "demo.yaml", "mine.yaml")
    assert config_files(run) == [str(run / "demo.yaml"), str(run / "mine.yaml")]


def test_a_directory_without_a_run_and_a_missing_config_are_named(run: Path) -> None:
    with pytest.raises(InputError, match="no finished run"):
        config_files(run)
    write_log(run, "gone.yaml")
    with pytest.raises(InputError, match=r"gone\.yaml"):
        config_files(run)


def test_the_landing_page_says_where_each_feed_comes_from() -> None:
    config = read_files([])
    config["orderbook"]["books"]["own"] = {"venue": "kraken", "raw": "x.gz", "parts": ["a"]}
    config["orderbook"]["feeds"] += ["own", "simulated"]
    template = Template((ROOT / "report" / "workflow.rst").read_text(encoding="utf-8"))
    page = " ".join(template.render(snakemake=SimpleNamespace(config=config)).split())
    told = dict(re.findall(r"- Feed \*(\S+)\*: .*?; (\w+)", page))
    assert told == {"btcusdt-perp": "fetched", "ethusdt-perp": "fetched", "own": "captures", "simulated": "simulated"}
    assert "parts 20240101, 20240201" in page
