"""What both programs of the gates read: figures, and the date of which waivers are judged."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from scripts.lib.errors import InputError


def read_metrics(path: Path) -> dict[str, Any]:
    """Raises: InputError: not a JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: not a JSON object")
    return found


def today_utc() -> date:
    """Today's date, UTC."""
    return datetime.now(UTC).date()


def day_of(text: str | None) -> date:
    """A date given on the command line, else today's.

    Raises:
        InputError: not a date.
    """
    if text is None:
        return today_utc()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--today: a date such as 2026-01-31, not {text!r}") from None
