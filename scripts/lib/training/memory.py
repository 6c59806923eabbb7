"""Too little memory: what counts as that, and the next smaller micro-batch."""

from __future__ import annotations

import gc
import resource

import torch

SIGNS = (
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: not enough memory",
    "can't allocate memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory did not suffice; some libraries raise a bare RuntimeError for it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def halved(micro_batch: int) -> int:
    """Half a micro-batch, rounded up; 0 where there is no smaller one."""
    return -(-micro_batch // 2) if micro_batch > 1 else 0


def free(device: torch.device) -> None:
    """Give back what a failed pass left behind."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def peak_gb(device: torch.device) -> float:
    """Highest memory use so far, GB: of the GPU's allocator, or of the process on a CPU."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
