"""Tear sheet and overview in a real browser: all pictures are drawn, nothing comes from outside, nothing sticks out."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.unit.account_files import daily, intraday
from tests.unit.test_overview import Run, check
from tests.unit.test_tear_sheet import draw
from tests.workflow.test_report import browser, requests  # noqa: F401  (a fixture)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tear sheets, and the overview of both."""
    top = tmp_path_factory.mktemp("pages")
    run = Run(top)
    for name, account in (("momentum", daily()), ("books", intraday())):
        run.backtest(name, account)
        assert draw(account, top / "backtest" / name) == 0
    run.verdict("market", "backtest", "momentum", "fail", check("sharpe_floor", "fail"))
    assert run.code() == 0
    return top


@pytest.mark.parametrize(
    ("page", "pictures"),
    [("backtest/momentum/tear_sheet.html", 15), ("backtest/books/tear_sheet.html", 8), ("overview.html", 0)],
)
@pytest.mark.parametrize("width", [700, 1400])
def test_a_page_shows_whole(
    browser: webdriver.Chrome,  # noqa: F811
    folder: Path,
    page: str,
    pictures: int,
    width: int,
) -> None:
    browser.set_window_size(width, 1000)
    browser.get((folder / page).as_uri())
    shown = browser.find_elements(By.TAG_NAME, "img")
    assert len(shown) == pictures
    assert all(int(image.get_attribute("naturalWidth") or 0) > 600 for image in shown), "a plot cannot be drawn"
    assert set(requests(browser)) == {(folder / page).as_uri()}
    sticks_out = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(sticks_out) <= 0  # type: ignore[no-untyped-call]
