"""The state of a training: what a checkpoint holds, and what a resumed training is made of.

    model.pt, optimizer.pt      tensors, read back with `weights_only=True`: no code runs from a file
    manifest.json               `Course` as JSON: position in the data, learning rate's history, micro-batch, sums

Random numbers need no room: the order of the samples, masks and dropout are functions of the seed and of the position
in the data (order.py), so seed and step are the state of all generators, in any number of processes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from scripts.lib.training.optimizer import load_optimizer
from scripts.lib.training.schedule import Judgement

MODEL, OPTIMIZER = "model.pt", "optimizer.pt"


@dataclass
class Course:
    """How far a training has come; the same in every process."""

    step: int = 0
    samples: int = 0
    micro_batch: int = 0
    """Samples that a process takes at once."""
    layout: str = ""
    """Device and number of processes that `micro_batch` was found for."""
    judgement: Judgement = field(default_factory=Judgement)
    validated: int = 0
    """Step of the last validation."""
    ended: str | None = None
    """Why the training has ended; None: it has not."""
    sums: dict[str, list[float]] = field(default_factory=dict)
    """Sums and weights since the last line of the metrics, by figure."""
    metrics_size: int = 0
    """Bytes of metrics.jsonl."""

    def as_json(self) -> dict[str, Any]:
        """For the manifest; floats come back bit for bit."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> Course:
        """Read back from the manifest."""
        return cls(**(dict(values) | {"judgement": Judgement(**values["judgement"])}))


def write_tensors(folder: Path, model: Any, optimizer: torch.optim.Optimizer) -> None:
    """Write the tensor files of a checkpoint."""
    torch.save(model.state_dict(), folder / MODEL)
    torch.save(optimizer.state_dict(), folder / OPTIMIZER)


def read_tensors(folder: Path, model: Any, optimizer: torch.optim.Optimizer | None, device: torch.device) -> None:
    """Load weights, and the optimizer's state where there is one to take it."""
    model.load_state_dict(torch.load(folder / MODEL, map_location=device, weights_only=True))
    if optimizer is not None:
        load_optimizer(optimizer, torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True))
