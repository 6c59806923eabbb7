"""Which sample comes when, and the randomness that belongs to it: functions of seed and position, with no state.

The training samples form one endless stream: the passes over the data, each in an order of its own, one after another.
Step k takes positions k * batch to (k + 1) * batch - 1 of it. So the position in the data is just the number of
samples seen, no sample is left out where an epoch ends, and a resumed run needs nothing else to go on exactly.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from scripts.lib.training.task import Indices

ORDER, SAMPLE, NOISE = 1, 2, 3  # what a generator is for: generators of different purposes never coincide


def generator(seed: int, purpose: int, first: int, second: int) -> np.random.Generator:
    """An independent generator for each pair of numbers: Philox is keyed by the seed, the pair is its counter.

    The counter's lowest word is left for the draws, 2^64 blocks of them (Salmon et al., "Parallel random numbers: as
    easy as 1, 2, 3", SC 2011).
    """
    key = np.array([seed, purpose], dtype=np.uint64)  # lists would cost three times as much
    counter = np.array([0, 0, first, second], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator of one sample in one epoch: masks, crops, augmentation."""
    return generator(seed, SAMPLE, epoch, index)


def noise_seed(seed: int, step: int, position: int) -> int:
    """Seed of the global generators (dropout) for the micro-batch of a step that begins at `position` of the stream."""
    return int(generator(seed, NOISE, step, position).integers(2**63))


@lru_cache(maxsize=3)
def permutation(seed: int, epoch: int, count: int) -> Indices:
    """Order of the samples in an epoch."""
    order: Indices = generator(seed, ORDER, epoch, count).permutation(count)
    return order


def samples_at(seed: int, count: int, start: int, stop: int) -> tuple[Indices, Indices]:
    """Indices and epochs of the stream's positions `start` to `stop` - 1, of `count` samples."""
    positions = np.arange(start, stop, dtype=np.int64)
    epochs = positions // count
    indices = np.empty_like(positions)
    for epoch in np.unique(epochs):
        chosen = epochs == epoch
        indices[chosen] = permutation(seed, int(epoch), count)[positions[chosen] % count]
    return indices, epochs


def share_of(start: int, batch: int, rank: int, world: int) -> tuple[int, int]:
    """First and last + 1 position of a process in the batch that begins at `start`; `world` divides `batch`."""
    share = batch // world
    return start + rank * share, start + (rank + 1) * share


def steps_of(count: int, batch: int, epochs: int, max_steps: int | None) -> int:
    """Steps of a whole training: enough to see every sample `epochs` times."""
    steps = -(-epochs * count // batch)
    return steps if max_steps is None else min(steps, max_steps)
