"""envs/ and the stand-in for conda: shared, locked, never half-built."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lib.envfile import read_env
from tests.conftest import ROOT, clean_environment, snakemake

CONDA = ROOT / "envs" / "bin" / "conda.py"
INSTALLED_HERE = {"workflow", "data", "backtest", "fetch", "test", "train", "bench", "bench-books", "peers"}
GPU_ONLY = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml") if path.stem not in INSTALLED_HERE)


def write_env(path: Path, *pins: str) -> Path:
    lines = ["channels: [conda-forge, nodefaults]", "dependencies:", "  - python =3.11", "  - pip", "  - pip:"]
    path.write_text("\n".join([*lines, *(f"      - {pin}" for pin in pins)]) + "\n")
    return path


def create(env: Path, prefix: Path, cache: Path, conda: Path = CONDA, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(conda), "env", "create", "--quiet", "--file", str(env), "--prefix", str(prefix)]
    return subprocess.Popen(
        command,
        env=clean_environment(XDG_CACHE_HOME=str(cache), **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, error = process.communicate(timeout=300)
    return process.returncode, out + error


def environments(cache: Path) -> list[Path]:
    """Folders of environments in a cache, finished or not; uv's own is left out."""
    root = cache / "tidemill" / "envs"
    return [path for path in root.glob("*") if path.is_dir() and not path.name.startswith("uv-")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty user cache, as on a fresh machine."""
    return tmp_path_factory.mktemp("cache")


def test_a_fresh_machine_builds_and_the_next_clone_only_links(cache: Path, tmp_path: Path) -> None:
    env = write_env(tmp_path / "small.yaml", "six==1.17.0")
    code, text = finish(create(env, tmp_path / "one", cache))
    assert code == 0, text
    assert "building small" in text
    python = tmp_path / "one" / "bin" / "python"
    version = subprocess.run([python, "-c", "import six; print(six.__version__)"], capture_output=True, text=True)
    assert version.stdout.strip() == "1.17.0"
    # the same pins in another order of lines, with comments, under another name
    again = tmp_path / "renamed.yaml"
    again.write_text("# a comment\n" + env.read_text())
    code, text = finish(create(again, tmp_path / "two", cache))
    assert (code, text) == (0, "")
    assert (tmp_path / "one").resolve() == (tmp_path / "two").resolve()


def test_two_clones_at_once_build_one_environment(cache: Path, tmp_path: Path) -> None:
    env = write_env(tmp_path / "pair.yaml", "six==1.16.0", "idna==3.20")
    before = set(environments(cache))
    results = [finish(process) for process in [create(env, tmp_path / name, cache) for name in ("one", "two")]]
    assert [code for code, _ in results] == [0, 0], results
    assert sum("building pair" in text for _, text in results) == 1
    assert len(set(environments(cache)) - before) == 1
    assert (tmp_path / "one").resolve() == (tmp_path / "two").resolve()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_creation_leaves_nothing_that_would_be_used(
    cache: Path, tmp_path: Path, number: signal.Signals
) -> None:
    env = write_env(tmp_path / "cut.yaml", "six==1.15.0", f"idna==3.{number.value}")
    before = set(environments(cache))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an index that never answers: the build cannot end
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        process = create(env, tmp_path / "prefix", cache, UV_DEFAULT_INDEX=index, UV_INDEX="")
        asked, _ = silent.accept()
        assert len(set(environments(cache)) - before) == 1, "the build is under way"
        os.killpg(process.pid, number)
        finish(process)
        asked.close()
    assert not (tmp_path / "prefix").exists()
    left = set(environments(cache)) - before
    assert not [path for path in left if (path / ".tidemill-done").exists()]
    if number == signal.SIGINT:
        assert not left
    code, text = finish(create(env, tmp_path / "prefix", cache))
    assert code == 0, text
    assert "building cut" in text
    check = [str(tmp_path / "prefix" / "bin" / "python"), "-c", "import six, idna"]
    assert subprocess.run(check).returncode == 0


def test_an_unsolvable_pin_is_named_and_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    env = write_env(tmp_path / "wrong.yaml", "six==1.17.0", "idna==999.0")
    before = set(environments(cache))
    code, text = finish(create(env, tmp_path / "prefix", cache))
    assert code == 1
    assert "wrong.yaml" in text
    assert "idna==999.0" in text
    assert set(environments(cache)) == before
    assert not (tmp_path / "prefix").exists()


def test_snakemake_shows_why_an_environment_could_not_be_built(clone: Path) -> None:
    env = clone / "envs" / "data.yaml"
    env.write_text(env.read_text().replace("orjson==3.13.0", "orjson==999.0"))
    done = snakemake("--profile", "local", "--", "results/orderbook/summary.csv", cwd=clone)
    assert done.returncode != 0
    assert "orjson==999.0" in done.stdout + done.stderr
    assert not list((clone / ".snakemake" / "conda").glob("*/"))
    assert not (clone / "results").exists()


def test_a_fresh_clone_rebuilds_nothing_that_is_known(clone: Path) -> None:
    def marks() -> set[int]:
        links = [path for path in (clone / ".snakemake" / "conda").iterdir() if path.is_symlink()]
        return {(link.resolve() / ".tidemill-done").stat().st_mtime_ns for link in links}

    first = snakemake("--profile", "local", "--conda-create-envs-only", cwd=clone)
    assert first.returncode == 0, first.stderr
    built = marks()
    assert built
    shutil.rmtree(clone / ".snakemake")
    done = snakemake("--profile", "local", "--conda-create-envs-only", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert marks() == built, "an environment was built again"


def test_the_stand_in_answers_what_snakemake_asks() -> None:
    def ask(*arguments: str) -> str:
        return subprocess.run([sys.executable, CONDA, *arguments], capture_output=True, text=True, check=True).stdout

    info = json.loads(ask("info", "--json"))
    assert Path(info["conda_prefix"], "bin", "activate").is_file()
    assert ask("--version").startswith("conda 24.7.1")
    assert json.loads(ask("config", "--get", "channel_priority", "--json")) == {"get": {"channel_priority": "strict"}}
    assert ask("clean", "-y", "--tarballs") == ""


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("dependencies:\n  - python =3.11\n  - pip:\n      - numpy\n", "'numpy' is not pinned"),
        ("dependencies:\n  - python =3.11\n  - pip:\n      - numpy>=2\n", "'numpy>=2' is not pinned"),
        ("dependencies:\n  - pip:\n      - numpy==2.0\n", "name python once"),
        ("dependencies:\n  - python =3.11\n  - nodejs =20\n", "nodejs"),
        ("dependencies:\n  - python =9.99\n", "python9.99"),
        ("dependencies: {a: b\n", "cannot read|name python once"),
    ],
)
def test_a_bad_environment_file_is_named(tmp_path: Path, content: str, named: str) -> None:
    env = tmp_path / "bad.yaml"
    env.write_text(content)
    code, text = finish(create(env, tmp_path / "prefix", tmp_path / "cache"))
    assert code == 1
    assert "bad.yaml" in text
    assert any(part in text for part in named.split("|"))
    assert "Traceback" not in text


def test_what_is_no_environment_is_not_overwritten(cache: Path, tmp_path: Path) -> None:
    env = write_env(tmp_path / "small.yaml", "six==1.17.0")
    precious = tmp_path / "prefix" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("mine")
    code, text = finish(create(env, precious.parent, cache))
    assert code == 1
    assert "not touched" in text
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_environment_file_is_read_alike_by_conda_s_yaml(path: Path) -> None:
    """Oracle: PyYAML on the same file."""
    import yaml

    loaded = yaml.safe_load(path.read_text())
    pip = next(entry["pip"] for entry in loaded["dependencies"] if isinstance(entry, dict))
    assert read_env(path).pip == tuple(pip)
    assert loaded["channels"] == ["conda-forge", "nodefaults"]
    assert all("==" in pin for pin in pip)


@pytest.mark.parametrize("name", GPU_ONLY)
def test_gpu_only_environments_resolve_for_linux(name: str, tmp_path: Path) -> None:
    """Resolved, not installed: they hold gigabytes and are compiled against CUDA."""
    env = read_env(ROOT / "envs" / f"{name}.yaml")
    (tmp_path / "pins.in").write_text("\n".join(env.pip))
    uv = [str(ROOT / ".venv" / "bin" / "uv"), "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    target = ["--python-version", env.python, "--python-platform", "x86_64-manylinux_2_28"]
    settings = {"SSL_CERT_FILE": os.environ["PIP_CERT"]} if "PIP_CERT" in os.environ else {}
    done = subprocess.run(
        [*uv, *target, "pins.in"], cwd=tmp_path, env=clean_environment(**settings), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    resolved = {line.strip() for line in done.stdout.splitlines() if "==" in line}
    pinned = {pin.replace("[pytorch]", "") for pin in env.pip}
    assert {pin.replace("[pytorch]", "") for pin in resolved} == pinned, "something is not pinned"


def test_there_is_a_gpu_only_environment() -> None:
    assert "transformer-engine" in GPU_ONLY
