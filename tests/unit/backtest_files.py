"""Prices and predictions of a small market, written as the backtest programs read them, and a way to run these."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts.lib import job

Array = np.ndarray[Any, Any]


class Files:
    """A folder with prices and predictions; `run` starts a program on them."""

    def __init__(self, folder: Path, sessions: int = 260, assets: int = 12, edge: float = 0.0, seed: int = 0) -> None:
        """A random walk each; the signals of every fifth date know `edge` of the next five sessions' returns."""
        random = np.random.default_rng(seed)
        self.folder = folder
        self.days = pd.bdate_range("2020-01-01", periods=sessions).strftime("%Y-%m-%d")
        self.assets = [f"A{place:02d}" for place in range(assets)]
        moves = random.normal(0, 0.01, (sessions, assets))
        signals = random.normal(size=(sessions, assets))
        for known in range(0, sessions, 5):  # known at a close, traded at the next open, which is that close
            moves[known + 1 : known + 6] += edge * 0.01 * signals[known]
        closes = 100 * np.exp(np.cumsum(moves, axis=0))
        opens = np.vstack([closes[:1], closes[:-1]])
        rows = {"date": np.repeat(self.days, assets), "asset": self.assets * sessions}
        self.prices = pd.DataFrame(rows | {"open": opens.ravel(), "close": closes.ravel(), "volume": 1e5})
        dates = self.days[::5]
        self.predictions = pd.DataFrame({"known_at": np.repeat(dates, assets), "asset": self.assets * len(dates),
                                         "horizon": 5, "signal": signals[::5].ravel()})  # fmt: skip

    def path(self, name: str) -> Path:
        return self.folder / name

    def write(self) -> list[str]:
        """Write both files; the options that name them."""
        self.prices.to_csv(self.path("prices.csv"), index=False)
        self.predictions.to_csv(self.path("predictions.csv"), index=False)
        return ["--prices", str(self.path("prices.csv")), "--predictions", str(self.path("predictions.csv"))]

    def run(self, main: Callable[..., None], settings: dict[str, Any], *words: object) -> int | str | None:
        """Exit code of a program that reads prices and predictions."""
        return run(main, settings, *self.write(), *words)


def run(main: Callable[..., None], settings: dict[str, Any], *words: object) -> int | str | None:
    """Exit code of a program."""
    with pytest.raises(SystemExit) as stop:
        job.run(main, [*map(str, words), "--settings", json.dumps(settings)])
    return stop.value.code
