"""Verdicts of gates, as pages show them: results/LINE/gates/STAGE/SUBJECT.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib.documents import read_object
from scripts.lib.errors import InputError
from scripts.lib.pages import as_number

STATUSES = ("fail", "waived", "warn", "pass")  # the worst first
RED = ("fail", "waived")
WAIVER = ("reason", "by", "until")


class Check(NamedTuple):
    """One check of a gate."""

    name: str
    metric: str
    status: str
    value: object
    low: object
    high: object
    threshold: object
    bound: str  # low or high where an end of the interval was compared
    direction: str  # min or max: on which side of the threshold the value must lie
    n: object
    reason: str
    waiver: dict[str, str]  # reason, by, until; empty where there is none


class Verdict(NamedTuple):
    """What a gate said of one subject."""

    line: str
    stage: str
    subject: str
    status: str
    reason: str
    open: bool  # no gate was wanted: everything passes
    checks: list[Check]
    path: str

    @property
    def bad(self) -> list[Check]:
        """Checks that failed or were waived."""
        return [check for check in self.checks if check.status in RED]


def read_verdict(path: Path) -> Verdict:
    """Raises: InputError: no JSON object, or a status that no gate has."""
    found = read_object(path)
    folders = [*path.absolute().parts]
    line, stage = (folders[-4] if len(folders) > 3 else "", folders[-2])
    checks = found.get("checks") or []
    if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
        raise InputError(f"{path}: checks: not a list of objects")
    return Verdict(
        str(found.get("line") or line), str(found.get("stage") or stage), str(found.get("subject") or path.stem),
        _status(path, "status", found), str(found.get("reason") or ""), found.get("gate") == "none",
        [_check(path, place, check) for place, check in enumerate(checks)], str(path),
    )  # fmt: skip


def _status(path: Path, where: str, found: dict[str, Any]) -> str:
    status = found.get("status")
    if status not in STATUSES:
        raise InputError(f"{path}: {where} {status!r}: not one of {', '.join(sorted(STATUSES))}")
    return str(status)


def _check(path: Path, place: int, found: dict[str, Any]) -> Check:
    interval = found.get("interval")
    low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
    waiver = found.get("waiver")
    return Check(
        str(found.get("name", "")), str(found.get("metric", "")), _status(path, f"checks.{place}.status", found),
        found.get("value"), as_number(low), as_number(high), found.get("threshold"), _bound(found),
        str(found.get("direction") or ""),
        found.get("n"), str(found.get("reason") or ""),
        {key: str(waiver.get(key) or "not told") for key in WAIVER} if isinstance(waiver, dict) else {},
    )  # fmt: skip


def _bound(found: dict[str, Any]) -> str:
    return str(found["bound"]) if found.get("bound") in ("low", "high") else ""


def worst(statuses: list[str]) -> str | None:
    """The worst of several; None of none."""
    return min(statuses, key=STATUSES.index) if statuses else None
