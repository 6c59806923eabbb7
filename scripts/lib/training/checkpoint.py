"""Checkpoints on the disk: whole or not there, one writer at a time, the damaged ones passed over.

    with CheckpointStore(folder, keep=2) as store:          # InputError if another job holds the folder
        found = store.newest()                              # None, or the newest whole checkpoint
        store.save(step, write, info)                       # write(folder) makes the files

    folder/lock                  held while the store is open; says who holds it
    folder/key.json              what the folder's name is a digest of
    folder/step-000000120/       files of `write`, and manifest.json with their sizes and sha256, and the folder's name:
                                 a checkpoint put there from another training is not taken for one of this

Nothing here knows PyTorch: a line with another kind of training keeps its state with it too.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.lib.outputs import MARK, atomic, remove

MANIFEST = "manifest.json"
PREFIX = "step-"


class Damaged(Exception):
    """A checkpoint whose files are not as they were written; the message says which."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files were found to be as they were written."""

    step: int
    folder: Path
    info: Mapping[str, Any]
    """JSON values that were saved with it."""


class CheckpointStore:
    """The checkpoints of one training.

    Args:
        folder: their folder, as of `keyed_folder` (identity.py); made where it is not there.
        keep: newest checkpoints kept.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep
        self._lock: IO[str] | None = None

    def __enter__(self) -> CheckpointStore:
        """Take the lock.

        Raises:
            InputError: another process holds it; the line names it.
        """
        self._lock = lock(self.folder / "lock")
        for left in self.folder.glob(f".{PREFIX}*{MARK}*"):  # of a writer that was killed: only one holds the lock
            remove(left)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._lock:
            self._lock.close()  # which frees it, as any death of this process would
            self._lock = None

    def save(self, step: int, write: Callable[[Path], None], info: Mapping[str, Any], needs: int | None = None) -> None:
        """Write a checkpoint, then remove all but the `keep` newest and those that they need.

        Args:
            step: its number; one of the same number is replaced.
            write: writes files into the empty folder it is given.
            info: JSON values to store with it.
            needs: a step whose checkpoint stays as long as this one (the best so far).
        """
        with atomic({"checkpoint": self._path(step)}, frozenset({"checkpoint"})) as temporary:
            folder = temporary["checkpoint"]
            write(folder)
            manifest = {"of": self.folder.name, "step": step, "info": info, "needs": needs}
            manifest["files"] = describe_files(folder)
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        self._prune()

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint; damaged ones are named in a warning and removed."""
        for step in reversed(self.steps()):
            try:
                return read_checkpoint(self._path(step))
            except Damaged as error:
                log.warning("checkpoint passed over and removed: %s", error)
                remove(self._path(step))
        return None

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of a step.

        Raises:
            InputError: it is damaged or not there.
        """
        try:
            return read_checkpoint(self._path(step))
        except Damaged as error:
            raise InputError(f"{error}; remove {self.folder} to begin afresh") from None

    def steps(self) -> list[int]:
        """Steps of the checkpoints, oldest first."""
        names = [path.name.removeprefix(PREFIX) for path in self.folder.glob(f"{PREFIX}*")]
        return sorted(int(name) for name in names if name.isdigit())

    def _path(self, step: int) -> Path:
        return self.folder / f"{PREFIX}{step:09d}"

    def _prune(self) -> None:
        steps = self.steps()
        needed = {self._needs(step) for step in steps[-self.keep :]}
        for step in steps[: -self.keep]:
            if step not in needed:
                remove(self._path(step))

    def _needs(self, step: int) -> int | None:
        """The step that a checkpoint needs; None: none, or its manifest cannot be read (`newest` will say so)."""
        try:
            found: int | None = json.loads((self._path(step) / MANIFEST).read_text(encoding="utf-8"))["needs"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found


def lock(path: Path) -> IO[str]:
    """Hold an exclusive lock on a file as long as what is returned stays open (the kernel frees it on any death).

    Raises:
        InputError: another process holds it, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path.parent}: cannot write there: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.seek(0)
        holder = handle.read().strip() or "an unknown process"
        handle.close()
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise InputError(f"{path.parent}: another copy of this job is at work there: {holder}") from None
        raise InputError(f"{path}: cannot be locked: {error.strerror}") from None
    handle.truncate(0)
    job = os.environ.get("SLURM_JOB_ID", "-")
    handle.write(f"host={socket.gethostname()} pid={os.getpid()} slurm_job={job}\n")
    handle.flush()
    return handle


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and sha256 of each file of a checkpoint."""
    files = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    return {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files}


def sha256(path: Path) -> str:
    """Digest of a file, which is read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read the manifest of a checkpoint and compare its files with it.

    Raises:
        Damaged: a file is missing, or is not as it was written, or the checkpoint is of another training.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        of, step, info, files = (manifest[key] for key in ("of", "step", "info", "files"))
    except (FileNotFoundError, NotADirectoryError):
        raise Damaged(f"{folder / MANIFEST}: not there") from None
    except (ValueError, KeyError, TypeError):
        raise Damaged(f"{folder / MANIFEST}: not as it was written") from None
    if of != folder.parent.name:
        raise Damaged(f"{folder}: of another training, {of}")
    for name, said in files.items():
        _compare(folder / name, said)
    return Checkpoint(step, folder, info)


def _compare(path: Path, said: Mapping[str, Any]) -> None:
    if not path.is_file():
        raise Damaged(f"{path}: not there")
    if path.stat().st_size != said["bytes"]:
        raise Damaged(f"{path}: {path.stat().st_size} bytes, not {said['bytes']}")
    if sha256(path) != said["sha256"]:
        raise Damaged(f"{path}: its content has changed")
