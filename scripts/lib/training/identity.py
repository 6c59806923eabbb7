"""What the state of a training depends on: code, settings and data. Checkpoints of another identity are never used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from scripts.lib.code import closure, digest
from scripts.lib.errors import InputError
from scripts.lib.progress import Progress
from scripts.lib.settings import Settings

CHUNK = 1 << 24  # bytes


def identity_of(program: str, settings: Settings, data: Sequence[Path]) -> dict[str, Any]:
    """Identity of a training as JSON values.

    Args:
        program: its module; the code of all modules that this imports counts.
        settings: the stage's settings; blocks named `run` (how, not what) are left out.
        data: files whose content counts.

    Raises:
        InputError: a file cannot be read.
    """
    return {
        "program": program,
        "code": code_digest(program),
        "settings": what_is_computed(settings.model_dump(mode="json")),
        "data": data_digests(data),
    }


def versions(*packages: str) -> dict[str, str]:
    """Versions of the packages that compute a training, without the build they are of (CPU or CUDA)."""
    return {package: metadata.version(package).partition("+")[0] for package in packages}


def code_digest(program: str) -> str:
    """One digest over a program's modules (scripts/lib/code.py says what counts in them)."""
    lines = [f"{path.name} {digest(path)}" for path in sorted(closure(program))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def what_is_computed(settings: Any) -> Any:
    """Settings without what only says how they are carried out (`run` blocks, at any depth)."""
    if isinstance(settings, dict):
        return {key: what_is_computed(value) for key, value in settings.items() if key != "run"}
    return settings


def data_digests(paths: Sequence[Path]) -> dict[str, str]:
    """sha256 of each file, by its name; the whole content counts, whatever its size."""
    if not paths:
        return {}
    total = sum(size_of(path) for path in paths)
    with Progress("hash", total, "B") as progress:
        return {f"{number} {path.name}": _hash(path, progress) for number, path in enumerate(paths)}


def size_of(path: Path) -> int:
    """Size of a file in bytes.

    Raises:
        InputError: it is not there.
    """
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def _hash(path: Path, progress: Progress) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            state.update(chunk)
            progress.advance(len(chunk))
    return state.hexdigest()


def keyed_folder(root: Path, identity: Mapping[str, Any]) -> Path:
    """The folder of a training below `root`: named by 16 hex digits over its identity, which key.json in it shows."""
    text = json.dumps(identity, indent=1, sort_keys=True) + "\n"
    folder = root / hashlib.sha256(text.encode()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot write there: {error.strerror}") from None
    return folder
