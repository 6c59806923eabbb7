"""The day on which the training data of the model behind the predictions end, a language model's cutoff."""

from __future__ import annotations

from datetime import date

import numpy as np

from scripts.lib.account import Band, Description
from scripts.lib.errors import InputError

BEFORE, AFTER = "up to the model's cutoff", "after the model's cutoff"


def cutoff_of(description: Description) -> np.datetime64 | None:
    """The cutoff that an account tells of.

    Raises:
        InputError: it is no day.
    """
    told = description.settings.get("model_cutoff")
    if told is None:
        return None
    try:
        return np.datetime64(date.fromisoformat(str(told)))
    except ValueError:
        raise InputError(f"account.json: settings: model_cutoff {told!r}: no day such as 2024-06-30") from None


def cutoff_bands(cutoff: str | None, first: np.datetime64, last: np.datetime64) -> list[Band]:
    """An account's days before and after its model's cutoff; none where no cutoff is known."""
    if cutoff is None:
        return []
    day = np.datetime64(cutoff)
    before = Band(name=BEFORE, start=str(first), end=str(min(day, last)))
    after = Band(name=AFTER, start=str(max(day + 1, first)), end=str(last))
    return [band for band in (before, after) if band.start <= band.end]
