"""run_backtest from its command line: the meaning of known_at, files, bad input, the ledger."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts.backtest.prices.panel import Event, Events, Panel
from scripts.backtest.run_backtest import main
from scripts.backtest.trading.planning import total_returns
from scripts.backtest.trading.settings import BacktestSettings
from scripts.lib import job
from scripts.lib.ledger import counted

DAYS = pd.bdate_range("2024-01-01", periods=60)
ASSETS = ["AAA", "BBB", "CCC", "DDD"]


def prices_of(seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.02, (len(DAYS), len(ASSETS))), axis=0))
    opened = close * np.exp(random.normal(0, 0.01, close.shape))
    return pd.DataFrame({
        "date": np.repeat(DAYS.strftime("%Y-%m-%d"), len(ASSETS)), "asset": ASSETS * len(DAYS), "open": opened.ravel(),
        "high": np.maximum(opened, close).ravel(), "low": np.minimum(opened, close).ravel(), "close": close.ravel(),
        "volume": 1e6,
    })  # fmt: skip


def predictions_of(dates: list[str], seed: int = 1) -> Any:
    signals = np.random.default_rng(seed).normal(size=len(dates) * len(ASSETS))
    return pd.DataFrame({"known_at": np.repeat(dates, len(ASSETS)), "asset": ASSETS * len(dates), "horizon": 5,
                         "signal": signals})  # fmt: skip


class Run:
    """A folder with the inputs of one backtest, and its outputs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.predictions, self.prices = folder, predictions_of(["2024-01-05", "2024-01-19"]), prices_of()

    def __call__(self, settings: dict[str, Any] | None = None, **files: Path) -> dict[str, Any]:
        code = self.code(settings, **files)
        assert code == 0
        metrics: dict[str, Any] = json.loads((self.folder / "M.json").read_text())
        return metrics

    def code(self, settings: dict[str, Any] | None = None, **files: Path) -> int | str | None:
        self.predictions.to_csv(self.folder / "P.csv", index=False)
        self.prices.to_csv(self.folder / "prices.csv", index=False)
        files |= {"predictions": self.folder / "P.csv", "prices": self.folder / "prices.csv"}
        files |= {"equity": self.folder / "E.csv", "trades": self.folder / "T.csv", "metrics": self.folder / "M.json"}
        chosen = {"portfolio": {"quantile": 0.25}, "draws": 100, **(settings or {})}
        words = ["--ledger", self.folder / "trials", "--settings", json.dumps(chosen)]
        words += [word for name, path in files.items() for word in (f"--{name}", path)]
        with pytest.raises(SystemExit) as stop:
            job.run(main, list(map(str, words)))
        return stop.value.code

    @property
    def equity(self) -> Any:
        return pd.read_csv(self.folder / "E.csv")

    @property
    def trades(self) -> Any:
        return pd.read_csv(self.folder / "T.csv")

    def again(self, **changed: float) -> None:
        self.prices = pd.concat([self.prices, self.prices.head(1).assign(**changed)])

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name


@pytest.fixture
def backtest(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_date_is_traded_at_the_next_sessions_open(backtest: Run) -> None:
    backtest({"fee_bps": 10, "slippage_bps": 5})
    assert backtest.equity["date"][0] == "2024-01-05"
    assert backtest.equity["equity"][0] == 1e6
    assert backtest.equity["date"][1] == "2024-01-08"  # the fifth is a Friday
    first = backtest.trades[backtest.trades["date"] == "2024-01-08"]
    assert len(first) == 2
    for trade in first.itertuples():
        opened = backtest.prices.query("date == '2024-01-08' and asset == @trade.asset")["open"].item()
        assert trade.price == pytest.approx(opened * (1 + 5e-4 * np.sign(trade.units)))
        assert abs(trade.units) * opened == pytest.approx(500_000)
        assert trade.fee == pytest.approx(abs(trade.units) * trade.price * 1e-3)


@pytest.mark.parametrize(
    ("stamp", "calendar", "filled"),
    [
        ("2024-01-10", None, "2024-01-11"),
        ("2024-01-10T00:00:00", None, "2024-01-11"),
        ("2024-01-10T00:00:00Z", None, "2024-01-11"),  # the session opens at that very instant: not strictly after
        ("2024-01-10T23:59:59+00:00", None, "2024-01-11"),
        ("2024-01-10T01:00:00+02:00", None, "2024-01-10"),
        ("2024-01-10T14:29:59+00:00", "XNYS", "2024-01-10"),
        ("2024-01-10T14:30:00+00:00", "XNYS", "2024-01-11"),
        ("2024-01-10T09:29:00-05:00", "XNYS", "2024-01-10"),
        ("2024-01-13", None, "2024-01-15"),
        ("2024-01-13", "XNYS", "2024-01-16"),  # Martin Luther King day
    ],
)
def test_known_at_decides_the_session(backtest: Run, stamp: str, calendar: str | None, filled: str) -> None:
    backtest.predictions = predictions_of([stamp])
    backtest({"calendar": calendar})
    assert backtest.trades["date"].iloc[0] == filled


def test_rows_on_holidays_are_left_out_and_counted(backtest: Run) -> None:
    assert backtest({"calendar": "XNYS"})["rows_outside_sessions"] == 3 * len(ASSETS)  # 01-01, 01-15, 02-19


@pytest.mark.parametrize("fill", ["next_open", "next_close"])
def test_the_row_order_of_the_files_changes_no_byte(backtest: Run, fill: str) -> None:
    backtest({"fill": fill})
    before = [(backtest.folder / name).read_bytes() for name in ("E.csv", "T.csv")]
    backtest.predictions = backtest.predictions.sample(frac=1, random_state=3)
    backtest.prices = backtest.prices.sample(frac=1, random_state=4)
    backtest({"fill": fill})
    assert [(backtest.folder / name).read_bytes() for name in ("E.csv", "T.csv")] == before


def test_a_rerun_is_no_new_trial_and_other_settings_are(backtest: Run) -> None:
    first = backtest()
    assert (first["trials"], backtest()["trials"], backtest({"draws": 200})["trials"]) == (1, 1, 1)
    second = backtest({"fee_bps": 1})
    assert second["trials"] == 2
    assert backtest()["deflated_sharpe"] < first["deflated_sharpe"]


def test_splits_and_dividends_come_from_files(backtest: Run) -> None:
    plain = backtest()["final_equity"]
    half = (backtest.prices["asset"] == "AAA") & (backtest.prices["date"] >= "2024-02-01")
    backtest.prices.loc[half, ["open", "high", "low", "close"]] /= 2
    assert backtest()["suspected_splits"] == 1
    told = backtest(splits=backtest.write("splits.csv", "date,asset,ratio\n2024-02-01,AAA,2\n"))
    assert told["final_equity"] == pytest.approx(plain, rel=1e-12)
    assert told["suspected_splits"] == 0
    held = backtest.trades.groupby("asset")["units"].sum().index[0]
    paid = backtest(dividends=backtest.write("dividends.csv", f"date,asset,amount\n2024-02-05,{held},1.0\n"))
    assert paid["dividends"] != 0


def test_a_name_whose_prices_end_is_closed_and_told(backtest: Run) -> None:
    gone = (backtest.prices["asset"] == "BBB") & (backtest.prices["date"] > "2024-01-31")
    backtest.prices = backtest.prices[~gone]
    backtest.predictions = pd.DataFrame({"known_at": "2024-01-05", "asset": ASSETS, "signal": [0.0, 1.0, 0.0, 0.0]})
    settings = {"portfolio": {"rule": "given"}, "delisting_return": -0.3}
    assert backtest(settings)["delistings"] == 1
    last = backtest.trades.iloc[-1]
    close = backtest.prices.query("asset == 'BBB'")["close"].iloc[-1]
    assert (last["kind"], last["date"]) == ("delisting", "2024-02-01")
    assert last["price"] == pytest.approx(close * 0.7)
    backtest(settings, delistings=backtest.write("delistings.csv", "date,asset,return\n2024-02-05,BBB,-1\n"))
    assert backtest.trades.iloc[-1]["price"] == 0


def test_an_order_without_a_price_waits_or_lapses(backtest: Run) -> None:
    hole = (backtest.prices["asset"] == "AAA") & backtest.prices["date"].between("2024-01-08", "2024-01-10")
    backtest.prices.loc[hole, ["open", "close"]] = np.nan
    backtest.predictions = pd.DataFrame({"known_at": "2024-01-05", "asset": ASSETS, "signal": [0.5, 0.5, 0.0, 0.0]})
    settings: dict[str, Any] = {"portfolio": {"rule": "given"}}
    assert backtest(settings)["unfilled_orders"] == 0
    assert backtest.trades["date"].tolist() == ["2024-01-08", "2024-01-11"]
    backtest({**settings, "no_price": "lapse"})
    assert backtest.trades["date"].tolist() == ["2024-01-08"]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda run: run.predictions.__delitem__("signal"), "no column 'signal'"),
        (lambda run: run.predictions.__setitem__("signal", "high"), "P.csv: row 2: signal 'high': not a number"),
        (lambda run: run.predictions.__setitem__("known_at", "2024-01-05T15:30"), "15:30': a time of day"),
        (lambda run: run.predictions.__setitem__("known_at", "soon"), "row 2: known_at 'soon': not a date"),
        (lambda run: run.predictions.__setitem__("asset", "AAA"), "row 3: asset 'AAA': a second time"),
        (lambda run: run.predictions.__setitem__("asset", ["X", "Y", "Z", "W"] * 2), "none of its assets has prices"),
        (lambda run: run.predictions.__setitem__("known_at", ["2030-01-01"] * 4 + ["2030-01-02"] * 4), "no session of"),
        (lambda run: run.prices.__setitem__("close", "n/a?"), "prices.csv: row 2: close 'n/a?': not a number"),
        (lambda run: run.prices.__setitem__("date", "2024-13-01"), "prices.csv: row 2: date"),
        (lambda run: run.prices.__setitem__("currency", ["USD", "EUR"] * 120), "several currencies (EUR, USD)"),
        (lambda run: run.again(close=3.0), "row 242: AAA on 2024-01-01 has other prices than in row 2: two vintages"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_nothing_is_written(
    backtest: Run, capsys: pytest.CaptureFixture[str], spoil: Any, expected: str
) -> None:
    spoil(backtest)
    assert backtest.code() == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert expected in last
    assert not any((backtest.folder / name).exists() for name in ("E.csv", "T.csv", "M.json"))


def test_identical_rows_count_once(backtest: Run) -> None:
    before = backtest()["final_equity"]
    backtest.prices = pd.concat([backtest.prices, backtest.prices.head(3)])
    metrics = backtest()
    assert metrics["duplicate_rows"] == 3
    assert metrics["final_equity"] == before


def test_figures_agree_with_empyrical(backtest: Run) -> None:
    import empyrical

    metrics, equity = backtest(), backtest.equity["equity"]
    returns = equity.pct_change().dropna().to_numpy()
    assert metrics["sharpe"] == pytest.approx(empyrical.sharpe_ratio(returns), rel=1e-9)
    assert metrics["max_drawdown"] == pytest.approx(empyrical.max_drawdown(returns), rel=1e-9)
    assert metrics["growth_rate"] == pytest.approx(empyrical.cagr(returns), rel=1e-9)
    low, high = metrics["sharpe_interval"]
    assert low < metrics["sharpe"] < high


def test_a_year_of_a_market_that_never_closes(backtest: Run) -> None:
    import empyrical

    metrics, equity = backtest({"sessions_a_year": 365}), backtest.equity["equity"]
    returns = equity.pct_change().dropna().to_numpy()
    assert metrics["sharpe"] == pytest.approx(empyrical.sharpe_ratio(returns, annualization=365), rel=1e-9)
    assert metrics["growth_rate"] == pytest.approx(empyrical.cagr(returns, annualization=365), rel=1e-9)
    at_an_exchange = backtest({"sessions_a_year": 252})
    assert metrics["turnover"] / at_an_exchange["turnover"] == pytest.approx(365 / 252)
    assert metrics["final_equity"] == at_an_exchange["final_equity"]


def test_a_day_that_no_calendar_has(backtest: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert backtest.code({"model_cutoff": "2015-02-30"}) == 2
    assert "model_cutoff" in capsys.readouterr().err


@pytest.mark.parametrize("stamp", ["9999-12-31T00:00:00Z", "2500-01-01", "0001-01-01"])
def test_a_time_beyond_what_can_be_counted_is_refused(
    backtest: Run, capsys: pytest.CaptureFixture[str], stamp: str
) -> None:
    backtest.predictions["known_at"] = backtest.predictions["known_at"].astype(object)
    backtest.predictions.loc[4, "known_at"] = stamp
    assert backtest.code() == 2
    assert f"row 6: known_at '{stamp}': not within 1700 to 2262" in capsys.readouterr().err


def test_equal_signals_are_no_bets(backtest: Run) -> None:
    backtest.predictions["signal"] = 0.1
    assert backtest({"portfolio": {"rule": "proportional"}})["trades"] == 0


@pytest.mark.parametrize(("kind", "column", "row"), [
    ("splits", "ratio", "2024-01-16,AAA,2"), ("dividends", "amount", "2024-01-16,AAA,2"),
])  # fmt: skip
def test_an_event_that_is_told_twice_is_refused(
    backtest: Run, capsys: pytest.CaptureFixture[str], kind: str, column: str, row: str
) -> None:
    path = backtest.write(f"{kind}.csv", f"date,asset,{column}\n{row}\n{row}\n")
    files: dict[str, Any] = {kind: path}
    assert backtest.code(**files) == 2
    assert f"row 3: asset 'AAA': a second {column} on 2024-01-16" in capsys.readouterr().err


def test_a_special_dividend_comes_beside_another(backtest: Run) -> None:
    both = backtest.write("d.csv", "date,asset,amount\n2024-01-16,AAA,2\n2024-01-16,AAA,1\n")
    one = backtest.write("one.csv", "date,asset,amount\n2024-01-16,AAA,3\n")
    assert backtest(dividends=both)["final_equity"] == pytest.approx(backtest(dividends=one)["final_equity"])


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zip", ".bz2", ".zst"])
def test_a_damaged_packed_file_is_one_line(backtest: Run, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    backtest.write(f"d.csv{suffix}", "")
    path = backtest.write("d.csv", "date,asset,amount\n2024-01-16,AAA,2\n")
    damaged = path.with_name(f"d.csv{suffix}")
    damaged.write_bytes(gzip.compress(path.read_bytes())[:-12])
    assert backtest.code(dividends=damaged) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_the_sessions_of_a_year_make_no_trial_unless_volatility_is_a_target() -> None:
    settings: dict[str, Any] = BacktestSettings().model_dump(mode="json")
    other = settings | {"sessions_a_year": 365}
    assert counted(settings) == counted(other)
    target: dict[str, Any] = {"portfolio": settings["portfolio"] | {"volatility_target": 0.1}}
    assert counted(settings | target) != counted(other | target)


def test_a_dividend_on_the_day_of_a_split_is_paid_on_the_new_units() -> None:
    closes = np.array([[100.0], [50.0]])
    days = np.array(["2024-01-02", "2024-01-03"], "datetime64[D]")
    panel = Panel(days, ("AAA",), closes, closes, closes)
    events = Events((Event(1, 0, 2.0),), (Event(1, 0, 1.0),), ())
    ratio = total_returns(closes, panel, events)[:, 0]
    assert ratio[1] / ratio[0] == pytest.approx(50 / 49)  # 50 before the ex-date, in new units, less 1
