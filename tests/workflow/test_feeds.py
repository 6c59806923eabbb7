"""Feeds of every kind in the DAG: parts parsed at the same time or one after another, fetched, checked."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import snakemake
from tests.unit.file_server import Script, serving

SPOT = "orderbook/binance/spot/btcusdt_{part}.gz"
LOBSTER = "orderbook/lobster/AAPL_2012-06-21_34200000_57600000_message_10.csv"
DEMO = ("--profile", "local", "--configfile", "config/demo.yaml", "mine.yaml")


def write_feed(clone: Path, **feed: object) -> None:
    text = json.dumps({"orderbook": {"feeds": ["mine"], "books": {"mine": feed}}})
    (clone / "mine.yaml").write_text(text)


def planned(clone: Path, *targets: str) -> dict[str, list[str]]:
    """Rule -> its jobs' parts, in the order in which a dry run prints them."""
    done = snakemake(*DEMO, "--dry-run", "--", *(targets or ("orderbook",)), cwd=clone)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[str]] = {}
    for rule, block in re.findall(r"^rule (\w+):\n((?:    .*\n)*)", done.stdout + done.stderr, re.MULTILINE):
        found.setdefault(rule, []).extend(re.findall(r"wildcards: .*part=(\w+)", block))
    return found


def own_files(clone: Path, *names: str) -> None:
    for name in names:
        (clone / name).touch()


def test_parts_that_begin_with_a_snapshot_do_not_wait_for_each_other(clone: Path) -> None:
    own_files(clone, "a.gz", "b.gz")
    write_feed(clone, venue="binance-spot", raw="{part}.gz", parts=["a", "b"], snapshot_each_part=True)
    assert sorted(planned(clone)["parse_book"]) == ["a", "b"]
    assert planned(clone, "results/orderbook/mine/states/b.parquet").keys() == {"parse_book"}
    assert planned(clone, "results/orderbook/mine/states/b.parquet")["parse_book"] == ["b"]


def test_parts_without_snapshots_go_on_one_after_another(clone: Path) -> None:
    own_files(clone, "c.gz", "a.gz", "b.gz")
    write_feed(clone, venue="binance-spot", raw="{part}.gz", parts=["c", "a", "b"])
    plan = planned(clone)
    assert "parse_book" not in plan
    assert plan["parse_book_chained"] == ["c", "a", "b"]
    assert planned(clone, "results/orderbook/mine/states/a.parquet")["parse_book_chained"] == ["c", "a"]


def test_a_fetched_feed_is_whole_in_a_fresh_clone(clone: Path) -> None:
    feed = {"venue": "tardis", "provider": "tardis", "exchange": "x", "symbol": "Y", "parts": ["20240101", "20240201"]}
    write_feed(clone, **feed)
    plan = planned(clone)
    assert sorted(plan["fetch_book"]) == sorted(plan["parse_book"]) == feed["parts"]
    assert not (clone / "results").exists()


@pytest.mark.parametrize("key", [None, "secret-key"])
def test_days_are_fetched_once_and_their_digests_noted(
    clone: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    feed = {"venue": "tardis", "provider": "tardis", "exchange": "x", "symbol": "Y", "parts": ["20240201"]}
    target = "results/orderbook/mine/raw/20240201.csv.gz"
    content = gzip.compress(b"exchange,symbol\n", mtime=0)
    monkeypatch.delenv("TARDIS_API_KEY", raising=False)
    if key:
        monkeypatch.setenv("TARDIS_API_KEY", key)
    with serving(script := Script(content)) as base:
        write_feed(clone, **feed)
        mine = json.loads((clone / "mine.yaml").read_text())
        mine["orderbook"]["fetch"] = {"base_url": f"{base}/v1"}
        (clone / "mine.yaml").write_text(json.dumps(mine))
        for _ in range(2):
            done = snakemake(*DEMO, "--", target, cwd=clone)
            assert done.returncode == 0, done.stdout + done.stderr
            assert (clone / target).read_bytes() == content
            assert (clone / f"{target}.sha256").exists()
            (clone / target).unlink()
        assert [asked["path"] for asked in script.asked] == ["/v1/x/incremental_book_L2/2024/02/01/Y.csv.gz"]
    if key:
        told = [path for path in clone.rglob("*") if path.is_file() and not path.is_symlink()]
        assert not [path for path in told if key.encode() in path.read_bytes() and "tests" not in path.parts]


def test_a_day_that_is_not_there_fails_with_status_and_url_on_the_terminal(clone: Path) -> None:
    feed = {"venue": "tardis", "provider": "tardis", "exchange": "x", "symbol": "Y", "parts": ["20240201"]}
    write_feed(clone, **feed)
    mine = json.loads((clone / "mine.yaml").read_text())
    with serving(Script(b"", status=lambda number: 404)) as base:
        mine["orderbook"]["fetch"] = {"base_url": f"{base}/v1"}
        (clone / "mine.yaml").write_text(json.dumps(mine))
        done = snakemake(*DEMO, "--", "results/orderbook/mine/raw/20240201.csv.gz", cwd=clone)
    assert done.returncode == 1
    assert f"ERROR {base}/v1/x/incremental_book_L2/2024/02/01/Y.csv.gz: HTTP 404" in done.stdout + done.stderr
    assert not [path for path in clone.glob("results/**/*") if path.is_file()]


def test_real_parts_are_chained_and_a_later_one_goes_on(clone: Path, real_data: Callable[[str], Path]) -> None:
    """The second file continues the first and holds no snapshot."""
    days = ["20240808", "20240809"]
    raw = str(real_data(SPOT.replace("{part}", days[0]))).replace(days[0], "{part}")
    results = clone / "results" / "orderbook" / "mine"
    for parts in (days[:1], days):
        write_feed(clone, venue="binance-spot", raw=raw, parts=parts)
        targets = [f"results/orderbook/mine/quality/{part}.json" for part in parts]
        assert planned(clone, *targets)["parse_book_chained"] == [parts[-1]], "an added day parses that day alone"
        done = snakemake(*DEMO, "--", *targets, cwd=clone)
        assert done.returncode == 0, done.stdout + done.stderr
    reports = [json.loads((results / "quality" / f"{day}.json").read_text()) for day in days]
    assert [report["gaps"] for report in reports] == [0, 0]
    assert [report["segments"] for report in reports] == [1, 1]
    assert reports[1]["states"] == 3_044
    ids = [pq.read_table(results / "states" / f"{day}.parquet")["update_id"].to_pylist() for day in days]
    assert ids[0][-1] < ids[1][0]
    assert not planned(clone, *targets)


def test_a_lobster_part_waits_for_both_its_files(clone: Path, real_data: Callable[[str], Path]) -> None:
    raw = str(real_data(LOBSTER)).replace("2012-06-21", "{part}")
    write_feed(clone, venue="lobster", raw=raw, parts=["2012-06-21"])
    target = "results/orderbook/mine/quality/2012-06-21.json"
    done = snakemake(*DEMO, "--", target, cwd=clone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((clone / target).read_text())["lobster_check"]["equal"] == 299
