"""Masked pretraining as scripts/lib/training sees it: windows with hidden entries, and the error there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.lib.training.precision import Precision
from scripts.lib.training.task import Batch, Indices, Loss
from scripts.orderbook.encoder.config import EncoderConfig
from scripts.orderbook.encoder.fp8 import engine_encoder
from scripts.orderbook.encoder.masking import draw_mask, draw_mode
from scripts.orderbook.encoder.model import Encoder, neighbours_of, new_encoder, training_flops
from scripts.orderbook.encoder.settings import MaskSettings


@dataclass(frozen=True)
class MaskedWindows:
    """Windows (n, time, features), mapped into memory, with masks that depend on (seed, epoch, row) alone."""

    windows: NDArray[np.float32]
    masks: MaskSettings
    seed: int

    def __len__(self) -> int:
        return len(self.windows)

    def fetch(self, indices: Indices, epochs: Indices) -> Batch:
        """`windows` float32 and `hidden` bool, both (samples, time, features)."""
        order = np.argsort(indices)  # the file is read forwards
        windows = np.empty((len(indices), *self.windows.shape[1:]), np.float32)
        windows[order] = self.windows[indices[order]]
        hidden = np.stack([self._mask(int(index), int(epoch)) for index, epoch in zip(indices, epochs, strict=True)])
        return {"windows": torch.from_numpy(windows), "hidden": torch.from_numpy(hidden)}

    def _mask(self, index: int, epoch: int) -> NDArray[np.bool_]:
        masks = self.masks
        mode = draw_mode(masks.mask_modes, self.seed, epoch, index)
        _, length, features = self.windows.shape
        return draw_mask(mode, length, features, masks.mask_fraction, masks.mask_span, self.seed, epoch, index)


@dataclass(frozen=True)
class MaskedPrediction:
    """The task of pretrain_encoder."""

    train: MaskedWindows
    validation: MaskedWindows
    config: EncoderConfig
    seed: int

    @property
    def flops_per_sample(self) -> float:
        """Of a window, forward and backward."""
        return training_flops(self.config)

    def build(self, precision: Precision) -> Encoder:
        """The encoder with initial weights that are the same for every precision."""
        plain = new_encoder(self.config, self.seed)
        return engine_encoder(plain) if precision.transformer_engine else plain

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Squared error at hidden entries; in validation copying the last known value stands beside it."""
        windows, hidden = batch["windows"], batch["hidden"]
        seen = torch.where(hidden, torch.nan, windows)
        weight = hidden.sum()
        parts = {}
        if not model.training:
            parts["copy_last"] = (squared_error(neighbours_of(seen, hidden)[0], windows, hidden), weight)
        return Loss(squared_error(model(seen), windows, hidden), weight, parts)


def squared_error(filled: torch.Tensor, truth: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Sum of squared differences at hidden entries, in float32 whatever the model computes in."""
    return ((filled.float() - truth) * hidden).square().sum()
