"""Tables as CSV for programs and as HTML for readers, written alike by all programs."""

from __future__ import annotations

import csv
import html
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from scripts.lib.errors import InputError

Row = dict[str, str]
"""Cells of a CSV by column."""


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


STYLE = """body { font-family: sans-serif; font-size: 14px; }
table { border-collapse: collapse; }
th, td { padding: 0.3em 0.8em; border-bottom: 1px solid #ddd; text-align: right; }
td.text { text-align: left; }
.red { color: #a3210f; background: #fdf0ee; }"""


def write_html(
    path: Path,
    rows: Iterable[Mapping[str, object]],
    title: str,
    digits: int = 4,
    notes: Iterable[str] = (),
    red: Collection[int] = (),
) -> None:
    """Write rows as a page of its own, which a report shows where it would only offer a CSV for download.

    Args:
        path: of the file.
        rows: at least one; cells by column, the same columns in all of them.
        title: what stands above the table.
        digits: significant ones of a float.
        notes: paragraphs between the two.
        red: places of the rows that are to be noticed, from 0.
    """
    rows = list(rows)
    lines = ["<tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in rows[0]) + "</tr>"]
    lines += [_html_row(row, digits, place in red) for place, row in enumerate(rows)]
    name = html.escape(title)
    page = [
        '<!DOCTYPE html>', f'<html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>', STYLE,
        "</style></head><body>", f"<h1>{name}</h1>", *_paragraphs(notes), "<table>", *lines, "</table></body></html>",
    ]  # fmt: skip
    path.write_text("\n".join(page) + "\n", encoding="utf-8")


def _paragraphs(texts: Iterable[str]) -> list[str]:
    return [f"<p>{html.escape(text)}</p>" for text in texts]


def _html_row(row: Mapping[str, object], digits: int, is_red: bool) -> str:
    cells = [
        f"<td{_class('text', isinstance(value, str))}>{html.escape(_cell(value, digits))}</td>"
        for value in row.values()
    ]
    return f"<tr{_class('red', is_red)}>" + "".join(cells) + "</tr>"


def _class(name: str, holds: bool) -> str:
    return f' class="{name}"' if holds else ""


def _cell(value: object, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):  # NumPy's double too
        return "" if math.isnan(value) else f"{value:.{digits}g}"
    return str(value)


def read_rows(path: Path, columns: Sequence[str] = ()) -> list[Row]:
    """Rows of a CSV as text.

    Raises:
        InputError: it cannot be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or [])]
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if missing:
        raise InputError(f"{path}: no column '{missing[0]}'")
    for place, row in enumerate(rows):
        if None in row or None in row.values():
            raise InputError(f"{path}: row {place + 2}: not as many cells as columns")
    return rows
