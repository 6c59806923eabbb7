"""Tables as CSV."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from scripts.lib.tables import write_csv


def test_numbers_are_rounded_and_undefined_ones_empty(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"a": 1 / 3, "b": math.nan, "c": "x,y"},
        {"a": np.float64(2e10), "b": None, "c": 12345678},
    ]
    write_csv(tmp_path / "t.csv", rows, digits=4)
    assert (tmp_path / "t.csv").read_bytes() == b'a,b,c\n0.3333,,"x,y"\n2e+10,,12345678\n'


def test_named_columns_come_in_their_order_and_without_a_row_too(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", iter([{"a": 1, "b": 2}]), ("b", "a"))
    assert (tmp_path / "t.csv").read_text() == "b,a\n2,1\n"
    write_csv(tmp_path / "t.csv", [], ("b", "a"))
    assert (tmp_path / "t.csv").read_text() == "b,a\n"
