"""The training loop: from a task and its settings to the best model, over any interruption."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.training.distributed import Ranks
from scripts.lib.training.precision import Precision
from scripts.lib.training.settings import TrainingSettings
from scripts.lib.training.task import Task


@dataclass(frozen=True)
class Result:
    """What a training ends with; the same in every process."""

    model: Any
    """The model with the weights of the lowest validation loss (the last ones without validation), on the device."""
    precision: Precision
    step: int
    """Steps done."""
    samples: int
    """Samples seen."""
    best_step: int
    """Step whose weights the model has."""
    best_loss: float | None
    """Its validation loss."""
    reason: str
    """Why it ended: "all steps done" or "no improvement in N validations"."""
    metrics: Path
    """The metrics, JSON lines (metrics.py says what they hold)."""


def train(task: Task, settings: TrainingSettings, ranks: Ranks, root: Path, program: str, data: list[Path]) -> Result:
    """Train, going on from the newest checkpoint of the same code, settings and data.

    Args:
        task: model, samples and loss.
        settings: what to compute and how to carry it out.
        ranks: the job's processes.
        root: folder of the line's checkpoints, such as checkpoints/orderbook/pretrain_encoder/BOOK.
        program: name of the program's module, whose code is part of the checkpoints' key.
        data: files whose content is part of the key.

    Raises:
        InputError: settings that this machine cannot fulfil, a checkpoint in use, too little memory for one sample, a
            loss that is not finite.
        Stopped: by a signal or before the job's time limit; the state is saved.
    """
    raise NotImplementedError
