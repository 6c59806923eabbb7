"""The whole order-book line on real Binance captures at toy size, up to the report."""

from __future__ import annotations

import base64
import csv
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DATA, ROOT, clean_environment, copy_repository, snakemake
from tests.workflow.conftest import TOY

CAPTURES = DATA / "orderbook" / "binance"
FEED = "spot"
PARTS = ("20240808", "20240809")  # the second day holds no snapshot: it goes on with the book of the first
MINE = f"""
orderbook:
  feeds: [{FEED}]
  books:
    {FEED}: {{venue: binance-spot, raw: '{CAPTURES}/spot/btcusdt_{{part}}.gz', parts: {json.dumps(PARTS)}}}
"""
# what a reader must find of the feed: file -> its name in the report
PAGES = {
    "exploration/distributions.svg": "distributions of the features",
    "exploration/autocorrelation.svg": "autocorrelation of the features",
    "exploration/regimes.svg": "regimes of volatility and spread",
    "exploration/statistics.csv": "statistics of the features",
    "windows/conditions.svg": "conditions of the windows",
    "windows/conditions.csv": "conditions of the windows, numbers",
    "encoder/reconstruction.svg": "hidden entries filled in",
    "encoder/reconstruction.csv": "hidden entries filled in, table",
    "inference/latency.html": "latency of the encoder",
    "inference/levels.svg": "error by level of the book",
    "export/parity.json": "exported encoder beside the original",
    "agent/evaluation.svg": "agents and baselines",
    "agent/evaluation.csv": "agents and baselines, table",
}
SHARED_PAGES = {
    "summary.csv": "summary of the feeds",
    "training.svg": "trainings of the encoder",
    "training.csv": "trainings of the encoder, table",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/ of `snakemake --profile local orderbook` on the captures."""
    if not CAPTURES.is_dir():
        pytest.skip(f"real data not at hand: {CAPTURES} (set TIDEMILL_DATA)")
    clone = copy_repository(tmp_path_factory.mktemp("real") / "clone")
    (clone / "mine.yaml").write_text(MINE)
    (clone / "toy.yaml").write_text(TOY)
    files = ("config/demo.yaml", "mine.yaml", "toy.yaml")
    done = snakemake("--profile", "local", "orderbook", "--configfile", *files, cwd=clone)
    assert done.returncode == 0, done.stdout + done.stderr
    return clone / "results"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_rebuilt_books_equal_the_venue_s_best_quotes(results: Path) -> None:
    for part in PARTS:
        quality = json.loads((results / f"orderbook/{FEED}/quality/{part}.json").read_text())
        check = quality["best_quote_check"]
        assert quality["gaps"] == quality["bad_lines"] == 0
        assert check["equal"] >= 0.999 * check["compared"] > 2_900


def test_training_windows_are_balanced_and_each_split_has_some(results: Path) -> None:
    rows = table(results / f"orderbook/{FEED}/windows/conditions.csv")
    drawn = {split: [int(row["taken"]) for row in rows if row["split"] == split] for split in ("train", "test")}
    available = [int(row["available"]) for row in rows if row["split"] == "train"]
    level = max(drawn["train"])
    assert drawn["train"] == [min(count, level) for count in available]
    assert sum(drawn["test"]) > 0


def test_the_encoder_stands_beside_copying_and_interpolation(results: Path) -> None:
    rows = [row for row in table(results / f"orderbook/{FEED}/encoder/reconstruction.csv") if row["split"] == "test"]
    whole = {(row["mode"], row["method"]): float(row["mse"]) for row in rows if row["condition"] == "all"}
    methods = ("model", "copy_last", "linear")
    assert set(whole) == {(mode, method) for mode in ("cell", "step", "level") for method in methods}
    assert all(value > 0 for value in whole.values())
    assert {row["condition"] for row in rows} > {"all"}
    latency = table(results / f"orderbook/{FEED}/inference/latency.csv")
    assert [row["batch"] for row in latency] == ["1", "32"]
    assert all(0 < float(row["p50_ms"]) <= float(row["p99_ms"]) for row in latency)


def test_the_agents_stand_beside_the_baselines_with_intervals(results: Path) -> None:
    rows = table(results / f"orderbook/{FEED}/agent/evaluation.csv")
    traders = {"agent", "flat", "hold", "imbalance", "random"}
    assert {(row["split"], row["trader"]) for row in rows} == {
        (split, trader) for split in ("validation", "test", "all") for trader in traders
    }
    for row in rows:
        assert float(row["low_bps"]) <= float(row["high_bps"])
        paid = float(row["spread_bps"]) + float(row["fees_bps"])
        assert float(row["net_bps"]) == pytest.approx(float(row["gross_bps"]) - paid, abs=1e-6)
    assert {row["runs"] for row in rows if row["trader"] == "agent"} == {"2"}


def test_the_line_looks_at_nothing_that_came_later(results: Path) -> None:
    """All stages once more from the real captures, changed after an instant."""
    report = json.loads((results / f"orderbook/{FEED}/causality.json").read_text())
    assert report["status"] == "pass"
    assert report["cuts"]
    compared = {artifact["name"] for artifact in report["artifacts"] if artifact["compared"]}
    assert compared >= {f"states {PARTS[0]}", f"features {PARTS[0]}", "scaling", "predictions test"}


def test_the_agents_end_in_the_pages_of_all_backtests(results: Path) -> None:
    folder = results / f"backtest/orderbook-{FEED}"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["line"], metrics["causality"], metrics["simulated"]) == ("orderbook", "pass", False)
    assert metrics["periods_a_year"] is None
    equity = table(results / f"orderbook/{FEED}/agent/account/equity.csv")
    assert metrics["final_equity"] == float(equity[-1]["equity"])
    assert {"strategy", "hold", "imbalance"} < {row["name"] for row in table(folder / "comparison.csv")}


def script_value(html: str, name: str) -> Any:
    """The JSON that the report's page assigns to a variable."""
    begin = re.search(rf'var {name} = (?={{")', html)
    assert begin is not None, name
    return json.JSONDecoder().raw_decode(html, begin.end())[0]


def test_the_report_holds_every_page_of_the_line(results: Path) -> None:
    """Books, conditions, curves, masks beside baselines, latency, agents beside baselines: as the files on the disk."""
    command = [str(ROOT / ".venv/bin/python"), "-m", "scripts.commands.report", "--output", "results/report.html"]
    clone = results.parent
    environment = clean_environment(PYTHONPATH=str(clone))
    built = subprocess.run([*command, "orderbook"], cwd=clone, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    html = (results / "report.html").read_text(encoding="utf-8")
    shown = script_value(html, "results")
    expected = {f"results/orderbook/{name}": label for name, label in SHARED_PAGES.items()}
    expected |= {f"results/orderbook/{FEED}/{name}": label for name, label in PAGES.items()}
    expected |= {f"results/backtest/orderbook-{FEED}/tear_sheet.html": "tear sheet"}
    expected |= {f"results/orderbook/{FEED}/plots/{part}.svg": "price ladder, spread and depth" for part in PARTS}
    assert expected.items() <= {path: entry["labels"]["figure"] for path, entry in shown.items()}.items()
    for path, entry in shown.items():
        assert entry["caption"].startswith("<p><strong>"), path
        assert base64.b64decode(entry["data_uri"].partition("base64,")[2]) == (clone / path).read_bytes(), path
    assert set(script_value(html, "categories")["Order books"]) == {FEED, "all feeds"}
