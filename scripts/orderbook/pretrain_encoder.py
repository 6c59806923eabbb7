"""Pretrain the encoder: predict hidden entries of windows of book states."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.lib import job
from scripts.lib.devices import device_name
from scripts.lib.joblog import log
from scripts.lib.plots import save_svg
from scripts.lib.training.distributed import Ranks, ranks_of_job
from scripts.lib.training.trainer import Result, train
from scripts.orderbook.encoder.config import config_of, write_config
from scripts.orderbook.encoder.fp8 import plain_twin
from scripts.orderbook.encoder.model import Encoder, parameter_count, save_weights
from scripts.orderbook.encoder.pretrain_task import MaskedPrediction, MaskedWindows
from scripts.orderbook.encoder.reconstruction import ALL, METHODS, MaskOptions, fill_with, reconstruct
from scripts.orderbook.encoder.reconstruction_report import Row, condition_rows, draw_conditions, write_rows
from scripts.orderbook.encoder.settings import PretrainSettings
from scripts.orderbook.windows.arrays import WindowTable, open_windows, read_table, spread_rows

PROGRAM = "scripts.orderbook.pretrain_encoder"
MEASURED = ("validation", "test")
MEASURED_BATCH = 32


def main(
    train_windows: job.InputFile,
    validation_windows: job.InputFile,
    test_windows: job.InputFile,
    windows: job.InputFile,
    scaling: job.InputFile,
    model: job.OutputFile,
    encoder: job.OutputFile,
    metrics: job.OutputFile,
    history: job.OutputFile,
    reconstruction: job.OutputFile,
    plot: job.OutputFile,
    checkpoints: Path,
    gpus: int,
    title: str,
    settings: PretrainSettings,
) -> None:
    """Pretrain the encoder: predict hidden entries of windows of book states.

    Goes on from its newest checkpoint where one of the same code, settings and data is there. With more than one GPU
    it is started through scripts.lib.launch.

    Args:
        train_windows: array of windows to learn from
        validation_windows: array of windows to choose the best state by
        test_windows: array of windows that only the final reconstruction is measured on
        windows: Parquet with one row a window, as balance_windows writes it
        scaling: JSON of the features' scaling, as balance_windows writes it
        model: the weights, safetensors
        encoder: JSON with the shape of the encoder
        metrics: JSON with the outcome
        history: JSON lines of loss, learning rate, gradient norm and speed by step
        reconstruction: CSV of the errors at hidden entries, by mask mode and market condition, beside baselines
        plot: SVG of the same
        checkpoints: folder in which the state is kept until the training is done, and after
        gpus: GPUs that the rule asked for; 0 trains on CPU
        title: heading of the plot, such as the feed's name
        settings: model, masks and training
    """
    paths = {"train": train_windows, "validation": validation_windows, "test": test_windows}
    arrays = {name: open_windows(path, settings.temporal_dim, settings.depth_dim) for name, path in paths.items()}
    tables = {name: read_table(windows, name, len(array)) for name, array in arrays.items()}
    task = make_task(arrays, settings)
    data = [train_windows, validation_windows, windows, scaling]
    with ranks_of_job(gpus) as ranks:
        result = train(task, settings, ranks, checkpoints, PROGRAM, data)
        if not ranks.first:
            return
        twin = plain_twin(result.model)
        rows = measure(twin.to(ranks.device), arrays, tables, settings, ranks)
        save_weights(model, twin)
        write_config(encoder, task.config)
        shutil.copyfile(result.metrics, history)
        write_rows(reconstruction, rows)
        drawn = [row for row in rows if row["split"] == "test"]
        save_svg(draw_conditions(drawn, title), plot, f"{title}: hidden entries filled in")
        write_metrics(metrics, outcome(result, twin, ranks, arrays, rows, settings))


def make_task(arrays: dict[str, NDArray[np.float32]], settings: PretrainSettings) -> MaskedPrediction:
    """The training task of these windows."""
    config = config_of(settings.size, settings.depth_dim, settings.temporal_dim, settings.fill, settings.dropout)
    train_, validation = (MaskedWindows(arrays[name], settings, settings.seed) for name in ("train", "validation"))
    return MaskedPrediction(train_, validation, config, settings.seed)


def measure(
    twin: Encoder,
    arrays: dict[str, NDArray[np.float32]],
    tables: dict[str, WindowTable],
    settings: PretrainSettings,
    ranks: Ranks,
) -> list[Row]:
    """Errors of the finished encoder, in float32 as it is saved, on windows that it was not trained on."""
    options = MaskOptions(settings.mask_fraction, settings.mask_span, settings.seed)
    fill = fill_with(twin.eval(), ranks.device)
    rows: list[Row] = []
    for split in MEASURED:
        chosen = spread_rows(len(arrays[split]), settings.evaluate_windows)
        chosen = chosen[np.argsort(tables[split].start_time[chosen], kind="stable")]
        for mode in settings.mask_modes:
            errors = reconstruct(fill, arrays[split], chosen, mode, options, MEASURED_BATCH)
            rows += condition_rows(split, mode, errors, tables[split].condition[chosen])
    return rows


def outcome(
    result: Result,
    twin: Encoder,
    ranks: Ranks,
    arrays: dict[str, NDArray[np.float32]],
    rows: list[Row],
    settings: PretrainSettings,
) -> dict[str, Any]:
    """What the training came to, as JSON values."""
    overall = [row for row in rows if row["condition"] == ALL]
    log.info("best validation loss %.6g at step %d; %s", result.best_loss or 0.0, result.best_step, result.reason)
    for row in overall:
        log.info("%s %s %s: mse %.6g", row["split"], row["mode"], row["method"], row["mse"])
    return {
        "size": settings.size,
        "parameters": parameter_count(twin),
        "seed": settings.seed,
        "windows": {name: len(array) for name, array in arrays.items()},
        "steps": result.step,
        **key_digests(result.metrics.parent),
        "samples": result.samples,
        "best_step": result.best_step,
        "best_validation_loss": result.best_loss,
        "ended": result.reason,
        "precision": asdict(result.precision),
        "processes": ranks.world,
        "device": device_name(ranks.device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "reconstruction": {
            split: {
                mode: {method: _figures(overall, split, mode, method) for method in METHODS}
                for mode in settings.mask_modes
            }
            for split in MEASURED
        },
    }


def key_digests(folder: Path) -> dict[str, str]:
    """What a training stands on, by digests of what its checkpoints are kept under (scripts/lib/training/identity.py).

    data: of the windows and their scaling; training: of code, settings and data, the name of the checkpoints' folder.
    """
    key = json.loads((folder / "key.json").read_text(encoding="utf-8"))
    data = json.dumps(list(key["data"].values())).encode()
    return {"data": hashlib.sha256(data).hexdigest(), "training": folder.name}


def _figures(rows: list[Row], split: str, mode: str, method: str) -> dict[str, float | int | None]:
    """Figures of one row, null where there is no number."""
    row = next(row for row in rows if (row["split"], row["mode"], row["method"]) == (split, mode, method))
    figures = {key: value for key, value in row.items() if not isinstance(value, str)}
    return {key: None if value != value else value for key, value in figures.items()}


def write_metrics(path: Path, values: dict[str, Any]) -> None:
    """Write metrics.json; a value that is not finite would be an error."""
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    job.run(main)
