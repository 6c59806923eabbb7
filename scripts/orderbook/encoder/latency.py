"""How long the encoder takes for a batch of windows."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.lib.progress import track


@dataclass(frozen=True)
class Place:
    """Where and in which number format the encoder runs."""

    device: torch.device
    precision: str

    def autocast(self) -> AbstractContextManager[object]:
        """Compute in this format inside of the block."""
        if self.precision == "fp32":
            return nullcontext()
        context: AbstractContextManager[object] = torch.autocast(self.device.type, dtype=torch.bfloat16)
        return context


def places(gpus: int) -> list[Place]:
    """The CPU in FP32, and the first GPU in FP32 and BF16 where the rule asked for one."""
    cpu = [Place(torch.device("cpu"), "fp32")]
    cuda = torch.device("cuda", 0)
    return cpu + [Place(cuda, "fp32"), Place(cuda, "bf16")] * (gpus > 0)


def time_calls(model: torch.nn.Module, inputs: torch.Tensor, place: Place, repeats: int, warm_up: int) -> Seconds:
    """Seconds of each call with inputs that already lie on the device; the result is waited for."""
    seconds = np.empty(repeats)
    with torch.inference_mode(), place.autocast():
        for _ in range(warm_up):
            model(inputs)
        wait = _waiting(place.device)
        wait()
        for index in track(range(repeats), f"batch_{len(inputs)}", repeats, "calls"):
            start = time.perf_counter()
            model(inputs)
            wait()
            seconds[index] = time.perf_counter() - start
    return seconds


def _waiting(device: torch.device) -> Callable[[], None]:
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else lambda: None


Seconds = NDArray[np.float64]


def latency_figures(seconds: Seconds, batch: int) -> dict[str, float]:
    """Median and 99 % quantile in milliseconds, each with a 95 % interval, and windows a second at the median.

    Intervals are order statistics, which assume no distribution (Conover, "Practical Nonparametric Statistics",
    section 3.2); where the sample is too small for an upper bound there is none (NaN).
    """
    ordered = np.sort(1e3 * seconds)
    figures: dict[str, float] = {}
    for name, quantile in (("p50", 0.50), ("p99", 0.99)):
        low, high = quantile_bounds(len(ordered), quantile)
        figures[f"{name}_ms"] = float(np.quantile(ordered, quantile))
        figures[f"{name}_low"] = float(ordered[low]) if low >= 0 else float("nan")
        figures[f"{name}_high"] = float(ordered[high]) if high < len(ordered) else float("nan")
    return figures | {"windows_per_s": 1e3 * batch / figures["p50_ms"]}


def quantile_bounds(count: int, quantile: float) -> tuple[int, int]:
    """Positions in a sorted sample between which the quantile lies with at least 95 %; -1 or `count`: none.

    The number of values below the quantile is binomial (count, quantile).
    """
    k = np.arange(count + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])  # log k!
    chances = logs[count] - logs[k] - logs[count - k] + k * np.log(quantile) + (count - k) * np.log1p(-quantile)
    below = np.cumsum(np.exp(chances))  # chance of at most k values below
    low = int(np.searchsorted(below, 0.025, side="right")) - 1
    high = int(np.searchsorted(below, 0.975, side="left"))
    return low, high
