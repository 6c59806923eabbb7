"""Samples a second, and the share of the device's peak that they make use of (MFU)."""

from __future__ import annotations

import time

# Dense peak FLOP/s by number format, from NVIDIA's data sheets (which quote FP8 and BF16 with sparsity: halved here).
# The first entry holds all of whose words stand in the device's name: the special ones come before the general.
PEAKS: tuple[tuple[str, dict[str, float]], ...] = (
    ("H100 PCIe", {"fp8": 1513e12, "bf16": 756e12, "fp32": 51e12}),
    ("H100 NVL", {"fp8": 1671e12, "bf16": 835.5e12, "fp32": 60e12}),
    ("H100", {"fp8": 1979e12, "bf16": 989.5e12, "fp32": 67e12}),
    ("H200 NVL", {"fp8": 1671e12, "bf16": 835.5e12, "fp32": 60e12}),
    ("H200", {"fp8": 1979e12, "bf16": 989.5e12, "fp32": 67e12}),
    ("B200", {"fp8": 4500e12, "bf16": 2250e12, "fp32": 75e12}),
    ("A100", {"bf16": 312e12, "fp32": 19.5e12}),
    ("L40S", {"fp8": 733e12, "bf16": 362e12, "fp32": 91.6e12}),
    ("L4", {"fp8": 242.5e12, "bf16": 121e12, "fp32": 30.3e12}),
    ("A10", {"bf16": 125e12, "fp32": 31.2e12}),
)


def peak_flops(device: str, precision: str) -> float | None:
    """Peak FLOP/s of a device in a number format; None: not known (CPUs, other GPUs)."""
    words = device.replace("-", " ").split()  # "NVIDIA A100-SXM4-40GB"
    for name, peaks in PEAKS:
        if all(word in words for word in name.split()):
            return peaks.get(precision)
    return None


class Meter:
    """Time spent on training steps, without validations and checkpoints."""

    def __init__(self) -> None:
        self._samples = 0
        self._start = time.perf_counter()
        self._paused = 0.0
        self._pause = 0.0

    def count(self, samples: int) -> None:
        """Add samples."""
        self._samples += samples

    def pause(self) -> None:
        """Stop the clock; the device has been waited for."""
        self._pause = time.perf_counter()

    def go_on(self) -> None:
        """Start the clock again."""
        self._paused += time.perf_counter() - self._pause

    def take(self) -> float:
        """Samples a second since the last call."""
        now = time.perf_counter()
        rate = self._samples / max(now - self._start - self._paused, 1e-9)
        self._samples, self._start, self._paused = 0, now, 0.0
        return rate


def mfu(samples_per_s: float, flops_per_sample: float, peak: float | None, devices: int) -> float | None:
    """Model FLOP utilisation (Chowdhery et al., "PaLM", 2022, appendix B): 0 to 1; None where the peak is not known."""
    return samples_per_s * flops_per_sample / (peak * devices) if peak else None
