"""The files that are judged and promoted: their names, their digests, and the name of them all together."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.lib.errors import InputError
from scripts.lib.training.identity import data_digests


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by the names that they are promoted under: their paths below the folder that they share.

    Raises:
        InputError: a path is no file, or is given twice.
    """
    folder = os.path.commonpath([path.absolute().parent for path in paths])
    found = {os.path.relpath(path.absolute(), folder): path for path in paths}
    if len(found) < len(paths):
        raise InputError("--artifacts: a file is given twice")
    for path in paths:
        if not path.is_file():
            raise InputError(f"--artifacts: not a file: {path}")
    return found


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """sha256 of each file."""
    return dict(zip(files, data_digests(list(files.values())).values(), strict=True))


def digest_of(line: str, stage: str, subject: str, files: Mapping[str, str]) -> str:
    """Name of what is promoted: 16 hex digits over whose it is and the sha256 of its files."""
    text = json.dumps([line, stage, subject, dict(files)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
