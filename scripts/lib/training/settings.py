"""Settings of a training, for the settings module of any line: a block of its own or a base class."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Settings


class RunSettings(Settings):
    """How a training is carried out, never what it computes: a change leaves the checkpoints valid."""

    checkpoint_minutes: float = Field(10.0, ge=0, le=1_440)
    """Time between two checkpoints, minutes; 0: after every step. Each improvement of the validation is saved too."""
    keep: int = Field(2, ge=1, le=1_000)
    """Newest checkpoints kept, beside the best one."""
    log_every: int = Field(10, ge=1, le=1_000_000)
    """Steps from one line of the metrics to the next."""
    stop_minutes: float = Field(5.0, ge=0, le=600)
    """Time before the end of a Slurm job at which the training saves and stops, minutes."""
    loaders: int = Field(2, ge=1, le=64)
    """Threads that fetch samples ahead of the model, in each process."""
    wandb_project: str | None = Field(None, min_length=1)
    """Project for Weights & Biases; null: not used. Offline unless WANDB_MODE says otherwise."""


class TrainingSettings(Settings):
    """What a training computes. A step takes batch * accumulation samples, whatever the number of GPUs."""

    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of weights, order of samples, masks and dropout."""
    precision: Literal["auto", "fp8", "bf16", "fp32"] = "auto"
    """Number format. auto: FP8 where Transformer Engine and compute capability 8.9 are there, BF16 from 8.0, FP32 on
    CPU; any other value is an error where it cannot be had."""
    batch: int = Field(48, ge=1, le=1_000_000)
    """Samples that a GPU takes at once, at most; halved when memory does not suffice."""
    accumulation: int = Field(4, ge=1, le=1_000_000)
    """A step takes batch * accumulation samples, over all GPUs together."""
    epochs: int = Field(10, ge=1, le=1_000_000)
    """Passes over the training samples."""
    max_steps: int | None = Field(None, ge=1)
    """Steps after which the training ends, if earlier; null: no limit."""
    learning_rate: float = Field(1e-4, gt=0, le=1)
    """AdamW's learning rate: the highest of a schedule, or where one-cycle begins."""
    schedule: Literal["constant", "cosine", "one-cycle", "warmup-stable-decay"] = "cosine"
    """Course of the learning rate over the steps."""
    peak: float | None = Field(None, gt=0, le=1)
    """one-cycle: the highest learning rate."""
    warmup: float = Field(0.05, ge=0, le=1)
    """Share of the steps in which the learning rate rises."""
    decay: float = Field(0.2, ge=0, le=1)
    """warmup-stable-decay: share of the steps in which it falls at the end."""
    final: float = Field(0.0, ge=0, le=1)
    """What is left of learning_rate at the last step, as a share of it."""
    weight_decay: float = Field(0.01, ge=0, le=10)
    """AdamW's weight decay; biases, norms and other vectors have none."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """AdamW's decay of the mean gradient."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """AdamW's decay of the mean squared gradient."""
    epsilon: float = Field(1e-8, gt=0, le=1)
    """AdamW's epsilon."""
    gradient_norm: float | None = Field(None, gt=0)
    """Norm to which gradients are clipped; null: not at all."""
    validate_every: int | None = Field(None, ge=1)
    """Steps from one validation to the next; null: after every epoch. The last step is always validated."""
    plateau_patience: int | None = Field(None, ge=0)
    """Validations without improvement that are borne before the learning rate is multiplied by plateau_factor; null:
    it never is."""
    plateau_factor: float = Field(0.5, gt=0, lt=1)
    """Factor of the learning rate on a plateau."""
    stop_patience: int | None = Field(None, ge=0)
    """Validations without improvement that are borne before the training stops early; null: it never does."""
    min_improvement: float = Field(0.0, ge=0)
    """How much lower than the best a validation loss must be to count as an improvement."""
    run: RunSettings = RunSettings()
    """How the training is carried out."""

    @model_validator(mode="after")
    def _schedule_is_complete(self) -> Self:
        if self.schedule == "one-cycle" and (self.peak is None or self.peak < self.learning_rate):
            raise ValueError("peak: one-cycle needs one, no lower than learning_rate")
        if self.schedule != "one-cycle" and self.peak is not None:
            raise ValueError(f"peak: only one-cycle has one, not {self.schedule}")
        if self.schedule == "warmup-stable-decay" and self.warmup + self.decay > 1:
            raise ValueError("warmup, decay: together more than all steps")
        return self
