"""The processes of a training: one a GPU, data-parallel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Ranks:
    """This process among all of the job."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0


@contextmanager
def ranks_of_job(gpus: int) -> Iterator[Ranks]:
    """Join the processes that scripts/lib/launch.py started (or be alone), on GPUs, or on CPU where `gpus` is 0.

    Raises:
        InputError: fewer GPUs are in sight than asked for.
    """
    raise NotImplementedError
    yield
