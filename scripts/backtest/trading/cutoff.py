"""The day on which the training data of the model behind the predictions end, a language model's cutoff."""

from __future__ import annotations

import numpy as np

from scripts.lib.account import Band

BEFORE, AFTER = "up to the model's cutoff", "after the model's cutoff"


def cutoff_bands(cutoff: str | None, first: np.datetime64, last: np.datetime64) -> list[Band]:
    """An account's days before and after its model's cutoff; none where no cutoff is known."""
    if cutoff is None:
        return []
    day = np.datetime64(cutoff)
    before = Band(name=BEFORE, start=str(first), end=str(min(day, last)))
    after = Band(name=AFTER, start=str(max(day + 1, first)), end=str(last))
    return [band for band in (before, after) if band.start <= band.end]
