"""write_overview: the page beside overview.csv and the files that it was made from."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts.gates.evaluate_gate import main as evaluate_gate
from scripts.lib import job
from scripts.report.write_overview import main
from tests.unit.account_files import Account, daily, intraday, write
from tests.unit.test_tear_sheet import HOSTILE, ROOT, Page, numbers_of

LINES = ["orderbook", "market", "llm"]


class Run:
    """A folder of results, and the overview of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, list[Path]] = {}
        self.settings: dict[str, Any] = {"lines": LINES, "not_run": ["The line llm does not exist yet."]}

    def backtest(self, name: str, account: Account) -> None:
        account.description["name"] = name
        given = account.write(self.folder / "backtest" / name)
        names = {"metrics": "metrics", "accounts": "description", "comparisons": "comparison", "causality": "causality"}
        for option, file in names.items():
            if file in given:
                self.files.setdefault(option, []).append(given[file])

    def verdict(self, line: str, stage: str, subject: str, status: str, *checks: dict[str, Any]) -> Path:
        path = self.folder / line / "gates" / stage / f"{subject}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.files.setdefault("verdicts", []).append(path)
        return write(path, {"status": status, "checks": list(checks)})

    def code(self) -> int | str | None:
        words = ["--template", ROOT / "resources/overview.html.j2", "--layout", ROOT / "resources/page.html.j2"]
        words += ["--page", self.folder / "overview.html", "--table", self.folder / "overview.csv"]
        words += [word for option, paths in self.files.items() for word in (f"--{option}", *paths)]
        with pytest.raises(SystemExit) as stop:
            job.run(main, [*map(str, words), "--settings", json.dumps(self.settings)])
        return stop.value.code

    def page(self) -> Page:
        assert self.code() == 0
        return Page(self.folder / "overview.html")

    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "overview.csv").open(newline="") as file:
            return list(csv.DictReader(file))


def check(name: str, status: str, value: object = 0.3, **keys: Any) -> dict[str, Any]:
    return {"name": name, "metric": name, "status": status, "value": value, "interval": [0.1, 0.5], "threshold": 0.4,
            "direction": "min", "n": 759, "reason": f"{name} says why", "waiver": None, **keys}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two backtests, of which one was not checked for look-ahead, and three gates."""
    found = Run(tmp_path)
    market, books = daily(sessions=200), intraday(120)
    books.description["simulated"] = True
    books.metrics["causality"] = "not checked"
    found.backtest("momentum", market)
    found.backtest("orderbook-demo", books)
    found.verdict("market", "backtest", "momentum", "fail", check("sharpe_floor", "fail"), check("drawdown", "pass"))
    waiver = {"reason": "a demo", "by": "A. Reader", "until": "2026-12-31"}
    found.verdict("orderbook", "encoder", "demo", "waived", check("gain", "waived", waiver=waiver))
    found.verdict("orderbook", "agent", "demo", "pass", check("profit", "pass"))
    return found


def test_every_number_stands_in_the_table(run: Run) -> None:
    page = run.page()
    table = {float(cell) for row in run.rows() for key in ("value", "low", "high", "n", "threshold")
             if (cell := row[key])}  # fmt: skip
    assert len(page.numbers) > 60
    assert not [value for value in page.numbers if float(value) not in table]


def test_the_table_holds_what_the_files_say(run: Run) -> None:
    run.page()
    metrics = json.loads(run.files["metrics"][0].read_text())
    found = {row["figure"]: row for row in run.rows() if row["kind"] == "backtest" and row["subject"] == "momentum"}
    for key in ("total_return", "sharpe", "max_drawdown", "deflated_sharpe", "pbo", "trials", "turnover"):
        assert float(found[key]["value"]) == metrics[key]
    assert [float(found["sharpe"][side]) for side in ("low", "high")] == metrics["sharpe_interval"]
    assert [float(found["excess_sharpe"][side]) for side in ("low", "high")] == metrics["excess_sharpe_interval"]
    assert found["sharpe"]["unit"] == "a year"
    others = [row for row in run.rows() if row["kind"] == "benchmark" and row["figure"] == "sharpe"]
    with run.files["comparisons"][0].open() as file:
        expected = next(row for row in csv.DictReader(file) if row["name"] == "equal_weight")
    assert others[0]["subject"] == "momentum/equal_weight"
    assert (others[0]["value"], others[0]["low"], others[0]["high"]) == tuple(
        expected[k] for k in ("sharpe", "low", "high")
    )
    assert {float(value) for row in run.rows() if (value := row["value"])} <= numbers_of_results(run)


def numbers_of_results(run: Run) -> set[float]:
    """Numbers of the files, and small counts of files."""
    return set().union(*(numbers_of(path.parent) for path in run.files["metrics"])) | set(map(float, range(10))) | {0.3}


def test_states_of_the_lines(run: Run) -> None:
    run.page()
    rows = [row for row in run.rows() if row["kind"] == "line"]
    assert {row["line"]: row["status"] for row in rows} == {
        "orderbook": "waived", "market": "fail", "llm": "nothing was run"
    }  # fmt: skip
    gates = {(row["line"], row["figure"]): float(row["value"]) for row in rows}
    assert gates["orderbook", "gates pass"] == gates["orderbook", "gates waived"] == gates["market", "gates fail"] == 1
    assert gates["orderbook", "backtests"] == 1
    assert gates["llm", "backtests"] == 0


def test_red_at_the_top(run: Run) -> None:
    page = run.page()
    red = re.findall(r'<li class="red">(.*?)</li>', page.source)
    assert red == [
        "Gates failed: market/backtest/momentum", "Gates waived: orderbook/encoder/demo",
        "Look-ahead was not checked in: orderbook-demo",
        "Simulated prices, which say nothing of any market, in: orderbook-demo",
    ]  # fmt: skip
    bad = re.findall(r'<tr class="bad">(.*?)</tr>', page.source, flags=re.DOTALL)
    assert len(bad) == 2
    assert "sharpe_floor" in bad[0]
    assert "waived: a demo; by A. Reader, until 2026-12-31" in bad[1]


def test_what_was_not_run_is_told(run: Run) -> None:
    page = run.page()
    assert "The line llm does not exist yet." in page.text
    assert [row["text"] for row in run.rows() if row["kind"] == "not run"] == run.settings["not_run"]


def test_definitions_for_each_way_to_annualise(run: Run) -> None:
    page = run.page()
    assert "Figures are annualised, 252 sessions a year" in page.text
    assert "Figures are per decision, not annualised" in page.text
    assert "(ddof 1) of simple returns × √252, 252 sessions a year; risk-free rate 0." in page.text


def test_bytes_are_equal_on_two_runs_and_nothing_comes_from_elsewhere(run: Run) -> None:
    page = run.page()
    table = (run.folder / "overview.csv").read_bytes()
    assert run.page().source == page.source
    assert (run.folder / "overview.csv").read_bytes() == table == page.downloads["overview.csv"]
    assert "http" not in page.source.replace("data:", "")
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}


def test_names_are_text(run: Run) -> None:
    run.backtest(HOSTILE.replace("/", "_"), daily(sessions=60))
    run.verdict("market", "backtest", "hostile", "fail", check(HOSTILE, "fail", reason=HOSTILE))
    run.settings["not_run"] = [HOSTILE]
    page = run.page()
    assert not any(tag == "script" for tag, _ in page.tags)
    assert page.text.count(HOSTILE) >= 4


def test_nothing_at_all(tmp_path: Path) -> None:
    run = Run(tmp_path)
    page = run.page()
    assert "No backtest was run." in page.text
    assert "No gate has given a verdict." in page.text
    assert {row["status"] for row in run.rows() if row["kind"] == "line"} == {"nothing was run"}


def test_an_offence_is_named(run: Run) -> None:
    offence = {"artifact": "features", "column": "zscore", "at": "2021-02-03"}
    account = daily(sessions=60)
    account.extra["causality.json"] = {"status": "fail", "offences": [offence]}
    run.backtest("leaky", account)
    page = run.page()
    assert "Look-ahead found in: leaky" in page.text
    assert "features: zscore at 2021-02-03" in page.text
    assert (
        next(row for row in run.rows() if row["subject"] == "leaky" and row["figure"] == "causality")["status"]
        == "fail"
    )


def test_words_instead_of_numbers(run: Run) -> None:
    """As the gates write them: a text that must equal another, an end of an interval, no gate at all."""
    equal = check("causality", "fail", "not checked", interval=None, threshold="pass", direction=None, n=None)
    run.verdict(
        "market", "backtest", "words", "fail", equal, check("sharpe", "fail", bound="low", interval=[0.1, None])
    )
    path = run.verdict("market", "signal", "momentum", "pass")
    write(path, json.loads(path.read_text()) | {"gate": "none", "reason": "no gate: `gate: none` stands in the config"})
    page = run.page()
    cells = [re.sub(r"<[^>]*>", "|", row) for row in re.findall(r'<tr class="bad">(.*?)</tr>', page.source, re.DOTALL)]
    assert "||not checked||" in cells[-3]
    assert "||pass||" in " ".join(cells[-3].split()).replace("| ", "|").replace(" |", "|")
    assert "low ≥ |0.4|" in cells[-2]
    assert "no gate: `gate: none` stands in the config" in cells[-1]
    assert "No gate, by the configuration: market/signal/momentum" in page.text


def test_a_verdict_of_evaluate_gate(run: Run) -> None:
    """The joint between the two programs: what one writes, the other reads."""
    metrics = run.files["metrics"][0]
    floor = {"kind": "limit", "metric": "sharpe", "bound": "low", "direction": "min", "threshold": 50.0, "n": "n",
             "n_min": 20}  # fmt: skip
    waiver = {"check": "floor", "reason": "known", "by": "A. Reader", "until": "2030-01-02"}
    settings = {"checks": {"floor": floor}, "waive": [waiver]}
    path = run.folder / "market/gates/judged/momentum.json"
    words = ["--metrics", metrics, "--artifacts", metrics, "--line", "market", "--stage", "judged",
             "--subject", "momentum", "--today", "2029-01-01", "--verdict", path,
             "--page", path.with_suffix(".html")]  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        job.run(evaluate_gate, [*map(str, words), "--settings", json.dumps(settings)])
    assert stop.value.code == 0
    run.files["verdicts"].append(path)
    page = run.page()
    assert "waived: known; by A. Reader, until 2030-01-02" in page.text
    row = next(row for row in run.rows() if row["subject"] == "judged/momentum" and row["kind"] == "check")
    found = json.loads(metrics.read_text())
    assert (float(row["value"]), float(row["low"]), row["threshold"]) == (
        found["sharpe"],
        found["sharpe_interval"][0],
        "50.0",
    )
    assert (row["status"], float(row["n"])) == ("waived", found["n"])


def test_checks_without_numbers(run: Run) -> None:
    run.verdict("market", "data", "prices", "fail", check("leaks", "fail", None, interval=None, threshold=None, n=None,
                                                         waiver={"by": "A. Reader"}))  # fmt: skip
    page = run.page()
    assert "leaks says why" in page.text
    assert "waived: not told; by A. Reader, until not told" in page.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"status": "green", "checks": []}, "status 'green': not one of fail, pass, waived, warn"),
        ({"checks": []}, "status None"),
        ({"status": "pass", "checks": [{"name": "a", "status": "maybe"}]}, "checks.0.status 'maybe'"),
        ({"status": "pass", "checks": [1]}, "checks: not a list of objects"),
        ("[]", "not a JSON object"),
    ],
)
def test_bad_verdicts(run: Run, capfd: pytest.CaptureFixture[str], content: Any, message: str) -> None:
    write(run.files["verdicts"][0], content)
    assert run.code() == 2
    told = capfd.readouterr().err
    assert message in told
    assert "momentum.json" in told
    assert not (run.folder / "overview.html").exists()


def test_metrics_without_their_account(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    del run.files["accounts"][0]
    assert run.code() == 2
    assert "momentum/metrics.json: no account.json was given whose name is 'momentum'" in capfd.readouterr().err


def test_metrics_of_another_trial(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    path = run.files["metrics"][0]
    write(path, json.loads(path.read_text()) | {"trial": "f" * 64})
    assert run.code() == 2
    assert "judges another trial" in capfd.readouterr().err
