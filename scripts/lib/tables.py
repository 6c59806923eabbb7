"""Tables as CSV, written alike by all programs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path


def write_csv(path: Path, rows: Iterable[Mapping[str, object]], columns: Iterable[str] = (), digits: int = 10) -> None:
    """Write rows as they come: numbers to `digits` digits, undefined ones (NaN, None) empty.

    Args:
        path: of the file.
        rows: cells by column, the same columns in all of them.
        columns: their names and order; needed only where there may be no row.
        digits: significant ones of a float.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = list(columns)
        if names:
            writer.writerow(names)
        for row in rows:
            if not names:
                names = list(row)
                writer.writerow(names)
            writer.writerow(_cell(row[name], digits) for name in names)


def _cell(value: object, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):  # NumPy's double too
        return "" if math.isnan(value) else f"{value:.{digits}g}"
    return str(value)
