"""A small task for the tests of scripts/lib/training, also as a program: masked regression on random numbers.

Its options make trouble on demand: too little memory above some number of samples, a death in the middle of a save,
a program that does not end before a test has stopped it.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.lib import job
from scripts.lib.settings import Settings
from scripts.lib.training import trainer
from scripts.lib.training.distributed import ranks_of_job
from scripts.lib.training.order import sample_generator
from scripts.lib.training.precision import Precision
from scripts.lib.training.settings import TrainingSettings
from scripts.lib.training.task import Batch, Indices, Loss

WIDTH = 6
PROGRAM = "tests.unit.training_toy"


@dataclass
class Numbers:
    """Random samples of which a part is masked anew in every epoch."""

    count: int
    seed: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)
    """(epoch, index) of every sample fetched, in order."""

    def __post_init__(self) -> None:
        self.values = np.random.default_rng(self.seed).normal(size=(self.count, WIDTH)).astype(np.float32)

    def __len__(self) -> int:
        return self.count

    def fetch(self, indices: Indices, epochs: Indices) -> Batch:
        """Values and masks, (samples, WIDTH)."""
        self.asked += zip(epochs.tolist(), indices.tolist(), strict=True)
        pairs = zip(epochs.tolist(), indices.tolist(), strict=True)
        masks = [sample_generator(self.seed, epoch, index).random(WIDTH) < 0.5 for epoch, index in pairs]
        return {
            "x": torch.from_numpy(self.values[indices]),
            "mask": torch.from_numpy(np.array(masks)).reshape(-1, WIDTH),
        }


class RunningMean(torch.nn.Module):
    """Counts what it has seen; the values pass unchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(WIDTH))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Values as they are."""
        if self.training:
            self.mean += 0.1 * (values.detach().mean(0) - self.mean)
        return values


class ToyTask:
    """Predict masked numbers from the others.

    Args:
        dropout: of the model.
        memory: samples for which memory suffices; None: any number.
        short_rank: the process that is short of it; None: all.
    """

    flops_per_sample = 6.0 * 2 * WIDTH * 16

    def __init__(
        self, train: int = 37, validation: int = 11, dropout: float = 0.1, memory: int | None = None,
        short_rank: int | None = None,
    ) -> None:  # fmt: skip
        self.train = Numbers(train)
        self.validation = Numbers(validation, 1) if validation else None
        self.dropout, self.memory, self.short_rank = dropout, memory, short_rank
        self.sizes: list[int] = []

    def build(self, precision: Precision) -> Any:
        """Two layers and a buffer that changes in the forward pass."""
        return torch.nn.Sequential(
            RunningMean(), torch.nn.Linear(WIDTH, 16), torch.nn.GELU(), torch.nn.Dropout(self.dropout),
            torch.nn.Linear(16, WIDTH),
        )  # fmt: skip

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Squared errors at masked entries."""
        count = len(batch["x"])
        short = self.short_rank is None or self.short_rank == int(os.environ.get("RANK", "0"))
        if self.memory is not None and count > self.memory and short:
            raise torch.OutOfMemoryError(f"injected: {count} samples")
        self.sizes.append(count)
        errors = (model(batch["x"] * ~batch["mask"]) - batch["x"])[batch["mask"]]
        weight = batch["mask"].sum()
        return Loss(errors.square().sum(), weight, {"absolute_error": (errors.abs().sum(), weight)})


class ToySettings(Settings):
    """Settings of the program."""

    training: TrainingSettings = TrainingSettings()
    """What is trained."""
    memory: int | None = None
    """As of ToyTask."""
    short_rank: int | None = None
    """As of ToyTask."""
    dropout: float = 0.1
    """As of ToyTask."""
    pause: float = 0.0
    """Time that every fetch takes, seconds."""
    hold_after: int | None = None
    """Fetches after which each takes ten seconds: the program is still at work whenever a test comes to stop it."""
    die_in_save: int | None = None
    """Kill the process in the middle of this tensor file, counted from 1."""


def die_in_save(number: int) -> None:
    """Kill this process when half of the number-th tensor file is written."""
    save, calls = torch.save, [0]

    def dying(value: Any, path: Path) -> None:
        save(value, path)
        calls[0] += 1
        if calls[0] == number:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = dying


def main(checkpoints: Path, model: job.OutputFile, settings: ToySettings) -> None:
    """Train the toy on CPU.

    Args:
        checkpoints: their folder
        model: weights at the end
        settings: of the training and its troubles
    """
    task = ToyTask(dropout=settings.dropout, memory=settings.memory, short_rank=settings.short_rank)
    fetch, fetches = task.train.fetch, itertools.count(1)

    def slowly(indices: Indices, epochs: Indices) -> Batch:
        held = settings.hold_after is not None and next(fetches) > settings.hold_after
        time.sleep(10.0 if held else settings.pause)
        return fetch(indices, epochs)

    task.train.fetch = slowly  # type: ignore[method-assign]
    if settings.die_in_save and os.environ.get("RANK", "0") == "0":
        die_in_save(settings.die_in_save)
    with ranks_of_job(0) as ranks:
        result = trainer.train(task, settings.training, ranks, checkpoints, PROGRAM, [])
        if ranks.first:
            torch.save(result.model.state_dict(), model)


def start(checkpoints: str, model: str, settings: str, environment: dict[str, str], logged: str) -> None:
    """The program in a process that has been forked: no time is spent on imports."""
    os.environ.update(environment)
    os.dup2(os.open(logged, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    torch.set_num_threads(1)
    job.run(main, ["--checkpoints", checkpoints, "--model", model, "--settings", settings])


if __name__ == "__main__":
    job.run(main)
