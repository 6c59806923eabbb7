"""The configuration as a whole: files, schema, overlays."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from snakemake.utils import update_config  # type: ignore[import-untyped]

from scripts.config import Config, load, load_or_exit, merge, read_files, schema
from scripts.lib.errors import InputError
from tests.conftest import ROOT, clean_environment

PRODUCTION = ROOT / "config" / "config.yaml"
DEMO = ROOT / "config" / "demo.yaml"


def overlay(**feed: Any) -> dict[str, Any]:
    """Production values with one feed of our own."""
    own = {"venue": "binance-usdm", "parts": ["a", "b"]} | feed
    return merge(read_files([]), {"orderbook": {"feeds": ["own"], "books": {"own": own}}})


def error_of(values: dict[str, Any]) -> str:
    with pytest.raises(InputError) as error:
        load(values)
    assert "\n" not in str(error.value)
    return str(error.value)


def check(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.config", *map(str, files)],
        cwd=ROOT, env=clean_environment(), capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("overlays", [[], [DEMO]], ids=["production", "demo"])
def test_shipped_configuration_is_valid(overlays: list[Path]) -> None:
    assert load(read_files(overlays)).orderbook.feeds


def test_schema_file_is_in_step_with_the_settings() -> None:
    assert (ROOT / "config" / "schema.json").read_text(encoding="utf-8") == schema(), "run `make schema`"


def test_config_names_every_key_of_the_models() -> None:
    """No default is hidden from a reader of config.yaml."""
    values = yaml.safe_load(PRODUCTION.read_text())
    assert list(hidden(Config, values)) == []


def hidden(model: type[BaseModel], values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name not in values:
            yield f"{prefix}{name}"
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from hidden(field.annotation, values[name], f"{prefix}{name}.")


def test_hidden_keys_would_be_found() -> None:
    values = yaml.safe_load(PRODUCTION.read_text())
    del values["orderbook"]["parse"]["depth"]
    del values["site"]
    assert list(hidden(Config, values)) == ["site", "orderbook.parse.depth"]


def test_every_key_of_the_config_is_commented() -> None:
    assert list(uncommented(PRODUCTION.read_text())) == []


def test_missing_comments_would_be_found() -> None:
    text = PRODUCTION.read_text()
    line = next(line for line in text.splitlines() if line.lstrip().startswith("depth:"))
    assert list(uncommented(text.replace(line, line.partition("#")[0]))) == ["orderbook.parse.depth"]


def uncommented(text: str) -> Iterator[str]:
    """Keys without a comment on their line or on the line above.

    A block may carry it at its first key instead, and a block that repeats another says "as above" there.
    """
    return _uncommented(yaml.compose(text), text.splitlines(), "")


def _uncommented(block: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[str]:
    first = block.value[0][0].start_mark.line
    if _comment(lines, first) == "as above":
        return
    for key, value in block.value:
        line = key.start_mark.line
        inside = value.value[0][0].start_mark.line if isinstance(value, yaml.MappingNode) and value.value else line
        if not (_comment(lines, line) or _comment(lines, inside)):
            yield f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode):
            yield from _uncommented(value, lines, f"{prefix}{key.value}.")


def _comment(lines: list[str], line: int) -> str:
    above = lines[line - 1].strip() if line else ""
    return lines[line].partition(" #")[2].strip() or (above.lstrip("# ") if above.startswith("#") else "")


def test_missing_raw_file_is_one_line_naming_feed_part_and_path(tmp_path: Path) -> None:
    (tmp_path / "a.gz").touch()
    text = error_of(overlay(raw=f"{tmp_path}/{{part}}.gz"))
    assert text == f"config: orderbook.books.own.raw: no such file: {tmp_path}/b.gz (part b)"
    (tmp_path / "b.gz").touch()
    assert load(overlay(raw=f"{tmp_path}/{{part}}.gz")).orderbook.feeds == ["own"]


def test_raw_path_may_name_the_feed_as_the_rules_read_it(tmp_path: Path) -> None:
    (tmp_path / "own-a.gz").touch()
    load(overlay(raw=f"{tmp_path}/{{book}}-{{part}}.gz", parts=["a"]))


@pytest.mark.parametrize(
    ("feed", "made", "missing"),
    [
        (
            {"snapshot": "{d}/s-{part}.json"},
            ["a.gz", "b.gz", "s-a.json"],
            "snapshot: no such file: {d}/s-b.json (part b)",
        ),
        ({"snapshot": "{d}/s.json"}, ["a.gz", "b.gz"], "snapshot: no such file: {d}/s.json (part a)"),
        ({"snapshot": "{d}/s.json"}, ["a.gz", "b.gz", "s.json"], None),
        (
            {"venue": "lobster", "raw": "{d}/{part}_message_10.csv"},
            ["a_message_10.csv", "a_orderbook_10.csv", "b_message_10.csv"],
            "raw: no such file: {d}/b_orderbook_10.csv (part b)",
        ),
    ],
)
def test_every_file_that_a_part_needs_is_looked_for(
    tmp_path: Path, feed: dict[str, str], made: list[str], missing: str | None
) -> None:
    for name in made:
        (tmp_path / name).touch()
    options = {key: text.replace("{d}", str(tmp_path)) for key, text in ({"raw": "{d}/{part}.gz"} | feed).items()}
    if missing:
        assert error_of(overlay(**options)) == f"config: orderbook.books.own.{missing}".replace("{d}", str(tmp_path))
    else:
        load(overlay(**options))


def test_days_that_cost_a_key_are_told_before_any_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TARDIS_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    feed = {"venue": "tardis", "provider": "tardis", "exchange": "x", "symbol": "X", "parts": ["20240101", "20240102"]}
    assert error_of(overlay(**feed)) == (
        "config: orderbook.books.own.parts: 20240102: only the first day of a month is free; for others set"
        " TARDIS_API_KEY in the environment"
    )
    there = tmp_path / "results" / "orderbook" / "own" / "raw" / "20240102.csv.gz"
    there.parent.mkdir(parents=True)
    there.touch()
    load(overlay(**feed))
    there.unlink()
    monkeypatch.setenv("TARDIS_API_KEY", "k")
    load(overlay(**feed))
    assert "sha256: no such file: gone" in error_of(overlay(**feed, sha256="gone"))


def test_files_of_inactive_feeds_need_not_be_there() -> None:
    values = overlay(raw="/nowhere/{part}.gz")
    values["orderbook"]["feeds"] = ["simulated"]
    load(values)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"orderbook": {"feeds": ["gone"]}}, "config: orderbook: feeds: 'gone' is not defined in books (btcusdt-perp,"),
        ({"orderbook": {"parse": {"depht": 3}}}, "config: orderbook.parse.depht: unknown key"),
        ({"site": {"memory_gb": "8"}}, "config: site.memory_gb: input should be a valid integer, not '8'"),
        ({"preflight": {"launch": {"pair": {"mem": "64G"}}}}, "config: preflight.launch.pair.mem: string should match"),
        ({"sites": {}}, "config: sites: unknown key"),
        ({"orderbook": {"feeds": ["simulated", "simulated"]}}, "config: orderbook: feeds: a feed is named twice"),
        (
            {"orderbook": {"balance": {"train_share": 0.8}}},
            "config: orderbook.balance: validation_share: nothing is left for the test",
        ),
        (
            {"orderbook": {"simulate": {"messages": 50, "lost_diffs": 5}}},
            "config: orderbook.simulate: messages: 5 accidents a part need 66, not 50",
        ),
    ],
)
def test_bad_key_is_one_line(changes: dict[str, Any], expected: str) -> None:
    assert error_of(merge(read_files([]), changes)).startswith(expected)


@pytest.mark.parametrize(
    ("feed", "expected"),
    [
        ({"venue": "binance-spot"}, "only binance-usdm feeds can be simulated; give 'raw'"),
        ({"symbol": "X", "parts": ["20240101", "20240101"]}, "parts: a part is named twice"),
        ({"symbol": "X", "parts": ["monday"]}, "days, YYYYMMDD, not 'monday'"),
        ({"parts": ["20240101"]}, "symbol: a simulated feed needs one"),
        ({"symbol": ""}, "symbol: string should have at least 1 character"),
        ({"parts": [20240101]}, 'put it in quotes, "20240101"'),
        ({"raw": "x.gz"}, "raw: several parts need a '{part}' in the path"),
        ({"provider": "tardis"}, "venue: files of tardis have venue 'tardis', not 'binance-usdm'"),
        ({"provider": "tardis", "venue": "tardis", "symbol": "X"}, "exchange: a fetched feed needs one"),
        ({"provider": "tardis", "venue": "tardis", "exchange": "x"}, "symbol: a fetched feed needs one"),
        ({"provider": "tardis", "venue": "tardis", "symbol": "X", "exchange": "../x"}, "exchange: string should match"),
        ({"provider": "tardis", "raw": "{part}.gz"}, "provider and raw: set one of them"),
        ({"provider": "tardis", "venue": "tardis", "symbol": "X", "exchange": "x"}, "those of a fetched feed are days"),
        ({"raw": "{part}.gz", "exchange": "x"}, "exchange: only with a provider"),
        ({"raw": "{part}.gz", "sha256": "x"}, "sha256: only with a provider"),
        ({"symbol": "X", "parts": ["20240101"], "snapshot": "x"}, "snapshot: only with 'raw'"),
        ({"venue": "lobster", "raw": "{part}.csv", "snapshot": "x"}, "snapshot: lobster files need none"),
        ({"raw": "x_{part}.gz", "signal": 0.1}, "signal: only a simulated feed has one"),
        ({"parts": []}, "list should have at least 1 item"),
        ({"parts": ["../a"]}, "string should match pattern"),
    ],
)
def test_feeds_that_cannot_work_are_refused(feed: dict[str, Any], expected: str) -> None:
    text = error_of(overlay(**feed))
    assert text.startswith("config: orderbook.books.own")
    assert expected in text


def test_snakefile_stops_with_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])  # so that it is restored: the stand-in for conda is appended
    with pytest.raises(SystemExit) as stop:
        load_or_exit({"orderbook": 3})
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "laid",
    [
        {},
        {"a": {"x": 2}},
        {"a": {"list": [9]}},
        {"a": {"deep": {"z": {"new": 1}}}},
        {"a": 3},
        {"a": None},
        {"b": {"was": "scalar"}},
        {"c": {"was": "list"}},
        {"d": {"was": "null"}},
        {"e": {}},
        {"a": {}, "f": {"g": {"h": 1}}},
    ],
)
def test_overlays_merge_as_snakemake_merges_them(laid: dict[str, Any]) -> None:
    base: dict[str, Any] = {"a": {"x": 1, "list": [1, 2], "deep": {"z": {"old": 0}}}, "b": 1, "c": [1], "d": None}
    expected = copy.deepcopy(base)
    update_config(expected, copy.deepcopy(laid))
    assert merge(copy.deepcopy(base), laid) == expected


def test_later_files_win(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("orderbook: {simulate: {messages: 177}}\n")
    loaded = load(read_files([DEMO, mine]))
    assert loaded.orderbook.simulate.messages == 177
    assert loaded.site.memory_gb == yaml.safe_load(DEMO.read_text())["site"]["memory_gb"]
    assert load(read_files([mine, DEMO])).orderbook.simulate.messages != 177


def test_command_line_checks_files(tmp_path: Path) -> None:
    done = check(DEMO)
    assert (done.returncode, done.stdout, done.stderr) == (0, "config: ok\n", "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "{path}: No such file or directory"),
        (b"a: [1\nb: 2\n", "{path}: while parsing a flow sequence"),
        (b"- a\n- b\n", "{path}: holds no keys, but a list"),
        (b"a: \xff\n", "{path}: 'utf-8' codec can't decode"),
        (
            b"orderbook: {plot: {levels: 0}}\n",
            "config: orderbook.plot.levels: input should be greater than or equal to 1",
        ),
    ],
    ids=["missing", "no YAML", "list", "not UTF-8", "out of bounds"],
)
def test_bad_file_is_one_line_and_code_2(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content)
    done = check(path)
    assert done.returncode == 2
    assert done.stderr.startswith(expected.format(path=path))
    assert done.stderr.count("\n") == 1


def test_schema_is_written_where_asked(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "scripts.config", "--schema", str(tmp_path / "s.json")],
        cwd=ROOT, env=clean_environment(), check=True,
    )  # fmt: skip
    assert (tmp_path / "s.json").read_text(encoding="utf-8") == schema()


def test_a_waiver_for_what_is_not_there_is_refused() -> None:
    values = read_files([])
    waiver = {"check": "no_look_ahead", "subject": "momentun", "reason": "a test", "by": "me", "until": "2999-01-01"}
    gate = values["gates"]["backtest"]["backtest"]
    gate["waive"] = [waiver]
    assert "gates.backtest.backtest.waive: no subject 'momentun' (" in error_of(values)
    for subject in ("momentum", None, f"orderbook-{next(iter(values['orderbook']['books']))}"):
        gate["waive"] = [waiver | {"subject": subject}]
        load(values)


def test_a_check_for_what_is_not_there_is_refused() -> None:
    values = read_files([])
    check = values["gates"]["backtest"]["backtest"]["checks"]["earns"]
    check["subjects"] = "momentun"
    assert "gates.backtest.backtest.checks.earns.subjects: no 'momentun' (" in error_of(values)
    for subjects in ("momentum", "!momentum", "nothing-*"):
        check["subjects"] = subjects
        load(values)


def test_the_names_of_the_feeds_agents_are_theirs() -> None:
    values = read_files([])
    backtests = values["backtest"]["backtests"]
    backtests["orderbook-mine"] = backtests["control"]
    assert "backtest.backtests.orderbook-mine: orderbook-" in error_of(values)
