"""What a machine allows and asks for: number formats, memory, time limits, signals."""

from __future__ import annotations

import os
import signal
import stat
import sys
import types
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.lib.errors import InputError
from scripts.lib.training import memory, precision
from scripts.lib.training.distributed import buckets, ranks_of_job
from scripts.lib.training.interruption import StopRequests, end_of_job
from scripts.lib.training.precision import Precision, choose_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def gpu_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend a GPU of a compute capability, with or without Transformer Engine."""

    def pretend(capability: tuple[int, int], engine: str | None = None) -> None:
        monkeypatch.setattr(precision, "capability", lambda device: capability)
        monkeypatch.setattr(precision, "why_no_transformer_engine", lambda: engine)

    return pretend


@pytest.mark.parametrize(
    ("capability", "engine", "name", "why"),
    [
        ((9, 0), None, "fp8", "auto: Transformer Engine and compute capability 9.0"),
        ((8, 9), None, "fp8", "auto: Transformer Engine and compute capability 8.9"),
        ((9, 0), "it is not here", "bf16", "auto: compute capability 9.0; no FP8, since it is not here"),
        ((8, 0), None, "bf16", "auto: compute capability 8.0; no FP8, since compute capability 8.0 is below 8.9"),
        ((7, 5), None, "fp32", "auto: compute capability 7.5 is below 8.0"),
    ],
)
def test_auto_takes_the_fastest_there_is_and_says_why(
    gpu_of: Any, capability: tuple[int, int], engine: str | None, name: str, why: str
) -> None:
    gpu_of(capability, engine)
    assert choose_precision("auto", GPU) == Precision(name, why)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "capability", "engine", "line"),
    [
        ("fp8", (8, 0), None, "precision: fp8 was asked for, but compute capability 8.0 is below 8.9"),
        ("fp8", (9, 0), "it is not here", "precision: fp8 was asked for, but it is not here"),
        ("bf16", (7, 0), None, "precision: bf16 was asked for, but compute capability 7.0 is below 8.0"),
    ],
)
def test_what_is_not_there_is_refused(
    gpu_of: Any, asked: str, capability: tuple[int, int], engine: str | None, line: str
) -> None:
    gpu_of(capability, engine)
    with pytest.raises(InputError) as refused:
        choose_precision(asked, GPU)
    assert str(refused.value) == line


def test_a_cpu_computes_fp32_and_bf16_but_not_fp8() -> None:
    assert choose_precision("auto", CPU) == Precision("fp32", "auto: a CPU")
    assert choose_precision("bf16", CPU).name == "bf16"
    with pytest.raises(InputError, match="fp8 was asked for, but the device is a CPU"):
        choose_precision("fp8", CPU)


def test_the_engine_s_absence_and_its_broken_libraries_are_both_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformer_engine", None)
    assert "cannot be imported" in str(precision.why_no_transformer_engine())

    class Broken:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name.startswith("transformer_engine"):
                raise RuntimeError("cudnn shared object\nnot found.")

    monkeypatch.delitem(sys.modules, "transformer_engine")
    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    assert precision.why_no_transformer_engine() == (
        "Transformer Engine cannot be imported (cudnn shared object not found.)"
    )


def test_bf16_computes_in_bf16_and_keeps_fp32_weights() -> None:
    layer = torch.nn.Linear(4, 4)
    with Precision("bf16", "").autocast(CPU):
        out = layer(torch.zeros(1, 4))
    assert (out.dtype, layer.weight.dtype) == (torch.bfloat16, torch.float32)
    out.sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    with Precision("fp32", "").autocast(CPU):
        assert layer(torch.zeros(1, 4)).dtype == torch.float32


def test_fp8_enters_the_engine_s_autocast_with_scales_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in records the call: names and arguments as Transformer Engine 2.20.2 documents them."""
    seen: list[dict[str, Any]] = []

    @contextmanager
    def autocast(**arguments: Any) -> Any:
        seen.append(arguments)
        yield

    engine, recipe = (
        types.ModuleType("transformer_engine.pytorch"),
        types.ModuleType("transformer_engine.common.recipe"),
    )
    engine.autocast = autocast  # type: ignore[attr-defined]
    recipe.Format = types.SimpleNamespace(HYBRID="hybrid")  # type: ignore[attr-defined]
    recipe.DelayedScaling = lambda **values: values  # type: ignore[attr-defined]
    package, common = types.ModuleType("transformer_engine"), types.ModuleType("transformer_engine.common")
    package.pytorch = engine  # type: ignore[attr-defined]
    for module in (package, engine, common, recipe):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with Precision("fp8", "").autocast(CPU):
        assert torch.is_autocast_enabled("cpu")
    expected = {"fp8_format": "hybrid", "amax_history_len": 16, "amax_compute_algo": "max", "reduce_amax": False}
    assert seen == [{"enabled": True, "recipe": expected}]


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_mean_too_little_memory(error: Exception, short: bool) -> None:
    assert memory.is_out_of_memory(error) is short


def test_a_real_shortage_is_recognised() -> None:
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        torch.empty(2**55)
    assert memory.is_out_of_memory(raised.value)


def test_micro_batches_are_halved_down_to_one() -> None:
    sizes = [48]
    while size := memory.halved(sizes[-1]):
        sizes.append(size)
    assert sizes == [48, 24, 12, 6, 3, 2, 1]
    assert memory.peak_gb(CPU) > 0.01


def test_the_end_of_the_job_comes_from_slurm_s_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1800000000")
    assert end_of_job() == 1.8e9
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert end_of_job() is None


def fake_scontrol(folder: Path, text: str, code: int = 0) -> str:
    script = folder / "scontrol"
    script.write_text(f"#!/bin/sh\n[ \"$*\" = 'show job 42' ] || exit 9\ncat <<'END'\n{text}\nEND\nexit {code}\n")
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("   StartTime=2026-11-20T10:00:00 EndTime=2026-11-21T10:00:00 Deadline=N/A", "2026-11-21T10:00:00"),
        ("   StartTime=2026-11-20T10:00:00 EndTime=Unknown Deadline=N/A", None),
        ("slurm_load_jobs error: Invalid job id specified", None),
    ],
)
def test_older_slurms_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str, end: str | None
) -> None:
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setenv("PATH", fake_scontrol(tmp_path, text))
    with caplog.at_level("WARNING", logger="tidemill"):
        found = end_of_job()
    assert found == (datetime.fromisoformat(end).timestamp() if end else None)
    assert ("does not say when job 42 ends" in caplog.text) is (end is None)


@pytest.mark.parametrize(
    ("stop_minutes", "length", "stops_at"),
    [(5.0, 86_400.0, 86_100.0), (5.0, 600.0, 540.0), (0.0, 600.0, 600.0), (20.0, 900.0, 810.0)],
)
def test_it_stops_in_time_and_a_short_job_does_most_of_its_work(
    stop_minutes: float, length: float, stops_at: float
) -> None:
    now = [1000.0]
    with StopRequests(stop_minutes, 1000.0 + length, lambda: now[0]) as stop:
        now[0] = 1000.0 + stops_at - 1
        assert stop.reason is None
        now[0] = 1000.0 + stops_at
        assert stop.reason == "the job's time is nearly over"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signals_are_noted_and_the_handlers_given_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopRequests(5.0, None) as stop:
        assert stop.reason is None
        os.kill(os.getpid(), number)
        assert stop.reason == f"{number.name} came"
    assert signal.getsignal(number) == before


def test_a_process_without_gpus_is_alone_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with ranks_of_job(0) as ranks:
        assert (ranks.rank, ranks.world, ranks.device.type, ranks.first) == (0, 1, "cpu", True)
        assert ranks.any_of(True, False) == (True, False)
        assert ranks.gather("x") == ["x"]


def test_gpus_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="2 GPUs were asked for"), ranks_of_job(2):
        pass


def test_buckets_hold_every_tensor_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.lib.training.distributed.BUCKET", 100)
    tensors = [torch.zeros(size, dtype=kind) for size, kind in [(5, torch.float32), (30, torch.float32)] * 3]
    tensors.insert(3, torch.zeros(4, dtype=torch.bfloat16))
    groups = list(buckets(tensors))
    assert [tensor for group in groups for tensor in group] == tensors or sum(map(len, groups)) == len(tensors)
    assert all(first is second for first, second in zip((t for g in groups for t in g), tensors, strict=True))
    assert all(len({tensor.dtype for tensor in group}) == 1 for group in groups)
    assert len(groups) > 3
