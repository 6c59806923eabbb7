"""draw_tear_sheet: the page and its plots beside what pandas and the files themselves say."""

from __future__ import annotations

import base64
import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from scripts.backtest.draw_tear_sheet import main
from scripts.backtest.tear_sheet import alarms, bars, curves, frame, questions
from scripts.backtest.tear_sheet.settings import TearSheetSettings
from scripts.lib import job
from tests.unit import account_files
from tests.unit.account_files import Account, daily, intraday

ROOT = Path(__file__).resolve().parents[2]
NAMESPACES = (
    "http://www.w3.org/",
    "http://purl.org/dc/",
    "http://creativecommons.org/ns#",
    "https://creativecommons.org/ns#",
)
HOSTILE = '$x_$<script>alert("1")</script> & "q"'


class Page(HTMLParser):
    """What a page holds: text, numbers with all digits, addresses, pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._tag = "", ""
        self.numbers: list[str] = []
        self.downloads: dict[str, bytes] = {}
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.tags.append((tag, found))
        self._tag = tag
        if tag == "data":
            self.numbers.append(found["value"] or "")
        if tag == "a" and "download" in found:
            self.downloads[found["download"] or ""] = decoded(found["href"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data if self._tag != "style" else ""

    @property
    def pictures(self) -> dict[str, str]:
        """SVG by title."""
        return {str(found["alt"]): decoded(found["src"] or "").decode() for tag, found in self.tags if tag == "img"}


def decoded(uri: str) -> bytes:
    head, _, body = uri.partition(",")
    assert head.startswith("data:")
    assert head.endswith(";base64")
    return base64.b64decode(unquote(body), validate=True)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Page]:
    """Write an account and draw it."""

    def drawn(account: Account, name: str = "one", **options: Any) -> Page:
        code = draw(account, tmp_path / name, **options)
        assert code == 0
        return Page(tmp_path / name / "tear_sheet.html")

    return drawn


def draw(account: Account, folder: Path, files: dict[str, Path] | None = None, leave: tuple[str, ...] = (),
         **settings: Any) -> int | str | None:  # fmt: skip
    given = account.write(folder) | (files or {})
    given |= {"template": ROOT / "resources/tear_sheet.html.j2", "layout": ROOT / "resources/page.html.j2"}
    given |= {"page": folder / "tear_sheet.html", "plots": folder / "plots"}
    words = [word for name, path in given.items() if name not in leave for word in (f"--{name}", str(path))]
    with pytest.raises(SystemExit) as stop:
        job.run(main, [*words, "--settings", json.dumps({"draws": 100, **settings})])
    return stop.value.code


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Account, Page, Path]:
    account, folder = daily(sessions=500), tmp_path_factory.mktemp("sheet")
    assert draw(account, folder) == 0
    return account, Page(folder / "tear_sheet.html"), folder


def test_bytes_are_equal_on_two_runs(tmp_path: Path) -> None:
    account = daily(sessions=300)
    assert draw(account, tmp_path) == 0
    first = {path: path.read_bytes() for path in (tmp_path / "plots").iterdir()}
    page = (tmp_path / "tear_sheet.html").read_bytes()
    assert draw(account, tmp_path) == 0
    assert (tmp_path / "tear_sheet.html").read_bytes() == page
    assert {path: path.read_bytes() for path in (tmp_path / "plots").iterdir()} == first
    assert len(first) == 15


def test_nothing_is_asked_of_a_network(whole: tuple[Account, Page, Path]) -> None:
    _, page, _ = whole
    for text in [page.source, *page.pictures.values()]:
        found = re.findall(r"https?:[^\s\"'<>]*", text)
        assert all(address.startswith(NAMESPACES) for address in found), found
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    addresses = [value for _, found in page.tags for name, value in found.items() if name in ("src", "href")]
    assert all(value and value.startswith(("data:", "#")) for value in addresses)


def test_no_time_of_day_of_the_run(whole: tuple[Account, Page, Path]) -> None:
    _, page, _ = whole
    assert not re.search(r"\d\d:\d\d:\d\d", page.source)
    assert not any("<dc:date" in picture for picture in page.pictures.values())


def test_every_number_stands_in_a_file(whole: tuple[Account, Page, Path]) -> None:
    _, page, folder = whole
    assert len(page.numbers) > 150
    known = numbers_of(folder)
    assert not [value for value in page.numbers if float(value) not in known]


def numbers_of(folder: Path) -> set[float]:
    """All numbers of the CSV and JSON files below a folder."""
    found: set[float] = set()
    for path in folder.rglob("*.csv"):
        with path.open(newline="") as file:
            found |= {float(cell) for row in csv.reader(file) for cell in row if is_number(cell)}
    for path in folder.rglob("*.json"):
        found |= {float(cell) for cell in re.findall(r"-?\d[\d.]*(?:e[+-]?\d+)?", path.read_text())}
    found.add(float(len(list(csv.DictReader((folder / "account/trades.csv").open())))))  # how many trades there are
    return found


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_headlines_are_those_of_the_metrics(whole: tuple[Account, Page, Path]) -> None:
    account, page, folder = whole
    metrics = json.loads((folder / "metrics.json").read_text())
    for key in ("total_return", "sharpe", "max_drawdown", "deflated_sharpe", "pbo", "trials"):
        assert repr(metrics[key]) in page.numbers
    assert repr(float(account.path.iloc[-1] / account.path.iloc[0] - 1)) in page.numbers


def test_downloads_are_the_files(whole: tuple[Account, Page, Path]) -> None:
    _, page, folder = whole
    paths = {path.name: path for path in folder.rglob("*") if path.suffix in (".csv", ".json")}
    assert set(page.downloads) == set(paths)
    assert all(page.downloads[name] == path.read_bytes() for name, path in paths.items())
    assert all(str(path) in page.text for path in paths.values())


def test_large_tables_are_named_and_not_embedded(run: Callable[..., Page], tmp_path: Path) -> None:
    page = run(daily(sessions=200), embed_mb=0.01)
    assert "trades.csv" not in page.downloads
    assert str(tmp_path / "one/account/trades.csv") in page.text
    assert "periods.csv" in page.downloads


def test_names_out_of_data_are_text(run: Callable[..., Page], tmp_path: Path) -> None:
    account = daily(sessions=200)
    account.trades["asset"] = account.trades["asset"].replace("AS00", HOSTILE)
    account.benchmarks["benchmark"] = account.benchmarks["benchmark"].replace("equal_weight", HOSTILE)
    account.metrics["best_benchmark"] = HOSTILE
    account.description |= {"name": HOSTILE, "contract": [HOSTILE], "bands": [{"name": HOSTILE, "start": "2021-01-04",
                                                                               "end": "2021-05-01"}]}  # fmt: skip
    account.extra["causality.json"] = {"status": "fail", "offences": [{"artifact": HOSTILE, "column": HOSTILE}]}
    page = run(account)
    assert not any(tag == "script" for tag, _ in page.tags)
    assert page.text.count(HOSTILE) >= 5
    for picture in page.pictures.values():
        assert "<script" not in picture
    assert "&lt;script&gt;" in page.pictures["Value of the account"]


def test_missing_parts_are_told(run: Callable[..., Page]) -> None:
    account = daily(sessions=200)
    account.extra, account.positions, account.description["bands"] = {}, None, []
    page = run(account)
    told = page.text[page.text.rindex("What was not run") :]
    for text in ("other costs, delays and planted signals were not run", "evaluate_predictions was not run",
                 "check_causality was not run", "no sweep over settings", "no positions.parquet",
                 "the account names no splits or folds", "the backtest was not repeated at other costs"):  # fmt: skip
        assert text in told
    assert "Calibration" not in page.text
    assert "At other costs" not in page.pictures


def test_pictures_of_a_sweep_are_taken_as_they_are(run: Callable[..., Page], tmp_path: Path) -> None:
    picture = tmp_path / "fan.svg"
    picture.write_text('<svg xmlns="http://www.w3.org/2000/svg"><title>fan</title></svg>')
    page = run(daily(sessions=200), files={"fan": picture})
    assert page.pictures["Seeds and folds"] == picture.read_text()
    assert (tmp_path / "one/plots/fan.svg").read_bytes() == picture.read_bytes()


def test_the_spread_of_a_sweep_answers_a_question(run: Callable[..., Page]) -> None:
    account = daily(sessions=60)
    best = {"mean_sharpe": 1.25, "lowest_sharpe": -0.31, "highest_sharpe": 2.2, "spread_over_seeds": 0.43,
            "spread_over_folds": None}  # fmt: skip
    account.extra |= {"sweep.json": {"best": best, "median": None}}
    page = run(account)
    assert (
        "mean Sharpe ratio of the best setting 1.25; lowest trial −0.31; highest trial 2.20; standard deviation"
        in page.text
    )


@pytest.mark.parametrize(("difference", "beyond", "answer"), [
    (4.62e-14, None, "as a fraction of it, 4.6 × 10⁻¹⁴; sessions compared 59\n"),
    (0.0, None, "as a fraction of it, 0; sessions compared 59\n"),
    (0.0123, "2021-03-01",
     "as a fraction of it, 1.2 × 10⁻²; sessions compared 59; beyond the tolerance from 2021-03-01 on\n"),
])  # fmt: skip
def test_a_second_simulator_answers_a_question(
    run: Callable[..., Page], difference: float, beyond: str | None, answer: str
) -> None:
    account = daily(sessions=60)
    account.metrics = {"peer_difference": difference, "peer_simulator": "bt 1.4.1", "peer_sessions": 59,
                       "peer_first_beyond": beyond}  # fmt: skip
    page = run(account)
    assert f"bt 1.4.1: largest difference of the account value, {answer}" in page.text
    assert repr(difference) in page.numbers


def test_intraday_account(run: Callable[..., Page]) -> None:
    page = run(intraday())
    assert "per decision, not annualised" in page.text
    assert "Return of each month, percent" not in page.pictures
    assert "less than the two months that months need" in page.text
    assert "only BTC-USD was held" in page.text
    assert "Sharpe ratio per decision" in page.text
    assert not any("Sharpe ratio a year" in text for text in [page.text, *page.pictures.values()])
    labels = re.findall(r">(\d\d:\d\d)<", page.pictures["Value of the account"])
    assert labels == ["10:05", "10:10", "10:15", "10:20"]


def test_ruined_account(run: Callable[..., Page]) -> None:
    account = daily(sessions=250)
    account.equity.loc[100:, ["equity", "cash"]] = -5.0
    account.metrics |= {"sharpe": None, "sharpe_interval": [None, None], "growth_rate": None}
    page = run(account)
    assert f"Ruined: the account value fell to 0 or below on {account.equity['date'][100]}" in page.text
    assert "linear scale" in page.pictures["Value of the account"]
    assert "nan" not in page.text.lower().replace("finance", "").split()


def test_account_without_trades(run: Callable[..., Page]) -> None:
    account = daily(sessions=250)
    account.trades, account.positions = account.trades.iloc[:0], None
    account.equity[["equity", "cash", "gross", "net", "turnover"]] = [1e6, 1e6, 0.0, 0.0, 0.0]
    page = run(account)
    assert "Nothing was traded." in page.text
    assert "no asset was held" in page.text
    assert "nothing was traded" in page.text
    assert "Turnover and costs" not in page.pictures


def test_account_of_two_rows(run: Callable[..., Page]) -> None:
    account = daily(sessions=7)
    account.extra, account.positions = {}, None
    account.equity, account.trades = account.equity.iloc[:2], account.trades.iloc[:30]
    account.benchmarks = account.benchmarks[account.benchmarks["date"] <= "2021-01-05"]
    page = run(account)
    assert "1 returns, fewer than a window of 126 and two more" in page.text
    assert "Value of the account" in page.pictures


@pytest.mark.parametrize(
    ("change", "text", "colour"),
    [
        ({"pbo": 0.6}, "Probability of overfitting 0.600", "red"),
        ({"deflated_sharpe": 0.5}, "Deflated Sharpe ratio 0.500, below 0.95", "amber"),
        ({"sharpe_interval": [-0.2, 1.0]}, "The interval of the Sharpe ratio holds 0", "amber"),
        ({"sharpe": 4.0}, "more often an error than a discovery", "red"),
        ({"sharpe": 1.0, "positive_control_sharpe": 0.4}, "the machinery is broken", "red"),
        ({"sharpe": 1.0, "shuffled_sharpe": 1.2}, "Shuffled labels earn as much", "red"),
        ({"sharpe": 1.0, "lag_1_sharpe": 0.3}, "less than half of the Sharpe ratio", "amber"),
        ({"total_return": -0.1, "gross_total_return": 0.2}, "Costs took the whole profit", "amber"),
        ({"total_return": 0.1, "return_without_best_10": -0.2}, "Without the 10 best periods nothing", "amber"),
        ({"peer_first_beyond": "2021-03-01"}, "does not agree on the same orders, from 2021-03-01 on", "red"),
        ({"trials": 1}, "The ledger counts one configuration", "amber"),
    ],
)
def test_alarms_of_figures(change: dict[str, Any], text: str, colour: str) -> None:
    found = alarms.alarms_of(sheet_of(daily(sessions=60), change))
    assert [alarm.colour for alarm in found if text in alarm.text] == [colour]
    assert not any(text in alarm.text for alarm in alarms.alarms_of(sheet_of(daily(sessions=60), CALM)))


CALM = {
    "sharpe": 1.0, "sharpe_interval": [0.4, 1.6], "deflated_sharpe": 0.99, "pbo": 0.1, "trials": 5,
    "total_return": 0.2, "gross_total_return": 0.3, "return_without_best_10": 0.1, "shuffled_sharpe": 0.1,
    "positive_control_sharpe": 8.0, "lag_1_sharpe": 0.9,
}  # fmt: skip


def test_alarms_of_the_account() -> None:
    account = daily(sessions=60)
    account.description |= {"simulated": True, "counts": {"suspected_splits": 2}}
    texts = " ".join(alarm.text for alarm in alarms.alarms_of(sheet_of(account, {})) if alarm.colour == "red")
    assert "Simulated prices" in texts
    assert "2 price moves look like splits" in texts
    assert "Look-ahead was not checked" in texts


def sheet_of(account: Account, metrics: dict[str, Any]) -> Any:
    """A sheet as the program reads it, with these metrics alone."""
    from scripts.backtest.tear_sheet.sheet import Sheet
    from scripts.lib.account import Description, EquityTable, TradeTable

    columns = {name: account.equity[name].to_numpy() for name in ("equity", "cash", "gross", "net", "turnover")}
    dates = pd.to_datetime(account.equity["date"]).to_numpy().astype("datetime64[ns]")
    trades = account.trades
    parts = [trades[name].to_numpy() for name in ("asset", "units", "price", "fee", "slippage", "kind")]
    table = TradeTable(pd.to_datetime(trades["date"]).to_numpy().astype("datetime64[ns]"), *parts)
    paths = {name: part["equity"].to_numpy() for name, part in account.benchmarks.groupby("benchmark", sort=False)}
    return Sheet(EquityTable(dates, False, **columns), table, paths, Description.model_validate(account.description),
                 metrics, [], [], [], [], TearSheetSettings())  # fmt: skip


def test_monthly_and_yearly_returns_are_those_of_pandas() -> None:
    account = daily(sessions=600)
    path = account.path
    months, returns = bars.monthly_returns(path.index.to_numpy(), path.to_numpy())
    expected = (1 + account.returns).resample("ME").prod() - 1
    assert list(months.astype(str)) == list(expected.index.strftime("%Y-%m"))
    np.testing.assert_allclose(returns, expected, rtol=1e-12, atol=1e-14)  # a month near 0 is left of larger ones
    years, total = bars.yearly_returns(path.index.to_numpy(), path.to_numpy())
    yearly = (1 + account.returns).resample("YE").prod() - 1
    assert list(years) == list(yearly.index.year)
    np.testing.assert_allclose(total, yearly, rtol=1e-12, atol=1e-14)


def test_a_month_without_a_session_has_no_return() -> None:
    dates = np.array(["2024-01-05", "2024-01-20", "2024-03-03"], "datetime64[ns]")
    months, returns = bars.monthly_returns(dates, np.array([100.0, 110.0, 121.0]))
    assert list(months.astype(str)) == ["2024-01", "2024-02", "2024-03"]
    np.testing.assert_allclose(returns, [0.1, np.nan, 0.1])


def test_heat_map_shows_these_months(whole: tuple[Account, Page, Path]) -> None:
    account, page, _ = whole
    expected = (1 + account.returns).resample("ME").prod() - 1
    shown = re.findall(r">([−\d.]+)</text>", page.pictures["Return of each month, percent"])
    cells = [float(cell.replace("−", "-")) for cell in shown if "." in cell]
    assert cells[: len(expected)] == pytest.approx([round(100 * value, 1) for value in expected])


def test_rolling_figures_are_those_of_pandas() -> None:
    account = daily(sessions=400)
    returns, window = account.returns, 126
    ends, views = curves._windows(returns.to_numpy(), window, 10_000)
    expected = returns.rolling(window).mean() / returns.rolling(window).std(ddof=1)
    np.testing.assert_allclose(curves.sharpes(views), expected.dropna(), rtol=1e-9, atol=1e-12)
    assert list(ends) == list(range(window - 1, len(returns)))
    market = account.benchmarks.query("benchmark == 'buy_and_hold'")["equity"].pct_change().dropna()
    market = pd.Series(market.to_numpy(), returns.index)
    slopes = curves.betas(views, curves._windows(market.to_numpy(), window, 10_000)[1])
    beta = returns.rolling(window).cov(market) / market.rolling(window).var()
    np.testing.assert_allclose(slopes, beta.dropna(), rtol=1e-9, atol=1e-12)


def test_costs_so_far_add_up_to_those_of_the_trades() -> None:
    account = daily(sessions=120)
    sheet = sheet_of(account, {})
    fees, slippage = curves.costs_so_far(sheet)
    by_day = (
        account.trades.groupby("date")[["fee", "slippage"]].sum().reindex(account.equity["date"]).fillna(0).cumsum()
    )
    np.testing.assert_allclose(fees, by_day["fee"], rtol=1e-12)
    np.testing.assert_allclose(slippage, by_day["slippage"], rtol=1e-12)
    np.testing.assert_allclose(
        curves.before_costs(sheet) - account.equity["equity"], by_day.sum(axis=1), rtol=1e-9, atol=1e-7
    )


def test_turnover_of_the_stretches_is_all_turnover() -> None:
    account = daily(sessions=333)
    sheet = sheet_of(account, {})
    edges, traded = curves.turnover_bins(sheet.equity.dates, sheet.equity.turnover)
    assert traded.sum() == pytest.approx(account.equity["turnover"].sum())
    assert len(edges) == len(traded) + 1 == 61
    assert edges[0] == sheet.equity.dates[0]
    assert edges[-1] == sheet.equity.dates[-1]


def test_a_thinned_curve_keeps_its_peaks() -> None:
    curve = np.random.default_rng(0).normal(size=100_000)
    curve[54_321], curve[77_777] = 100.0, -100.0
    places = frame.thinned(curve)
    assert len(places) <= frame.MAX_POINTS + 2
    assert {0, 54_321, 77_777, 99_999} <= set(places)


def test_profit_by_category_is_that_of_pandas(whole: tuple[Account, Page, Path]) -> None:
    account, _, _ = whole
    table = account_files.contributions(account)
    rows = [{"asset": row.asset, "category": row.category, "profit": repr(row.profit)} for row in table.itertuples()]
    expected = table.groupby("category")["profit"].sum().sort_values(ascending=False)
    found = bars.by_category(rows)
    assert [name for name, _ in found] == list(expected.index)
    np.testing.assert_allclose([value for _, value in found], expected, rtol=1e-12, atol=1e-7)  # currency


def test_twenty_questions(whole: tuple[Account, Page, Path]) -> None:
    _, page, _ = whole
    part = page.source[page.source.index('id="questions"') : page.source.index('id="missing"')]
    assert len(re.findall(r"<tr>", part)) == 20
    assert part.count("not answered here") == 3  # seeds and folds, cutoff of the model, second simulator


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics.json", "[1]", "metrics.json: not a JSON object"),
        ("metrics.json", "{", "metrics.json: cannot be read"),
        ("metrics.json", '{"account": "0"}', "judges another account"),
        ("periods.csv", "period,return\n2021,0.1\n", "periods.csv: no column 'sharpe'"),
        ("stress.csv", "family,setting,total_return,sharpe,low,high,turnover,final_equity\nlag,soon,1,1,1,1,1,1\n",
         "stress.csv: row 2: setting 'soon': not a number"),
        ("comparison.csv", "name,total_return,growth_rate,sharpe,low,high,max_drawdown,turnover\na,1\n",
         "comparison.csv: row 2: not as many cells as columns"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], file: str, content: str, message: str
) -> None:
    (tmp_path / "bad").mkdir()
    bad = tmp_path / "bad" / file
    bad.write_text(content)
    assert draw(daily(sessions=40), tmp_path / "one", {bad.stem: bad}) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "one/tear_sheet.html").exists()
    assert not (tmp_path / "one/plots").exists()


def test_a_template_with_an_unknown_name_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.html.j2"
    bad.write_text('{% extends "layout" %}{% block body %}{{ nobody }}{% endblock %}')
    account = daily(sessions=40)
    given = account.write(tmp_path) | {"template": bad, "layout": ROOT / "resources/page.html.j2"}
    given |= {"page": tmp_path / "page.html", "plots": tmp_path / "plots"}
    with pytest.raises(SystemExit) as stop:
        job.run(main, [word for name, path in given.items() for word in (f"--{name}", str(path))])
    assert stop.value.code == 2
    assert "bad.html.j2: 'nobody' is undefined" in capfd.readouterr().err


def test_a_model_that_may_have_read_what_happened() -> None:
    """The question of the cutoff is answered with both stretches, and what lies before it is no evidence."""
    account = daily(sessions=100)
    cutoff = str(account.path.index[40].date())
    account.description["settings"] = {"model_cutoff": cutoff}
    rows: list[dict[str, Any]] = [{"period": "up to the model's cutoff", "sharpe": 2.5}]
    sheet = replace(sheet_of(account, {}), periods=[*rows, {"period": "after the model's cutoff", "sharpe": 0.25}])
    answer = next(each.answer for each in questions.answers_of(sheet) if each.number == 18)
    assert answer is not None
    assert all(part in answer for part in (cutoff, "2.5", "0.25"))
    assert any("40 of 99 periods are no evidence" in alarm.text for alarm in alarms.alarms_of(sheet))


@pytest.mark.parametrize(
    ("told", "sessions", "alarm"),
    [(252, 1044, False), (365, 1044, True), (252, 200, False), (365, 200, False), (200, 1044, True)],
)
def test_a_year_of_other_periods_is_told(told: int, sessions: int, alarm: bool) -> None:
    """Business days are 260 or 261 a year; on less than a year nothing can be said."""
    account = daily(sessions=sessions)
    account.description["periods_a_year"] = told
    texts = [found.text for found in alarms.alarms_of(sheet_of(account, {})) if "Figures a year count" in found.text]
    assert len(texts) == alarm
    if alarm:
        assert f"count {told} sessions, the account has 261: " in texts[0]
        assert f"factor of {(told / 260.9) ** 0.5:.2f}" in texts[0]


def test_every_band_of_time_has_its_own_colour() -> None:
    """What the model may have read looks unlike anything that is evidence."""
    account = daily(sessions=40)
    names = ["train", "validation", "test", "up to the model's cutoff"]
    account.description["bands"] = [{"name": name, "start": "2021-01-04", "end": "2021-02-01"} for name in names]
    axes = curves.timeline(sheet_of(account, {})).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [*names, "traded here"]
    colours = [line.get_color() for line in axes.get_lines()]
    assert len(set(colours)) == len(names) + 1
    assert colours[3] == frame.LOSS


def test_other_documents_are_no_metrics(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    replay = tmp_path / "replay.json"
    replay.write_text('{"simulator": "bt", "largest_difference": 0.0, "sessions": 10}')
    assert draw(daily(sessions=40), tmp_path / "one", {"metrics": replay}) == 2
    assert f"{replay}: no 'sharpe' in it: not metrics.json of judge_backtest" in capfd.readouterr().err
