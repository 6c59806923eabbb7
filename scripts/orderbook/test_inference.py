"""Measure the encoder as it will be used: latency, throughput, and what it reconstructs by level and condition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.lib import job
from scripts.lib.devices import choose_device, device_name
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.lib.plots import save_svg
from scripts.lib.tables import write_html
from scripts.orderbook.encoder.latency import Place, latency_figures, places, time_calls
from scripts.orderbook.encoder.model import Encoder, load_encoder
from scripts.orderbook.encoder.reconstruction import MaskOptions, fill_with, reconstruct
from scripts.orderbook.encoder.reconstruction_report import Row, condition_rows, draw_levels, level_rows, write_rows
from scripts.orderbook.encoder.settings import InferenceSettings
from scripts.orderbook.windows.arrays import open_windows, read_table, spread_rows
from scripts.orderbook.windows.inputs import load_scaling

MEASURED_BATCH = 32


def main(
    model: job.InputFile,
    encoder: job.InputFile,
    test_windows: job.InputFile,
    windows: job.InputFile,
    scaling: job.InputFile,
    latency: job.OutputFile,
    latency_page: job.OutputFile,
    levels: job.OutputFile,
    conditions: job.OutputFile,
    plot: job.OutputFile,
    gpus: int,
    title: str,
    settings: InferenceSettings,
) -> None:
    """Measure the encoder as it will be used: latency, throughput, and what it reconstructs by level and condition.

    Args:
        model: the weights, of pretrain_encoder
        encoder: the encoder's shape, of pretrain_encoder
        test_windows: array of windows of the test split
        windows: Parquet with one row a window, as balance_windows writes it
        scaling: JSON of the features' scaling, as balance_windows writes it
        latency: CSV with one row a device, number format and batch
        latency_page: the same as an HTML page
        levels: CSV of the errors at hidden entries by level of the book, beside baselines
        conditions: CSV of the same by market condition
        plot: SVG of the errors by level
        gpus: GPUs that the rule asked for; with one it is timed beside the CPU
        title: heading of the plot, such as the feed's name
        settings: batches, repetitions and masks
    """
    device = choose_device(gpus)
    network = load_encoder(model, encoder)
    array = open_windows(test_windows, network.config.length, network.config.features)
    names = feature_names(scaling, network)
    table = read_table(windows, "test", len(array))
    times = latency_rows(network, array, gpus, settings)
    write_rows(latency, times)
    write_html(latency_page, times, f"{title}: latency of the encoder")
    chosen = spread_rows(len(array), settings.windows)
    chosen = chosen[np.argsort(table.start_time[chosen], kind="stable")]
    options = MaskOptions(settings.mask_fraction, settings.mask_span, settings.seed)
    fill = fill_with(network.to(device), device)
    by_level: list[Row] = []
    by_condition: list[Row] = []
    for mode in settings.mask_modes:
        errors = reconstruct(fill, array, chosen, mode, options, MEASURED_BATCH)
        by_level += level_rows("test", mode, errors, names)
        by_condition += condition_rows("test", mode, errors, table.condition[chosen])
    write_rows(levels, by_level)
    write_rows(conditions, by_condition)
    save_svg(draw_levels(by_level, title), plot, f"{title}: error by level of the book")


def feature_names(path: Path, network: Encoder) -> list[str]:
    """Names of the features in their order.

    Raises:
        InputError: the scaling is not that of this encoder's windows.
    """
    names = load_scaling(path).features
    if len(names) != network.config.features:
        raise InputError(f"{path}: scales {len(names)} features, but the encoder takes {network.config.features}")
    return names


def latency_rows(network: Encoder, array: NDArray[np.float32], gpus: int, settings: InferenceSettings) -> list[Row]:
    """Times of every device, number format and batch."""
    rows: list[Row] = []
    for place in places(gpus):
        network.to(place.device)
        for batch in settings.batches:
            inputs = torch.from_numpy(array[np.arange(batch) % len(array)]).to(place.device)
            seconds = time_calls(network, inputs, place, settings.repeats, settings.warm_up)
            rows.append(latency_row(place, batch, latency_figures(seconds, batch), settings.repeats))
            log.info("%s %s batch %d: p50 %.3g ms", place.device.type, place.precision, batch, rows[-1]["p50_ms"])
    return rows


def latency_row(place: Place, batch: int, figures: dict[str, float], repeats: int) -> Row:
    """One row of the latency table; `threads` are those of the CPU."""
    threads: str | int = torch.get_num_threads() if place.device.type == "cpu" else ""
    row: Row = {"device": device_name(place.device), "precision": place.precision, "threads": threads}
    return row | {"batch": batch, "calls": repeats} | figures


if __name__ == "__main__":
    job.run(main)
