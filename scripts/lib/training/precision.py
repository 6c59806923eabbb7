"""Number format of a training: FP8 with Transformer Engine, BF16 by autocast, or FP32.

Asking outright for what is not there is an error, never a silent fallback; `auto` takes the fastest and says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from scripts.lib.devices import FP8_CAPABILITY, capability
from scripts.lib.errors import InputError

BF16_CAPABILITY = (8, 0)
AMAX_HISTORY = 16  # steps from whose largest values FP8 scales are taken


@dataclass(frozen=True)
class Precision:
    """The format that a training runs in, and why."""

    name: Literal["fp8", "bf16", "fp32"]
    reason: str

    @property
    def transformer_engine(self) -> bool:
        """Whether the model is to be built of Transformer Engine's modules."""
        return self.name == "fp8"

    @contextmanager
    def autocast(self, device: torch.device) -> Iterator[None]:
        """Compute in this format inside of the block; parameters and gradients stay FP32."""
        with ExitStack() as stack:
            if self.name != "fp32":
                stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16))
            if self.name == "fp8":
                stack.enter_context(_fp8_autocast())
            yield


def choose_precision(asked: str, device: torch.device) -> Precision:
    """The format for a device.

    Raises:
        InputError: the format that was asked for is not there, with the reason.
    """
    missing = {"fp8": why_no_fp8(device), "bf16": why_no_bf16(device), "fp32": None}
    if asked != "auto":
        if reason := missing[asked]:
            raise InputError(f"precision: {asked} was asked for, but {reason}")
        return Precision(asked, "asked for")  # type: ignore[arg-type]
    if device.type == "cpu":
        return Precision("fp32", "auto: a CPU")
    where = f"compute capability {'.'.join(map(str, capability(device)))}"
    if missing["fp8"] is None:
        return Precision("fp8", f"auto: Transformer Engine and {where}")
    if missing["bf16"] is None:
        return Precision("bf16", f"auto: {where}; no FP8, since {missing['fp8']}")
    return Precision("fp32", f"auto: {missing['bf16']}")


def why_no_fp8(device: torch.device) -> str | None:
    """Why FP8 cannot be had on a device; None: it can."""
    if device.type != "cuda":
        return f"the device is a {device.type.upper()}"
    found = capability(device)
    if found < FP8_CAPABILITY:
        return f"compute capability {found[0]}.{found[1]} is below 8.9"
    return why_no_transformer_engine()


def why_no_transformer_engine() -> str | None:
    """Why Transformer Engine cannot be imported; None: it can."""
    try:
        import transformer_engine.pytorch  # noqa: F401
    except (
        ImportError,
        RuntimeError,
        OSError,
    ) as error:  # a missing cuDNN is a RuntimeError, a missing library an OSError
        return f"Transformer Engine cannot be imported ({' '.join(str(error).split())[:200]})"
    return None


def why_no_bf16(device: torch.device) -> str | None:
    """Why BF16 cannot be had on a device; None: it can (a CPU computes it too, slowly)."""
    if device.type != "cuda" or capability(device) >= BF16_CAPABILITY:
        return None
    return "compute capability {}.{} is below 8.0".format(*capability(device))


def _fp8_autocast() -> Any:
    """Transformer Engine's autocast with delayed scaling: E4M3 forward, E5M2 backward (Micikevicius et al.,
    "FP8 formats for deep learning", 2022).

    Each process takes scales from its own values: to agree on them would be a collective call inside of the forward
    pass, in which the others would wait for ever when one of them runs out of memory.
    """
    import transformer_engine.pytorch as te
    from transformer_engine.common.recipe import DelayedScaling, Format

    return te.autocast(
        enabled=True,
        recipe=DelayedScaling(
            fp8_format=Format.HYBRID, amax_history_len=AMAX_HISTORY, amax_compute_algo="max", reduce_amax=False
        ),
    )
