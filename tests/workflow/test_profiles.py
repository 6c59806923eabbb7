"""The profiles: what a misspelt name or a wrong number would do silently is caught here."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, snakemake

# Resources that the Slurm plugin 2.8.0 and Snakemake itself understand; anything else would be passed over.
KNOWN_RESOURCES = {
    "slurm_account", "slurm_partition", "slurm_extra", "runtime", "mem", "mem_mb", "mem_mb_per_cpu", "disk", "disk_mb",
    "gpu", "gpu_model", "gres", "nodes", "tasks", "tasks_per_gpu", "tasks_per_node", "cpus_per_task", "cpus_per_gpu",
    "mpi", "qos", "constraint", "clusters", "tmpdir",
}  # fmt: skip
PROFILES = ("default", "local", "slurm")
RESOURCES = re.compile(r"^rule (\w+):\n(?:    .*\n)*?(?:    threads: (\d+)\n)?    resources: (.*)$", re.MULTILINE)


def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
    return loaded


@pytest.fixture(scope="module")
def rules() -> set[str]:
    listing = snakemake("--list-rules", "--profile", "slurm")
    assert listing.returncode == 0, listing.stderr
    return set(listing.stdout.split())


@pytest.fixture(scope="module")
def jobs() -> dict[str, dict[str, str]]:
    """Resources of each rule's job, as a dry run of all targets with the slurm profile shows them."""
    done = snakemake("--profile", "slurm", "--dry-run", "--forceall", "--", "all", "orderbook", "preflight")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for rule, threads, text in RESOURCES.findall(done.stdout + done.stderr):
        found[rule] = dict(pair.split("=", 1) for pair in text.split(", ")) | {"threads": threads or "1"}
    return found


def gpu_jobs(jobs: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {rule: job for rule, job in jobs.items() if int(job.get("gpu", "0")) > 0}


@pytest.mark.parametrize("name", PROFILES)
def test_every_rule_and_resource_named_in_a_profile_exists(name: str, rules: set[str]) -> None:
    profile = read(name)
    blocks = [profile.get("default-resources", {}), *profile.get("set-resources", {}).values()]
    assert set(profile.get("set-resources", {})) <= rules
    assert set(profile.get("set-threads", {})) <= rules
    assert {key for block in blocks for key in block} <= KNOWN_RESOURCES
    assert set(profile.get("resources", {})) <= {"gpu"}


def test_each_gpu_job_gets_model_partition_one_node_memory_and_time(jobs: dict[str, dict[str, str]]) -> None:
    default = read("slurm")["default-resources"]["slurm_partition"]
    assert {job["gpu"] for job in gpu_jobs(jobs).values()} == {"1", "2", "8"}
    for rule, job in gpu_jobs(jobs).items():
        assert {"gpu_model", "slurm_partition", "nodes", "mem_mb", "runtime"} <= job.keys(), rule
        assert job["slurm_partition"] != default, rule
        assert job["nodes"] == "1", rule
        assert "gres" not in job, f"{rule}: sbatch refuses gpu and gres together"
        assert int(job["runtime"]) > 0, rule


def test_what_computes_in_fp8_gets_h100_and_eight_gpus_are_h100(jobs: dict[str, dict[str, str]]) -> None:
    """A100s come in pairs and have no FP8 (compute capability 8.0); the encoder's jobs are planned for FP8."""
    models = {(rule, job["gpu"], job["gpu_model"]) for rule, job in gpu_jobs(jobs).items()}
    assert models == {
        ("check_gpus_pair", "2", "a100"),
        ("check_gpus_node", "8", "h100"),
        ("pretrain_encoder", "2", "h100"),
        ("test_inference", "1", "h100"),
        ("train_agent", "1", "h100"),
    }


def test_the_variant_on_two_a100_is_one_line_and_takes_another_environment(clone: Path) -> None:
    """The line stands in the profile's comment, the config's beside it."""
    profile = clone / "profiles" / "slurm" / "config.yaml"
    text = profile.read_text()
    variant = re.search(r"2×A100, in BF16: +(\{.*?\})", text)
    overlay = re.search(r"^ +#   (orderbook: .*)$", text, re.MULTILINE)
    assert variant is not None
    assert overlay is not None
    profile.write_text(
        re.sub(r"^  pretrain_encoder: .*$", f"  pretrain_encoder: {variant[1]}", text, flags=re.MULTILINE)
    )
    (clone / "mine.yaml").write_text(overlay[1])
    done = snakemake("--profile", "slurm", "-n", "--configfile", "mine.yaml", cwd=clone)
    assert done.returncode == 0, done.stdout + done.stderr
    job = next(text for rule, _, text in RESOURCES.findall(done.stdout + done.stderr) if rule == "pretrain_encoder")
    assert "gpu_model=a100" in job
    assert "gpu=2" in job


def test_cpu_jobs_ask_for_no_gpu_and_go_to_the_default_partition(jobs: dict[str, dict[str, str]]) -> None:
    default = read("slurm")["default-resources"]["slurm_partition"]
    cpu = {rule: job for rule, job in jobs.items() if rule not in gpu_jobs(jobs)}
    assert {"fetch_book", "parse_book", "plot_book", "summarise_books", "extract_features"} <= cpu.keys()
    assert all(job["slurm_partition"] == default and "gpu_model" not in job for job in cpu.values())


def test_the_cap_of_gpus_is_no_smaller_than_the_largest_request(jobs: dict[str, dict[str, str]]) -> None:
    largest = max(int(job["gpu"]) for job in gpu_jobs(jobs).values())
    assert read("slurm")["resources"]["gpu"] >= largest


def test_no_rule_retries_by_itself() -> None:
    for path in [ROOT / "Snakefile", *(ROOT / "rules").rglob("*.smk")]:
        assert not re.search(r"^\s*retries\s*:", path.read_text(), re.MULTILINE), path
    assert read("slurm")["retries"] >= 1


def test_exactly_one_of_requeue_and_no_requeue_and_no_array_jobs() -> None:
    profile = read("slurm")
    assert sum(key in profile for key in ("slurm-requeue", "slurm-no-requeue")) == 1
    assert "slurm-array-jobs" not in profile


@pytest.mark.parametrize("name", PROFILES)
def test_every_key_is_commented(name: str) -> None:
    lines = (ROOT / "profiles" / name / "config.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"^[a-z]", line):
            above = [text for text in lines[:number] if text.strip() and not re.match(r"^[a-z]", text)]
            assert "#" in line or above[-1].lstrip().startswith("#"), f"{name}: {line}"


def test_no_key_stands_in_the_default_profile_and_in_another() -> None:
    for name in ("local", "slurm"):
        assert not read(name).keys() & read("default").keys()


@pytest.mark.parametrize("name", ["slurm", "local"])
def test_bare_profile_names_are_tracked_links(name: str) -> None:
    assert os.readlink(ROOT / name) == f"profiles/{name}"


def test_site_names_stand_nowhere_but_in_the_slurm_profile() -> None:
    """Partitions and GPU models are a site's; rules and config only say how much is needed."""
    for path in [ROOT / "Snakefile", *(ROOT / "rules").rglob("*.smk"), *(ROOT / "config").glob("*.yaml")]:
        text = re.sub(r"#.*", "", path.read_text())
        assert not re.search(r"partition|gpu_model|\ba100\b|\bh100\b|\bgres\b", text), path


def bare_path(tmp_path: Path) -> str:
    """A PATH with the basic tools and with neither conda nor Slurm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("bash", "sh", "env", "git", "cat", "ls", "mkdir", "rm", "uname", "hostname", "which"):
        (folder / tool).symlink_to(shutil.which(tool) or "/missing")
    assert not (folder / "python3").exists(), "a machine may have python3.11 alone"
    return str(folder)


def test_the_slurm_profile_dry_runs_without_slurm_and_conda(clone: Path, tmp_path: Path) -> None:
    done = snakemake("--profile", "slurm", "-n", cwd=clone, PATH=bare_path(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "parse_book" in done.stdout + done.stderr


def test_the_slurm_profile_dry_runs_into_another_directory(clone: Path, tmp_path: Path) -> None:
    target = tmp_path / "scratch"
    target.mkdir()
    done = snakemake("--profile", "slurm", "-n", "--directory", target, cwd=clone, PATH=bare_path(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (target / "results").exists()


def test_production_asks_for_all_parts_of_all_active_feeds(clone: Path) -> None:
    config = yaml.safe_load((clone / "config" / "config.yaml").read_text())["orderbook"]
    parts = sum(len(config["books"][feed]["parts"]) for feed in config["feeds"])
    done = snakemake("--profile", "slurm", "-n", cwd=clone)
    for rule in ("fetch_book", "parse_book"):
        assert re.search(rf"^{rule} +{parts}$", done.stdout + done.stderr, re.MULTILINE), "not whole in a fresh clone"
