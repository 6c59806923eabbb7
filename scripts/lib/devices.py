"""The device of a process: GPU by its local rank, or the CPU, and what it can do."""

from __future__ import annotations

import os

import torch

from scripts.lib.errors import InputError

FP8_CAPABILITY = (8, 9)


def rank() -> int:
    """Number of this process, from 0 (torchrun's RANK)."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """Number of processes (torchrun's WORLD_SIZE)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def choose_device(gpus: int) -> torch.device:
    """This process' device: its GPU, or the CPU where the rule asked for none.

    Raises:
        InputError: fewer GPUs are in sight than the rule asked for.
    """
    if gpus == 0:
        return torch.device("cpu")
    seen = torch.cuda.device_count()
    if not torch.cuda.is_available() or seen < gpus:
        raise InputError(f"{gpus} GPUs were asked for, PyTorch {torch.__version__} sees {seen}")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def capability(device: torch.device) -> tuple[int, int]:
    """Compute capability; (0, 0) for a CPU."""
    if device.type == "cpu":
        return 0, 0
    properties = torch.cuda.get_device_properties(device)
    return properties.major, properties.minor


def device_name(device: torch.device) -> str:
    """Name of a device, such as "NVIDIA H100 80GB HBM3"; "cpu" for a CPU."""
    return "cpu" if device.type == "cpu" else str(torch.cuda.get_device_properties(device).name)
