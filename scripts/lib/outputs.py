"""Atomic outputs: a program writes to temporary names, and they get their own names only when all are complete.

Whatever kills a job, what stands under a declared name is whole: each file is flushed to the disk (fsync) before it
is renamed. Directories are treated alike.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE

from scripts.lib.errors import InputError

MARK = ".partial"


@contextmanager
def atomic(targets: dict[str, Path], directories: frozenset[str] = frozenset()) -> Iterator[dict[str, Path]]:
    """Give a temporary path for each target, and rename all of them once the block ends without an error.

    Args:
        targets: name -> final path.
        directories: the names whose target is a directory (made empty beforehand).

    Raises:
        InputError: a folder cannot be written.
        RuntimeError: the block did not write one of its outputs.
    """
    temporary = {name: temporary_path(path) for name, path in targets.items()}
    try:
        modes = {name: _prepare(path, targets[name], name in directories) for name, path in temporary.items()}
        yield temporary
        for name, path in temporary.items():
            if not path.exists():
                raise RuntimeError(f"the program did not write its output {name} ({targets[name]})")
            path.chmod(modes[name])  # some libraries write files that their owner alone may read
            flush(path)
        for name, path in temporary.items():
            replace(path, targets[name])
    finally:
        for path in temporary.values():
            remove(path)


def temporary_path(path: Path) -> Path:
    """A hidden name beside `path` that keeps its suffix (libraries choose a format by it) and is no other process'."""
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    stem = path.name.removesuffix(suffix)
    return path.with_name(f".{stem}.{socket.gethostname()}-{os.getpid()}{MARK}{suffix}")


def _prepare(path: Path, target: Path, directory: bool) -> int:
    """Make room for an output. Returns the permissions that the user's umask gives to it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        sweep(_trash(target))
        if directory:
            path.mkdir()
        else:  # a folder without write permission is told now, not after the work
            path.touch()
        mode = S_IMODE(path.stat().st_mode)
        if not directory:
            path.unlink()
    except OSError as error:
        raise InputError(f"{path.parent}: cannot write there: {error.strerror}") from None
    return mode


def sweep(path: Path) -> None:
    """Remove what killed jobs on this host left under the temporary name `path` with another process id."""
    before, _, suffix = path.name.rpartition(f"{os.getpid()}{MARK}")
    for old in path.parent.glob(f"{_escape(before)}*{MARK}{_escape(suffix)}"):
        pid = old.name.removeprefix(before).removesuffix(f"{MARK}{suffix}")
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            remove(old)


def _escape(text: str) -> str:
    return text.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")


def flush(path: Path) -> None:
    """fsync a file, or all files below a directory and the directory itself."""
    if path.is_dir():
        for child in path.iterdir():
            flush(child)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, target: Path) -> None:
    """Rename `path` to `target`, also where a non-empty directory stands there, and flush the folder."""
    if target.is_dir() and not target.is_symlink():
        trash = _trash(target)
        target.rename(trash)
        path.rename(target)
        remove(trash)
    else:
        path.replace(target)
    flush_folder(target.parent)


def _trash(target: Path) -> Path:
    """Where an old directory goes until the new one has its name."""
    return temporary_path(target.with_name(f"{target.name}.old"))


def flush_folder(folder: Path) -> None:
    """fsync a folder, so that the renames in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a directory, where it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
