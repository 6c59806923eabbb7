"""Settings of the encoder: pretraining, speed, export, and how its jobs are launched."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Launch, Settings
from scripts.lib.training.settings import TrainingSettings
from scripts.orderbook.encoder.config import SizeName


class MaskSettings(Settings):
    """What is hidden from the encoder, in pretraining and where its reconstruction is measured."""

    mask_fraction: float = Field(0.25, gt=0, lt=1)
    """Share of a window's entries that is hidden."""
    mask_modes: list[Literal["cell", "step", "level"]] = Field(["cell", "step", "level"], min_length=1, max_length=3)
    """What is hidden together, drawn for each window and epoch. cell: each entry by itself; step: all of a run of
    states; level: price and size of one level of one side over a run of states."""
    mask_span: int = Field(8, ge=1, le=65_536)
    """States in a run of step and level."""

    @model_validator(mode="after")
    def _modes_differ(self) -> Self:
        if len(set(self.mask_modes)) < len(self.mask_modes):
            raise ValueError("mask_modes: a mode is named twice")
        return self


class PretrainSettings(TrainingSettings, MaskSettings):
    """Settings of pretrain_encoder."""

    size: SizeName = "deep_narrow"
    """Width x layers of the encoder (parameters): toy 64 x 2 (0.14 M), small 128 x 4 (0.9 M), base 384 x 7,
    deep_narrow 256 x 16, shallow_wide 512 x 4 (each 13 M), large 768 x 12 (85 M)."""
    fill: Literal["neighbours", "token"] = "neighbours"
    """What stands in place of a hidden entry. neighbours: the last and the next known value of its feature, and the
    model says what to take of each and what to add; token: a learned value, and the model says all."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of a layer's output that is dropped while training."""
    temporal_dim: int = Field(256, ge=2, le=65_536)
    """States of a window; those of balance_windows must have as many."""
    depth_dim: int = Field(96, ge=16, le=4_096, multiple_of=16)
    """Features of a state, 4 times the levels; those of balance_windows must have as many."""
    schedule: Literal["constant", "cosine", "one-cycle", "warmup-stable-decay"] = "one-cycle"
    """Course of the learning rate over the steps."""
    peak: float | None = Field(2.5e-4, gt=0, le=1)
    """one-cycle: the highest learning rate."""
    warmup: float = Field(0.3, ge=0, le=1)
    """Share of the steps in which the learning rate rises."""
    gradient_norm: float | None = Field(1.5, gt=0)
    """Norm to which gradients are clipped; null: not at all."""
    plateau_patience: int | None = Field(5, ge=0)
    """Validations without improvement that are borne before the learning rate is multiplied by plateau_factor; null:
    it never is."""
    stop_patience: int | None = Field(15, ge=0)
    """Validations without improvement that are borne before the training stops early; null: it never does."""
    evaluate_windows: int = Field(2_000, ge=1, le=1_000_000)
    """Windows of each split on which the reconstruction is measured at most, evenly spaced."""


class InferenceSettings(MaskSettings):
    """Settings of test_inference."""

    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the masks."""
    batches: list[Annotated[int, Field(ge=1, le=65_536)]] = Field([1, 32], min_length=1, max_length=16)
    """Windows given to the encoder at a time, each timed."""
    repeats: int = Field(200, ge=10, le=1_000_000)
    """Timed calls of each batch."""
    warm_up: int = Field(20, ge=0, le=10_000)
    """Calls before those that are timed."""
    windows: int = Field(2_000, ge=1, le=1_000_000)
    """Windows of the test split on which the reconstruction is measured at most, evenly spaced."""


class ExportSettings(Settings):
    """Settings of export_encoder."""

    tolerance: float = Field(1e-5, gt=0, le=1)
    """Largest difference that is borne between the exported programs and the encoder, relative to 1 or to the value
    where that is larger."""
    windows: int = Field(8, ge=2, le=1_024)
    """Windows of the test split, a quarter of their entries hidden, on which they are compared."""


class EncoderLaunch(Settings):
    """How the encoder's GPU jobs are launched."""

    pretrain: Launch
    """pretrain_encoder: up to 2 GPUs."""
    inference: Launch
    """test_inference: with a GPU it is timed beside the CPU."""


class EncoderBlock(Settings):
    """The `orderbook.encoder:` block of the config."""

    pretrain: PretrainSettings = PretrainSettings()
    """pretrain_encoder: masked pretraining."""
    inference: InferenceSettings = InferenceSettings()
    """test_inference: latency, throughput, reconstruction by level and condition."""
    export: ExportSettings = ExportSettings()
    """export_encoder: TorchScript and torch.export."""
    launch: EncoderLaunch
    """GPUs, threads, memory and time."""

    @model_validator(mode="after")
    def _fp8_has_its_environment(self) -> Self:
        if self.pretrain.precision == "fp8" and self.launch.pretrain.env != "transformer-engine":
            raise ValueError("pretrain.precision: fp8 needs launch.pretrain.env: transformer-engine")
        return self
