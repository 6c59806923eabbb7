"""Gates: what a check says, who bears it, what is promoted and what is refused, kills and races included."""

from __future__ import annotations

import hashlib
import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from scripts.gates import evaluate_gate, promote, stages
from scripts.gates.checks import Baseline, Finding, judge
from scripts.gates.inputs import day_of
from scripts.gates.record import entries
from scripts.gates.settings import GatesConfig, GateSettings
from scripts.gates.stages import STAGES, expired_waivers, judged_artifacts, judged_metrics
from scripts.lib import job
from scripts.lib.code import closure
from scripts.lib.errors import InputError
from scripts.lib.settings import validate, validate_json
from tests.conftest import ROOT, clean_environment

GAIN = {"kind": "limit", "metric": "gain", "direction": "min", "threshold": 0.1}
WAIVER = {"check": "gain", "reason": "first try", "by": "A. Lee", "until": "2026-03-31"}
METRICS: dict[str, Any] = {
    "gain": 0.2, "gain_interval": [0.05, 0.3], "hit_rate": 0.55, "causality": "pass", "n": 40, "data": "d1",
    "nothing": None, "not_a_number": math.nan, "endless": math.inf, "truth": True, "list": [1.0, 2.0],
    "test": {"cell": {"mse": 0.5, "mse_low": 0.4, "mse_high": 0.7}}, "null_interval": [None, None], "null": 1.0,
}  # fmt: skip


def verdict_on(check: dict[str, Any], baseline: dict[str, Any] | None = None) -> Finding:
    """What one check says of METRICS."""
    found = gate({"it": check}).checks["it"]
    assert found is not None
    return judge(found, METRICS, Baseline("0123", baseline) if baseline is not None else None)


def gate(checks: dict[str, Any], **keys: Any) -> GateSettings:
    return validate(GateSettings, {"checks": checks, **keys}, "gate")


# ------------------------------------------------------------------------------------------------ one check


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("gone", "gone: not among the metrics"),
        ("test.step.mse", "test.step.mse: not among the metrics"),
        ("list.2", "list.2: not among the metrics"),
        ("gain.0", "gain.0: not among the metrics"),
        ("nothing", "nothing: undefined (null)"),
        ("not_a_number", "not_a_number: nan"),
        ("endless", "endless: inf"),
        ("causality", "causality: 'pass' is no number"),
        ("truth", "truth: True is no number"),
        ("list", "list: [1.0, 2.0] is no number"),
    ],
)
@pytest.mark.parametrize("severity", ["fail", "warn"])
def test_a_figure_that_is_missing_or_undefined_fails_whatever_the_severity(
    metric: str, says: str, severity: str
) -> None:
    found = verdict_on({**GAIN, "metric": metric, "severity": severity})
    assert (found.status, found.reason) == ("fail", says)
    for kind in ({"kind": "regression", "max_drop": 1.0}, {"kind": "alarm", "threshold": 1.0}):
        assert verdict_on({"metric": metric, "direction": "max", "severity": severity, **kind}).status == "fail"


@pytest.mark.parametrize(
    ("direction", "threshold", "status", "says"),
    [
        ("min", 0.1, "pass", "0.2 >= 0.1"),
        ("min", 0.2, "pass", "0.2 >= 0.2"),
        ("min", 0.3, "fail", "0.2 < 0.3"),
        ("max", 0.1, "fail", "0.2 > 0.1"),
        ("max", 0.2, "pass", "0.2 <= 0.2"),
        ("max", 0.3, "pass", "0.2 <= 0.3"),
    ],
)
def test_directions(direction: str, threshold: float, status: str, says: str) -> None:
    found = verdict_on({**GAIN, "direction": direction, "threshold": threshold})
    assert (found.status, found.reason, found.threshold) == (status, says, threshold)
    warned = verdict_on({**GAIN, "direction": direction, "threshold": threshold, "severity": "warn"})
    assert warned.status == ("pass" if status == "pass" else "warn")


@pytest.mark.parametrize(
    ("metric", "bound", "threshold", "status"),
    [
        ("gain", "low", 0.04, "pass"),
        ("gain", "low", 0.06, "fail"),
        ("gain", "value", 0.06, "pass"),
        ("gain", "high", 0.29, "pass"),
        ("gain", "high", 0.31, "fail"),
        ("test.cell.mse", "low", 0.39, "pass"),
        ("test.cell.mse", "high", 0.71, "fail"),
        ("gain_interval.0", "value", 0.05, "pass"),
        ("list.1", "value", 2.0, "pass"),
        ("hit_rate", "low", 0.0, "fail"),
        ("null", "high", 0.0, "fail"),
    ],
)
def test_the_end_of_the_interval_that_is_named_is_compared(
    metric: str, bound: str, threshold: float, status: str
) -> None:
    found = verdict_on({**GAIN, "metric": metric, "bound": bound, "threshold": threshold})
    assert found.status == status
    if metric in ("hit_rate", "null"):
        assert found.reason == f"{metric}: it has no interval"


def test_a_leak_alarm_says_what_it_is() -> None:
    alarm = {"kind": "alarm", "metric": "hit_rate", "direction": "max", "threshold": 0.54}
    assert verdict_on(alarm).reason == "0.55 > 0.54: too good to be true, look for a leak"
    assert verdict_on({**alarm, "threshold": 0.6}).reason == "0.55 <= 0.6"


@pytest.mark.parametrize(
    ("metric", "equals", "status"),
    [
        ("causality", "pass", "pass"),
        ("causality", "fail", "fail"),
        ("truth", True, "pass"),
        ("truth", 1, "fail"),
        ("n", 40, "pass"),
        ("n", "40", "fail"),
        ("gone", "pass", "fail"),
        ("nothing", "pass", "fail"),
    ],
)
def test_equality(metric: str, equals: str | bool | int, status: str) -> None:
    assert verdict_on({"kind": "equal", "metric": metric, "equals": equals}).status == status


@pytest.mark.parametrize(
    ("n", "n_min", "severity", "status"),
    [
        ("n", 40, "fail", "pass"),
        ("n", 41, "fail", "fail"),
        ("n", 41, "warn", "warn"),
        ("gone", 1, "warn", "fail"),
        ("nothing", 1, "warn", "fail"),
    ],
)
def test_too_few_observations(n: str, n_min: int, severity: str, status: str) -> None:
    found = verdict_on({**GAIN, "n": n, "n_min": n_min, "severity": severity})
    assert found.status == status
    assert found.n == (40 if n == "n" else None)


@pytest.mark.parametrize(
    ("direction", "before", "drop", "status", "threshold"),
    [
        ("min", 0.25, {"max_drop": 0.05}, "pass", 0.2),
        ("min", 0.25, {"max_drop": 0.04}, "fail", 0.21),
        ("min", 0.4, {"max_relative_drop": 0.5}, "pass", 0.2),
        ("min", 0.4, {"max_relative_drop": 0.4}, "fail", 0.24),
        ("max", 0.1, {"max_drop": 0.1}, "pass", 0.2),
        ("max", 0.1, {"max_drop": 0.0}, "fail", 0.1),
        ("max", 0.1, {"max_relative_drop": 1.0}, "pass", 0.2),
        ("min", -0.1, {"max_relative_drop": 0.5}, "pass", -0.15),
    ],
)
def test_a_regression_is_told_by_how_much_it_is_worse(
    direction: str, before: float, drop: dict[str, float], status: str, threshold: float
) -> None:
    check = {"kind": "regression", "metric": "gain", "direction": direction, **drop}
    found = verdict_on(check, {"gain": before, "data": "d1"})
    assert (found.status, found.baseline) == (status, before)
    assert found.threshold == pytest.approx(threshold)
    assert found.reason.endswith(f"; promoted 0123: {before:g}")
    assert verdict_on(check, {"gain": before, "data": "d2"}).reason.endswith(" on other data")


def test_the_first_one_passes_a_regression_explicitly_and_a_promoted_one_without_the_figure_warns() -> None:
    check = {"kind": "regression", "metric": "gain", "direction": "min", "max_drop": 0.0}
    assert verdict_on(check) == Finding("pass", "no promoted model yet", value=0.2, interval=(0.05, 0.3))
    found = verdict_on(check, {"data": "d1"})
    assert (found.status, found.reason) == ("warn", "not compared: of the promoted 0123: gain: not among the metrics")


# ------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "gate: checks: none is given; write `gate: none` to have no gate"),
        ({"checks": {"gain": None}}, "gate: checks: none is given; write `gate: none` to have no gate"),
        ({"checks": {"gain": GAIN}, "check": {}}, "gate: check: unknown key"),
        ({"checks": {"gain": {**GAIN, "treshold": 1}}}, "gate: checks.gain.limit.treshold: unknown key"),
        ({"checks": {"gain": {**GAIN, "direction": "up"}}}, "gate: checks.gain.limit.direction: input should be"),
        ({"checks": {"gain": {k: v for k, v in GAIN.items() if k != "direction"}}}, "gain.limit.direction: missing"),
        ({"checks": {"gain": {k: v for k, v in GAIN.items() if k != "threshold"}}}, "gain.limit.threshold: missing"),
        ({"checks": {"gain": {**GAIN, "kind": "floor"}}}, "gate: checks.gain: input tag 'floor' found using 'kind'"),
        ({"checks": {"gain": {**GAIN, "threshold": math.nan}}}, "gate: checks.gain.limit.threshold: input should be"),
        ({"checks": {"gain": {**GAIN, "n": "n"}}}, "gate: checks.gain.limit: n and n_min: give both or neither"),
        ({"checks": {"gain": {**GAIN, "metric": "a b"}}}, "gate: checks.gain.limit.metric: string should match"),
        ({"checks": {"g": {"kind": "regression", "metric": "g", "direction": "min"}}}, "max_relative_drop: give one"),
        ({"checks": {"gain": GAIN}, "waive": [{**WAIVER, "check": "gian"}]}, "gate: waive: no check 'gian' (gain)"),
        ({"checks": {"gain": GAIN}, "waive": [{**WAIVER, "by": ""}]}, "gate: waive.0.by: string should have at least"),
        ({"checks": {"gain": GAIN}, "waive": [{**WAIVER, "until": "soon"}]}, "gate: waive.0.until: "),
        ({"checks": {"gain": GAIN}, "waive": [{**WAIVER, "until": 20260331}]}, "gate: waive.0.until: "),
        ({"checks": {"gain": GAIN}, "waive": [{k: v for k, v in WAIVER.items() if k != "until"}]}, "until: missing"),
        ({"gate": "off", "checks": {"gain": GAIN}}, "gate: gate: input should be 'checks' or 'none'"),
    ],
)
def test_a_gate_that_cannot_be_meant_is_one_line(values: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)) as error:
        validate(GateSettings, values, "gate")
    assert "\n" not in str(error.value)
    assert validate_json_says(values).partition(": ")[0] == "gate"


def validate_json_says(values: dict[str, Any]) -> str:
    with pytest.raises(InputError) as error:
        validate_json(GateSettings, json.dumps(values), "gate")
    return str(error.value)


def test_a_date_may_be_written_with_and_without_quotes() -> None:
    import yaml

    texts = ("2026-03-31", '"2026-03-31"')
    found = [yaml.safe_load(f"{{check: gain, reason: r, by: b, until: {text}}}") for text in texts]
    waivers = [gate({"gain": GAIN}, waive=[values]).waive[0] for values in found]
    assert waivers[0] == waivers[1]
    assert waivers[0].until.isoformat() == "2026-03-31"


def test_every_stage_has_a_gate_or_an_explicit_none() -> None:
    """What the registry names and what the config must hold are the same; a stage left out is an error."""
    none = {"gate": "none"}
    declared = {
        (line, stage)
        for line, field in GatesConfig.model_fields.items()
        for stage in getattr(field.annotation, "model_fields", {})
    }
    assert declared == set(STAGES)
    validate(GatesConfig, {"orderbook": {"encoder": none}, "backtest": {"backtest": none}}, "gates")
    with pytest.raises(InputError, match=r"gates: orderbook\.encoder: missing"):
        validate(GatesConfig, {"orderbook": {}, "backtest": {"backtest": none}}, "gates")
    with pytest.raises(InputError, match=r"gates: orderbook\.encodr: unknown key"):
        validate(
            GatesConfig,
            {"orderbook": {"encoder": none, "encodr": none}, "backtest": {"backtest": none}},
            "gates",
        )


def test_gate_none_may_lie_over_checks_and_null_takes_one_out() -> None:
    assert gate({"gain": GAIN}, gate="none").gate == "none"
    assert gate({"gain": GAIN, "other": None}).checks["other"] is None


# ------------------------------------------------------------------------------------------------ the programs


class Bench:
    """A folder with one subject's files, and the two programs run on it."""

    def __init__(self, folder: Path, log: pytest.CaptureFixture[str]) -> None:
        self.folder, self.log = folder, log
        self.settings: dict[str, Any] = {"checks": {"gain": GAIN}}
        self.metrics = {"gain": 0.2, "gain_interval": [0.05, 0.3], "data": "d1", "n": 40}
        self.weights = b"weights"
        self.promoted = folder / "promoted"
        self.subject, self.today = "simulated", "2026-03-01"

    @property
    def verdict(self) -> Path:
        return self.folder / "gates" / "encoder" / f"{self.subject}.json"

    @property
    def page(self) -> Path:
        return self.verdict.with_suffix(".html")

    @property
    def marker(self) -> Path:
        return self.promoted / "encoder" / f"{self.subject}.json"

    def files(self) -> tuple[Path, list[Path]]:
        metrics, model = self.folder / "encoder" / "metrics.json", self.folder / "encoder" / "model.safetensors"
        config = self.folder / "encoder" / "shape" / "encoder.json"
        config.parent.mkdir(parents=True, exist_ok=True)
        metrics.write_text(json.dumps(self.metrics))
        model.write_bytes(self.weights)
        config.write_text("{}")
        return metrics, [model, config]

    def judge(self) -> dict[str, Any]:
        metrics, artifacts = self.files()
        code = run(
            evaluate_gate.main, "--metrics", metrics, "--artifacts", *artifacts, "--line", "orderbook", "--stage",
            "encoder", "--subject", self.subject, "--verdict", self.verdict, "--page", self.page, "--promoted",
            self.promoted, "--settings", json.dumps(self.settings), "--today", self.today,
        )  # fmt: skip
        assert code == 0
        found: dict[str, Any] = json.loads(self.verdict.read_text())
        return found

    def words(self) -> list[str]:
        folder = self.folder / "encoder"
        return list(map(str, [
            "--verdict", self.verdict, "--metrics", folder / "metrics.json", "--artifacts",
            folder / "model.safetensors", folder / "shape" / "encoder.json", "--promoted", self.promoted, "--marker",
            self.marker, "--today", self.today,
        ]))  # fmt: skip

    def promote(self) -> int | str | None:
        self.log.readouterr()
        return run(promote.main, *self.words())

    def told(self) -> str:
        """The one line of an error."""
        lines = [line for line in self.log.readouterr().err.splitlines() if " ERROR " in line]
        assert len(lines) == 1
        return lines[0].partition(" ERROR ")[2]

    def record(self) -> list[str]:
        return [entry.digest for entry in entries(self.promoted, "encoder", self.subject)]

    def content(self) -> dict[str, bytes]:
        files = [path for path in self.promoted.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.promoted)): path.read_bytes() for path in files}


def run(program: Callable[..., None], *words: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        job.run(program, list(map(str, words)))
    return stop.value.code


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


def test_a_verdict_tells_what_was_judged(bench: Bench) -> None:
    bench.settings["checks"]["warned"] = {**GAIN, "threshold": 0.9, "severity": "warn"}
    found = bench.judge()
    assert (found["status"], found["reason"]) == ("warn", "warned: 0.2 < 0.9")
    assert found["checks"][0] == {
        "name": "gain", "status": "pass", "unwaived": "pass", "kind": "limit", "metric": "gain", "value": 0.2,
        "interval": [0.05, 0.3], "bound": "value", "direction": "min", "threshold": 0.1, "baseline": None,
        "severity": "fail", "n": None, "n_min": None, "reason": "0.2 >= 0.1", "waiver": None,
    }  # fmt: skip
    judged = found["judged"]
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert judged["artifacts"]["model.safetensors"]["sha256"] == sha256
    assert set(judged["artifacts"]) == {"model.safetensors", "shape/encoder.json"}
    assert judged["provenance"] == {"data": "d1"}
    assert judged["metrics"]["sha256"] == hashlib.sha256(json.dumps(bench.metrics).encode()).hexdigest()
    before = judged["settings"], judged["digest"]
    bench.settings["checks"]["warned"]["threshold"] = 0.8
    judged = bench.judge()["judged"]
    assert judged["settings"] != before[0]
    assert judged["digest"] == before[1], "a threshold is no part of what is promoted"


def test_two_verdicts_have_the_same_bytes_on_other_days(bench: Bench) -> None:
    bench.settings["waive"] = [WAIVER]
    bench.judge()
    before = bench.verdict.read_bytes(), bench.page.read_bytes()
    bench.today = "2027-01-01"
    assert bench.judge()["judged_on"] is None, "no waiver is needed"
    assert (bench.verdict.read_bytes(), bench.page.read_bytes()) == before


def test_the_worst_check_decides(bench: Bench) -> None:
    checks = {"a": {**GAIN, "threshold": 0.9}, "b": {**GAIN, "threshold": 0.8}, "c": {**GAIN, "metric": "gone"}}
    bench.settings = {"checks": checks}
    found = bench.judge()
    assert (found["status"], found["reason"]) == ("fail", "a: 0.2 < 0.9 (and 2 more)")
    bench.settings = {"checks": checks, "waive": [{**WAIVER, "check": name} for name in "abc"]}
    assert bench.judge()["status"] == "waived"
    bench.settings["waive"] = [{**WAIVER, "check": name} for name in "ab"]
    assert bench.judge()["reason"] == "c: gone: not among the metrics"


def test_no_gate_is_told(bench: Bench) -> None:
    bench.settings["gate"] = "none"
    found = bench.judge()
    assert (found["status"], found["gate"], found["checks"]) == ("pass", "none", [])
    assert found["reason"] == "no gate: `gate: none` stands in the config"
    assert 'class="red"' in bench.page.read_text()


@pytest.mark.parametrize(
    ("subjects", "checked"), [("*", True), ("sim*", True), ("!orderbook-*", True), ("!sim*", False), ("other", False)]
)
def test_checks_may_be_for_some_subjects(bench: Bench, subjects: str, checked: bool) -> None:
    bench.settings = {"checks": {"gain": {**GAIN, "subjects": subjects}}}
    found = bench.judge()
    assert found["status"] == ("pass" if checked else "fail")
    if not checked:
        assert found["reason"] == "no check is for this subject; write `gate: none` to have no gate"


@pytest.mark.parametrize("content", ["", "[1]", "{", "\udcff"])
def test_metrics_that_are_none_are_bad_input_and_nothing_is_written(bench: Bench, content: str) -> None:
    metrics, artifacts = bench.files()
    metrics.write_bytes(content.encode(errors="surrogateescape"))
    words = ["--line", "l", "--stage", "s", "--subject", "x", "--verdict", bench.verdict, "--page", bench.page]
    settings = json.dumps(bench.settings)
    arguments = ["--metrics", metrics, "--artifacts", *artifacts, *words, "--settings", settings]
    assert run(evaluate_gate.main, *arguments) == 2
    assert str(metrics) in bench.told()
    assert not bench.verdict.exists()
    assert not bench.page.exists()


def test_a_file_given_twice_is_refused(bench: Bench) -> None:
    metrics, artifacts = bench.files()
    words = ["--line", "l", "--stage", "s", "--subject", "x", "--verdict", bench.verdict, "--page", bench.page]
    given = [artifacts[0], artifacts[0]]
    code = run(
        evaluate_gate.main, "--metrics", metrics, "--artifacts", *given, *words, "--settings",
        json.dumps(bench.settings),
    )  # fmt: skip
    assert code == 2
    assert bench.told() == "--artifacts: a file is given twice"


# ------------------------------------------------------------------------------------------------ waivers


def test_a_waiver_bears_a_check_until_its_last_day(bench: Bench) -> None:
    bench.settings = {"checks": {"gain": {**GAIN, "threshold": 0.9}}, "waive": [WAIVER]}
    bench.today = "2026-03-31"
    found = bench.judge()
    assert (found["status"], found["judged_on"]) == ("waived", "2026-03-31")
    (check,) = found["checks"]
    assert (check["status"], check["unwaived"]) == ("waived", "fail")
    assert check["waiver"] == {**WAIVER, "subject": None}
    assert check["reason"] == "0.2 < 0.9; waived by A. Lee until 2026-03-31"
    bench.today = "2026-04-01"
    found = bench.judge()
    assert (found["status"], found["judged_on"]) == ("fail", "2026-04-01")
    assert found["checks"][0]["waiver"] is None
    assert found["reason"] == "gain: 0.2 < 0.9; the waiver of gain by A. Lee ran out on 2026-03-31"


def test_a_waiver_bears_a_missing_figure_too_and_of_several_the_longest_counts(bench: Bench) -> None:
    waivers = [{**WAIVER, "until": day, "by": day} for day in ("2026-01-01", "2026-05-01", "2026-02-01")]
    bench.settings = {"checks": {"gain": {**GAIN, "metric": "gone"}}, "waive": waivers}
    found = bench.judge()
    assert (found["status"], found["checks"][0]["waiver"]["by"]) == ("waived", "2026-05-01")


@pytest.mark.parametrize(("subject", "status"), [("simulated", "waived"), ("other", "fail"), (None, "waived")])
def test_a_waiver_may_be_for_one_subject(bench: Bench, subject: str | None, status: str) -> None:
    bench.settings = {"checks": {"gain": {**GAIN, "threshold": 0.9}}, "waive": [{**WAIVER, "subject": subject}]}
    assert bench.judge()["status"] == status


def test_the_page_shows_failures_and_waivers_in_red_with_who_and_why(bench: Bench) -> None:
    bench.settings = {
        "checks": {
            "good": GAIN,
            "gain": {**GAIN, "threshold": 0.9, "bound": "low"},
            "failed": {**GAIN, "metric": "<gone>".strip("<>"), "direction": "max"},
            "warned": {**GAIN, "threshold": 0.9, "severity": "warn"},
        },
        "waive": [{**WAIVER, "reason": "it is <new> & small"}],
    }
    bench.judge()
    text = bench.page.read_text()
    table = ElementTree.fromstring(re.findall(r"<table>.*</table>", text, re.DOTALL)[0])
    header, *rows = [[cell.text or "" for cell in row] for row in table]
    red = [row.get("class") == "red" for row in table][1:]
    found = [dict(zip(header, row, strict=True)) for row in rows]
    assert [row["status"] for row in found] == ["pass", "waived", "fail", "warn"]
    assert red == [False, True, True, False]
    waived = found[1]
    assert [waived[key] for key in ("waived because", "by", "until")] == [
        "it is <new> & small", "A. Lee", "2026-03-31",
    ]  # fmt: skip
    assert waived["wanted"] == "low ≥ 0.9"
    assert found[2]["finding"] == "gone: not among the metrics"
    assert "://" not in text


def test_a_gate_is_judged_again_once_a_waiver_of_its_subject_has_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    waivers = [WAIVER, {**WAIVER, "subject": "other", "until": "2026-02-01"}]
    values = {
        "orderbook": {"encoder": {"checks": {"gain": GAIN}, "waive": waivers}},
        "backtest": {"backtest": {"gate": "none"}},
    }
    expired = expired_waivers(validate(GatesConfig, values, "gates"))
    wildcards = SimpleNamespace(line="orderbook", stage="encoder", subject="simulated")

    def on(day: str) -> list[str]:
        monkeypatch.setattr(stages, "today_utc", lambda: day_of(day))
        return expired(wildcards)

    assert on("2026-03-31") == []
    assert on("2026-04-01") == ["gain 2026-03-31"]
    assert expired(SimpleNamespace(line="backtest", stage="backtest", subject="x")) == []


# ------------------------------------------------------------------------------------------------ promotion


def test_what_passes_is_promoted_whole_and_read_only(bench: Bench) -> None:
    found = bench.judge()
    assert bench.promote() == 0
    marker = json.loads(bench.marker.read_text())
    assert (marker["digest"], marker["sequence"]) == (found["judged"]["digest"], 1)
    folder = Path(marker["folder"])
    assert folder == bench.promoted / marker["digest"]
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["verdict"] == found
    assert manifest["metrics"] == bench.metrics
    for name, sha256 in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o444}
    assert bench.record() == [marker["digest"]]


@pytest.mark.parametrize(("status", "code"), [("pass", 0), ("warn", 0), ("waived", 0), ("fail", 1)])
def test_promote_goes_by_the_verdict(bench: Bench, status: str, code: int) -> None:
    check = {
        "pass": GAIN,
        "warn": {**GAIN, "threshold": 0.9, "severity": "warn"},
        "waived": {**GAIN, "threshold": 0.9},
        "fail": {**GAIN, "threshold": 0.9},
    }[status]
    bench.settings = {"checks": {"gain": check}, "waive": [WAIVER] if status == "waived" else []}
    assert bench.judge()["status"] == status
    assert bench.promote() == code
    assert bench.marker.exists() == (code == 0)
    if code:
        assert bench.told() == f"refused: {bench.verdict}: encoder of simulated: gain: 0.2 < 0.9"
        assert bench.content() == {}


@pytest.mark.parametrize(("severity", "code"), [("fail", 1), ("warn", 0)])
def test_a_verdict_that_counted_on_a_waiver_is_refused_once_it_has_run_out(
    bench: Bench, severity: str, code: int
) -> None:
    bench.settings = {"checks": {"gain": {**GAIN, "threshold": 0.9, "severity": severity}}, "waive": [WAIVER]}
    assert bench.judge()["status"] == "waived"
    bench.today = "2026-04-01"
    assert bench.promote() == code
    if code:
        told = "encoder of simulated: the waiver of gain by A. Lee ran out on 2026-03-31: 0.2 < 0.9"
        assert bench.told() == f"refused: {bench.verdict}: {told}"


@pytest.mark.parametrize("changed", ["model.safetensors", "shape/encoder.json", "metrics.json"])
def test_a_file_changed_since_it_was_judged_is_bad_input(bench: Bench, changed: str) -> None:
    bench.judge()
    path = bench.folder / "encoder" / changed
    path.write_bytes(path.read_bytes() + b" ")
    assert bench.promote() == 2
    assert bench.told().startswith(f"{path}: not the ")
    assert bench.content() == {}


def test_a_file_changed_while_it_is_copied_is_not_promoted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    bench.judge()
    copy = shutil.copyfile

    def copy_other(source: Path, target: Path) -> None:
        copy(source, target)
        target.write_bytes(b"half of it")

    monkeypatch.setattr("scripts.gates.record.shutil.copyfile", copy_other)
    assert bench.promote() == 2
    assert "not the file that was judged" in bench.told()
    assert bench.content() == {}


def test_other_files_than_those_judged_are_bad_input(bench: Bench) -> None:
    bench.judge()
    words = bench.words()
    words.remove(str(bench.folder / "encoder" / "shape" / "encoder.json"))
    bench.log.readouterr()
    assert run(promote.main, *words) == 2
    assert bench.told() == "--artifacts: model.safetensors; judged were model.safetensors, shape/encoder.json"


def test_what_is_no_verdict_is_bad_input(bench: Bench) -> None:
    bench.judge()
    bench.verdict.write_text('{"status": "pass"}')
    assert bench.promote() == 2
    assert bench.told().startswith(f"{bench.verdict}: not a verdict of evaluate_gate: ")


def test_promoting_the_same_again_changes_nothing(bench: Bench) -> None:
    bench.judge()
    assert bench.promote() == 0
    before, marker = bench.content(), bench.marker.read_bytes()
    bench.settings["checks"]["gain"] = {**GAIN, "threshold": 0.15}
    bench.judge()
    bench.marker.unlink()  # as Snakemake does before a rerun
    assert bench.promote() == 0
    assert bench.content() == before
    assert bench.marker.read_bytes() == marker


def test_a_copy_that_was_changed_or_lost_is_told(bench: Bench) -> None:
    digest = bench.judge()["judged"]["digest"]
    assert bench.promote() == 0
    path = bench.promoted / digest / "model.safetensors"
    path.chmod(0o644)
    path.write_bytes(b"others")
    assert bench.promote() == 2
    assert bench.told().startswith(f"{path}: changed since it was promoted; remove {path.parent}")
    path.unlink()
    assert bench.promote() == 2
    assert "it is missing" in bench.told()


def test_a_later_model_is_compared_with_the_one_promoted_before_it(bench: Bench) -> None:
    """Three models and a return to the first; one that is judged again is never compared with itself."""
    bench.settings["checks"]["drop"] = {"kind": "regression", "metric": "gain", "direction": "min", "max_drop": 0.05}

    def judged(weights: bytes, gain: float) -> tuple[str, float | None, str]:
        bench.weights, bench.metrics["gain"] = weights, gain
        found = bench.judge()
        return found["checks"][1]["status"], found["checks"][1]["baseline"], found["judged"]["digest"]

    assert judged(b"first", 0.5)[:2] == ("pass", None)
    assert judged(b"first", 0.5)[0] == "pass"
    assert json.loads(bench.verdict.read_text())["checks"][1]["reason"] == "no promoted model yet"
    assert bench.promote() == 0
    assert judged(b"first", 0.5)[:2] == ("pass", None), "it is itself the last one"
    assert judged(b"worse", 0.4)[:2] == ("fail", 0.5)
    assert bench.promote() == 1
    status, before, second = judged(b"second", 0.46)
    assert (status, before) == ("pass", 0.5)
    assert bench.promote() == 0
    assert judged(b"second", 0.46)[:2] == ("pass", 0.5)
    assert judged(b"third", 0.42)[:2] == ("pass", 0.46)
    status, before, first = judged(b"first", 0.5)
    assert (status, before) == ("pass", 0.46)
    assert bench.promote() == 0
    assert bench.record() == [first, second, first]
    assert judged(b"second", 0.46)[:2] == ("pass", 0.5)
    bench.subject = "other"
    assert judged(b"worse", 0.4)[:2] == ("pass", None), "another subject has a record of its own"


def test_the_same_weights_with_other_figures_are_a_new_entry_and_no_new_folder(bench: Bench) -> None:
    digest = bench.judge()["judged"]["digest"]
    assert bench.promote() == 0
    bench.metrics["gain"] = 0.25
    assert bench.judge()["judged"]["digest"] == digest
    assert bench.promote() == 0
    found = entries(bench.promoted, "encoder", "simulated")
    assert [(entry.sequence, entry.digest, entry.metrics["gain"]) for entry in found] == [
        (1, digest, 0.2), (2, digest, 0.25),
    ]  # fmt: skip


def test_undefined_figures_are_promoted_as_null(bench: Bench) -> None:
    bench.metrics["other"] = math.nan
    bench.metrics["deep"] = [{"x": math.inf, "y": 1}]  # type: ignore[assignment]
    bench.judge()
    assert bench.promote() == 0
    found = entries(bench.promoted, "encoder", "simulated")[0].metrics
    assert (found["other"], found["deep"]) == (None, [{"x": None, "y": 1}])


def test_a_damaged_record_is_one_line(bench: Bench) -> None:
    bench.judge()
    assert bench.promote() == 0
    path = bench.promoted / "record" / "encoder" / "simulated" / "000001.json"
    path.chmod(0o644)
    path.write_text("{")
    assert bench.promote() == 2
    assert bench.told().startswith(f"{path}: not an entry of promote: ")


# ------------------------------------------------------------------------------------------------ kills and races

KILLED = """
import os, runpy, signal, sys
from pathlib import Path
import scripts.gates.record as record
import scripts.gates.promote as promote

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def after(function):
    def call(*arguments, **options):
        function(*arguments, **options)
        die()
    return call

point = sys.argv.pop(1)
if point == "after a copy":
    record.shutil.copyfile = after(record.shutil.copyfile)
elif point == "before the rename":
    record._take_name = die
elif point == "after the rename":
    record._take_name = after(record._take_name)
elif point == "before the record":
    os.link = die
elif point == "after the record":
    os.link = after(os.link)
elif point == "before the marker":
    promote.write_marker = die
from scripts.lib import job
job.run(promote.main)
"""
POINTS = re.findall(r'point == "(.+)"', KILLED)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_nothing_that_is_half(bench: Bench, point: str) -> None:
    digest = bench.judge()["judged"]["digest"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, point, *bench.words()], cwd=ROOT, env=clean_environment(), capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not bench.marker.exists()
    folder = bench.promoted / digest
    assert folder.exists() == (POINTS.index(point) > 1)
    if folder.exists():
        files = json.loads((folder / "manifest.json").read_text())["files"]
        assert {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in files} == files
    assert bench.record() == ([digest] if POINTS.index(point) > 3 else [])
    assert bench.promote() == 0
    assert bench.record() == [digest]
    assert set(bench.content()) == {
        f"{digest}/model.safetensors", f"{digest}/shape/encoder.json", f"{digest}/manifest.json",
        "record/encoder/simulated/000001.json", "encoder/simulated.json",
    }  # fmt: skip


RACING = """
import json, sys, time
from pathlib import Path
from scripts.gates import record
from scripts.gates.artifacts import digest_of, digests
from scripts.gates.record import Manifest, enter, store
from scripts.lib.settings import validate_json

folder, number, start = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
base = json.loads((folder / "base.json").read_text())
time.sleep(max(0, start - time.time()))
for turn in range(6):
    for name in ("shared", f"own-{number}-{turn}"):
        path = folder / "sources" / f"{name}-{number}"
        path.write_text(name)
        hashes = digests({"model": path})
        digest = digest_of("orderbook", "encoder", "simulated", hashes)
        made = validate_json(Manifest, json.dumps(base | {"digest": digest, "files": hashes}), "m")
        store(folder / "promoted", made, {"model": path})
        enter(folder / "promoted", made)
"""


def test_promotions_at_the_same_time_neither_overwrite_nor_lose_one_another(bench: Bench) -> None:
    import time

    bench.judge()
    assert bench.promote() == 0
    digest = json.loads(bench.marker.read_text())["digest"]
    base = json.loads((bench.promoted / digest / "manifest.json").read_text())
    (bench.folder / "base.json").write_text(json.dumps(base))
    (bench.folder / "sources").mkdir()
    start = str(time.time() + 2)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACING, str(bench.folder), str(number), start], cwd=ROOT, env=clean_environment(),
            stderr=subprocess.PIPE, text=True,
        )
        for number in range(4)
    ]  # fmt: skip
    for racer in racers:
        _, told = racer.communicate(timeout=60)
        assert racer.returncode == 0, told
    found = entries(bench.promoted, "encoder", "simulated")
    assert [entry.sequence for entry in found] == list(range(1, len(found) + 1))
    digests = {entry.digest for entry in found}
    assert len(digests) == 1 + 1 + 4 * 6, "the first, the shared one, and each racer's own"
    assert all(before.digest != after.digest for before, after in pairwise(found))
    for entry in found:
        for name, sha256 in entry.files.items():
            assert hashlib.sha256((bench.promoted / entry.digest / name).read_bytes()).hexdigest() == sha256
    assert not list(bench.promoted.rglob(".*")), "no temporary name is left"


# ------------------------------------------------------------------------------------------------ the rules


def test_the_rules_find_the_files_of_a_stage() -> None:
    wildcards = SimpleNamespace(line="orderbook", stage="encoder", subject="x")
    assert judged_metrics(wildcards) == "results/orderbook/x/encoder/metrics.json"
    assert judged_artifacts(wildcards)[0] == "results/orderbook/x/encoder/model.safetensors"
    with pytest.raises(ValueError, match="line backtest has no gate of a stage encoder"):
        judged_metrics(SimpleNamespace(line="backtest", stage="encoder", subject="x"))


def test_what_the_rules_import_is_light() -> None:
    """Every cluster job evaluates it again."""
    code = "import sys, scripts.gates.stages; print({'numpy', 'pandas', 'torch', 'jinja2', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=clean_environment(), capture_output=True)
    assert done.stdout == b"set()\n", done.stderr


@pytest.mark.parametrize("program", ["scripts.orderbook.pretrain_encoder", "scripts.backtest.run_backtest"])
def test_nothing_that_is_judged_knows_its_gate(program: str) -> None:
    """So that a change of a threshold or of a check's code trains nothing."""
    assert not [path for path in closure(program) if "gates" in path.parts]
