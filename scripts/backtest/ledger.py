"""The trial ledger: every configuration ever run on a data set.

A Sharpe ratio chosen from many says less than one that was alone: deflated Sharpe ratio and probability of backtest
overfitting need the number of trials, and an honest number is counted, not told. The ledger is a folder that only
grows, `<ledger>/<digest of the prices>/<digest of settings and predictions>.json`: a file a trial, so that parallel
jobs on a shared file system neither lock nor overwrite one another, and a rerun of a trial is no new one.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from scripts.lib.errors import InputError

PIECE = 1 << 20


def digest(path: Path) -> str:
    """sha256 of a file."""
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                found.update(piece)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    return found.hexdigest()


def trial_name(settings: dict[str, Any], predictions: str) -> str:
    """Name of a trial: the digest of what was traded and how. What only changes the statistics does not count."""
    counted = {key: value for key, value in settings.items() if key not in ("draws", "confidence", "seed")}
    text = json.dumps({"settings": counted, "predictions": predictions}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def register(ledger: Path, data: str, settings: dict[str, Any], predictions: str) -> str:
    """Enter a trial, unless it stands there; its name."""
    name = trial_name(settings, predictions)
    path = ledger / data / f"{name}.json"
    if path.exists():
        return name
    text = json.dumps({"predictions": predictions, "settings": settings}, sort_keys=True, indent=1) + "\n"
    temporary = path.with_name(f".{name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path.parent}: the trial ledger cannot be written: {error.strerror or error}") from None
    return name


def trials(ledger: Path, data: str) -> int:
    """Configurations ever run on a data set."""
    return sum(1 for _ in (ledger / data).glob("[0-9a-f]*.json"))
