"""The course of the learning rate, and what a validation changes in it. Functions of step and settings, and a few
numbers of state."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scripts.lib.training.settings import TrainingSettings


def learning_rate(step: int, steps: int, settings: TrainingSettings) -> float:
    """Learning rate of step `step` (from 0) of `steps`, before any plateau.

    constant: a linear rise, then level. cosine: a linear rise, then half a cosine down (Loshchilov and Hutter, "SGDR",
    2017). one-cycle: half a cosine from learning_rate up to `peak`, another one down to the end (Smith and Topin,
    "Super-convergence", 2018, in the form of torch's OneCycleLR). warmup-stable-decay: a linear rise, level, a linear
    fall (Hu et al., "MiniCPM", 2024).
    """
    rise = settings.warmup * steps
    if settings.schedule == "one-cycle":
        return _one_cycle(step, steps, settings)
    base, last = settings.learning_rate, settings.learning_rate * settings.final
    if step < rise:
        return base * (step + 1) / (math.floor(rise) + 1)
    if settings.schedule == "cosine":
        return _between(base, last, _share(step, rise, steps - 1))
    if settings.schedule == "warmup-stable-decay":
        return base + (last - base) * _share(step, (1 - settings.decay) * steps - 1, steps - 1)
    return base


def _one_cycle(step: int, steps: int, settings: TrainingSettings) -> float:
    top = settings.peak or settings.learning_rate
    turn = settings.warmup * steps - 1
    if step <= turn:
        return _between(settings.learning_rate, top, step / turn if turn > 0 else 1.0)
    return _between(top, settings.learning_rate * settings.final, _share(step, turn, steps - 1))


def _share(step: float, start: float, end: float) -> float:
    """How far `step` is from `start` to `end`, 0 to 1."""
    return min(max((step - start) / (end - start), 0.0), 1.0) if end > start else 1.0


def _between(start: float, end: float, share: float) -> float:
    """Half a cosine from `start` to `end`."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class Judgement:
    """What the validations so far have come to; part of a checkpoint."""

    best_loss: float | None = None
    best_step: int = 0
    since_best: int = 0
    """Validations since the best one."""
    since_cut: int = 0
    """Validations since the best one or the last cut of the learning rate."""
    factor: float = 1.0
    """Factor of the learning rate, below 1 after plateaus."""

    def after(self, loss: float, step: int, settings: TrainingSettings) -> Judgement:
        """The judgement after one more validation."""
        if self.best_loss is None or loss < self.best_loss - settings.min_improvement:
            return replace(self, best_loss=loss, best_step=step, since_best=0, since_cut=0)
        waited = replace(self, since_best=self.since_best + 1, since_cut=self.since_cut + 1)
        if settings.plateau_patience is None or waited.since_cut <= settings.plateau_patience:
            return waited
        return replace(waited, since_cut=0, factor=self.factor * settings.plateau_factor)

    def gives_up(self, settings: TrainingSettings) -> bool:
        """Whether the training is to stop early."""
        return settings.stop_patience is not None and self.since_best > settings.stop_patience
