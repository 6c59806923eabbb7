"""Check what a GPU job really gets: devices, BF16 throughput, memory bandwidth, and the links between the GPUs.

Run before work of days: it fails in minutes where an allocation, a driver or NCCL is not what the config assumes.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from scripts.lib import devices, job
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.preflight.measure import all_reduce_bandwidth, copy_bandwidth, matmul_rate
from scripts.preflight.settings import CheckSettings


@dataclass(frozen=True)
class Device:
    """What one process sees and measures; rates in units of 1e12 FLOP/s and 1e9 B/s."""

    rank: int
    name: str
    memory_gb: float
    capability: str
    fp8: bool
    bf16_tflops: float
    copy_gb_per_s: float
    all_reduce_gb_per_s: float | None


def main(result: job.OutputFile, gpus: int, settings: CheckSettings) -> None:
    """Check what a GPU job really gets: devices, BF16 throughput, memory bandwidth and the links between the GPUs.

    Args:
        result: JSON with one entry a GPU
        gpus: GPUs that the rule asked for; fewer in sight is an error
        settings: device and sizes of the measurements
    """
    rank, world = devices.rank(), devices.world()
    device = devices.choose_device(0 if settings.device == "cpu" else max(gpus, 1))
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        found = gather(measure(device, rank, world, settings), world)
    finally:
        if world > 1:
            dist.destroy_process_group()
    if rank == 0:
        write_result(result, found, gpus, settings)


def measure(device: torch.device, rank: int, world: int, settings: CheckSettings) -> Device:
    """Measure this process' device; all ranks take part in the all-reduce."""
    capability = devices.capability(device)
    size, buffer, repeats = settings.matrix_size, settings.buffer_mb * 1_000_000, settings.repeats
    return Device(
        rank=rank,
        name=devices.device_name(device),
        memory_gb=round(memory_of(device) / 1e9, 1),
        capability=".".join(map(str, capability)),
        fp8=capability >= devices.FP8_CAPABILITY,
        bf16_tflops=matmul_rate(device, size, repeats) / 1e12,
        copy_gb_per_s=copy_bandwidth(device, buffer, repeats) / 1e9,
        all_reduce_gb_per_s=all_reduce_bandwidth(device, buffer, repeats, world) / 1e9 if world > 1 else None,
    )


def memory_of(device: torch.device) -> int:
    """Memory in bytes."""
    if device.type == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(torch.cuda.get_device_properties(device).total_memory)


def gather(mine: Device, world: int) -> list[Device]:
    """The measurements of all ranks, in order."""
    if world == 1:
        return [mine]
    found: list[Any] = [None] * world
    dist.all_gather_object(found, mine)
    return found


def installed_version(package: str) -> str | None:
    """Version of a package of this environment, None without it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_result(path: Path, found: list[Device], gpus: int, settings: CheckSettings) -> None:
    """Write and log the result; GPUs of several models in one job are an error, since the slowest sets the pace."""
    names = sorted({device.name for device in found})
    if len(names) > 1:
        raise InputError(f"one job got GPUs of several models: {', '.join(names)}")
    report = {
        "device": settings.device,
        "gpus_asked_for": gpus,
        "processes": len(found),
        "host": os.environ.get("SLURMD_NODENAME"),
        "torch": torch.__version__,
        "transformer_engine": installed_version("transformer-engine"),
        "devices": [asdict(device) for device in found],
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    slowest = min(found, key=lambda device: device.bf16_tflops)
    log.info("%d x %s, slowest %.3g BF16 TFLOP/s", len(found), names[0], slowest.bf16_tflops)


if __name__ == "__main__":
    job.run(main)
