"""A verdict as a page for readers."""

from __future__ import annotations

from pathlib import Path

from scripts.gates.checks import FAIL, WAIVED
from scripts.gates.verdict import CheckVerdict, Verdict
from scripts.lib.tables import write_html

RED = (FAIL, WAIVED)
SIGNS = {"min": "≥", "max": "≤"}


def write_page(path: Path, verdict: Verdict) -> None:
    """A row a check; those that fail or are waived in red."""
    rows = [row_of(check) for check in verdict.checks] or [_no_check(verdict)]
    judged = verdict.judged
    hashes = [f"judged {judged.digest}", *(f"{key} {value}" for key, value in judged.provenance.items())]
    hashes += [f"promoted before {judged.baseline}"] if judged.baseline else []
    red = [place for place, row in enumerate(rows) if row["status"] in RED or verdict.gate == "none"]
    write_html(
        path, rows, f"{verdict.stage} of {verdict.subject}: {verdict.status}", red=red,
        notes=[verdict.reason, "; ".join(hashes)],
    )  # fmt: skip


def row_of(check: CheckVerdict) -> dict[str, object]:
    low, high = check.interval or (None, None)
    waiver = check.waiver
    return {
        "check": check.name,
        "status": check.status,
        "metric": check.metric,
        "value": check.value,
        "low": low,
        "high": high,
        "wanted": wanted(check),
        "n": check.n,
        "if not": check.severity,
        "finding": check.reason,
        "waived because": waiver.reason if waiver else None,
        "by": waiver.by if waiver else None,
        "until": waiver.until if waiver else None,
    }


def wanted(check: CheckVerdict) -> str | None:
    """What a check asks for, such as "low ≥ 0.01"."""
    if check.threshold is None:
        return None
    if check.direction is None:
        return str(check.threshold)
    end = f"{check.bound} " if check.bound in ("low", "high") else ""
    return f"{end}{SIGNS[check.direction]} {check.threshold:.4g}"


def _no_check(verdict: Verdict) -> dict[str, object]:
    return {"check": None, "status": verdict.status, "finding": verdict.reason}
