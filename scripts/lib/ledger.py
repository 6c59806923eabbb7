"""The trial ledger: every configuration ever run on a data set, with what it earned.

A Sharpe ratio chosen from many says less than one that was alone: deflated Sharpe ratio and probability of backtest
overfitting need all trials, and an honest number is counted, not told. The ledger is a folder that only grows:

    LEDGER/DATA/TRIAL.json                   what was traded and how
    LEDGER/DATA/TRIAL.FIRST_LAST.npy         its returns from one period to another: date, return

DATA is the digest of the prices, TRIAL that of settings and predictions. A file a trial, so that parallel jobs on a
shared file system neither lock nor overwrite one another, and a rerun of a trial is no new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.lib.errors import InputError
from scripts.lib.outputs import temporary_path

LEDGER = Path("results/backtest/trials")
PIECE = 1 << 20
# what only changes the statistics or the page, or cuts the time into equal stretches
UNCOUNTED = ("draws", "confidence", "seed", "folds", "fold", "model_cutoff")
RETURN = np.dtype([("date", "datetime64[ns]"), ("return", np.float64)])

Array = np.ndarray[Any, Any]


class TrialReturns(NamedTuple):
    """What all trials of a data set earned."""

    dates: Array  # (T,) datetime64[ns], ascending
    names: tuple[str, ...]  # (K,) trials, ascending
    returns: Array  # (T, K), NaN where a trial has no return


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


def digest_of(paths: list[Path]) -> str:
    """One digest for several files in their order; of one file its own sha256."""
    found = [digest(path) for path in paths]
    return found[0] if len(found) == 1 else hashlib.sha256("\n".join(found).encode()).hexdigest()


def trial_name(settings: dict[str, Any], predictions: str) -> str:
    """Name of a trial: the digest of what was traded and how. What only changes the statistics does not count."""
    text = json.dumps({"settings": counted(settings), "predictions": predictions}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def counted(settings: dict[str, Any]) -> dict[str, Any]:
    """What of the settings makes a trial: the same text whichever stretch of it runs first."""
    left_out: tuple[str, ...] = UNCOUNTED
    if not settings.get("portfolio", {}).get("volatility_target"):
        left_out = (*UNCOUNTED, "sessions_a_year")  # without such a target nothing that is traded depends on it
    return {key: value for key, value in settings.items() if key not in left_out}


def register(
    ledger: Path,
    data: str,
    settings: dict[str, Any],
    predictions: str,
    returns: tuple[Array, Array] | None = None,
) -> str:
    """Enter a trial and the returns of a stretch of it; its name.

    Args:
        ledger: its folder.
        data: digest of what was traded on.
        settings: how it was traded, as plain values.
        predictions: digest of what was traded.
        returns: (T,) dates and (T,) simple returns.
    """
    name = trial_name(settings, predictions)
    text = json.dumps({"predictions": predictions, "settings": counted(settings)}, sort_keys=True, indent=1) + "\n"
    _enter(ledger / data / f"{name}.json", lambda path: _write_text(path, text))
    if returns is not None and len(returns[0]):
        rows = np.zeros(len(returns[0]), RETURN)
        rows["date"], rows["return"] = returns
        first, last = (np.datetime_as_string(rows["date"][at], "s").replace(":", "") for at in (0, -1))
        _enter(ledger / data / f"{name}.{first}_{last}.npy", lambda path: np.save(path, rows, allow_pickle=False))
    return name


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _enter(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file whole. One that stands there is replaced: its returns may be those of an event file since mended."""
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path.parent}: the trial ledger cannot be written: {error.strerror or error}") from None


def trials(ledger: Path, data: str) -> int:
    """Configurations ever run on a data set."""
    return sum(1 for _ in (ledger / data).glob("[0-9a-f]*.json"))


def trial_returns(ledger: Path, data: str) -> TrialReturns:
    """Returns of all trials of a data set that have some; of stretches that overlap, the one that begins first counts.

    Raises:
        InputError: a file of the ledger cannot be read.
    """
    found: dict[str, dict[np.datetime64, float]] = {}
    for path in sorted((ledger / data).glob("[0-9a-f]*.npy")):
        try:
            rows = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: the trial ledger cannot be read: {error}") from None
        trial = found.setdefault(path.name.split(".")[0], {})
        trial |= {date: value for date, value in zip(rows["date"], rows["return"], strict=True) if date not in trial}
    dates = np.unique(np.array([date for trial in found.values() for date in trial], "datetime64[ns]"))
    returns = np.full((len(dates), len(found)), np.nan)
    for column, trial in enumerate(found.values()):
        places = np.searchsorted(dates, np.array(list(trial), "datetime64[ns]"))
        returns[places, column] = list(trial.values())
    return TrialReturns(dates, tuple(found), returns)
