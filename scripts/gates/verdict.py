"""The verdict of a gate: each check with what it found, and what exactly was judged, by sha256."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from scripts.gates.checks import FAIL, PASS, WAIVED, WARN, Baseline, Found, Status, checks_of, judge
from scripts.gates.settings import GateSettings, Waiver
from scripts.lib.errors import InputError
from scripts.lib.settings import Settings, validate_json

WORST_FIRST: tuple[Status, ...] = (FAIL, WAIVED, WARN, PASS)
PROVENANCE = ("data", "training", "trial", "account")  # keys of metrics that say what stands behind the figures


class CheckVerdict(Settings):
    """What a check found."""

    name: str
    """Of the check."""
    status: Status
    """waived: it is not met, and a waiver that holds bears it."""
    unwaived: Found
    """What it is without its waiver."""
    kind: str
    """limit | alarm | regression | equal."""
    metric: str
    """Dotted key."""
    value: float | str | bool | None
    """null: missing or undefined."""
    interval: tuple[float | None, float | None] | None
    """Of the value, where the metrics have one."""
    bound: str | None
    """value | low | high: what was compared."""
    direction: str | None
    """min | max."""
    threshold: float | str | bool | None
    """What it was compared with."""
    baseline: float | None
    """The promoted one's figure."""
    severity: str
    """fail | warn."""
    n: float | None
    """Observations behind the figure."""
    n_min: int | None
    """Fewest wanted."""
    reason: str
    """One line."""
    waiver: Waiver | None
    """The one that bears it; null where none does."""


class Artifact(Settings):
    """A file that was judged."""

    path: str
    """As it was given."""
    sha256: str
    """Of its content."""


class Judged(Settings):
    """What was judged."""

    digest: str
    """Name under which it is promoted."""
    artifacts: dict[str, Artifact]
    """By name."""
    metrics: Artifact
    """The figures."""
    settings: str
    """sha256 of the gate's settings."""
    provenance: dict[str, str]
    """Digests that the metrics name: data, training (code, settings and data), trial, account."""
    baseline: str | None
    """Digest of what was promoted before."""


class Verdict(Settings):
    """The verdict on a subject."""

    line: str
    """Such as orderbook."""
    stage: str
    """Such as encoder."""
    subject: str
    """Such as the feed's name."""
    status: Status
    """The worst of the checks, in the order fail, waived, warn, pass."""
    reason: str
    """One line."""
    gate: str
    """checks | none."""
    checks: list[CheckVerdict]
    """In the order of the settings."""
    judged_on: date | None
    """Date of which waivers were judged; null where there was none, so that the same input gives the same bytes."""
    judged: Judged
    """By digest."""


def check_all(
    gate: GateSettings, subject: str, metrics: Mapping[str, Any], baseline: Baseline | None, today: date
) -> list[CheckVerdict]:
    """Judge all checks that are for a subject."""
    if gate.gate == "none":
        return []
    return [_check(gate, name, subject, metrics, baseline, today) for name in checks_of(gate, subject)]


def _check(
    gate: GateSettings, name: str, subject: str, metrics: Mapping[str, Any], baseline: Baseline | None, today: date
) -> CheckVerdict:
    check = checks_of(gate, subject)[name]
    found = judge(check, metrics, baseline)
    waiver = waiver_of(gate, name, subject)
    status: Status = found.status
    reason = found.reason
    holds = waiver is not None and status != PASS and waiver.until >= today
    if waiver and status != PASS:
        reason += f"; waived by {waiver.by} until {waiver.until}" if holds else f"; {ran_out(waiver)}"
    status = WAIVED if holds else status
    return CheckVerdict(
        name=name, status=status, unwaived=found.status, kind=check.kind, metric=check.metric, value=found.value,
        interval=found.interval,
        bound=getattr(check, "bound", None), direction=getattr(check, "direction", None), threshold=found.threshold,
        baseline=found.baseline, severity=check.severity, n=found.n, n_min=check.n_min, reason=reason,
        waiver=waiver if holds else None,
    )  # fmt: skip


def waiver_of(gate: GateSettings, check: str, subject: str) -> Waiver | None:
    """The waiver of a check that holds longest."""
    found = [waiver for waiver in gate.waive if waiver.check == check and waiver.subject in (None, subject)]
    return max(found, key=lambda waiver: waiver.until, default=None)


def needs_date(gate: GateSettings, subject: str, checks: list[CheckVerdict]) -> bool:
    """Whether a verdict depends on the day it was made: whether a waiver is named for a check that is not met."""
    return any(check.unwaived != PASS and waiver_of(gate, check.name, subject) for check in checks)


def ran_out(waiver: Waiver) -> str:
    return f"the waiver of {waiver.check} by {waiver.by} ran out on {waiver.until}"


def summary_of(gate: GateSettings, checks: list[CheckVerdict]) -> tuple[Status, str]:
    """Status and one line for all checks together."""
    if gate.gate == "none":
        return PASS, "no gate: `gate: none` stands in the config"
    if not checks:
        return FAIL, "no check is for this subject; write `gate: none` to have no gate"
    status = next(status for status in WORST_FIRST if any(check.status == status for check in checks))
    worst = [check for check in checks if check.status == status]
    if status == PASS:
        return status, f"{len(checks)} of {len(checks)} checks pass"
    more = f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
    return status, f"{worst[0].name}: {worst[0].reason}{more}"


def write_json(path: Path, model: Settings) -> None:
    """Write a model as JSON with sorted keys."""
    text = json.dumps(model.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_verdict(path: Path) -> Verdict:
    """Raises: InputError: not a verdict."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    return validate_json(Verdict, text, f"{path}: not a verdict of evaluate_gate")
