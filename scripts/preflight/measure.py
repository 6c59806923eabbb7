"""Rates of one device: matrix products, memory copies, all-reduce."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.distributed as dist

WARM_UP = 2


def matmul_rate(device: torch.device, size: int, repeats: int) -> float:
    """FLOP/s of square BF16 matrix products: 2 n^3 operations each."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    b = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    out = torch.empty_like(a)
    return 2.0 * size**3 / _seconds(lambda: torch.mm(a, b, out=out), device, repeats)


def copy_bandwidth(device: torch.device, size: int, repeats: int) -> float:
    """Bytes/s of a copy inside the device's memory, read and written bytes both counted."""
    source = torch.zeros(size, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2.0 * size / _seconds(lambda: target.copy_(source), device, repeats)


def all_reduce_bandwidth(device: torch.device, size: int, repeats: int, world: int) -> float:
    """Bus bandwidth in bytes/s: size / time * 2 (n - 1) / n, as nccl-tests define it ("PERFORMANCE.md")."""
    buffer = torch.zeros(size // 4, device=device, dtype=torch.float32)
    seconds = _seconds(lambda: dist.all_reduce(buffer), device, repeats)
    return size / seconds * 2.0 * (world - 1) / world


def _seconds(step: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Mean time of a step; the device is waited for, since GPU work is asynchronous."""
    for _ in range(WARM_UP):
        step()
    _wait(device)
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    _wait(device)
    return (time.perf_counter() - start) / repeats


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
