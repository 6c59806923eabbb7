"""Where figures go: JSON lines cut at a resume, TensorBoard, Weights & Biases offline; samples a second and MFU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.lib.errors import InputError
from scripts.lib.training.metrics import Metrics, WandB, curves, read_metrics
from scripts.lib.training.throughput import Meter, mfu, peak_flops


def test_a_resumed_file_holds_every_step_once(tmp_path: Path) -> None:
    with Metrics(tmp_path) as metrics:
        for step in range(1, 6):
            metrics.write("train", step, loss=1 / step)
            if step == 3:
                size = metrics.sync()
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"kind": "train", "st')  # a killed writer's last line
    with Metrics(tmp_path, size, 3) as metrics:
        for step in range(4, 8):
            metrics.write("train", step, loss=1 / step)
    records = read_metrics(tmp_path / "metrics.jsonl", "train")
    assert [(record["step"], record["loss"]) for record in records] == [(step, 1 / step) for step in range(1, 8)]


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    with Metrics(tmp_path) as metrics:
        metrics.write("train", 1, loss=float("nan"), worst=float("inf"), mfu=None, name="x")
    (record,) = read_metrics(tmp_path / "metrics.jsonl")
    assert record == {"kind": "train", "step": 1, "loss": None, "worst": None, "mfu": None, "name": "x"}


def test_a_lost_file_is_told_and_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger="tidemill"), Metrics(tmp_path, 100, 3) as metrics:
        metrics.write("train", 4, loss=1.0)
    assert "metrics.jsonl: 100 bytes of it are lost" in caplog.text
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1


@pytest.mark.parametrize("line", ["{", "[1]", '{"step": 1}'])
def test_a_file_of_something_else_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "train", "step": 1}\n' + line + "\n")
    with pytest.raises(InputError, match=r"metrics.jsonl: line 2: no record of a training"):
        read_metrics(path, "train")


def test_curves_are_of_numbers_only() -> None:
    record = {"kind": "validation", "step": 3, "loss": 2, "mfu": None, "name": "x"}
    assert curves(record) == {"validation/loss": 2.0}
    assert curves({"kind": "start", "step": 0, "samples": 1}) == {}


def test_tensorboard_reads_the_same_numbers(tmp_path: Path) -> None:
    """Oracle: TensorBoard's own reader; what came after the checkpoint is purged."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Metrics(tmp_path) as metrics:
        for step in (1, 2, 3):
            metrics.write("train", step, loss=step / 8)
    with Metrics(tmp_path, 0, 2) as metrics:
        for step in (3, 4):
            metrics.write("train", step, loss=step / 4)
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [(event.step, event.value) for event in read.Scalars("train/loss")] == [
        (1, 0.125), (2, 0.25), (3, 0.75), (4, 1.0),
    ]  # fmt: skip


def test_wandb_writes_files_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with Metrics(tmp_path, 0, 0, ("tidemill-tests", {"seed": 1})) as metrics:
        metrics.write("train", 1, loss=0.5)
    (written,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert written.stat().st_size > 0
    assert tmp_path.name in written.name


def test_wandb_online_needs_its_key_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(InputError, match="WANDB_MODE is online, but WANDB_API_KEY is not set"):
        WandB(tmp_path, "project", "run", {})


@pytest.mark.parametrize(
    ("device", "precision", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989.5),
        ("NVIDIA H100 80GB HBM3", "fp8", 1979),
        ("NVIDIA H100 PCIe", "bf16", 756),
        ("NVIDIA H100 NVL", "bf16", 835.5),
        ("NVIDIA H200", "bf16", 989.5),
        ("NVIDIA A100-SXM4-40GB", "bf16", 312),
        ("NVIDIA A100 80GB PCIe", "fp32", 19.5),
        ("NVIDIA L40S", "fp8", 733),
        ("NVIDIA L4", "bf16", 121),
        ("NVIDIA A100-SXM4-80GB", "fp8", None),
        ("NVIDIA A10G", "bf16", None),
        ("NVIDIA GH200 480GB", "bf16", None),
        ("cpu", "fp32", None),
    ],
)
def test_peaks_go_by_the_device_s_name(device: str, precision: str, tflops: float | None) -> None:
    assert peak_flops(device, precision) == (None if tflops is None else tflops * 1e12)


def test_mfu_by_hand() -> None:
    # 500 samples/s of 1 TFLOP each on two devices of 1000 TFLOP/s
    assert mfu(500.0, 1e12, 1e15, 2) == 0.25
    assert mfu(500.0, 1e12, None, 2) is None


def test_the_meter_leaves_out_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    meter = Meter()
    meter.count(100)
    clock[0] = 5.0
    meter.pause()
    clock[0] = 65.0
    meter.go_on()
    clock[0] = 70.0
    assert meter.take() == 10.0
    meter.count(10)
    clock[0] = 75.0
    assert meter.take() == 2.0


def test_lines_are_json_with_no_extensions(tmp_path: Path) -> None:
    with Metrics(tmp_path) as metrics:
        metrics.write("end", 3, reason="all steps done", best=None)
    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text) == {"kind": "end", "step": 3, "reason": "all steps done", "best": None}
