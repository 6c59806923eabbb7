"""What is judged and promoted: for each line and stage the metrics and the files. Input functions of the gates' rules.

A stage is added here and in GatesConfig (settings.py); a test holds both together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.gates.inputs import today_utc
from scripts.gates.settings import GatesConfig, GateSettings

VERDICT = "results/{line}/gates/{stage}/{subject}.json"
PROMOTED = "results/{line}/promoted/{stage}/{subject}.json"
SUBJECT = "[A-Za-z0-9][A-Za-z0-9_-]*"


@dataclass(frozen=True)
class Stage:
    """Paths with {subject} in them."""

    metrics: str
    """JSON with the figures that are judged."""
    artifacts: tuple[str, ...]
    """What is promoted."""


STAGES = {
    ("orderbook", "encoder"): Stage(
        "results/orderbook/{subject}/encoder/metrics.json",
        (
            "results/orderbook/{subject}/encoder/model.safetensors",
            "results/orderbook/{subject}/encoder/encoder.json",
        ),
    ),
    ("backtest", "backtest"): Stage(
        "results/backtest/{subject}/metrics.json",
        ("results/backtest/{subject}/metrics.json", "results/backtest/{subject}/comparison.csv"),
    ),
}
LINES = "|".join(sorted({line for line, _ in STAGES}))
STAGE_NAMES = "|".join(sorted({stage for _, stage in STAGES}))


def judged_metrics(wildcards: Any) -> str:
    """Input function: the metrics of a stage's subject."""
    return _stage(wildcards).metrics.format(subject=wildcards.subject)


def judged_artifacts(wildcards: Any) -> list[str]:
    """Input function: the files that are promoted."""
    return [path.format(subject=wildcards.subject) for path in _stage(wildcards).artifacts]


def _stage(wildcards: Any) -> Stage:
    """Raises: ValueError: such a stage there is not."""
    found = STAGES.get((wildcards.line, wildcards.stage))
    if found is None:
        raise ValueError(f"line {wildcards.line} has no gate of a stage {wildcards.stage}")
    return found


def verdicts(line: str, stage: str, subjects: list[str]) -> list[str]:
    """Paths of the verdicts on some subjects."""
    return [VERDICT.format(line=line, stage=stage, subject=subject) for subject in subjects]


def promotions(line: str, stage: str, subjects: list[str]) -> list[str]:
    """Paths of the files that name what was promoted of some subjects."""
    return [PROMOTED.format(line=line, stage=stage, subject=subject) for subject in subjects]


def expired_waivers(gates: GatesConfig) -> Callable[[Any], list[str]]:
    """Params function: the waivers that have run out by today, so that a verdict which counted on one is made again."""

    def expired(wildcards: Any) -> list[str]:
        gate: GateSettings = getattr(getattr(gates, wildcards.line), wildcards.stage)
        mine = [waiver for waiver in gate.waive if waiver.subject in (None, wildcards.subject)]
        return sorted(f"{waiver.check} {waiver.until}" for waiver in mine if waiver.until < today_utc())

    return expired
