"""pretrain_encoder as a program: what it learns and writes, and that no interruption changes a bit of it."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from scripts.lib.errors import InputError
from scripts.lib.settings import validate
from scripts.orderbook.encoder.config import config_of
from scripts.orderbook.encoder.masking import MODES
from scripts.orderbook.encoder.model import load_encoder, new_encoder
from scripts.orderbook.encoder.reconstruction import METHODS
from scripts.orderbook.encoder.settings import PretrainSettings
from scripts.orderbook.pretrain_encoder import main, make_task
from scripts.orderbook.windows.arrays import open_windows
from tests.conftest import ROOT, clean_environment
from tests.unit.window_folder import WindowFolder, write_windows

SMALL: dict[str, Any] = {
    "size": "toy", "temporal_dim": 16, "depth_dim": 16, "mask_span": 4, "batch": 8, "accumulation": 2, "epochs": 4,
    "learning_rate": 1e-3, "peak": 5e-3, "run": {"checkpoint_minutes": 0, "log_every": 1, "loaders": 1},
}  # fmt: skip
OUTPUTS = ("model.safetensors", "encoder.json", "metrics.json", "history.jsonl", "reconstruction.csv", "plot.svg")
NAMES = ("model", "encoder", "metrics", "history", "reconstruction", "plot")
SAME = ("model.safetensors", "encoder.json", "reconstruction.csv", "plot.svg")  # the others hold times


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> WindowFolder:
    return write_windows(tmp_path_factory.mktemp("windows"))


@pytest.fixture(scope="module")
def undisturbed(windows: WindowFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: the folder of its outputs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = finish(start(windows, folder))
    assert done[0] == 0, done[1]
    return folder


def start(windows: WindowFolder, folder: Path, *launcher: str, gpus: int = 0, **changes: Any) -> subprocess.Popen[str]:
    outputs = [
        part
        for pair in zip((f"--{name}" for name in NAMES), map(folder.joinpath, OUTPUTS), strict=True)
        for part in pair
    ]
    command = [
        sys.executable, "-m", *launcher, "scripts.orderbook.pretrain_encoder", *windows.arguments(), *map(str, outputs),
        "--checkpoints", str(folder / "checkpoints"), "--gpus", str(gpus), "--title", "toy",
        "--settings", json.dumps(SMALL | changes),
    ]  # fmt: skip
    environment = clean_environment(PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    text, _ = process.communicate(timeout=240)
    return process.returncode, text


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "reconstruction.csv").open() as file:
        return list(csv.DictReader(file))


def test_it_learns_what_copying_does_not_know(undisturbed: Path) -> None:
    metrics = json.loads((undisturbed / "metrics.json").read_text())
    history = [json.loads(line) for line in (undisturbed / "history.jsonl").read_text().splitlines()]
    validations = [record for record in history if record["kind"] == "validation"]
    assert len(validations) == SMALL["epochs"]
    assert metrics["best_validation_loss"] == min(record["loss"] for record in validations)
    assert metrics["best_validation_loss"] < 0.9 * validations[0]["copy_last"]
    assert len({record["copy_last"] for record in validations}) == 1, "the same masks every time"
    assert (metrics["steps"], metrics["samples"]) == (12, 192)
    assert metrics["windows"] == {"train": 48, "validation": 16, "test": 16}
    assert metrics["precision"] == {"name": "fp32", "reason": "auto: a CPU"}


def test_the_metrics_name_the_data_and_the_training(undisturbed: Path, windows: WindowFolder) -> None:
    """Gates tell by these whether two encoders stand on the same data."""
    metrics = json.loads((undisturbed / "metrics.json").read_text())
    paths = [windows.train, windows.validation, windows.table, windows.scaling]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert metrics["data"] == hashlib.sha256(json.dumps(digests).encode()).hexdigest()
    assert [path.name for path in (undisturbed / "checkpoints").iterdir()] == [metrics["training"]]


def test_the_table_has_every_split_mode_condition_and_method(undisturbed: Path) -> None:
    rows = rows_of(undisturbed)
    keys = [(row["split"], row["mode"], row["condition"], row["method"]) for row in rows]
    assert len(set(keys)) == len(keys) == 2 * 3 * 3 * 3
    metrics = json.loads((undisturbed / "metrics.json").read_text())["reconstruction"]
    for row in rows:
        low, mse, high = (float(row[key]) for key in ("mse_low", "mse", "mse_high"))
        assert low <= mse <= high
        if row["condition"] == "all":
            assert metrics[row["split"]][row["mode"]][row["method"]]["mse"] == pytest.approx(mse, rel=1e-5)
    assert [row["method"] for row in rows[:3]] == list(METHODS)
    assert {row["mode"] for row in rows} == set(MODES)


def test_the_figures_are_those_of_the_saved_weights(undisturbed: Path, windows: WindowFolder) -> None:
    """Oracle: load the encoder anew and measure by a plain loop, one window at a time."""
    from scripts.orderbook.encoder.masking import EVALUATION, draw_mask

    encoder, truth = (
        load_encoder(undisturbed / "model.safetensors", undisturbed / "encoder.json"),
        np.load(windows.test),
    )
    total = count = 0.0
    for row in range(16):
        mask = draw_mask("step", 16, 16, 0.25, 4, 0, EVALUATION, row)
        filled = encoder(torch.from_numpy(np.where(mask, np.float32(np.nan), truth[row])[None]))[0].numpy()
        total += float(((filled - truth[row])[mask].astype(float) ** 2).sum())
        count += mask.sum()
    wanted = {"split": "test", "mode": "step", "condition": "all", "method": "model"}
    found = next(row for row in rows_of(undisturbed) if wanted.items() <= row.items())
    assert float(found["mse"]) == pytest.approx(total / count, rel=1e-4)
    assert int(found["entries"]) == count


def test_the_weights_have_changed_and_are_the_plain_twin_s(undisturbed: Path) -> None:
    before = new_encoder(config_of("toy", 16, 16, "neighbours", 0.0), 0).state_dict()
    after = load_file(undisturbed / "model.safetensors")
    assert after.keys() == before.keys()
    assert not any(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_moments_it_ends_bit_equal(
    undisturbed: Path, windows: WindowFolder, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    kills, text, code = 0, "", -1
    for attempt in range(8):
        process = start(windows, tmp_path)
        if attempt < 2:
            wait_for_steps(process, tmp_path, chance.randint(1, 6))
            time.sleep(chance.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        code, text = finish(process)
        if code != -signal.SIGKILL:
            break
        kills += 1
        assert not [name for name in OUTPUTS if (tmp_path / name).exists()], "nothing half-written"
    assert code == 0, text
    assert ("going on at step" in text) == (kills > 0)
    for name in SAME:
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes(), name


def wait_for_steps(process: subprocess.Popen[str], folder: Path, steps: int) -> None:
    """Until the newest checkpoint is so many steps further, or the program has ended."""
    before, end = newest_checkpoint(folder), time.monotonic() + 60
    while newest_checkpoint(folder) < before + steps and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def newest_checkpoint(folder: Path) -> int:
    return max((int(path.name[5:]) for path in folder.glob("checkpoints/*/step-*")), default=0)


def test_two_processes_share_the_batch_and_one_writes(undisturbed: Path, windows: WindowFolder, tmp_path: Path) -> None:
    code, text = finish(start(windows, tmp_path, "scripts.lib.launch", "--gpus", "2"))
    assert code == 0, text
    assert json.loads((tmp_path / "metrics.json").read_text())["processes"] == 2
    one, two = load_file(undisturbed / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*OUTPUTS, "checkpoints"])


def refused(windows: WindowFolder, folder: Path, gpus: int = 0, **changes: Any) -> str:
    """The one line with which the program refuses its input."""
    outputs = dict(zip(NAMES, map(folder.joinpath, OUTPUTS), strict=True))
    inputs = (windows.train, windows.validation, windows.test, windows.table, windows.scaling)

    def run() -> None:
        settings = validate(PretrainSettings, SMALL | changes, "settings")
        main(*inputs, **outputs, checkpoints=folder / "checkpoints", gpus=gpus, title="toy", settings=settings)

    with pytest.raises(InputError) as caught:
        run()
    assert not [path for path in outputs.values() if path.exists()]
    return str(caught.value)


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_arrays_that_are_none_are_named(tmp_path: Path, name: str) -> None:
    broken = write_windows(tmp_path / "windows")
    path: Path = getattr(broken, name)
    whole = path.read_bytes()
    for content in (whole[:200], whole[:-8], b"", b"no array"):
        path.write_bytes(content)
        assert f"{name}.npy: not an array of windows" in refused(broken, tmp_path)
    np.save(path, np.zeros((0, 16, 16), np.float32))
    assert f"{name}.npy: no window in it" in refused(broken, tmp_path)
    np.save(path, np.zeros((4, 16, 16)))
    assert f"{name}.npy: not an array of windows, but float64 of 3 dimensions" in refused(broken, tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"temporal_dim": 32},
            "train.npy: windows of 16 states x 16 features, but temporal_dim x depth_dim is 32 x 16",
        ),
        ({"depth_dim": 24}, "settings: depth_dim: input should be a multiple of 16"),
        ({"mask_fraction": 1.0}, "settings: mask_fraction"),
        ({"mask_modes": ["cell", "cell"]}, "mask_modes: a mode is named twice"),
        ({"precision": "fp8"}, "precision: fp8 was asked for, but"),
        ({"size": "huge"}, "settings: size"),
    ],
)
def test_settings_that_cannot_be_are_named(
    windows: WindowFolder, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    assert named in refused(windows, tmp_path, **changes)


def test_a_table_of_other_windows_is_refused(tmp_path: Path) -> None:
    other = write_windows(tmp_path / "windows")
    pq.write_table(pq.read_table(other.table).slice(1), other.table)
    assert "windows.parquet: 47 rows of split train, but its array holds 48 windows" in refused(other, tmp_path)


def test_gpus_that_are_not_there_are_told(windows: WindowFolder, tmp_path: Path) -> None:
    assert "asked for" in refused(windows, tmp_path, gpus=64)


def test_bad_input_ends_the_program_with_code_2_and_one_line(windows: WindowFolder, tmp_path: Path) -> None:
    code, text = finish(start(windows, tmp_path, depth_dim=32))
    assert code == 2
    assert "train.npy: windows of 16 states x 16 features" in text.splitlines()[-1]
    assert not (tmp_path / "model.safetensors").exists()


def test_validation_and_test_windows_decide_no_weight(windows: WindowFolder, tmp_path: Path) -> None:
    """Leak check: other validation and test windows leave every gradient bit-equal."""
    settings = PretrainSettings.model_validate(SMALL)
    gradients = []
    for change in (0.0, 3.0):
        arrays = {
            name: np.array(open_windows(getattr(windows, name), 16, 16)) for name in ("train", "validation", "test")
        }
        arrays["validation"] += np.float32(change)
        arrays["test"] += np.float32(change)
        task = make_task(arrays, settings)
        model = new_encoder(task.config, 0).train()
        loss = task.loss(model, task.train.fetch(np.arange(8), np.zeros(8, int)))
        loss.sum.backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))


def test_hidden_values_decide_nothing_but_the_loss(windows: WindowFolder) -> None:
    """Leak check: what the model is given does not change with what is hidden from it."""
    settings = PretrainSettings.model_validate(SMALL)
    arrays = {name: open_windows(getattr(windows, name), 16, 16) for name in ("train", "validation")}
    task = make_task(arrays, settings)
    batch = task.train.fetch(np.arange(8), np.zeros(8, int))
    seen: list[torch.Tensor] = []

    class Watching(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.clone())
            return torch.nan_to_num(x)

    for change in (0.0, 100.0):
        task.loss(Watching(), {**batch, "windows": batch["windows"] + change * batch["hidden"]})
    assert torch.equal(seen[0].isnan(), batch["hidden"])
    assert torch.equal(torch.nan_to_num(seen[0]), torch.nan_to_num(seen[1]))
