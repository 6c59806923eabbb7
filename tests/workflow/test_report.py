"""The report, opened in a real browser: figures by name, and nothing from outside."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

from tests.conftest import ROOT, clean_environment

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1400,1000",
)  # fmt: skip
SECONDS = 20
# what a report may hold: namespaces of XML, which nobody fetches, and links that a reader may click
NAMESPACES = ("http://www.w3.org/", "http://purl.org/dc/", "http://creativecommons.org/ns#")


def build(finished_run: Path, output: Path, *options: str) -> Path:
    """`make report`: the config of the small run is found by itself."""
    command = [str(ROOT / ".venv/bin/python"), "-m", "scripts.commands.report", "--output", str(output), *options]
    environment = clean_environment(PYTHONPATH=str(finished_run))
    done = subprocess.run(command, cwd=finished_run, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


@pytest.fixture(scope="module")
def report(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(finished_run, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Debian's Chromium, which notes every request that the page makes."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no browser here: Debian's chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


def wait_for_text(browser: webdriver.Chrome, text: str) -> None:
    body = (By.TAG_NAME, "body")
    WebDriverWait(browser, SECONDS).until(expected_conditions.text_to_be_present_in_element(body, text))


def click(browser: webdriver.Chrome, label: str) -> None:
    """Click the entry of the menu on the left that has this label."""
    entry = (By.XPATH, f"//a[normalize-space(.)='{label}']")
    WebDriverWait(browser, SECONDS).until(expected_conditions.element_to_be_clickable(entry)).click()


def requests(browser: webdriver.Chrome) -> list[str]:
    """Addresses that were asked for since the last call; the browser's own start page left out."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]  # type: ignore[no-untyped-call]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("chrome:", "data:"))]


def test_a_reader_finds_the_figures_by_name_and_nothing_comes_from_outside(
    report: Path, browser: webdriver.Chrome, finished_run: Path
) -> None:
    browser.get(report.as_uri())
    wait_for_text(browser, "Tidemill")
    wait_for_text(browser, "Feed simulated: binance-usdm BTCUSDT")
    click(browser, "Order books")
    click(browser, "simulated")
    wait_for_text(browser, "price ladder, spread and depth")
    for part in ("20240101", "20240102"):
        row = browser.find_element(By.XPATH, f"//tr[contains(., '{part}')]")
        row.find_element(By.CSS_SELECTOR, "a[iconname=eye]").click()
        image = (By.XPATH, f"//img[contains(@src, '{part}.svg')]")
        shown = WebDriverWait(browser, SECONDS).until(expected_conditions.presence_of_element_located(image))
        svg = base64.b64decode((shown.get_attribute("src") or "").partition("base64,")[2])
        assert svg == (finished_run / f"results/orderbook/simulated/plots/{part}.svg").read_bytes()
        assert int(shown.get_attribute("naturalWidth") or 0) > 100, "the browser could not draw the figure"
    assert set(requests(browser)) == {report.as_uri()}


def test_the_summary_is_a_table_in_the_report(report: Path, browser: webdriver.Chrome) -> None:
    browser.get(report.as_uri())
    click(browser, "Order books")
    click(browser, "all feeds")
    wait_for_text(browser, "summary of the feeds")


@pytest.mark.parametrize(
    ("category", "subcategory", "figure"),
    [("Overview", "", "overview"), ("Backtests", "", "tear sheet"), ("Order books", "simulated", "tear sheet"),
     ("Gates", "backtest", "gate of the backtest")],
)  # fmt: skip
def test_pages_are_found_by_name(
    report: Path, browser: webdriver.Chrome, category: str, subcategory: str, figure: str
) -> None:
    browser.get(report.as_uri())
    click(browser, category)
    if subcategory:
        click(browser, subcategory)
    wait_for_text(browser, figure)
    assert all(url == report.as_uri() for url in requests(browser))


def test_no_figure_refers_to_an_external_address(finished_run: Path) -> None:
    figures = list(finished_run.glob("results/**/*.svg"))
    assert figures
    for figure in figures:
        urls = re.findall(r"https?://[^\s\"'<>)]+", figure.read_text())
        assert not [url for url in urls if not url.startswith(NAMESPACES)]


def test_the_zip_holds_the_same_figures(finished_run: Path, tmp_path: Path) -> None:
    archive = build(finished_run, tmp_path / "report.zip")
    with zipfile.ZipFile(archive) as files:
        assert files.testzip() is None
        held = {files.read(name) for name in files.namelist() if name.endswith(".svg")}
    # the plots of a tear sheet are inside of its page
    tear_sheets = set(finished_run.glob("results/backtest/*/plots/*.svg"))
    shown = set(finished_run.glob("results/**/*.svg")) - tear_sheets
    assert {path.read_bytes() for path in shown} <= held


def test_a_report_that_is_up_to_date_can_be_left_alone_and_an_older_one_is_not(finished: Path) -> None:
    report = build(finished, finished / "results" / "report.html")
    made = report.stat().st_mtime_ns
    build(finished, report, "--if-older")
    assert report.stat().st_mtime_ns == made
    (finished / "results/orderbook/summary.csv").touch()
    build(finished, report, "--if-older")
    assert report.stat().st_mtime_ns > made


def test_the_page_loads_no_script_style_or_image_from_an_address(report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']?(?:https?:)?//[^>]+>", html)
    assert not re.findall(r"url\([\"']?https?://[^)]+\)", html)
