"""The gates' rules under Snakemake: what a change of a threshold or a waiver runs again, and what it leaves alone."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import snakemake

ENCODER = Path("results/orderbook/simulated/encoder")
VERDICT = Path("results/orderbook/gates/encoder/simulated.json")
MARKER = Path("results/orderbook/promoted/encoder/simulated.json")
STRICT = {"checks": {"beats_copying_states": {"threshold": 0.4}}}
WAIVER = {"check": "beats_copying_states", "reason": "first try", "by": "A. Lee"}


@pytest.fixture
def trained(clone: Path) -> Path:
    """A clone with the files of an encoder that fills in whole states 30 % better than copying, 25 % at least."""
    folder = clone / ENCODER
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "encoder.json").write_text("{}")
    modes = {mode: {"model": figures(gain)} for mode, gain in (("cell", 0.5), ("step", 0.3), ("level", 0.4))}
    (folder / "metrics.json").write_text(json.dumps({"data": "d", "reconstruction": {"test": modes}}))
    return clone


def figures(gain: float) -> dict[str, float]:
    return {"windows": 200, "gain": gain, "gain_low": gain - 0.05, "gain_high": gain + 0.05}


def promoting(clone: Path, gate: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    """Ask for the promotion with an own config; jobs of other rules are not planned."""
    (clone / "mine.yaml").write_text(json.dumps({"gates": {"orderbook": {"encoder": gate}}}))
    return snakemake(
        "--profile", "local", "--cores", "1", "--configfile", "config/demo.yaml", "mine.yaml", "--allowed-rules",
        "evaluate_gate", "promote", *options, "--", MARKER, cwd=clone,
    )  # fmt: skip


def rules_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"^(?:local)?rule (\w+):", done.stdout + done.stderr, re.MULTILINE)


def test_a_threshold_a_waiver_and_its_end_judge_again_and_train_nothing(trained: Path) -> None:
    done = promoting(trained, {})
    assert done.returncode == 0, done.stderr
    assert rules_of(done) == ["evaluate_gate", "promote"]
    folder = trained / json.loads((trained / MARKER).read_text())["folder"]
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert rules_of(promoting(trained, {})) == []

    done = promoting(trained, STRICT)
    assert done.returncode == 1
    assert "ERROR refused: " in done.stderr + done.stdout
    assert "beats_copying_states: low end 0.25 < 0.4" in done.stderr + done.stdout
    assert json.loads((trained / VERDICT).read_text())["status"] == "fail", "a failure leaves its verdict"
    assert (trained / VERDICT).with_suffix(".html").exists()
    assert not (trained / MARKER).exists()
    assert (folder / "model.safetensors").exists(), "what was promoted stays"

    done = promoting(trained, {**STRICT, "waive": [{**WAIVER, "until": "2999-01-01"}]})
    assert done.returncode == 0, done.stderr
    assert json.loads((trained / MARKER).read_text())["status"] == "waived"
    done = promoting(trained, {**STRICT, "waive": [{**WAIVER, "until": "2020-01-01"}]})
    assert done.returncode == 1
    assert "the waiver of beats_copying_states by A. Lee ran out on 2020-01-01" in done.stderr + done.stdout


def test_a_stage_needs_a_gate_or_an_explicit_none(trained: Path) -> None:
    none = {"checks": dict.fromkeys(names(trained))}
    done = promoting(trained, none, "-n")
    assert done.returncode == 2
    assert "config: gates.orderbook.encoder: checks: none is given; write `gate: none` to have no gate" in done.stderr
    done = promoting(trained, {**none, "gate": "none"})
    assert done.returncode == 0, done.stderr
    assert json.loads((trained / VERDICT).read_text())["gate"] == "none"


def names(clone: Path) -> list[str]:
    import yaml

    values = yaml.safe_load((clone / "config" / "config.yaml").read_text())
    return list(values["gates"]["orderbook"]["encoder"]["checks"])
