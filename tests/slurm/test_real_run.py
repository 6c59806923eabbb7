"""The real workflow with the real profile on a real Slurm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.slurm.conftest import HeadRun, accounting

CONFIG = ("config/demo.yaml", "tests/slurm/config.yaml")
# books, features and GPU checks: what is trained on them costs minutes, and asks Slurm for nothing else
TARGETS = (
    "results/orderbook/summary.csv",
    "results/orderbook/simulated/plots/20240101.svg",
    "results/orderbook/simulated/exploration/statistics.csv",
    "preflight",
)


@pytest.fixture(scope="module")
def finished(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a run of the order-book line up to its features, and of the GPU checks."""
    directory = tmp_path_factory.mktemp("run")
    run = HeadRun(directory, "--profile", "slurm", "--configfile", *CONFIG, "--", *TARGETS)
    assert run.wait(400) == 0, run.text()
    return directory


def megabytes(requested: str) -> int:
    """sacct's ReqMem, "64000M" or "62.50G" of 1024 M, in M."""
    return round(float(requested[:-1]) * {"M": 1, "G": 1024}[requested[-1]])


def test_gpu_jobs_get_their_model_number_partition_time_and_memory(finished: Path) -> None:
    fields = "Partition,NodeList,State,TimelimitRaw,ReqMem,NNodes,AllocTRES"
    (pair,) = accounting(fields, "rule_check_gpus_pair")
    node, *_ = accounting(fields, "rule_check_gpus_node")
    assert [*pair[:4], megabytes(pair[4]), pair[5]] == ["a100", "a1", "COMPLETED", "15", 64_000, "1"]
    assert [*node[:4], megabytes(node[4]), node[5]] == ["h100", node[1], "COMPLETED", "15", 256_000, "1"]
    assert {"gres/gpu:a100=2", "cpu=16"} <= set(pair[6].split(","))
    assert {"gres/gpu:h100=8", "cpu=64"} <= set(node[6].split(","))


@pytest.mark.parametrize(
    ("rule", "minutes", "memory_mb"),
    [("simulate_book", "120", 2_000), ("parse_book", "120", 4_000), ("plot_book", "30", 4_000)],
)
def test_cpu_jobs_go_to_the_cpu_partition_with_the_rule_s_time_and_memory(
    finished: Path, rule: str, minutes: str, memory_mb: int
) -> None:
    (row,) = accounting("Partition,State,TimelimitRaw,ReqMem,AllocTRES", f"rule_{rule}")
    assert [*row[:3], megabytes(row[3])] == ["cpu", "COMPLETED", minutes, memory_mb]
    assert "gres" not in row[4]


def test_torchrun_starts_one_process_a_gpu(finished: Path) -> None:
    for shape, gpus in (("pair", 2), ("node", 8)):
        result = json.loads((finished / "results" / "preflight" / f"{shape}.json").read_text())
        assert result["processes"] == gpus
        assert [device["rank"] for device in result["devices"]] == list(range(gpus))


def test_logs_name_the_node_and_the_slurm_job(finished: Path) -> None:
    log = (finished / "logs" / "preflight" / "check_gpus_pair.log").read_text()
    assert " host=a1 " in log
    assert "slurm_job=-" not in log


def test_a_second_run_submits_nothing(finished: Path) -> None:
    run = HeadRun(finished, "--profile", "slurm", "--configfile", *CONFIG, "--", *TARGETS)
    assert run.wait(60) == 0
    assert "Nothing to be done" in run.text()


def test_the_books_were_rebuilt(finished: Path) -> None:
    quality = json.loads((finished / "results/orderbook/simulated/quality/20240101.json").read_text())
    assert quality["gaps"] == 3  # a lost, a swapped and an impossible diff, as the demo plants them
    assert quality["best_quote_check"]["equal"] == quality["best_quote_check"]["compared"] > 0


def test_a_site_that_demands_gres_gets_as_many_processes(slurm: None, tmp_path: Path) -> None:
    """The variant that the profile's comment tells."""
    profile = tmp_path / "gres"
    profile.mkdir()
    text = (ROOT / "profiles" / "slurm" / "config.yaml").read_text()
    ours = "check_gpus_node: {slurm_partition: h100, gpu_model: h100, nodes: 1}"
    assert ours in text
    gres = 'check_gpus_node: {slurm_partition: h100, gpu: 0, gres: "gpu:h100:8"}'
    (profile / "config.yaml").write_text(text.replace(ours, gres))
    directory = tmp_path / "run"
    directory.mkdir()
    run = HeadRun(directory, "--profile", str(profile), "--configfile", *CONFIG, "--", "results/preflight/node.json")
    assert run.wait(200) == 0, run.text()
    assert json.loads((directory / "results/preflight/node.json").read_text())["processes"] == 8
    rows = accounting("WorkDir,AllocTRES", "rule_check_gpus_node")
    (mine,) = [tres for folder, tres in rows if folder == str(directory)]
    assert "gres/gpu:h100=8" in mine.split(",")
