"""What a line brings to be trained: a model, samples, and the loss of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.lib.training.precision import Precision

Batch = dict[str, torch.Tensor]
"""Named tensors with the samples of a micro-batch along the first axis."""
Indices = NDArray[np.int64]


class Samples(Protocol):
    """Samples by number. What a sample is depends on (epoch, index) and the task's seed alone, never on the order of
    calls, the batch it comes in, or the process: draw masks and the like from `sample_generator` (order.py). Several
    threads call `fetch` at once.
    """

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def fetch(self, indices: Indices, epochs: Indices) -> Batch:
        """The samples `indices`, sample i as it is in pass `epochs[i]` over the data; CPU tensors.

        Validation always asks for epoch 0, so that its losses can be compared.
        """
        ...


@dataclass(frozen=True)
class Loss:
    """Loss of a batch as a sum and what it is to be divided by (samples, tokens, masked entries …), both scalars.

    The trainer divides the sum over all micro-batches and processes by the weight over all of them, so that neither
    the micro-batch nor the number of GPUs changes the mean. `parts` are further figures of the same form for the
    metrics; no gradient flows through them.
    """

    sum: torch.Tensor
    weight: torch.Tensor
    parts: Mapping[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)


class Task(Protocol):
    """What `train` asks a line for."""

    @property
    def train(self) -> Samples:
        """Samples to learn from."""
        ...

    @property
    def validation(self) -> Samples | None:
        """Samples to choose the best state by; None: the last state is the result."""
        ...

    @property
    def flops_per_sample(self) -> float:
        """Floating-point operations of a sample, forward and backward (3 times the forward pass), for the MFU."""
        ...

    def build(self, precision: Precision) -> Any:
        """A new model (`torch.nn.Module`), with Transformer Engine's modules where `precision.transformer_engine`.

        The generators are seeded beforehand. Parameters are FP32; autocast does the rest. Buffers that change in the
        forward pass are the first process' in all of them, and see a step twice that is repeated for want of memory.
        """
        ...

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Loss of a batch that lies on the device; called inside of autocast, for training and for validation
        (`model.training` tells them apart)."""
        ...
