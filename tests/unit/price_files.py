"""Real daily prices, as their vendors write them, in the long form that the backtests read."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

COLUMNS = ["open", "high", "low", "close", "volume"]


def lean(path: Path) -> Any:
    """A zip of a headerless CSV: yyyyMMdd HH:mm, prices in ten-thousandths, volume. Raw, not adjusted."""
    with zipfile.ZipFile(path) as folder, folder.open(folder.namelist()[0]) as file:
        table = pd.read_csv(file, header=None, names=["date", *COLUMNS])
    table["date"] = pd.to_datetime(table["date"].str[:8]).dt.strftime("%Y-%m-%d")
    table[COLUMNS[:4]] /= 10_000
    return table.assign(asset=path.stem.upper())


def yahoo(path: Path) -> Any:
    """A CSV with Date, Open, High, Low, Close and perhaps Volume."""
    table = pd.read_csv(path).rename(columns=str.lower)
    return table[[column for column in ["date", *COLUMNS] if column in table]].assign(asset=path.stem)


def freqtrade(path: Path) -> Any:
    """A packed JSON list of hourly [ms, open, high, low, close, volume]."""
    with gzip.open(path) as file:
        table = pd.DataFrame(json.load(file), columns=["date", *COLUMNS])
    table["date"] = pd.to_datetime(table["date"], unit="ms")
    return table.assign(asset=path.name.split("-")[0])


def days_of(hours: Any) -> Any:
    """Hourly bars as daily ones."""
    rules = dict(zip(COLUMNS, ["first", "max", "min", "last", "sum"], strict=True))
    days = hours.groupby(["asset", hours["date"].dt.strftime("%Y-%m-%d")]).agg(rules)
    return days.reset_index()


def write(folder: Path, *tables: Any) -> Path:
    path = folder / "prices.csv"
    pd.concat(tables).to_csv(path, index=False)
    return path
