"""The last lines of `make demo`."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.commands.summary import LINES, backtests, jobs, order_books
from scripts.orderbook.summarise_books import COLUMNS
from tests.conftest import ROOT, clean_environment


def write(path: Path, parts: int) -> Path:
    """A table of summarise_books: part k has k messages, 1000 k states, a gap, two bad lines, 10 quotes, 9 equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        rows.writeheader()
        for k in range(1, parts + 1):
            rows.writerow(
                dict.fromkeys(COLUMNS, 0)
                | {"feed": "demo", "part": f"p{k}", "messages": k, "states": 1000 * k, "segments": k + 1, "gaps": 1}
                | {"bad_lines": 2, "best_quotes_compared": 10, "best_quotes_equal": 9, "checksums_verified": 500}
                | {"checksums_failed": 3}
            )
    return path


def run(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.commands.summary", "results/report.html"],
        cwd=directory, env=clean_environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True,
    )  # fmt: skip


def test_totals_are_sums_over_the_parts(tmp_path: Path) -> None:
    text = "\n".join(order_books(write(tmp_path / "s.csv", 4), 10))
    for fact in (
        "feeds demo; 4 parts",
        "10 depth messages read, 10,000 book states rebuilt",
        "gaps in the update ids: 4; unreadable lines: 8",
        "36 of 40 states; checksums: 2,000 verified, 12 failed",
        "demo p1: 1,000 states, 2 segments, 1 gaps, best quotes 9/10",
        "demo p4: 4,000 states",
    ):
        assert fact in text


@pytest.mark.parametrize("parts", [0, 2, 3, 6, 7, 50])
@pytest.mark.parametrize("room", [6, 10])
def test_lines_fit_the_room_and_no_part_is_lost_silently(tmp_path: Path, parts: int, room: int) -> None:
    lines = order_books(write(tmp_path / "s.csv", parts), room)
    assert len(lines) <= room
    shown = sum(": " in line and line.startswith("  demo ") for line in lines)
    more = [line for line in lines if "more in" in line]
    assert more == ([f"  … {parts - shown} more in {tmp_path / 's.csv'}"] if shown < parts else [])


def test_report_path_and_size_come_first_then_ten_lines_at_most(tmp_path: Path) -> None:
    write(tmp_path / "results/orderbook/summary.csv", 50)
    (tmp_path / "results/report.html").write_bytes(b"x" * 1_250_000)
    benchmark(tmp_path, "orderbook/parse_book/demo/p1", s=1.0)
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    first, *rest = done.stdout.splitlines()
    assert first == f"Report: {tmp_path}/results/report.html (1.25 MB)"
    assert len(rest) == LINES
    assert any(line.startswith("Workflow: ") and "Snakemake 9." in line for line in rest)


def benchmark(directory: Path, name: str, **values: float | None) -> None:
    """A benchmark file as Snakemake writes it: one line a repetition."""
    path = directory / "benchmarks" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"max_rss": 100.0} | values) + "\n")


def test_jobs_are_added_up_and_the_slowest_is_named(tmp_path: Path) -> None:
    benchmark(tmp_path, "orderbook/parse_book/demo/p1", s=3000.4, max_rss=500.0)
    benchmark(tmp_path, "orderbook/parse_book/demo/p2", s=4000.0)
    benchmark(tmp_path, "orderbook/plot_book/demo/p1", s=60.6, max_rss=None)
    text = "\n".join(jobs(tmp_path / "benchmarks"))
    assert "Jobs: 3 recorded" in text
    assert "1:57:41 of computing" in text
    assert text.endswith("slowest: orderbook/parse_book/demo/p2")


def test_no_benchmarks_no_lines(tmp_path: Path) -> None:
    assert jobs(tmp_path / "benchmarks") == []


@pytest.mark.parametrize("missing", ["results/report/overview.csv", "results/report.html"])
def test_missing_file_is_one_line_and_code_2(tmp_path: Path, missing: str) -> None:
    """Of a run that has neither order books nor an overview the latter is named."""
    for name in ("results/report/overview.csv", "results/report.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / missing).unlink()
    done = run(tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"{missing}: not there: has the workflow run in this directory?\n"


def test_backtests_and_gates_are_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "overview.csv"
    path.write_text(
        "kind,line,subject,figure,value,low,high,n,unit,threshold,status,text\n"
        "backtest,backtest,mine,total_return,0.5,,,,a year,,,\n"
        "backtest,backtest,mine,sharpe,1.234,0.1,2.345,500,a year,,,\n"
        "backtest,orderbook,orderbook-btc,sharpe,-0.05,,,70,per decision,,,\n"
        "gate,backtest,backtest/mine,checks,9,,,,,,fail,\n"
        "gate,orderbook,encoder/btc,checks,6,,,,,,pass,\n"
        "gate,orderbook,encoder/eth,checks,6,,,,,,pass,\n"
    )
    first, second = backtests(path)
    assert first.endswith(": mine 1.23 (0.10 to 2.35) a year, orderbook-btc -0.05 per decision")
    assert second.startswith("Gates: 1 fail, 2 pass; ")


def test_a_run_without_order_books_has_its_summary(tmp_path: Path) -> None:
    for name in ("report.html", "report/overview.csv"):
        (tmp_path / "results" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "results" / name).write_text(
            "kind,line,subject,figure,value,low,high,n,unit,threshold,status,text\n"
        )
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Report: ")
