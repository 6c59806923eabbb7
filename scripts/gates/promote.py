"""Promote what its gate let pass: a copy that nothing changes any more."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

from scripts.gates.artifacts import digest_of, digests, named
from scripts.gates.checks import FAIL, WAIVED
from scripts.gates.inputs import day_of
from scripts.gates.record import Entry, Manifest, enter, refuse_changed, store
from scripts.gates.verdict import Verdict, ran_out, read_verdict
from scripts.lib import job
from scripts.lib.documents import read_object, without_nan
from scripts.lib.errors import InputError, Refusal
from scripts.lib.joblog import log


def main(
    verdict: job.InputFile,
    metrics: job.InputFile,
    artifacts: list[job.InputFile],
    promoted: Path,
    marker: job.OutputFile,
    today: str | None = None,
) -> None:
    """Promote what its gate let pass: a copy that nothing changes any more.

    Refuses, with one line and exit code 1, what failed or counted on a waiver that has run out. Files that are not
    those that were judged are bad input. Promoting the same again changes nothing.

    Args:
        verdict: JSON of evaluate_gate
        metrics: JSON with the figures that were judged
        artifacts: the files that were judged
        promoted: folder in which a folder named by their digest is made
        marker: JSON with that digest
        today: date of which waivers are judged, such as 2026-01-31; by default today's, UTC
    """
    found = read_verdict(verdict)
    refuse_failed(found, verdict, day_of(today))
    values = read_object(metrics)
    refuse_other_metrics(found, metrics)
    files = named(artifacts)
    judged = {name: artifact.sha256 for name, artifact in found.judged.artifacts.items()}
    refuse_changed(files, digests(files), judged)
    manifest = Manifest(
        line=found.line, stage=found.stage, subject=found.subject,
        digest=digest_of(found.line, found.stage, found.subject, judged),
        promoted_at=datetime.now(UTC).replace(microsecond=0), files=judged, metrics=without_nan(values), verdict=found,
    )  # fmt: skip
    folder = store(promoted, manifest, files)
    entry = enter(promoted, manifest)
    write_marker(marker, entry, folder)
    log.info("%s of %s: %s is number %d", entry.stage, entry.subject, folder, entry.sequence)


def refuse_failed(verdict: Verdict, path: Path, today: date) -> None:
    """Raises: Refusal: the verdict is a failure, or has become one since a waiver ran out."""
    what = f"{path}: {verdict.stage} of {verdict.subject}"
    if verdict.status == FAIL:
        raise Refusal(f"{what}: {verdict.reason}")
    for check in verdict.checks:
        if check.status == WAIVED and check.unwaived == FAIL and (waiver := check.waiver) and waiver.until < today:
            raise Refusal(f"{what}: {ran_out(waiver)}: {check.reason.partition(';')[0]}")


def refuse_other_metrics(verdict: Verdict, metrics: Path) -> None:
    """Raises: InputError: not the figures that were judged."""
    if digests({"metrics": metrics})["metrics"] != verdict.judged.metrics.sha256:
        raise InputError(f"{metrics}: not the figures that were judged; judge it again")


def write_marker(path: Path, entry: Entry, folder: Path) -> None:
    """What was promoted, as JSON: no time, so that promoting the same again gives the same bytes."""
    values = {
        "line": entry.line, "stage": entry.stage, "subject": entry.subject, "digest": entry.digest,
        "folder": str(folder), "sequence": entry.sequence, "status": entry.verdict.status,
    }  # fmt: skip
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    job.run(main)
