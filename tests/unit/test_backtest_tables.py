"""Tables that people hand in: names that look like missing values, rows that do not fit the header, categories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.backtest.prices.reader import read_panel
from scripts.backtest.prices.tables import read_categories, read_table
from scripts.lib.errors import InputError

HEADER = "date,asset,open,high,low,close,volume"
TICKERS = ("NA", "NULL", "nan", "None", "N/A", "null")


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def refusal(path: Path, *required: str) -> str:
    with pytest.raises(InputError) as error:
        read_table(path, required)
    return str(error.value)


@pytest.mark.parametrize("ticker", TICKERS)
def test_a_ticker_that_looks_like_a_missing_value_is_an_asset(tmp_path: Path, ticker: str) -> None:
    rows = [f"2024-01-0{day},{ticker},10,20,9,1{day},100" for day in (2, 3, 4)]
    panel, _ = read_panel(write(tmp_path / "prices.csv", HEADER, *rows), "XNYS")
    assert panel.assets == (ticker,)
    assert panel.close[:, 0].tolist() == [12.0, 13.0, 14.0]


@pytest.mark.parametrize("cell", ["", "NA", "nan", "null"])
def test_a_number_may_be_unknown_in_any_spelling(tmp_path: Path, cell: str) -> None:
    table = read_table(write(tmp_path / "t.csv", "date,asset,close", "2024-01-02,A,1", f"2024-01-03,A,{cell}"), [])
    assert np.isnan(table["close"].iloc[1])


def test_an_empty_name_stays_missing(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", "asset,category", "A,NA", ",B"), [])
    assert table["asset"].isna().tolist() == [False, True]
    assert table["category"].tolist() == ["NA", "B"]


@pytest.mark.parametrize("places", [{0}, {0, 1, 2}, {1}, {2}])
def test_rows_with_a_cell_too_many_are_refused(tmp_path: Path, places: set[int]) -> None:
    """Where the first ones have it, pandas would take the dates for an index and the assets for dates."""
    rows = [f"2024-01-0{row + 2},A,10,11,9,10,100{',7' if row in places else ''}" for row in range(3)]
    text = refusal(write(tmp_path / "prices.csv", HEADER, *rows), "date")
    assert text.startswith(f"{tmp_path}/prices.csv: ")
    assert "\n" not in text
    assert "7" in text, "the header's number of cells"


def test_an_asset_in_two_categories_is_named_with_its_row(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "asset,category", "A,x", "NA,x", "A,x", "NA,y")
    with pytest.raises(InputError, match=r"c\.csv: row 5: asset 'NA': has another category further up"):
        read_categories(path)
    assert read_categories(write(path, "asset,category", "A,x", "NA,NA", "A,x")) == {"A": "x", "NA": "NA"}
