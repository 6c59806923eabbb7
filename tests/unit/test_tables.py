"""Tables as CSV."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from scripts.lib.tables import write_csv, write_html


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


def test_a_page_holds_the_cells_and_nothing_of_the_network(tmp_path: Path) -> None:
    write_html(tmp_path / "t.html", [{"a<b": 1 / 3, "c": "x & y"}, {"a<b": math.nan, "c": 7}], "A & B")
    table = ElementTree.fromstring(re.findall(r"<table>.*</table>", (tmp_path / "t.html").read_text(), re.DOTALL)[0])
    cells = [[cell.text or "" for cell in row] for row in table]
    assert cells == [["a<b", "c"], ["0.3333", "x & y"], ["", "7"]]
    assert "://" not in (tmp_path / "t.html").read_text()


def test_rows_to_be_noticed_are_red_and_texts_stand_left(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"name": "a", "x": 1.0}, {"name": "b", "x": 2.0}]
    write_html(tmp_path / "t.html", rows, "T", notes=["a < b"], red=[1])
    page = (tmp_path / "t.html").read_text()
    table = ElementTree.fromstring(re.findall(r"<table>.*</table>", page, re.DOTALL)[0])
    assert [row.get("class") for row in table] == [None, None, "red"]
    assert [[cell.get("class") for cell in row] for row in table][1:] == [["text", None]] * 2
    assert "<p>a &lt; b</p>" in page
