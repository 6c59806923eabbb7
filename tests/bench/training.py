"""Pretraining the encoder: windows a second, against a plain PyTorch loop over nn.TransformerEncoder of the same shape.

    .venv-test/bin/python -m tests.bench.training [--size small] [--batch 16] [--steps 12] [--gpus 1]

Both sides train on the same windows with masks drawn anew each step, AdamW, gradients clipped to the same norm, as one
process on one device. Ours is the engine's whole step (loader threads, schedule, metrics); the rival is what one
writes without it: embedding, nn.TransformerEncoder (pre-norm, GELU), head, in a loop. FP32 everywhere; on a GPU BF16
too, and FP8 where Transformer Engine is there, ours alone, with MFU (share of the device's dense peak).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scripts.lib.devices import device_name
from scripts.lib.training.distributed import ranks_of_job
from scripts.lib.training.metrics import read_metrics
from scripts.lib.training.precision import choose_precision, why_no_bf16, why_no_fp8
from scripts.lib.training.settings import RunSettings
from scripts.lib.training.throughput import mfu, peak_flops
from scripts.lib.training.trainer import train
from scripts.orderbook.encoder.config import EXPANSION, EncoderConfig, config_of
from scripts.orderbook.encoder.model import training_flops
from scripts.orderbook.encoder.pretrain_task import MaskedPrediction, MaskedWindows, squared_error
from scripts.orderbook.encoder.settings import PretrainSettings
from tests.bench.timing import show
from tests.unit.window_folder import make_windows

LENGTH, LEVELS, WINDOWS = 256, 24, 256
WARM_UP = 2  # steps left out of the rates


class Plain(nn.Module):
    """The rival's model: learned positions, nn.TransformerEncoder, a head; hidden entries are 0 with a flag each."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width, features = config.width, config.features
        layer = nn.TransformerEncoderLayer(
            width, config.heads, EXPANSION * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.embed = nn.Linear(3 * features, width)  # as wide as ours: same products
        self.positions = nn.Parameter(torch.zeros(config.length, width))
        self.layers = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 3 * features)

    def forward(self, x: Tensor) -> Tensor:
        unknown = torch.isnan(x)
        known = torch.where(unknown, 0.0, x)
        hidden = self.layers(self.embed(torch.cat([known, known, unknown.float()], -1)) + self.positions)
        return self.head(hidden).chunk(3, -1)[0]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.training", description=__doc__)
    parser.add_argument("--size", default="small", help="size of the encoder, by name")
    parser.add_argument("--batch", type=int, default=16, help="windows a step")
    parser.add_argument("--steps", type=int, default=12, help="steps of each round, the first two are not timed")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, in which the sides take turns")
    parser.add_argument("--gpus", type=int, default=0, choices=(0, 1), help="0: on CPU")
    options = parser.parse_args()
    settings = settings_of(options.size, options.batch, options.steps)
    windows = make_windows(WINDOWS, LENGTH, LEVELS, 0)
    config = config_of(settings.size, 4 * LEVELS, LENGTH, "neighbours", 0.0)
    with ranks_of_job(options.gpus) as ranks:
        device = ranks.device
        shape = f"{options.size}: {config.layers} layers of {config.width}, batch {options.batch}"
        print(f"{shape}, {device_name(device)}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
        for precision in precisions(device):
            compare(config, windows, settings, precision, options.rounds, ranks)


def settings_of(size: Any, batch: int, steps: int) -> PretrainSettings:
    """A training that neither validates before its end nor saves in between."""
    run = RunSettings(checkpoint_minutes=1_000, log_every=1)
    return PretrainSettings(size=size, batch=batch, accumulation=1, epochs=1_000, max_steps=steps, run=run)


def precisions(device: torch.device) -> list[str]:
    """What this device can compute in."""
    if device.type == "cpu":
        return ["fp32"]
    found = ["fp32"] + ["bf16"] * (why_no_bf16(device) is None)
    if reason := why_no_fp8(device):
        print(f"no FP8: {reason}")
        return found
    return [*found, "fp8"]


def compare(
    config: EncoderConfig, windows: np.ndarray, settings: PretrainSettings, precision: str, rounds: int, ranks: Any
) -> None:
    """Rounds of both sides in one precision; FP8 has no rival."""
    chosen = settings.model_copy(update={"precision": precision})
    pairs = [
        (ours(config, windows, chosen, ranks), plain_loop(config, windows, chosen, ranks.device)) for _ in range(rounds)
    ]
    peak = peak_flops(device_name(ranks.device), precision)
    for name, rates in (("ours", [pair[0] for pair in pairs]), ("nn.TransformerEncoder", [pair[1] for pair in pairs])):
        if name == "ours" or precision != "fp8":
            share = mfu(statistics.median(rates), training_flops(config), peak, 1)
            note = f"  MFU {100 * share:.1f} %" if share is not None else ""
            show(f"{name}, {precision}", rates, "windows/s", note)
    if precision != "fp8":
        show(f"ours against it, {precision}", [mine / rival for mine, rival in pairs], "x")


def ours(config: EncoderConfig, windows: np.ndarray, settings: PretrainSettings, ranks: Any) -> float:
    """Windows a second of the engine's steps, out of its own metrics; all it does in between counts."""
    samples = MaskedWindows(windows, settings, settings.seed)
    task = MaskedPrediction(samples, MaskedWindows(windows[:1], settings, settings.seed), config, settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        result = train(task, settings, ranks, Path(folder), "scripts.orderbook.pretrain_encoder", [])
        rates = [float(record["samples_per_s"]) for record in read_metrics(result.metrics, "train")]
    return statistics.harmonic_mean(rates[WARM_UP:])  # of windows a second in steps of as many windows


def plain_loop(config: EncoderConfig, windows: np.ndarray, settings: PretrainSettings, device: torch.device) -> float:
    """Windows a second of the loop that one writes without an engine."""
    precision = choose_precision("bf16" if settings.precision == "fp8" else settings.precision, device)
    torch.manual_seed(0)
    model = Plain(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate)
    samples, start = MaskedWindows(windows, settings, settings.seed), 0.0
    for step in range(settings.max_steps or 1):
        if step == WARM_UP:
            start = now(device)
        indices = np.arange(step * settings.batch, (step + 1) * settings.batch) % len(windows)
        batch = {k: v.to(device) for k, v in samples.fetch(indices, np.full(len(indices), step)).items()}
        with precision.autocast(device):
            filled = model(torch.where(batch["hidden"], torch.nan, batch["windows"]))
            loss = squared_error(filled, batch["windows"], batch["hidden"]) / batch["hidden"].sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_norm or 1.0)
        optimizer.step()
        loss.item()
    return settings.batch * ((settings.max_steps or 1) - WARM_UP) / (now(device) - start)


def now(device: torch.device) -> float:
    """The clock, once the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


if __name__ == "__main__":
    main()
