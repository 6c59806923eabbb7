"""Checkpoints on the disk: whole or not there, one writer at a time, the damaged ones passed over.

    with CheckpointStore(folder, keep=2) as store:          # InputError if another job holds the folder
        found = store.newest()                              # None, or the newest whole checkpoint
        store.save(step, write, info)                       # write(folder) makes the files

    folder/lock                  held while the store is open; says who holds it
    folder/key.json              what the folder's name is a digest of
    folder/step-000000120/       files of `write`, and manifest.json with their sizes and sha256

Nothing here knows PyTorch: a line with another kind of training keeps its state with it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any


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
        folder: their folder, as of `keyed_folder`; made where it is not there.
        keep: newest checkpoints kept.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        raise NotImplementedError

    def __enter__(self) -> CheckpointStore:
        """Take the lock.

        Raises:
            InputError: another process holds it; the line names it.
        """
        raise NotImplementedError

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        raise NotImplementedError

    def save(
        self, step: int, write: Callable[[Path], None], info: Mapping[str, Any], protect: int | None = None
    ) -> None:
        """Write a checkpoint, then remove all but the `keep` newest.

        Args:
            step: its number; one of the same number is replaced.
            write: writes files into the empty folder it is given.
            info: JSON values to store with it.
            protect: a further step whose checkpoint stays (the best).
        """
        raise NotImplementedError

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint; damaged ones are named in a warning and passed over."""
        raise NotImplementedError

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of a step.

        Raises:
            InputError: it is damaged or not there.
        """
        raise NotImplementedError


def identity_of(program: str, settings: Any, data: list[Path]) -> dict[str, Any]:
    """What a training's state depends on, as JSON values: code of the program and its modules, settings (without
    `run`), content of the data files, versions of Python's and PyTorch's minor releases."""
    raise NotImplementedError


def keyed_folder(root: Path, identity: Mapping[str, Any]) -> Path:
    """The folder of a training below `root`: named by 16 hex digits over its identity."""
    raise NotImplementedError
