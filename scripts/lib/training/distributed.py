"""The processes of a training: one a GPU, data-parallel, and how they come to the same decision.

Each process holds the whole model and takes its share of a step's samples. Gradients are summed after the last
micro-batch, in our own few lines rather than by torch's DistributedDataParallel: that starts its sums inside of the
backward pass, where the others would wait for ever if one process runs out of memory. Here all processes first
agree on how the pass went (`any_of`), so that they can repeat the step together. What is lost is the overlap with the
last micro-batch's backward pass. Sharded weights (FSDP) would come in here: `start_alike` and `sum_gradients`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from scripts.lib import devices
from scripts.lib.errors import EchoedError, InputError

BUCKET = 1 << 25  # bytes summed at a time
TIMEOUT = timedelta(hours=1)  # the first process may hash or save for long while the others wait

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """This process among all of the job. Every method but `seed` must be called by all of them alike."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def any_of(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set in any process. Agreed on the CPU: the GPU is not waited for."""
        if self.world == 1:
            return flags
        votes = torch.tensor([int(flag) for flag in flags])
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return tuple(bool(vote) for vote in votes.tolist())

    def sum_(self, values: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over the processes, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, in order."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def from_first(self, function: Callable[[], Value]) -> Value:
        """What a function returns in the first process, which alone calls it; an InputError is raised in all."""
        if self.world == 1:
            return function()
        box: list[Any] = [None, None]
        failure: InputError | None = None
        if self.first:
            try:
                box[0] = function()
            except InputError as error:
                failure, box[1] = error, str(error)
        dist.broadcast_object_list(box, src=0)
        if failure is not None:
            raise failure
        if box[1] is not None:
            raise EchoedError(box[1])
        return box[0]  # type: ignore[no-any-return]

    def fail(self, message: str) -> InputError:
        """The error to raise where all processes have found the same fault: only the first tells it."""
        return InputError(message) if self.first else EchoedError(message)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            self.any_of(False)

    def start_alike(self, model: Any) -> None:
        """Give all processes the first one's weights and buffers."""
        if self.world > 1:
            for tensor in [*model.parameters(), *model.buffers()]:
                dist.broadcast(tensor.data, src=0)

    def share_buffers(self, model: Any) -> None:
        """Give all processes the first one's buffers (running statistics), which its checkpoints hold."""
        if self.world > 1:
            for tensor in model.buffers():
                dist.broadcast(tensor.data, src=0)

    def sum_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Sum gradients over the processes, packed to buckets: few large messages instead of many small ones."""
        if self.world > 1:
            for bucket in buckets([parameter.grad for parameter in parameters]):
                flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
                dist.all_reduce(flat)
                parts = flat.split([gradient.numel() for gradient in bucket])
                for gradient, part in zip(bucket, parts, strict=True):
                    gradient.copy_(part.view_as(gradient))

    def seed(self, seed: int) -> None:
        """Seed the global generators of this process, PyTorch's on its device.

        Not by `torch.manual_seed`: where CUDA has not been used, that keeps a stack trace for every call.
        """
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)


def buckets(tensors: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Tensors in order, in groups of one number format and of about BUCKET bytes."""
    group: list[torch.Tensor] = []
    size = 0
    for tensor in tensors:
        if group and (size >= BUCKET or tensor.dtype != group[0].dtype):
            yield group
            group, size = [], 0
        group.append(tensor)
        size += tensor.numel() * tensor.element_size()
    if group:
        yield group


@contextmanager
def ranks_of_job(gpus: int) -> Iterator[Ranks]:
    """Join the processes that scripts/lib/launch.py started (or be alone), on GPUs, or on CPU where `gpus` is 0.

    Raises:
        InputError: fewer GPUs are in sight than asked for.
    """
    device, world = devices.choose_device(gpus), devices.world()
    if world == 1:
        yield Ranks(0, 1, device)
        return
    # gloo carries what lies on the CPU (decisions), nccl what lies on the GPU (gradients)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Ranks(devices.rank(), world, device)
    finally:
        dist.destroy_process_group()
