"""Predictions from daily prices by a rule, or by a program of one's own."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

from scripts.backtest.prices.panel import Array, Panel, marks
from scripts.backtest.prices.reader import read_events, read_panel
from scripts.backtest.trading.planning import forward_adjusted
from scripts.backtest.trading.settings import SignalSettings
from scripts.lib import job
from scripts.lib.errors import InputError
from scripts.lib.joblog import log


def main(
    prices: job.InputFile,
    predictions: job.OutputFile,
    settings: SignalSettings,
    splits: job.InputFile | None = None,
) -> None:
    """Predictions from daily prices by a rule, or by a program of one's own.

    momentum: return over the last `lookback` sessions but the last `skip`; reversal: its negative; command: a program
    that reads the prices and writes the predictions. A signal of a date uses prices up to that date's close.

    Args:
        prices: raw prices, CSV or Parquet with date, asset, open, close
        predictions: Parquet with known_at (dates), asset, horizon (sessions), signal
        settings: rule and its look-back
        splits: CSV with date, asset, ratio (new units for one old)
    """
    if settings.rule == "command":
        table = commanded(prices, predictions, settings)
    else:
        panel, _ = read_panel(prices, settings.calendar)
        events = read_events(panel, splits, None, None, 0.0, 1)
        closes = forward_adjusted(marks(panel, events.splits), events)
        table = signal_table(panel, closes, settings)
    if table.empty:
        raise InputError(
            f"{prices}: no date with a signal: {settings.lookback + settings.skip} sessions come before one"
        )
    table.to_parquet(predictions, index=False)
    log.info("%d signals of %d dates", len(table), table["known_at"].nunique())


def signal_table(panel: Panel, closes: Array, settings: SignalSettings) -> pd.DataFrame:
    """Long form; only assets that have a close of their own on the date, one of `every` dates, and not the index.

    Args:
        panel: raw prices.
        closes: (T, N) adjusted for splits, carried over holes.
        settings: the rule.
    """
    before = settings.lookback + settings.skip
    rows = np.arange(before, len(panel.sessions), settings.every)
    signals = closes[rows - settings.skip] / closes[rows - before] - 1
    signals = -signals if settings.rule == "reversal" else signals
    candidates = np.array(panel.assets, object) != settings.index
    known = np.isfinite(signals) & np.isfinite(panel.close[rows]) & candidates
    place, asset = np.nonzero(known)
    return pd.DataFrame({
        "known_at": panel.sessions[rows][place].astype("datetime64[ms]"),
        "asset": np.array(panel.assets, object)[asset],
        "horizon": settings.horizon or settings.every, "signal": signals[known],
    })  # fmt: skip


def commanded(prices: Path, predictions: Path, settings: SignalSettings) -> pd.DataFrame:
    """Run the user's program and read what it wrote.

    Raises:
        InputError: it fails, or what it wrote is no table of predictions.
    """
    made = predictions.with_name(f"{predictions.name}.made.parquet")
    words = [word.format(prices=prices, predictions=made) for word in shlex.split(settings.command or "")]
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=os.environ)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
            raise InputError(f"{words[0]}: ended with exit code {done.returncode}: {last}")
        if not made.exists():
            raise InputError(f"{words[0]}: ended without writing {{predictions}}")
        table = pd.read_parquet(made)
    except (OSError, ValueError) as error:
        raise InputError(f"{words[0]}: {str(error).splitlines()[0]}") from None
    finally:
        made.unlink(missing_ok=True)
    for column in ("known_at", "asset", "signal"):
        if column not in table.columns:
            raise InputError(f"{words[0]}: wrote predictions without a column '{column}'")
    return table


if __name__ == "__main__":
    job.run(main)
