"""Micro-batches, fetched by threads ahead of the model that needs them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from scripts.lib.training.distributed import Ranks
from scripts.lib.training.order import samples_at, share_of
from scripts.lib.training.task import Batch, Indices, Samples


@dataclass(frozen=True)
class Piece:
    """What one process takes at once: a stretch of the stream (training) or of the samples (validation)."""

    start: int
    stop: int

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.stop - self.start


def pieces_of_step(step: int, batch: int, micro_batch: int, ranks: Ranks) -> list[Piece]:
    """This process' micro-batches of a step: consecutive stretches of its share."""
    start, stop = share_of(step * batch, batch, ranks.rank, ranks.world)
    return [Piece(first, min(first + micro_batch, stop)) for first in range(start, stop, micro_batch)]


def pieces_of_validation(count: int, micro_batch: int, ranks: Ranks) -> list[Piece]:
    """This process' stretches of the validation samples; every process has as many, the last ones may be empty."""
    width = micro_batch * ranks.world
    starts = [first + ranks.rank * micro_batch for first in range(0, count, width)]
    return [Piece(min(start, count), min(start + micro_batch, count)) for start in starts]


def training_fetcher(samples: Samples, seed: int) -> Callable[[Piece], Batch]:
    """Fetches stretches of the training stream."""

    def fetch(piece: Piece) -> Batch:
        return samples.fetch(*samples_at(seed, len(samples), piece.start, piece.stop))

    return fetch


def validation_fetcher(samples: Samples) -> Callable[[Piece], Batch]:
    """Fetches stretches of the validation samples, always as they are in epoch 0."""

    def fetch(piece: Piece) -> Batch:
        indices: Indices = np.arange(piece.start, piece.stop, dtype=np.int64)
        return samples.fetch(indices, np.zeros_like(indices))

    return fetch


@contextmanager
def prefetched(
    fetch: Callable[[Piece], Batch], pieces: Iterable[Piece], device: torch.device, threads: int
) -> Iterator[Iterator[tuple[Piece, Batch]]]:
    """Iterate over pieces and their batches on the device; `threads` + 1 of them are fetched ahead."""
    waiting: deque[tuple[Piece, Future[Batch]]] = deque()

    def stream(pool: ThreadPoolExecutor) -> Iterator[tuple[Piece, Batch]]:
        for piece in pieces:
            waiting.append((piece, pool.submit(_fetch, fetch, piece, device)))
            if len(waiting) > threads + 1:
                yield _next(waiting, device)
        while waiting:
            yield _next(waiting, device)

    with ThreadPoolExecutor(threads, thread_name_prefix="fetch") as pool:
        try:
            yield stream(pool)
        finally:
            for _, future in waiting:
                future.cancel()


def _fetch(fetch: Callable[[Piece], Batch], piece: Piece, device: torch.device) -> Batch:
    """A batch on the CPU; for a GPU in page-locked memory, from which the copy goes on beside its work."""
    batch = fetch(piece)
    return batch if device.type == "cpu" else {name: tensor.pin_memory() for name, tensor in batch.items()}


def _next(waiting: deque[tuple[Piece, Future[Batch]]], device: torch.device) -> tuple[Piece, Batch]:
    """The oldest batch, on the device."""
    piece, future = waiting.popleft()
    batch = future.result()
    if device.type != "cpu":
        batch = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
    return piece, batch
