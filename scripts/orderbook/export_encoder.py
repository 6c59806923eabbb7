"""Export the encoder for programs without Python: TorchScript and torch.export, each compared with the original."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.orderbook.encoder.masking import EVALUATION, MODES, draw_mask, hide
from scripts.orderbook.encoder.model import Encoder, load_encoder, parameter_count
from scripts.orderbook.encoder.settings import ExportSettings
from scripts.orderbook.windows.arrays import open_windows, spread_rows

HIDDEN, SPAN = 0.25, 8

Program = Callable[[Tensor], tuple[Tensor, Tensor]]


class Exported(nn.Module):
    """Reconstruction (batch, time, features) and description (batch, time, width) of windows, in one call."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Windows (batch, time, features), NaN where unknown; time is the length the encoder was trained with."""
        both: tuple[Tensor, Tensor] = self.encoder.reconstruct_and_encode(windows)
        return both


def main(
    model: job.InputFile,
    encoder: job.InputFile,
    test_windows: job.InputFile,
    script: job.OutputFile,
    program: job.OutputFile,
    parity: job.OutputFile,
    settings: ExportSettings,
) -> None:
    """Export the encoder for programs without Python: TorchScript and torch.export, each compared with the original.

    Both take windows (batch, 256 states, features), NaN where unknown, any batch, and give the reconstruction and the
    description of each state. resources/cpp shows how C++ loads the TorchScript module.

    Args:
        model: the weights, of pretrain_encoder
        encoder: the encoder's shape, of pretrain_encoder
        test_windows: array of windows to compare on
        script: TorchScript module
        program: program of torch.export
        parity: JSON with the largest differences found
        settings: windows compared and tolerance
    """
    network = load_encoder(model, encoder)
    windows = example_windows(test_windows, network, settings.windows)
    exported = Exported(network).eval()
    write_script(script, exported, windows)
    write_program(program, exported, windows)
    programs = {"torchscript": read_script(script), "torch_export": read_program(program)}
    found: dict[str, Any] = {}
    with torch.inference_mode():
        expected = exported(windows)
        for name, function in programs.items():
            found[name] = differences(function, windows, expected)
            log.info("%s: largest relative difference %.3g", name, max(found[name].values()))
    report = {
        "torch": torch.__version__,
        "parameters": parameter_count(network),
        "shape": list(windows.shape),
        "tolerance": settings.tolerance,
        "largest_relative_difference": found,
    }
    parity.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    refuse_differences(found, settings.tolerance)


def example_windows(path: Path, network: Encoder, count: int) -> Tensor:
    """Windows of the test split, evenly spaced, with hidden entries of all modes in turn."""
    array = open_windows(path, network.config.length, network.config.features)
    rows = spread_rows(len(array), count)
    _, length, features = array.shape
    hidden = [
        hide(array[row], draw_mask(MODES[number % 3], length, features, HIDDEN, SPAN, 0, EVALUATION, int(row)))
        for number, row in enumerate(rows)
    ]
    windows = np.stack(hidden)
    return torch.from_numpy(windows if len(windows) > 1 else np.repeat(windows, 2, 0))


def write_script(path: Path, exported: Exported, windows: Tensor) -> None:
    """Trace, check against another batch size, and save as TorchScript."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", DeprecationWarning)  # what C++ loads today without a compiler beside it
        traced = torch.jit.trace(exported, (windows,), check_inputs=[(windows[:1],)])
        torch.jit.save(traced, str(path))  # not frozen: weights must move to a GPU with the module


def read_script(path: Path) -> Program:
    """The TorchScript module in a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module: Program = torch.jit.load(str(path))
    return module


def read_program(path: Path) -> Program:
    """The program of torch.export in a file."""
    with path.open("rb") as file:
        module: Program = torch.export.load(file).module()
    return module


def write_program(path: Path, exported: Exported, windows: Tensor) -> None:
    """Export with any number of windows and save."""
    batch = torch.export.Dim("batch", min=1)
    saved = torch.export.export(exported, (windows,), dynamic_shapes={"windows": {0: batch}})
    with path.open("wb") as file:  # a path would need the suffix .pt2, which a temporary name may lack
        torch.export.save(saved, file)


def differences(function: Program, windows: Tensor, expected: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Largest difference of both results, relative to 1 or the value; for all windows at once and for each alone."""
    alone = [function(window[None]) for window in windows]
    results = {
        "reconstruction": (0, function(windows)[0]),
        "description": (1, function(windows)[1]),
        "reconstruction_alone": (0, torch.cat([result[0] for result in alone])),
        "description_alone": (1, torch.cat([result[1] for result in alone])),
    }
    return {name: relative_difference(result, expected[which]) for name, (which, result) in results.items()}


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Largest |found - expected| / max(1, |expected|); infinite where one of them is not finite."""
    difference = (found - expected).abs() / expected.abs().clamp(min=1.0)
    return float(difference.max()) if torch.isfinite(difference).all() else float("inf")


def refuse_differences(found: dict[str, dict[str, float]], tolerance: float) -> None:
    """An export that differs from the encoder is no export.

    Raises:
        InputError: the largest difference exceeds the tolerance.
    """
    name, result, value = max(
        ((name, result, value) for name, values in found.items() for result, value in values.items()),
        key=lambda entry: entry[2],
    )
    if not value <= tolerance:
        raise InputError(f"{name}: {result} differs by {value:.3g} from the encoder's; tolerance is {tolerance:.3g}")


if __name__ == "__main__":
    job.run(main)
