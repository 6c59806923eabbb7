"""Backtests through the workflow: real prices up to the report, planted leaks, the same bytes twice."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import DATA, copy_repository, snakemake
from tests.unit.price_files import yahoo

STOCKS = DATA / "ohlcv" / "us_stocks_daily"
CONFIG = """
orderbook: {feeds: []}
backtest:
  active: [us-momentum]
  prices:
    us: {path: us.csv, categories: sectors.csv}
  backtests:
    us-momentum:
      prices: us
      signal: {rule: momentum, lookback: 120, skip: 5, every: 20}
      trade: {calendar: XNYS, portfolio: {quantile: 0.2}, fee_bps: 5.0, slippage_bps: 5.0, borrow_rate: 0.01}
      sweep:
        grid: {signal.lookback: [60, 120], trade.portfolio.quantile: [0.1, 0.2]}
        folds: 2
"""
# what of a signal looks ahead, and the greatest reach back of a centred window of five
LEAKS = {
    "normalised": ("(momentum - momentum.mean()) / momentum.std()", "normalisation"),
    "centred": ("close.rolling(5, center=True).mean() / close.shift(60) - 1", "centred window"),
    "label": ("close.shift(-1) / close - 1", "same-bar label"),
}
PROGRAM = """
import sys
import pandas as pd
close = pd.read_csv(sys.argv[1]).pivot(index="date", columns="asset", values="close")
momentum = close / close.shift(60) - 1
signal = {expression}
table = signal.iloc[60:].stack().rename("signal").reset_index().rename(columns={{"date": "known_at"}})
table.assign(horizon=1).to_parquet(sys.argv[2])
"""


def run(clone: Path, *targets: str, config: str = CONFIG) -> subprocess.CompletedProcess[str]:
    (clone / "mine.yaml").write_text(config)
    return snakemake(
        "--profile", "local", "--configfile", "config/demo.yaml", "mine.yaml", "--", *targets, cwd=clone
    )  # fmt: skip


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which momentum on real prices has run through all of it."""
    if not STOCKS.is_dir():
        pytest.skip(f"real data not at hand: {STOCKS} (set TIDEMILL_DATA)")
    clone = copy_repository(tmp_path_factory.mktemp("stocks") / "clone")
    prices = pd.concat([yahoo(path) for path in sorted((STOCKS / "price_raw").glob("*.csv"))])
    prices.to_csv(clone / "us.csv", index=False)
    table = pd.read_csv(STOCKS / "StockTable", sep="\t")
    sectors = pd.DataFrame({"asset": table["Symbol"].str.strip("$"), "category": table["Sector"]})
    sectors.to_csv(clone / "sectors.csv", index=False)
    done = run(clone, "all")
    assert done.returncode == 0, done.stdout + done.stderr
    return clone


def files_of(clone: Path) -> dict[str, bytes]:
    kinds = (".csv", ".json", ".svg", ".html")
    folder = clone / "results"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in kinds and path.is_file()
    }


def test_momentum_on_real_prices_ends_in_the_pages(clone: Path) -> None:
    folder = clone / "results/backtest/us-momentum"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["causality"] == "pass"
    assert metrics["trials"] >= 4
    assert metrics["sharpe_interval"][0] < metrics["sharpe"] < metrics["sharpe_interval"][1]
    assert metrics["positive_control_sharpe"] > 3
    assert not metrics["simulated"]
    replayed = json.loads((folder / "account/replay.json").read_text())
    assert metrics["peer_difference"] == replayed["largest_difference"] < 1e-9
    assert replayed["sessions"] == metrics["sessions"]
    with (folder / "comparison.csv").open(newline="") as file:
        named = {row["name"] for row in csv.DictReader(file)}
    assert named > {"buy_and_hold", "equal_weight", "momentum", "reversal"}
    page = (folder / "tear_sheet.html").read_text()
    assert "us-momentum" in page
    assert re.search(r"Does a second simulator agree on the same orders\?</td><td>bt 1\.4\.1: largest difference", page)
    verdict = json.loads((clone / "results/backtest/gates/backtest/us-momentum.json").read_text())
    assert verdict["status"] in ("pass", "warn", "fail")
    assert {check["name"]: check["status"] for check in verdict["checks"]}["second_simulator_agrees"] == "pass"


def test_a_second_run_writes_the_same_bytes(clone: Path) -> None:
    """All again from nothing, in a folder of its own, other jobs being the first to end."""
    before = files_of(clone)
    again = clone.parent / "again"
    again.mkdir()
    for name in ("us.csv", "sectors.csv"):
        (again / name).write_bytes((clone / name).read_bytes())
    done = snakemake(
        "--profile", "local", "--directory", str(again), "--configfile", str(clone / "config/demo.yaml"),
        str(clone / "mine.yaml"), "--scheduler", "greedy", "--cores", "1", "--", "all", cwd=clone,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    after = files_of(again)
    assert before.keys() == after.keys()
    assert [name for name, content in before.items() if after[name] != content] == []


@pytest.mark.parametrize("leak", [*LEAKS, "clean"])
def test_a_signal_that_looks_ahead_fails_the_workflow(clone: Path, leak: str) -> None:
    expression, reads = LEAKS.get(leak, ("momentum", ""))
    (clone / f"{leak}.py").write_text(PROGRAM.format(expression=expression))
    command = f"python {leak}.py {{prices}} {{predictions}}"
    signal = f"{{rule: command, command: '{command}'}}"
    config = (
        "orderbook: {feeds: []}\n"
        f"backtest: {{active: [{leak}], prices: {{us: {{path: us.csv}}}}, causality: {{cuts: 3}},"
        f" backtests: {{{leak}: {{prices: us, signal: {signal}}}}}}}\n"
    )
    target = f"results/backtest/{leak}/causality.txt"
    done = run(clone, target, config=config)
    if leak == "clean":
        assert done.returncode == 0, done.stdout + done.stderr
        return
    assert done.returncode == 1
    report = json.loads((clone / f"results/backtest/{leak}/causality.json").read_text())
    first = report["offences"][0]
    assert reads in first["reads"]
    line = next(line for line in (done.stdout + done.stderr).splitlines() if "look-ahead" in line)
    assert re.search(r"\d{4}-\d\d-\d\d", line.partition("look-ahead")[2])
    assert not (clone / target).exists()


def test_prices_that_are_not_there_are_told_before_any_job(clone: Path) -> None:
    done = run(clone, "-n", config=CONFIG.replace("us.csv", "gone.csv"))
    assert done.returncode == 2
    assert "config: backtest.prices.us.path: no such file: gone.csv" in done.stderr
