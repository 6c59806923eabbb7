"""Judge a model or a backtest by its gate; the verdict is written whatever it says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from scripts.gates.artifacts import digest_of, digests, named
from scripts.gates.checks import PASS, Baseline
from scripts.gates.inputs import day_of
from scripts.gates.page import write_page
from scripts.gates.record import baseline_for
from scripts.gates.settings import GateSettings
from scripts.gates.verdict import (
    PROVENANCE,
    Artifact,
    Judged,
    Verdict,
    check_all,
    needs_date,
    summary_of,
    write_json,
)
from scripts.lib import job
from scripts.lib.documents import read_object
from scripts.lib.joblog import log


def main(
    metrics: job.InputFile,
    artifacts: list[job.InputFile],
    line: str,
    stage: str,
    subject: str,
    verdict: job.OutputFile,
    page: job.OutputFile,
    settings: GateSettings,
    promoted: Path | None = None,
    today: str | None = None,
) -> None:
    """Judge a model or a backtest by its gate; the verdict is written whatever it says.

    promote refuses what has failed. A figure that is missing or undefined fails. A regression is compared with the one
    promoted last before this one.

    Args:
        metrics: JSON with the figures
        artifacts: files that would be promoted
        line: such as orderbook
        stage: such as encoder
        subject: such as the feed's name
        verdict: JSON with status, each check, and the digests of what was judged
        page: HTML of the same; what fails or is waived is red
        settings: the checks and their waivers
        promoted: folder of what was promoted; without it there is nothing to compare with
        today: date of which waivers are judged, such as 2026-01-31; by default today's, UTC
    """
    values = read_object(metrics)
    files = named(artifacts)
    hashes = digests(files)
    digest = digest_of(line, stage, subject, hashes)
    baseline = baseline_for(promoted, stage, subject, digest)
    day = day_of(today)
    checks = check_all(settings, subject, values, baseline, day)
    status, reason = summary_of(settings, checks)
    judged = Judged(
        digest=digest, artifacts={name: Artifact(path=str(path), sha256=hashes[name]) for name, path in files.items()},
        metrics=Artifact(path=str(metrics), sha256=digests({"metrics": metrics})["metrics"]),
        settings=digest_of_settings(settings), provenance=provenance_of(values),
        baseline=baseline.digest if baseline else None,
    )  # fmt: skip
    found = Verdict(
        line=line, stage=stage, subject=subject, status=status, reason=reason, gate=settings.gate, checks=checks,
        judged_on=day if needs_date(settings, subject, checks) else None, judged=judged,
    )  # fmt: skip
    write_json(verdict, found)
    write_page(page, found)
    tell(found, baseline)


def tell(verdict: Verdict, baseline: Baseline | None) -> None:
    """Log the verdict, and each check that does not simply pass."""
    log.info("%s of %s: %s: %s", verdict.stage, verdict.subject, verdict.status, verdict.reason)
    log.info("compared with %s", baseline.digest if baseline else "nothing: no promoted model yet")
    for check in verdict.checks:
        if check.status != PASS:
            log.warning("%s: %s: %s", check.status, check.name, check.reason)


def provenance_of(metrics: dict[str, Any]) -> dict[str, str]:
    """The digests that metrics name, as far as they do."""
    return {key: metrics[key] for key in PROVENANCE if isinstance(metrics.get(key), str)}


def digest_of_settings(settings: GateSettings) -> str:
    return hashlib.sha256(json.dumps(settings.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    job.run(main)
