"""test_inference, export_encoder and analyse_training, on an encoder with random weights."""

from __future__ import annotations

import csv
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scripts.lib.devices import choose_device
from scripts.lib.errors import InputError
from scripts.orderbook import export_encoder, test_inference
from scripts.orderbook.analyse_training import main as analyse
from scripts.orderbook.encoder.config import config_of, write_config
from scripts.orderbook.encoder.latency import Place, latency_figures, places, quantile_bounds, time_calls
from scripts.orderbook.encoder.model import Encoder, load_encoder, new_encoder, save_weights
from scripts.orderbook.encoder.settings import ExportSettings, InferenceSettings
from scripts.orderbook.export_encoder import example_windows, read_program, read_script, refuse_differences
from tests.conftest import ROOT
from tests.unit.window_folder import WindowFolder, write_windows

FILLS = ("neighbours", "token")


def make_encoder(folder: Path, fill: Any = "neighbours") -> Encoder:
    """Write model.safetensors and encoder.json of an encoder in which every weight matters."""
    encoder = new_encoder(config_of("toy", 16, 16, fill, 0.0), 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / "model.safetensors", encoder)
    write_config(folder / "encoder.json", encoder.config)
    return load_encoder(folder)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> WindowFolder:
    return write_windows(tmp_path_factory.mktemp("windows"))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


# ------------------------------------------------------------------------------------------------------- inference


def infer(windows: WindowFolder, folder: Path, **changes: Any) -> Path:
    settings = InferenceSettings(repeats=20, warm_up=1, mask_span=4, **changes)
    test_inference.main(
        folder / "model.safetensors", folder / "encoder.json", windows.test, windows.table, windows.scaling,
        folder / "latency.csv", folder / "latency.html", folder / "levels.csv", folder / "conditions.csv",
        folder / "levels.svg", 0, "toy", settings,
    )  # fmt: skip
    return folder


def test_inference_measures_each_batch_and_each_level(windows: WindowFolder, tmp_path: Path) -> None:
    make_encoder(tmp_path)
    infer(windows, tmp_path, batches=[1, 32])
    latency = read_csv(tmp_path / "latency.csv")
    assert [(row["device"], row["precision"], row["batch"]) for row in latency] == [
        ("cpu", "fp32", "1"), ("cpu", "fp32", "32"),
    ]  # fmt: skip
    for row in latency:
        assert 0 < float(row["p50_ms"]) <= float(row["p99_ms"])
        assert float(row["windows_per_s"]) == pytest.approx(1e3 * int(row["batch"]) / float(row["p50_ms"]), rel=1e-4)
    levels, conditions = read_csv(tmp_path / "levels.csv"), read_csv(tmp_path / "conditions.csv")
    assert len(levels) == 3 * 2 * 4 * 3
    assert len(conditions) == 3 * 3 * 3
    hidden = sum(int(row["entries"]) for row in levels if (row["mode"], row["method"]) == ("level", "model"))
    assert hidden == int(next(row for row in conditions if row["mode"] == "level")["entries"])
    assert "<svg" in (tmp_path / "levels.svg").read_text()


def test_inference_refuses_windows_of_another_encoder(windows: WindowFolder, tmp_path: Path) -> None:
    make_encoder(tmp_path)
    other = write_windows(tmp_path / "other", levels=8)
    with pytest.raises(InputError, match="windows of 16 states x 32 features"):
        infer(other, tmp_path)
    shutil.copy(windows.test, other.test)
    with pytest.raises(InputError, match="scales 32 features, but the encoder takes 16"):
        infer(other, tmp_path)


@pytest.mark.parametrize(("count", "quantile"), [(10, 0.5), (50, 0.5), (200, 0.5), (200, 0.99), (1_000, 0.99)])
def test_bounds_of_quantiles_cover_at_least_95_percent_and_not_much_more(count: int, quantile: float) -> None:
    """Oracle: exact binomial sums."""
    low, high = quantile_bounds(count, quantile)
    chance = [math.comb(count, k) * quantile**k * (1 - quantile) ** (count - k) for k in range(count + 1)]
    # the quantile lies between the order statistics (from 0) low and high if low < number below <= high
    inside = sum(chance[k] for k in range(low + 1, min(high, count) + 1))
    assert inside >= 0.95 - 1e-9
    narrower = sum(chance[k] for k in range(low + 2, min(high, count)))
    assert narrower < 0.95


def test_latencies_are_of_the_calls_alone() -> None:
    calls: list[int] = []

    class Counting(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(len(x))
            assert not torch.is_grad_enabled()
            return x

    seconds = time_calls(Counting(), torch.zeros(3, 2), Place(torch.device("cpu"), "fp32"), 12, 5)
    assert (len(calls), seconds.shape) == (17, (12,))
    assert (seconds > 0).all()
    figures = latency_figures(np.arange(1, 101) / 1e3, 4)
    assert figures["p50_ms"] == pytest.approx(50.5)
    assert math.isnan(figures["p99_high"]), "100 calls say nothing of what lies above their 99th"


def test_a_gpu_is_timed_only_where_the_rule_asks_for_one() -> None:
    assert [(place.device.type, place.precision) for place in places(0)] == [("cpu", "fp32")]
    assert [(place.device.type, place.precision) for place in places(1)] == [
        ("cpu", "fp32"), ("cuda", "fp32"), ("cuda", "bf16"),
    ]  # fmt: skip
    with pytest.raises(InputError, match="asked for"):
        choose_device(64)


# ---------------------------------------------------------------------------------------------------------- export


def export(windows: WindowFolder, folder: Path, **changes: Any) -> dict[str, Any]:
    export_encoder.main(
        folder / "model.safetensors", folder / "encoder.json", windows.test, folder / "encoder.pt",
        folder / "encoder.pt2", folder / "parity.json", ExportSettings(**changes),
    )  # fmt: skip
    report: dict[str, Any] = json.loads((folder / "parity.json").read_text())
    return report


@pytest.mark.parametrize("fill", FILLS)
def test_both_exports_equal_the_encoder(windows: WindowFolder, tmp_path: Path, fill: str) -> None:
    encoder = make_encoder(tmp_path, fill)
    report = export(windows, tmp_path)
    assert set(report["largest_relative_difference"]) == {"torchscript", "torch_export"}
    inputs = example_windows(windows.test, encoder, 16)
    assert inputs.isnan().any()
    for program in (read_script(tmp_path / "encoder.pt"), read_program(tmp_path / "encoder.pt2")):
        for batch in (1, 5, 16):
            filled, known = program(inputs[:batch])
            torch.testing.assert_close(filled, encoder(inputs[:batch]), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(known, encoder.encode(inputs[:batch]), rtol=1e-5, atol=1e-5)


def test_the_torchscript_module_is_bound_to_no_device(windows: WindowFolder, tmp_path: Path) -> None:
    make_encoder(tmp_path)
    export(windows, tmp_path)
    module: Any = read_script(tmp_path / "encoder.pt")
    assert 'Device = prim::Constant[value="' not in str(module.inlined_graph)
    moved = {name for name, _ in [*module.named_parameters(), *module.named_buffers()]}
    expected = {f"encoder.{name}" for name in load_encoder(tmp_path).state_dict()}
    assert moved == expected | {"encoder.cosine", "encoder.sine"}, "weights and tables move with the module"


def test_an_export_that_differs_is_refused() -> None:
    found = {"torchscript": {"a": 1e-6}, "torch_export": {"a": 0.0, "b": 2e-5}}
    refuse_differences(found, 1e-4)
    with pytest.raises(InputError, match="torch_export: b differs by 2e-05 from the encoder's; tolerance is 1e-05"):
        refuse_differences(found, 1e-5)
    with pytest.raises(InputError):
        refuse_differences({"torchscript": {"a": float("nan")}}, 1e-5)
    assert export_encoder.relative_difference(torch.tensor([1.0, math.nan]), torch.zeros(2)) == math.inf


@pytest.fixture(scope="module")
def cpp_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """resources/cpp built against this environment's PyTorch, by CMake as its comment says."""
    if not shutil.which("cmake") or not shutil.which("c++"):
        pytest.skip("no cmake or no C++ compiler on this machine")
    folder = tmp_path_factory.mktemp("cpp")
    prefix = f"-DCMAKE_PREFIX_PATH={torch.utils.cmake_prefix_path}"
    for command in (["cmake", "-S", str(ROOT / "resources" / "cpp"), "-B", str(folder), prefix],
                    ["cmake", "--build", str(folder)]):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "encoder_example"


def run_cpp(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("fill", FILLS)
def test_a_c_plus_plus_program_gets_the_same_numbers(
    windows: WindowFolder, cpp_program: Path, tmp_path: Path, fill: str
) -> None:
    encoder = make_encoder(tmp_path, fill)
    export(windows, tmp_path)
    inputs = example_windows(windows.test, encoder, 7)
    inputs.numpy().tofile(tmp_path / "windows.f32")
    outputs = [tmp_path / "filled.f32", tmp_path / "known.f32"]
    done = run_cpp(cpp_program, tmp_path / "encoder.pt", tmp_path / "windows.f32", "16", "16", *outputs)
    assert done.returncode == 0, done.stderr
    filled, known = (torch.from_numpy(np.fromfile(path, np.float32)).reshape(7, 16, -1) for path in outputs)
    torch.testing.assert_close(filled, encoder(inputs), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(known, encoder.encode(inputs), rtol=1e-5, atol=1e-5)


def test_the_c_plus_plus_program_refuses_what_it_cannot_use(cpp_program: Path, tmp_path: Path) -> None:
    (tmp_path / "windows.f32").write_bytes(bytes(4 * 100))
    (tmp_path / "no.pt").write_bytes(b"no module")
    paths = (tmp_path / "a", tmp_path / "b")
    for arguments, named in (
        ((), "usage"),
        (("no.pt", tmp_path / "missing", "16", "16", *paths), "missing: cannot read it"),
        (("no.pt", tmp_path / "windows.f32", "16", "16", *paths), "100 numbers are no windows of 16 x 16"),
        ((tmp_path / "no.pt", tmp_path / "windows.f32", "10", "10", *paths), "encoder_example: "),
    ):
        done = run_cpp(cpp_program, *arguments)
        assert done.returncode == 2
        assert named in done.stderr
    assert not paths[0].exists()


# --------------------------------------------------------------------------------------------------------- training


def write_history(path: Path, factor: float = 1.0, starts: int = 1) -> Path:
    """The metrics of a training of six steps, two of them validated."""
    start = {"kind": "start", "parameters": 10, "precision": "fp32", "device": "cpu", "processes": 1, "steps": 6}
    records: list[dict[str, Any]] = [start | {"step": 0, "samples": 0}] * starts
    for step in range(1, 7):
        records.append({
            "kind": "train", "step": step, "samples": 8 * step, "loss": factor / step, "learning_rate": 1e-3,
            "gradient_norm": float(step), "samples_per_s": 100.0 + step, "mfu": None,
        })  # fmt: skip
        if step % 3 == 0:
            records.append({"kind": "validation", "step": step, "samples": 8 * step, "loss": factor * (7 - step),
                            "copy_last": 9.0, "best": 1.0})  # fmt: skip
    records += [{"kind": "event", "step": 2, "event": "out_of_memory"}, {"kind": "end", "step": 6, "reason": "all"}]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_trainings_stand_side_by_side(tmp_path: Path) -> None:
    histories = [write_history(tmp_path / "a.jsonl"), write_history(tmp_path / "b.jsonl", 2.0, starts=3)]
    analyse(histories, ["one", "two"], tmp_path / "curves.svg", tmp_path / "table.csv")
    one, two = read_csv(tmp_path / "table.csv")
    assert (one["run"], one["starts"], two["starts"]) == ("one", "1", "3")
    assert (one["best_step"], one["validation_loss"], two["validation_loss"]) == ("6", "1", "2")
    assert (one["copy_last_loss"], one["largest_gradient_norm"], one["gradient_norm"]) == ("9", "6", "3.5")
    assert (one["samples_per_s"], one["mfu"], one["out_of_memory"], one["ended"]) == ("103.5", "", "1", "all")
    svg = (tmp_path / "curves.svg").read_text()
    assert all(text in svg for text in ("one: copy last", "two", "learning rate", "gradient norm", "samples/s"))


@pytest.mark.parametrize(
    ("content", "named"),
    [("", "no training's metrics"), ('{"kind": "start", "step": 0}\n', "no training's metrics"),
     ("{}\n", "no training's metrics"), ("x\n", "line 1: no record of a training")],
)  # fmt: skip
def test_files_that_hold_no_training_are_named(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "bad.jsonl").write_text(content)
    with pytest.raises(InputError, match=f"bad.jsonl: {named}"):
        analyse([tmp_path / "bad.jsonl"], ["one"], tmp_path / "c.svg", tmp_path / "t.csv")


def test_every_training_needs_a_name_of_its_own(tmp_path: Path) -> None:
    history = write_history(tmp_path / "a.jsonl")
    for names, named in ((["one"], "1 names for 2 files"), (["one", "one"], "given twice")):
        with pytest.raises(InputError, match=named):
            analyse([history, history], names, tmp_path / "c.svg", tmp_path / "t.csv")


def test_analysing_needs_no_pytorch() -> None:
    code = "import sys, scripts.orderbook.analyse_training; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
