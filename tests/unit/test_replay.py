"""The replay in bt of what the account traded: agreement on random markets, and what a change of the files does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bt
import numpy as np
import pandas as pd
import pytest

from scripts.backtest import replay_trades, run_backtest
from scripts.backtest.prices.panel import Panel
from tests.unit.backtest_files import run
from tests.unit.test_backtest_simulator import events_of, panel_of

SEEDS = range(6)
COSTS = {"fee_bps": 10.0, "fee_per_unit": 0.003, "fee_minimum": 1.0, "slippage_bps": 5.0, "impact": 0.5}
TERMS: dict[str, Any] = {"initial_cash": 1e6, "borrow_rate": 0.02, "cash_rate": 0.03, "delisting_return": -0.3}
TRADE: dict[str, Any] = {**TERMS, **COSTS, "draws": 100, "portfolio": {"rule": "given"}}
EVENTS = {"splits": "ratio", "dividends": "amount", "delistings": "return"}


class Market:
    """A folder with a random market, its events and what an account traded in it."""

    def __init__(self, folder: Path, seed: int = 0, **trade: Any) -> None:
        self.folder, self.trade = folder, TRADE | trade
        self.panel = panel_of(seed)
        self.write_prices()
        self.write_events(seed)
        self.write_signals(seed)

    def path(self, name: str) -> Path:
        return self.folder / name

    def option(self, name: str, suffix: str = "csv") -> list[str]:
        return [f"--{name}", str(self.path(f"{name}.{suffix}"))]

    def write(self, name: str, columns: dict[str, Any]) -> None:
        pd.DataFrame(columns).to_csv(self.path(f"{name}.csv"), index=False)

    def write_prices(self) -> None:
        panel: Panel = self.panel
        sessions, assets = panel.close.shape
        rows = pd.DataFrame({
            "date": np.repeat(panel.sessions, assets), "asset": list(panel.assets) * sessions,
            "open": panel.open.ravel(), "close": panel.close.ravel(), "volume": panel.volume.ravel(),
        })  # fmt: skip
        rows.to_csv(self.path("prices.csv"), index=False)

    def write_events(self, seed: int) -> None:
        events = events_of(seed, self.panel)
        for kind, column in EVENTS.items():
            found = getattr(events, kind)
            days = self.panel.sessions[[event.session for event in found]]
            names = [self.panel.assets[event.asset] for event in found]
            self.write(kind, {"date": days, "asset": names, column: [event.value for event in found]})

    def write_signals(self, seed: int, every: int = 5) -> None:
        random, names = np.random.default_rng(seed), list(self.panel.assets)
        days = self.panel.sessions[:-1:every]
        signals = random.normal(0, 0.15, (len(days), len(names)))
        self.write("predictions", {
            "known_at": np.repeat(days, len(names)), "asset": names * len(days), "horizon": every,
            "signal": signals.ravel(),
        })  # fmt: skip

    def run_backtest(self) -> dict[str, Any]:
        """Figures of the account."""
        words = [word for name in ("predictions", "prices", *EVENTS, "equity", "trades") for word in self.option(name)]
        words += [*self.option("metrics", "json"), "--ledger", str(self.path("trials"))]
        assert run(run_backtest.main, self.trade, *words) == 0
        found: dict[str, Any] = json.loads(self.path("metrics.json").read_text())
        return found

    def replay(self, *without: str, **terms: Any) -> int | str | None:
        """Exit code of the replay."""
        words = [word for name in ("equity", "trades", "prices", *EVENTS) if name not in without
                 for word in self.option(name)]  # fmt: skip
        words += [*self.option("report", "json"), *self.option("table")]
        return run(replay_trades.main, {key: self.trade[key] for key in TERMS} | terms, *words)

    def report(self, *without: str, **terms: Any) -> dict[str, Any]:
        assert self.replay(*without, **terms) == 0
        found: dict[str, Any] = json.loads(self.path("report.json").read_text())
        return found

    @property
    def trades(self) -> Any:
        return pd.read_csv(self.path("trades.csv"))

    def change(self, row: int, column: str, value: Any) -> str:
        """Change a cell of trades.csv. Returns the date of its row."""
        table = self.trades.astype(object)
        table.loc[row, column] = value
        table.to_csv(self.path("trades.csv"), index=False)
        return str(table["date"][row])


@pytest.fixture
def market(tmp_path: Path) -> Market:
    found = Market(tmp_path)
    found.run_backtest()
    return found


@pytest.mark.parametrize("trade", [
    {}, {"fill": "next_close"}, {"whole_units": True, "initial_cash": 20_000.0}, {"no_price": "lapse"},
    {"begin": "2019-03-01", "end": "2019-06-01"},
])  # fmt: skip
@pytest.mark.parametrize("seed", SEEDS)
def test_bt_agrees_on_markets_with_everything_in_them(tmp_path: Path, seed: int, trade: dict[str, Any]) -> None:
    market = Market(tmp_path, seed, **trade)
    figures, report = market.run_backtest(), market.report()
    assert report["largest_difference"] < 1e-9
    assert report["first_beyond"] is None
    assert report["sessions"] == figures["sessions"]
    assert report["replayed_final_equity"] == pytest.approx(figures["final_equity"], rel=1e-12)
    assert (report["simulator"], report["version"]) == ("bt", bt.__version__)
    table, equity = pd.read_csv(market.path("table.csv")), pd.read_csv(market.path("equity.csv"))
    assert table["date"].tolist() == equity["date"].tolist()[1:]
    assert table["equity"].tolist() == equity["equity"].tolist()[1:]
    assert table["difference"].max() == report["largest_difference"]
    assert (market.trades["units"] < 0).any()
    if not trade:
        assert (market.trades["kind"] == "delisting").any()
        assert min(figures[key] for key in ("fees", "slippage", "borrow")) > 0
        assert figures["interest"] != 0 != figures["dividends"]


@pytest.mark.parametrize("row", [0, 17, 100])
@pytest.mark.parametrize(("column", "change"), [("fee", 0.01), ("units", 1.0)])
def test_a_changed_trade_is_told_from_its_date_on(market: Market, row: int, column: str, change: float) -> None:
    before = market.report()["largest_difference"]
    day = market.change(row, column, float(market.trades[column][row]) + change)
    report = market.report()
    assert report["first_beyond"] == day
    assert report["largest_difference"] > 1e-9 > before
    table = pd.read_csv(market.path("table.csv"))
    assert (table["difference"][table["date"] < day] <= 1e-9).all()
    assert report["largest_on"] == table["date"][table["difference"].idxmax()]


@pytest.mark.parametrize(("column", "factor"), [("price", 1.01), ("units", 0.5)])
def test_what_a_delisting_paid_is_compared_too(market: Market, column: str, factor: float) -> None:
    rows = market.trades.index[market.trades["kind"] == "delisting"]
    day = market.change(rows[0], column, float(market.trades[column][rows[0]]) * factor)
    report = market.report()
    assert report["first_beyond"] == report["largest_on"] == day
    assert report["final_equity"] == pytest.approx(report["replayed_final_equity"], rel=1e-12)


@pytest.mark.parametrize("kind", [*EVENTS])
def test_events_do_to_bt_s_own_positions_what_the_files_say(market: Market, kind: str) -> None:
    """Left out, they are missed: nothing of them is taken from the account."""
    days = pd.read_csv(market.path(f"{kind}.csv"))["date"]
    report = market.report(kind, delisting_return=0.0)
    assert report["largest_difference"] > 1e-6
    if kind != "delistings":
        assert report["first_beyond"] in set(days)


@pytest.mark.parametrize(("key", "value"), [("borrow_rate", 0.021), ("cash_rate", 0.031)])
def test_rates_are_charged_by_bt_from_the_second_session_on(market: Market, key: str, value: float) -> None:
    report = market.report(**{key: value})
    assert report["first_beyond"] == pd.read_csv(market.path("equity.csv"))["date"][2]


def test_another_tolerance_is_another_judgement_and_the_same_difference(market: Market) -> None:
    day = market.change(5, "fee", float(market.trades["fee"][5]) + 1.0)
    strict, lax = market.report(tolerance=1e-12), market.report(tolerance=0.5)
    assert (strict["first_beyond"], lax["first_beyond"]) == (day, None)
    assert strict["largest_difference"] == lax["largest_difference"]


def test_an_account_below_zero_is_replayed_to_its_end(tmp_path: Path) -> None:
    market = Market(tmp_path)
    market.panel.close[40:, 3] *= 30
    market.panel.open[40:, 3] *= 30
    market.write_prices()
    signals = pd.read_csv(market.path("predictions.csv"))
    signals["signal"] = np.where(signals["asset"] == "A3", -1.0, 0.0)
    signals.to_csv(market.path("predictions.csv"), index=False)
    assert market.run_backtest()["ruined"] == 1
    report = market.report()
    assert report["final_equity"] < 0
    assert report["largest_difference"] < 1e-9


def test_an_account_that_trades_nothing_is_replayed(tmp_path: Path) -> None:
    market = Market(tmp_path)
    signals = pd.read_csv(market.path("predictions.csv")).assign(signal=0.0)
    signals.to_csv(market.path("predictions.csv"), index=False)
    market.run_backtest()
    report = market.report()
    assert report["largest_difference"] < 1e-12
    assert report["replayed_final_equity"] > 1e6  # interest


def test_it_repeats_itself(market: Market) -> None:
    market.report()
    before = [market.path(name).read_bytes() for name in ("report.json", "table.csv")]
    market.report()
    assert [market.path(name).read_bytes() for name in ("report.json", "table.csv")] == before


def refused(market: Market, capsys: pytest.CaptureFixture[str]) -> str:
    """The line that a replay ends with; nothing is written."""
    assert market.replay() == 2
    assert not market.path("report.json").exists()
    assert not market.path("table.csv").exists()
    found = [line for line in capsys.readouterr().err.splitlines() if " ERROR " in line]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(("column", "value", "message"), [
    ("asset", "ZZZ", "trades.csv: row 9: asset 'ZZZ' is not in"),
    ("date", "2031-01-01", "trades.csv: row 9: date 2031-01-01 lies outside of the account's dates"),
    ("date", "2019-01-01", "trades.csv: row 9: date 2019-01-01 lies outside of the account's dates"),
    ("date", "2019-02-02T12:00:00", "trades.csv: row 9: date 2019-02-02T12:00:00 is no session of the account"),
    ("kind", "gift", "trades.csv: row 9: kind 'gift': neither order nor delisting"),
    ("fee", "much", "trades.csv: row 9: fee 'much': not a number"),
    ("units", "inf", "trades.csv: row 9: units 'inf': not finite"),
    ("asset", "A1", "prices.csv has no close of A1 up to then to value it"),  # listed late
])  # fmt: skip
def test_a_trade_that_cannot_be_replayed_is_one_line(
    market: Market, capsys: pytest.CaptureFixture[str], column: str, value: str, message: str
) -> None:
    market.change(7, column, value)
    assert message in refused(market, capsys)


@pytest.mark.parametrize(("name", "column"), [("trades", "fee"), ("equity", "equity"), ("prices", "close")])
def test_a_missing_column_is_one_line(
    market: Market, capsys: pytest.CaptureFixture[str], name: str, column: str
) -> None:
    table = pd.read_csv(market.path(f"{name}.csv"))
    table.drop(columns=column).to_csv(market.path(f"{name}.csv"), index=False)
    assert f"{name}.csv: no column '{column}'" in refused(market, capsys)


@pytest.mark.parametrize(("row", "date"), [(4, "gone"), (1, "2018-12-31"), (4, "instants")])
def test_an_account_of_other_sessions_is_one_line(
    market: Market, capsys: pytest.CaptureFixture[str], row: int, date: str
) -> None:
    table = pd.read_csv(market.path("equity.csv"))
    if date == "gone":
        table = table.drop(index=row)
    elif date == "instants":
        table["date"] += "T00:00:00Z"
        row = 1
    else:
        table.loc[row, "date"] = date
    table.to_csv(market.path("equity.csv"), index=False)
    line = refused(market, capsys)
    assert f"equity.csv: row {row + 2}: " in line
    assert "is not the session of" in line
