"""Prices as they come: exchanges, dirt, vintages. Handled or refused, and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts.backtest.prices.checks import suspected_splits
from scripts.backtest.prices.panel import Events, Panel, opening_times
from scripts.backtest.prices.reader import compare_vintages, read_events, read_panel
from scripts.backtest.run_backtest import main
from scripts.backtest.trading.predictions import fill_sessions, read_predictions
from scripts.backtest.trading.simulator import Contract, Plan, simulate
from scripts.lib import job
from scripts.lib.errors import InputError
from tests.unit.price_files import days_of, freqtrade, lean, write, yahoo

Data = Callable[[str], Path]
LEAN, YAHOO = "ohlcv/lean/Data/equity/usa/daily", "ohlcv/multimarket_daily"


def bars(asset: str, first: str, last: str, calendar: str | None = None, price: float = 100.0) -> Any:
    """A bar on every weekday, holidays too, each with a price of its own."""
    days = pd.bdate_range(first, last)
    close = price * (1 + 1e-3 * np.arange(len(days)))
    table = pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "asset": asset, "open": close - 0.01, "close": close})
    return table if calendar is None else table.assign(calendar=calendar)


def no_events(panel: Panel) -> Events:
    return read_events(panel, None, None, None, 0.0, 5)


def first_session(folder: Path, panel: Panel, stamp: str) -> str:
    """The session that trades what is known at a stamp."""
    (folder / "P.csv").write_text(f"known_at,asset,signal\n{stamp},{panel.assets[0]},1\n")
    known = read_predictions(folder / "P.csv", panel, "signal")
    return str(panel.sessions[fill_sessions(known, panel, opening_times(panel))[0]])


# --- exchanges


@pytest.fixture
def atlantic(tmp_path: Path) -> Path:
    """New York (closed on 15 January 2024) and London (closed on 1 January and 6 May 2024)."""
    return write(
        tmp_path, bars("AAA", "2024-01-01", "2024-05-31", "XNYS"), bars("BBB", "2024-01-01", "2024-05-31", "XLON")
    )


def test_rows_count_on_the_sessions_of_their_own_exchange(atlantic: Path) -> None:
    panel, counts = read_panel(atlantic)
    new_york = ["2024-01-01", "2024-01-15", "2024-02-19", "2024-03-29", "2024-05-27"]
    london = ["2024-01-01", "2024-03-29", "2024-04-01", "2024-05-06", "2024-05-27"]
    weekdays = pd.bdate_range("2024-01-01", "2024-05-31").strftime("%Y-%m-%d")
    assert counts["rows_outside_sessions"] == len(new_york) + len(london)
    assert counts["missing_prices"] == counts["missing_sessions"] == 0
    assert panel.sessions.astype(str).tolist() == [day for day in weekdays if day not in set(new_york) & set(london)]
    for asset, holidays in enumerate([new_york, london]):
        closed = np.isnan(panel.close[:, asset])
        assert set(panel.sessions[closed].astype(str)) == set(holidays) - (set(new_york) & set(london))


@pytest.mark.parametrize(
    ("stamp", "filled"),
    [
        ("2024-01-10T07:59:59Z", "2024-01-10"),
        ("2024-01-10T08:00:00Z", "2024-01-11"),  # London has opened, New York will at 14:30: the first one counts
        ("2024-01-15T07:00:00Z", "2024-01-15"),  # New York is closed, London is a session all the same
        ("2024-05-03T13:30:00Z", "2024-05-06"),
        ("2024-05-06T08:00:00Z", "2024-05-06"),  # London is closed, New York opens at 13:30
        ("2024-05-06T13:30:00Z", "2024-05-07"),
        ("2024-03-28", "2024-04-01"),
    ],
)
def test_an_instant_is_compared_with_the_first_opening_of_that_day(atlantic: Path, stamp: str, filled: str) -> None:
    assert first_session(atlantic.parent, read_panel(atlantic)[0], stamp) == filled


def test_the_column_counts_before_the_setting(atlantic: Path) -> None:
    with_setting, without = read_panel(atlantic, "XTKS"), read_panel(atlantic)
    assert with_setting[1] == without[1]
    np.testing.assert_array_equal(with_setting[0].close, without[0].close)


def test_an_order_waits_for_its_own_exchange(atlantic: Path) -> None:
    panel, _ = read_panel(atlantic)
    holiday = int(np.searchsorted(panel.sessions, np.datetime64("2024-05-06")))
    path = simulate(panel, Plan(np.array([holiday]), np.array([[0.5, 0.5]])), Contract(), first=holiday)
    assert [(trade["session"], trade["asset"]) for trade in path.trades] == [(holiday, 0), (holiday + 1, 1)]


def test_a_holiday_week_of_the_own_exchange_is_no_delisting(tmp_path: Path) -> None:
    """Shanghai was closed from 1 to 7 October 2019; the panel ends there, and AAA's prices ended before."""
    shanghai = bars("CCC", "2019-09-02", "2019-09-30", "XSHG")
    path = write(tmp_path, shanghai, bars("AAA", "2019-09-02", "2019-09-30"), bars("BBB", "2019-09-02", "2019-10-07"))
    table = pd.read_csv(path)
    table["calendar"] = table["calendar"].fillna("XNYS")
    table.to_csv(path, index=False)
    panel, _ = read_panel(path)
    gone = [panel.assets[event.asset] for event in no_events(panel).delistings]
    assert gone == ["AAA"]


def test_sessions_that_no_asset_has_are_counted(tmp_path: Path) -> None:
    table = bars("AAA", "2024-01-02", "2024-02-02")
    path = write(tmp_path, table[~table["date"].between("2024-01-10", "2024-01-12")])
    assert read_panel(path, "XNYS")[1]["missing_sessions"] == 3


@pytest.mark.parametrize(
    ("calendars", "expected"),
    [
        (["XNYS", "XLON"], "row 3: AAA has the calendar XLON, in a row before XNYS: an asset is of one exchange"),
        (["XNYS", ""], "row 3: calendar nan: missing"),
        (["NYC", "NYC"], "'NYC' is no exchange calendar"),
    ],
)
def test_bad_calendars_are_named(tmp_path: Path, calendars: list[str], expected: str) -> None:
    path = write(tmp_path, bars("AAA", "2024-01-02", "2024-01-03").assign(calendar=calendars))
    with pytest.raises(InputError, match=expected):
        read_panel(path)


def test_several_currencies_are_refused(tmp_path: Path) -> None:
    one, other = bars("AAA", "2024-01-02", "2024-01-03", "XNYS"), bars("BBB", "2024-01-02", "2024-01-03", "XLON")
    path = write(tmp_path, one.assign(currency="USD"), other.assign(currency="GBP"))
    with pytest.raises(InputError, match=r"several currencies \(GBP, USD\): convert them to one first"):
        read_panel(path)


# --- dirt, made by hand


def test_zeros_are_missing_prices(tmp_path: Path) -> None:
    table = bars("AAA", "2024-01-01", "2024-01-31")
    table.loc[[3, 7], "open"] = 0
    table.loc[7, "close"] = 0
    panel, counts = read_panel(write(tmp_path, table))
    assert (counts["zero_prices"], counts["missing_prices"]) == (3, 2)
    assert np.isnan(panel.open[[3, 7], 0]).all()


def test_a_price_that_jumps_and_comes_back_is_told(tmp_path: Path) -> None:
    table = bars("AAA", "2024-01-01", "2024-01-31")
    table.loc[5, "open"] *= 2  # a typing error
    table.loc[[10, 11], "close"] *= 0.7
    table.loc[11, "open"] *= 0.7  # two sessions long: a fall and a rise
    assert read_panel(write(tmp_path, table))[1]["price_spikes"] == 1


def test_nothing_moves_and_nothing_is_traded(tmp_path: Path) -> None:
    table = bars("AAA", "2024-01-01", "2024-01-31").assign(volume=5.0)
    table.loc[3:6, ["open", "close"]] = 100.0
    table.loc[4:5, "volume"] = [0.0, np.nan]
    assert read_panel(write(tmp_path, table))[1]["stale_bars"] == 2


SPLITS: list[tuple[float, float | None, int]] = [
    (2.0, None, 1), (2.0, 2.0, 0), (1.5, None, 1), (1 / 15, None, 1), (1 / 15, 1 / 15, 0),
    (2.0, 0.5, 1),  # upside down: a factor of 4 is left
    (1.0, 2.0, 1),  # prices that hold the split already
]  # fmt: skip


@pytest.mark.parametrize(("happened", "told", "suspects"), SPLITS)
def test_splits_that_prices_and_events_do_not_agree_on(
    tmp_path: Path, happened: float, told: float | None, suspects: int
) -> None:
    table = bars("AAA", "2024-01-01", "2024-03-29")
    table.loc[table["date"] >= "2024-02-01", ["open", "close"]] /= happened
    panel, _ = read_panel(write(tmp_path, table))
    splits = tmp_path / "splits.csv"
    splits.write_text(f"date,asset,ratio\n2024-02-01,AAA,{told}\n")
    events = read_events(panel, splits if told else None, None, None, 0.0, 5)
    found = suspected_splits(panel, events)
    assert [(asset, day) for asset, day, _ in found] == [("AAA", "2024-02-01")] * suspects


def test_a_split_in_a_hole_of_the_prices_is_taken_out_too(tmp_path: Path) -> None:
    table = bars("AAA", "2024-01-01", "2024-03-29")
    table.loc[table["date"] >= "2024-02-01", ["open", "close"]] /= 2
    path = write(
        tmp_path, table[~table["date"].between("2024-01-30", "2024-02-05")], bars("B", "2024-01-01", "2024-03-29")
    )
    panel, _ = read_panel(path)
    assert [day for _, day, _ in suspected_splits(panel, no_events(panel))] == ["2024-02-06"]
    (tmp_path / "splits.csv").write_text("date,asset,ratio\n2024-02-01,AAA,2\n")
    assert not suspected_splits(panel, read_events(panel, tmp_path / "splits.csv", None, None, 0.0, 5))


@pytest.mark.parametrize(("gap", "ends"), [(59, []), (60, ["2024-03-01"])])
def test_a_name_that_comes_back_after_months_is_another_company(tmp_path: Path, gap: int, ends: list[str]) -> None:
    table = bars("AAA", "2024-01-01", "2024-12-31")
    start = int((table["date"] < "2024-03-01").sum())
    path = write(tmp_path, table.drop(table.index[start : start + gap]), bars("BBB", "2024-01-01", "2024-12-31"))
    panel, counts = read_panel(path)
    events = no_events(panel).delistings
    assert [str(panel.sessions[event.session]) for event in events] == ends
    assert counts["long_gaps"] == len(ends)
    told = tmp_path / "delistings.csv"
    told.write_text("date,asset,return\n2024-03-05,AAA,-0.4\n")
    if ends:
        assert read_events(panel, None, None, told, 0.0, 5).delistings == (events[0]._replace(value=-0.4),)
    else:
        with pytest.raises(InputError, match="AAA: delisted on 2024-03-05, but it has prices up to 2024-12-31"):
            read_events(panel, None, None, told, 0.0, 5)


# --- vintages


def test_equal_vintages_do_not_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, bars("AAA", "2024-01-01", "2024-01-31"))
    earlier = tmp_path / "earlier.csv"
    earlier.write_text("\n".join(path.read_text().splitlines()[:-5]) + "\n")
    assert set(compare_vintages(path, read_panel(path)[0], earlier).values()) == {0}  # new bars are no difference


def test_differences_of_vintages_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    days = ("2024-01-01", "2024-01-31")
    adjusted, restated, gone, cut = (bars(name, *days) for name in ("ADJ", "FIX", "GONE", "CUT"))
    earlier = write(tmp_path, adjusted, restated, gone, cut).rename(tmp_path / "earlier.csv")
    adjusted.loc[:9, ["open", "close"]] = (adjusted.loc[:9, ["open", "close"]] * 3).round(2)  # a reverse split 1:3
    restated.loc[4, "close"] *= 1.01
    path = write(tmp_path, adjusted, restated, cut.iloc[3:])
    counts = compare_vintages(path, read_panel(path)[0], earlier)
    assert counts == {"vintage_differences": 11, "vintage_adjustments": 1, "vintage_bars_gone": len(gone) + 3}


def test_bars_after_the_end_of_the_later_prices_are_not_gone(tmp_path: Path) -> None:
    earlier = write(tmp_path, bars("AAA", "2024-01-01", "2024-02-29")).rename(tmp_path / "earlier.csv")
    path = write(tmp_path, bars("AAA", "2024-01-01", "2024-01-31"))  # a backtest that ends before its prices do
    assert compare_vintages(path, read_panel(path)[0], earlier)["vintage_bars_gone"] == 0


def test_two_vintages_joined_look_like_a_split(tmp_path: Path) -> None:
    """The day before a reverse split 1:3 one crawl has P, a crawl of the day after 3P for the same date."""
    old, new = bars("AAA", "2024-01-01", "2024-01-31"), bars("AAA", "2024-02-01", "2024-02-29", price=300.0)
    panel, _ = read_panel(write(tmp_path, old, new))
    assert [day for _, day, _ in suspected_splits(panel, no_events(panel))] == ["2024-02-01"]


# --- dirt of real prices


@pytest.fixture
def us(real_data: Data, tmp_path: Path) -> Path:
    """Raw prices with splits, reverse splits, ends and names used again; the S&P 500 ETF keeps the sessions."""
    names = ("spy", "uw", "wmi", "wm", "aig", "uso", "aapl", "ibm", "goog")
    return write(tmp_path, *(lean(real_data(f"{LEAN}/{name}.zip")) for name in names))


def test_real_splits_are_found_and_told_ones_explained(us: Path, tmp_path: Path) -> None:
    panel, _ = read_panel(us, "XNYS")
    found = {(asset, day) for asset, day, _ in suspected_splits(panel, no_events(panel))}
    splits = [
        ("AAPL", "2000-06-21", 2), ("AAPL", "2005-02-28", 2), ("AAPL", "2014-06-09", 7), ("AAPL", "2020-08-31", 4),
        ("IBM", "1999-05-27", 2), ("AIG", "1998-08-03", 1.5), ("AIG", "2000-07-31", 1.5),
        ("AIG", "2009-07-01", 1 / 20), ("USO", "2020-04-29", 1 / 8), ("GOOG", "2014-04-03", 2),
        ("WM", "2001-05-16", 1.5), ("USO", "1998-12-11", 1.5),
    ]  # fmt: skip
    failed, reused = ("WM", "2008-09-26"), {("WM", "2009-08-05"), ("USO", "2006-04-10")}
    assert found == {split[:2] for split in splits} | {failed} | reused
    told = tmp_path / "splits.csv"
    pd.DataFrame(splits, columns=["asset", "date", "ratio"]).to_csv(told, index=False)
    events = read_events(panel, told, None, None, 0.0, 5)
    assert {(asset, day) for asset, day, _ in suspected_splits(panel, events)} == {failed} | reused


def test_a_real_reverse_split_is_no_profit(us: Path, tmp_path: Path) -> None:
    """AIG, 1 for 20 on 1 July 2009: 1.13 became 18.08, a loss of 20 % and no profit of 1,500 %."""
    panel, _ = read_panel(us, "XNYS")
    (tmp_path / "splits.csv").write_text("date,asset,ratio\n2009-07-01,AIG,0.05\n")
    events = read_events(panel, tmp_path / "splits.csv", None, None, 0.0, 5)
    first = int(np.searchsorted(panel.sessions, np.datetime64("2009-06-26")))
    weights = np.array([[float(asset == "AIG") for asset in panel.assets]])
    held = simulate(panel, Plan(np.array([first]), weights), Contract(), events, first).equity
    assert held[3] / held[2] - 1 == pytest.approx(18.08 / 20 / 1.13 - 1)


def test_real_names_that_end_are_closed_at_their_last_price(us: Path) -> None:
    """USA Waste became Waste Management on 17 July 1998, whose ticker was WMI up to 4 August 2009."""
    panel, counts = read_panel(us, "XNYS")
    ends = {(panel.assets[event.asset], str(panel.sessions[event.session])) for event in no_events(panel).delistings}
    reused = {("WM", "2008-09-29"), ("USO", "1998-12-31")}
    assert ends == {("UW", "1998-07-17"), ("WMI", "2009-08-05")} | reused
    assert counts["rows_outside_sessions"] == counts["missing_sessions"] == counts["contradicting_bars"] == 0
    first = int(np.searchsorted(panel.sessions, np.datetime64("2009-08-03")))
    weights = np.array([[float(asset == "WMI") for asset in panel.assets]])
    path = simulate(panel, Plan(np.array([first]), weights), Contract(), no_events(panel), first)
    last = path.trades[-1]
    assert last["delisting"]
    assert last["price"] == panel.close[first + 1, panel.assets.index("WMI")]
    assert (path.gross[2:] == 0).all()


def test_real_names_used_again_and_bad_prints_are_told(us: Path) -> None:
    """WM was Washington Mutual up to 2008 and Waste Management from 2009; IBM's open of 23 December 2002 is doubled."""
    found = read_panel(us, "XNYS")[1]
    assert found["long_gaps"] == 2  # WM, USO
    assert found["price_spikes"] == 5  # IBM, GOOG's close of 30 September 2008, AIG (2, it is true), USO at cents


def test_the_metrics_of_a_run_on_real_prices_tell_it_all(us: Path, tmp_path: Path) -> None:
    """Hold USA Waste over its end and Washington Mutual over its failure; an earlier vintage lacked a correction."""
    signals = [("1998-07-10", "UW", 0.5), ("1998-07-10", "AAPL", 0.5), ("2008-09-19", "WM", 1.0)]
    pd.DataFrame(signals, columns=["known_at", "asset", "signal"]).to_csv(tmp_path / "P.csv", index=False)
    table = pd.read_csv(us)
    table.loc[(table["asset"] == "IBM") & (table["date"] == "2002-12-23"), "open"] /= 2
    table.assign(calendar="XNYS").to_csv(tmp_path / "corrected.csv", index=False)
    words = {
        "predictions": tmp_path / "P.csv", "prices": tmp_path / "corrected.csv", "earlier": us,
        "ledger": tmp_path / "L", "equity": tmp_path / "E.csv", "trades": tmp_path / "T.csv",
        "metrics": tmp_path / "M.json", "settings": json.dumps({"portfolio": {"rule": "given"}, "draws": 100}),
    }  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        job.run(main, [str(word) for name, value in words.items() for word in (f"--{name}", value)])
    assert stop.value.code == 0
    metrics = json.loads((tmp_path / "M.json").read_text())
    expected = {
        "suspected_splits": 15, "delistings": 2, "price_spikes": 4, "long_gaps": 2, "missing_sessions": 0,
        "vintage_differences": 1, "vintage_adjustments": 0, "vintage_bars_gone": 0, "zero_prices": 0,
    }  # fmt: skip
    assert {key: metrics[key] for key in expected} == expected
    trades = pd.read_csv(tmp_path / "T.csv")
    ends = trades[trades["kind"] == "delisting"]
    assert list(zip(ends["date"], ends["asset"], strict=True)) == [("1998-07-17", "UW"), ("2008-09-29", "WM")]
    equity = pd.read_csv(tmp_path / "E.csv", index_col="date")["equity"]
    assert equity["2008-09-26"] / equity["2008-09-25"] - 1 == pytest.approx(0.16 / 1.77 - 1)
    assert equity.iloc[-1] == pytest.approx(equity["2008-09-26"])  # and nothing of Waste Management, at 28.58 in 2009


def test_real_bars_that_contradict_themselves_are_counted(real_data: Data, tmp_path: Path) -> None:
    tables = [yahoo(path) for path in sorted(real_data(YAHOO).glob("*.csv"))]
    tables = [table[(table["open"] > 0) & (table["close"] > 0)] for table in tables]
    counts = read_panel(write(tmp_path, *tables))[1]
    assert counts["contradicting_bars"] == 1_193


def test_a_real_price_under_zero_is_refused(real_data: Data, tmp_path: Path) -> None:
    """Crude oil settled at -37.63 on 20 April 2020."""
    path = write(tmp_path, yahoo(real_data(f"{YAHOO}/CL=F.csv")))
    with pytest.raises(
        InputError, match=r"CL=F on 2020-04-2\d has the (open|close) -\d.*under 0, leave the asset out$"
    ):
        read_panel(path)


def test_real_holes_and_zeros_are_counted(real_data: Data, tmp_path: Path) -> None:
    table = yahoo(real_data("ohlcv/futures_daily/6E=F.csv"))
    panel, counts = read_panel(write(tmp_path, table))
    empty = table[["open", "close"]].isna().any(axis=1).sum()
    zeros = (table[["open", "close"]] == 0).to_numpy()
    assert counts["zero_prices"] == zeros.sum() == 34
    assert counts["missing_prices"] == empty + zeros.any(axis=1).sum()
    assert (panel.open[np.isfinite(panel.open)] > 0).all()


def test_real_hourly_bars_are_refused_and_their_days_taken(real_data: Data, tmp_path: Path) -> None:
    hours = [freqtrade(real_data(f"ohlcv/crypto_1h/{name}_USDT-1h.json.gz")) for name in ("ADA", "ATOM")]
    with pytest.raises(InputError, match="has a time of day"):
        read_panel(write(tmp_path, *hours))
    days = [days_of(table) for table in hours]
    assert days[0]["date"].iloc[0] < "2018-12-31" < days[1]["date"].iloc[0]
    days[0] = days[0][~days[0]["date"].isin(["2018-12-31", "2021-01-05"])]  # one of them ADA's alone
    panel, counts = read_panel(write(tmp_path, *days), "24/7")
    assert (counts["rows_outside_sessions"], counts["missing_sessions"], counts["missing_prices"]) == (0, 1, 1)
    assert (np.diff(panel.sessions).astype(int) > 1).sum() == 1
