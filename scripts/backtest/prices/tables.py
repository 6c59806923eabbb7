"""Tables that people hand in, CSV or Parquet, with errors that name file, row and column."""

from __future__ import annotations

import lzma
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from scripts.backtest.prices.panel import Array
from scripts.lib.errors import InputError

NAMES = ("asset", "category")  # columns in which only an empty cell means that nothing is known
UNKNOWN = frozenset(("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A"))  # in the other columns
HEADER_ROWS = 2  # row numbers in messages count the header and begin with 1, as editors show a CSV


UNREADABLE = (OSError, ValueError, EOFError, ImportError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


def read_table(path: Path, required: Sequence[str]) -> pd.DataFrame:
    """Read a table.

    Args:
        path: .parquet, or CSV with a header (also .gz, .bz2, .xz, .zip).
        required: columns that it must have.

    Raises:
        InputError: it cannot be read, has no row, or lacks a column.
    """
    if path.suffix == ".zst":
        raise InputError(f"{path}: cannot be read: a CSV may be packed as .gz, .bz2, .xz or .zip")
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0] if str(error) else error!r}") from None
    for column in required:
        if column not in table.columns:
            raise InputError(f"{path}: no column '{column}' (it has {', '.join(map(str, table.columns))})")
    if not len(table):
        raise InputError(f"{path}: no row in it")
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    """A CSV whose rows have no more cells than its header; `NA` and its like are names where names stand."""
    columns = pd.read_csv(path, nrows=0).columns
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas would leave out what is beyond the header
        try:
            return pd.read_csv(
                path, index_col=False, dtype=dict.fromkeys(NAMES, "string"), keep_default_na=False,
                na_values={column: {""} if column in NAMES else UNKNOWN for column in columns},
            )  # fmt: skip
        except pd.errors.ParserWarning:
            raise ValueError(f"a row has more cells than the header's {len(columns)}") from None


def refuse(path: Path, wrong: Array, column: str, values: pd.Series, reason: str) -> None:
    """Raise an InputError for the first row that is wrong, if there is one."""
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"{path}: row {row + HEADER_ROWS}: {column} {values.iloc[row]!r}: {reason}")


def numbers(path: Path, table: pd.DataFrame, column: str) -> Array:
    """A column as float64; an empty cell is NaN, anything else that is no finite number an InputError."""
    values: Array = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    refuse(path, np.isnan(values) & table[column].notna().to_numpy(), column, table[column], "not a number")
    refuse(path, np.isinf(values), column, table[column], "not finite")
    return values


def names(path: Path, table: pd.DataFrame, column: str = "asset") -> pd.Series:
    """A column of names as text."""
    refuse(path, table[column].isna().to_numpy(), column, table[column], "missing")
    return table[column].astype(str)


def read_categories(path: Path) -> dict[str, str]:
    """Category by asset.

    Raises:
        InputError: the table cannot be read, a cell is empty, an asset stands there with two categories.
    """
    table = read_table(path, ["asset", "category"])
    assets, found = names(path, table), names(path, table, "category")
    first = found.groupby(assets.to_numpy(), sort=False).transform("first")
    refuse(path, (found != first).to_numpy(), "asset", assets, "has another category further up")
    return dict(zip(assets, found, strict=True))


def dates(path: Path, table: pd.DataFrame, column: str = "date") -> Array:
    """A column of calendar days as datetime64[D]; a time of day other than midnight is an InputError."""
    cells = table[column]
    refuse(path, cells.isna().to_numpy(), column, cells, "missing")
    if pd.api.types.is_numeric_dtype(cells):
        raise InputError(f"{path}: column '{column}' holds numbers, not dates such as 2024-01-31")
    parsed = pd.to_datetime(cells, errors="coerce", format=None if _is_time(cells) else "ISO8601")
    refuse(path, parsed.isna().to_numpy(), column, cells, "not a date such as 2024-01-31")
    if getattr(parsed.dtype, "tz", None) is not None:
        raise InputError(f"{path}: column '{column}' holds instants with a time zone, not calendar days")
    refuse(path, (parsed != parsed.dt.normalize()).to_numpy(), column, cells, "has a time of day")
    days: Array = parsed.to_numpy("datetime64[D]")
    return days


def _is_time(cells: pd.Series) -> bool:
    return bool(pd.api.types.is_datetime64_any_dtype(cells))
