"""Prices after a date changed: what a signal may not have known, for scripts/backtest/check_causality.py.

Of the rows after the date, prices are multiplied by positive noise (one factor an asset, one a row, so that a bar's
high stays above its low), volumes are mixed among an asset's rows and multiplied too, assets that are listed later
vanish, one that lives on is delisted, dead ones come back, and some rows are missing. Rows up to the date keep every
byte. Each session keeps a row: an exchange's sessions are known beforehand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.backtest.prices.panel import Array
from scripts.backtest.prices.tables import dates, names

ASSET_NOISE, ROW_NOISE, VOLUME_NOISE = 0.5, 0.1, 2.0  # standard deviations of the logarithm
LOST_SHARE = 0.02  # of the rows after the date


def change_after(
    source: Path, target: Path, day: np.datetime64, random: np.random.Generator, sessions: bool = True
) -> int:
    """Write a table of date, asset and numbers with its rows after a day changed.

    Args:
        source: CSV or Parquet.
        target: of the same kind.
        day: datetime64[D], the last one that stays as it is.
        random: of the changes.
        sessions: whether rows may come and go, too: of prices, not of events.

    Returns:
        Number of changed rows.
    """
    frame, schema = _read(source)
    days = dates(source, frame)
    assets = names(source, frame).to_numpy(str)
    later = np.flatnonzero(days > day)
    rows = _rows_after(days, assets, later, random) if sessions else Kept(later, assets[later])
    changed = _changed(frame.iloc[rows.places], rows.assets, random)
    kept = frame[days <= day]
    _write(pd.concat([kept, changed]) if len(changed) else kept, target, schema)
    return len(later)


class Kept:
    """Rows after the day: where they stand in the table, and under which asset's name."""

    def __init__(self, places: Array, assets: Array) -> None:
        self.places, self.assets = places, assets


def _rows_after(days: Array, assets: Array, later: Array, random: np.random.Generator) -> Kept:
    """Which rows there are after the day: some go with their assets, some alone, and dead assets come back."""
    before = np.setdiff1d(np.arange(len(days)), later)
    old, present = np.unique(assets[before]), np.unique(assets[later])
    alive, dead, young = np.intersect1d(old, present), np.setdiff1d(old, present), np.setdiff1d(present, old)
    gone = [*young, *(random.choice(alive, 1) if len(alive) > 1 else [])]
    lost = np.isin(assets[later], gone) | (random.random(len(later)) < LOST_SHARE)
    kept = later[~lost]
    last_ones = later[~np.isin(days[later], days[kept])]  # of sessions that would have no row
    kept = np.sort(np.append(kept, last_ones[np.unique(days[last_ones], return_index=True)[1]]))
    places, under = [kept], [assets[kept]]
    for name in dead:
        copied = kept[assets[kept] == random.choice(assets[kept])]
        places.append(copied)
        under.append(np.full(len(copied), name))
    return Kept(np.concatenate(places), np.concatenate(under))


def _changed(frame: pd.DataFrame, assets: Array, random: np.random.Generator) -> pd.DataFrame:
    """The rows with other numbers, under these names of assets."""
    frame = frame.copy()
    frame["asset"] = assets
    known, asset = np.unique(assets, return_inverse=True)
    level = np.exp(random.normal(0, ASSET_NOISE, len(known)))[asset]
    noise = level * np.exp(random.normal(0, ROW_NOISE, len(frame)))
    busy = np.exp(random.normal(0, VOLUME_NOISE, len(known)))[asset]
    order = np.lexsort((random.random(len(frame)), asset))  # by asset, within it at random
    mixed = np.empty_like(order)
    mixed[np.argsort(asset, kind="stable")] = order
    for column in frame.columns.difference(["date", "asset"], sort=False):
        values = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        if np.isnan(values).all():
            continue
        is_volume = column == "volume"
        new = values[mixed] * busy if is_volume else values * noise
        frame[column] = _cells(frame[column], new, whole=is_volume and _whole(values))
    return frame


def _whole(values: Array) -> bool:
    return bool((values[np.isfinite(values)] % 1 == 0).all())


def _cells(old: pd.Series, new: Array, whole: bool) -> Any:
    """New numbers in the form of the old cells, which are texts where the table is CSV."""
    is_text = not pd.api.types.is_numeric_dtype(old)
    if whole or (not is_text and pd.api.types.is_integer_dtype(old)):
        new = np.rint(new)
    if not is_text:
        return pd.Series(new, old.index).astype(old.dtype)
    return ["" if value != value else str(int(value)) if whole else repr(float(value)) for value in new]


def _read(path: Path) -> tuple[pd.DataFrame, pa.Schema | None]:
    """A table; the cells of a CSV as their texts, so that what is not changed keeps its digits."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return table.to_pandas().reset_index(drop=True), table.schema
    return pd.read_csv(path, dtype=str, keep_default_na=False), None


def _write(frame: pd.DataFrame, path: Path, schema: pa.Schema | None) -> None:
    if schema is None:
        frame.to_csv(path, index=False)
    else:
        pq.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), path)
