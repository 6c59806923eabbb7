"""What both programs of the gates read: figures, and the date of which waivers are judged."""

from __future__ import annotations

from datetime import UTC, date, datetime

from scripts.lib.errors import InputError


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
