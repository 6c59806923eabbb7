"""Read the conda environment files in `envs/`: the one place where versions stand.

Standard library only, for two reasons: `envs/bin/conda` builds the very environment that holds PyYAML, and the
Snakefile, which every cluster job parses again, uses this to digest the pins of a rule's environment.
It reads the small YAML subset that an environment file needs, and refuses everything else.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

KEY = re.compile(r"^(name|channels|dependencies):\s*(.*)$")
ITEM = re.compile(r"^(?P<indent> *)- +(?P<text>.+)$")
PIN = re.compile(r"^[A-Za-z0-9._-]+(\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9.!+_-]+$")
PYTHON = re.compile(r"^python *=+ *(\d+\.\d+)$")  # a patch version is not ours to choose


class EnvFileError(ValueError):
    """An environment file that cannot be used; the message is one line naming file, line and reason."""


@dataclass(frozen=True)
class EnvFile:
    """Parsed environment file: Python version ("3.11"), conda packages and pip pins, in file order."""

    python: str
    conda: tuple[str, ...]
    pip: tuple[str, ...]

    @property
    def digest(self) -> str:
        """16 hex digits over everything that is installed; comments, order and channels do not count."""
        pins = "\n".join([f"python {self.python}", *sorted(self.conda), *sorted(self.pip)])
        return hashlib.sha256(pins.encode()).hexdigest()[:16]


def read_env(path: Path) -> EnvFile:
    """Parse an environment file.

    Raises:
        EnvFileError: the file is missing, holds YAML outside of the subset, or an unpinned pip package.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise EnvFileError(f"{path}: {error.strerror}") from None
    conda, pip = _dependencies(path, lines)
    versions = [match[1] for entry in conda if (match := PYTHON.match(entry))]
    if len(versions) != 1:
        raise EnvFileError(f"{path}: dependencies must name python once, such as 'python =3.11'")
    for pin in pip:
        if not PIN.match(pin):
            raise EnvFileError(f"{path}: pip package '{pin}' is not pinned as name==version")
    return EnvFile(versions[0], tuple(entry for entry in conda if not PYTHON.match(entry)), tuple(pip))


def _dependencies(path: Path, lines: list[str]) -> tuple[list[str], list[str]]:
    """Split the `dependencies:` list into conda entries and the nested pip list."""
    conda: list[str] = []
    pip: list[str] = []
    section = ""
    pip_indent = -1  # indentation of "- pip:"; deeper items belong to it
    for number, raw in enumerate(lines, start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        if not line or line == "---":
            continue
        if key := KEY.match(line):
            section, pip_indent = key[1], -1
        elif (item := ITEM.match(line)) and section == "dependencies":
            text = item["text"].strip("\"'")
            if text == "pip:":
                pip_indent = len(item["indent"])
            elif pip_indent >= 0 and len(item["indent"]) > pip_indent:
                pip.append(text)
            elif text != "pip":
                conda.append(text)
        elif not (item and section == "channels"):
            raise EnvFileError(f"{path}: line {number}: cannot read '{raw.strip()}'")
    return conda, pip
