"""Sums of losses and of further figures, and a pass over validation samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from scripts.lib.training import memory
from scripts.lib.training.distributed import Ranks
from scripts.lib.training.loader import pieces_of_validation, prefetched, validation_fetcher
from scripts.lib.training.precision import Precision
from scripts.lib.training.task import Loss, Samples, Task


class Interrupted(Exception):
    """A pass that all processes gave up together: memory was too short, or somebody asked to stop."""

    def __init__(self, out_of_memory: bool) -> None:
        super().__init__("out of memory" if out_of_memory else "asked to stop")
        self.out_of_memory = out_of_memory


class Figures:
    """Sum and weight of each figure, FP64 on the device, so that nothing waits for a GPU until they are read."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: dict[str, torch.Tensor] = {}

    @classmethod
    def of(cls, values: dict[str, list[float]], device: torch.device) -> Figures:
        """As `as_json` gave them."""
        figures = cls(device)
        for name, pair in values.items():
            figures._sums[name] = torch.tensor(pair, dtype=torch.float64, device=device)
        return figures

    def as_json(self) -> dict[str, list[float]]:
        """Sum and weight by name."""
        return {name: pair.tolist() for name, pair in self._sums.items()}

    def add(self, loss: Loss) -> None:
        """Add a batch's loss and its parts."""
        self._add("loss", loss.sum, loss.weight)
        for name, (total, weight) in loss.parts.items():
            self._add(name, total, weight)

    def add_all(self, other: Figures) -> None:
        """Add other figures."""
        for name, pair in other._sums.items():
            self._add(name, pair[0], pair[1])

    def put(self, name: str, value: torch.Tensor) -> None:
        """Add one value of weight 1."""
        self._add(name, value, torch.ones((), device=self._device))

    def _add(self, name: str, total: torch.Tensor, weight: torch.Tensor) -> None:
        pair = torch.stack(
            [total.detach().to(self._device, torch.float64), weight.detach().to(self._device, torch.float64)]
        )
        self._sums[name] = self._sums[name] + pair if name in self._sums else pair

    def sum_over(self, ranks: Ranks) -> None:
        """Sum over the processes, all of which hold figures of the same names."""
        if ranks.world > 1:
            names = sorted(self._sums)
            together = ranks.sum_(torch.stack([self._sums[name] for name in names]))
            self._sums = {name: together[row] for row, name in enumerate(names)}

    def sum(self, name: str) -> torch.Tensor:
        """Sum of a figure."""
        return self._sums[name][0]

    def weight(self, name: str) -> torch.Tensor:
        """Weight of a figure."""
        return self._sums[name][1]

    def means(self) -> dict[str, float]:
        """Mean of each figure; those of no weight are left out."""
        return means_of(self.as_json())


def means_of(sums: dict[str, list[float]]) -> dict[str, float]:
    """Mean of each figure; those of no weight are left out."""
    return {name: total / weight for name, (total, weight) in sums.items() if weight}


def evaluate(
    task: Task,
    samples: Samples,
    model: Any,
    precision: Precision,
    ranks: Ranks,
    micro_batch: int,
    loaders: int = 1,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Means of the loss and its parts over all samples, shared out among the processes.

    Raises:
        Interrupted: memory is too short for `micro_batch`, or `stop` says so in one of the processes.
        InputError: the loss is not finite.
    """
    model.eval()
    figures = Figures(ranks.device)
    pieces = pieces_of_validation(len(samples), micro_batch, ranks)
    with prefetched(validation_fetcher(samples), [p for p in pieces if p.count], ranks.device, loaders) as stream:
        for piece in pieces:
            short = False
            if piece.count:
                _, batch = next(stream)
                short = not _add_batch(task, model, precision, batch, figures, ranks.device)
            short, asked = ranks.any_of(short, stop())
            if short or asked:
                raise Interrupted(out_of_memory=short)
    found = merged(ranks.gather(figures.as_json()))
    if not all(map(_finite, found.values())):
        raise ranks.fail(f"validation: the loss is not finite: {found}")
    return found


def _finite(value: float) -> bool:
    return value - value == 0.0


def _add_batch(
    task: Task, model: Any, precision: Precision, batch: Any, figures: Figures, device: torch.device
) -> bool:
    """Add a batch's figures; False if memory did not suffice."""
    try:
        with torch.no_grad(), precision.autocast(device):
            figures.add(task.loss(model, batch))
    except (RuntimeError, MemoryError) as error:
        if not memory.is_out_of_memory(error):
            raise
        return False
    return True


def merged(parts: list[dict[str, list[float]]]) -> dict[str, float]:
    """Means over the sums of several processes, which need not hold the same figures."""
    sums: dict[str, list[float]] = {}
    for part in parts:
        for name, (total, weight) in part.items():
            before = sums.get(name, [0.0, 0.0])
            sums[name] = [before[0] + total, before[1] + weight]
    return means_of(sums)
