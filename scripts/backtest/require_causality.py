"""Refuse what follows a causality check that failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.lib import job
from scripts.lib.causality import FAIL, NOT_CHECKED, PASS, Offence
from scripts.lib.errors import InputError, Refusal
from scripts.lib.joblog import log

STATUSES = (PASS, FAIL, NOT_CHECKED)


def main(report: job.InputFile, passed: job.OutputFile) -> None:
    """Refuse what follows a causality check that failed: one line with the first offender, exit code 1.

    What could not be checked goes on with a warning: gates judge it.

    Args:
        report: causality.json of a line
        passed: text with the status in one line
    """
    found = read_report(report)
    status, offences = found["status"], found["offences"]
    if status == FAIL:
        more = f" (and {len(offences) - 1} more)" if len(offences) > 1 else ""
        raise Refusal(f"{report}: look-ahead: {Offence(**offences[0]).line()}{more}")
    line = f"{status} at {len(found['cuts'])} cuts" if status == PASS else f"{status}: {found['reason']}"
    if status != PASS:
        log.warning("%s: %s", report, line)
    passed.write_text(line + "\n", encoding="utf-8")


def read_report(path: Path) -> dict[str, Any]:
    """Raises: InputError: not a report of a causality check."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["status"] not in STATUSES or (found["status"] == FAIL) != bool(found["offences"]):
            raise KeyError("status")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a report of check_causality ({error})") from None
    return dict(found)


if __name__ == "__main__":
    job.run(main)
