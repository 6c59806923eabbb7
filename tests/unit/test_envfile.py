"""Reading of the environment files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scripts.lib.envfile import EnvFileError, read_env
from tests.conftest import ROOT

PLAIN = """\
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python =3.11
  - pip
  - samtools =1.2
  - pip:
      - numpy==2.4.6
      - rich[extra]==13.9.4
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "env.yaml"
    path.write_text(text)
    return path


def test_python_conda_and_pip_entries_are_told_apart(tmp_path: Path) -> None:
    env = read_env(write(tmp_path, PLAIN))
    assert (env.python, env.conda, env.pip) == ("3.11", ("samtools =1.2",), ("numpy==2.4.6", "rich[extra]==13.9.4"))


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_env_reads_as_a_yaml_parser_reads_it(path: Path) -> None:
    *packages, pip = yaml.safe_load(path.read_text())["dependencies"]
    env = read_env(path)
    assert [f"python ={env.python}", "pip", *env.conda] == packages
    assert list(env.pip) == pip["pip"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("channels:", "# pins of a test\nchannels:"),
        ("numpy==2.4.6", "numpy==2.4.6     # arrays"),
        ("numpy==2.4.6", '"numpy==2.4.6"'),
        ("  - conda-forge\n", ""),
        ("  - pip\n", "\n  - pip\n"),
        (
            "      - numpy==2.4.6\n      - rich[extra]==13.9.4\n",
            "      - rich[extra]==13.9.4\n      - numpy==2.4.6\n",
        ),
    ],
    ids=["comment line", "comment", "quotes", "channel", "blank line", "order"],
)
def test_digest_ignores_what_installs_nothing(tmp_path: Path, old: str, new: str) -> None:
    assert old in PLAIN
    before = read_env(write(tmp_path, PLAIN)).digest
    assert read_env(write(tmp_path, PLAIN.replace(old, new))).digest == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("2.4.6", "2.4.7"), ("=3.11", "=3.12"), ("=1.2", "=1.3"), ("[extra]", ""), ("      - numpy==2.4.6\n", "")],
    ids=["pip pin", "python", "conda pin", "extra", "package gone"],
)
def test_digest_changes_with_what_is_installed(tmp_path: Path, old: str, new: str) -> None:
    before = read_env(write(tmp_path, PLAIN)).digest
    assert read_env(write(tmp_path, PLAIN.replace(old, new))).digest != before


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("numpy==2.4.6", "numpy", "pip package 'numpy' is not pinned as name==version"),
        ("numpy==2.4.6", "numpy>=2", "pip package 'numpy>=2' is not pinned as name==version"),
        ("  - python =3.11\n", "", "dependencies must name python once"),
        ("python =3.11", "python >=3.11", "dependencies must name python once"),
        ("  - pip\n", "  - python =3.12\n", "dependencies must name python once"),
        ("channels:", "prefix: /opt", "line 1: cannot read 'prefix: /opt'"),
        ("  - samtools", "  samtools", "line 7: cannot read 'samtools =1.2'"),
    ],
)
def test_bad_file_is_one_line_naming_file_and_reason(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = write(tmp_path, PLAIN.replace(old, new))
    with pytest.raises(EnvFileError) as error:
        read_env(path)
    assert str(error.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(error.value)


def test_missing_file_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(EnvFileError, match=r"gone\.yaml: No such file"):
        read_env(tmp_path / "gone.yaml")
