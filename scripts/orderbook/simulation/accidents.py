"""What goes wrong in a simulated capture: where each accident happens, so that none hides another.

The settings say how many of each kind there are. The messages after the first snapshot are cut into as many equal
stretches as there are accidents, each has its own stretch, and there a place from which the snapshot that mends a gap
still comes before the next one.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from scripts.orderbook.simulation.settings import ACCIDENT_MESSAGES, SimulateOptions

LOST, SWAPPED, NEGATIVE, DOUBLED, GARBAGE = KINDS = ("lost", "swapped", "negative", "doubled", "garbage")
GAPS = (LOST, SWAPPED, NEGATIVE)
"""Accidents after which the book cannot go on without another snapshot."""


def plan_accidents(settings: SimulateOptions, random: np.random.Generator) -> dict[int, str]:
    """Number of the depth message (from 0) -> kind of accident that befalls it."""
    counts = {
        LOST: settings.lost_diffs,
        SWAPPED: settings.swapped_diffs,
        NEGATIVE: settings.negative_sizes,
        DOUBLED: settings.doubled_diffs,
        GARBAGE: settings.garbage_lines,
    }
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    if not kinds:
        return {}
    shuffled = [kinds[i] for i in random.permutation(len(kinds))]
    needed = settings.snapshot_after + ACCIDENT_MESSAGES
    edges = np.linspace(needed, settings.messages, len(kinds) + 1).astype(np.int64)
    places = [int(random.integers(low, high - needed + 1)) for low, high in pairwise(edges)]
    return dict(zip(places, shuffled, strict=True))
