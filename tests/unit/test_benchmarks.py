"""Benchmarks against accounts computed by hand, and what they may not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts.backtest import run_backtest, run_benchmarks
from scripts.backtest.trading.placebos import dealt_anew, renamed
from tests.unit.backtest_files import Files

SETTINGS: dict[str, Any] = {"portfolio": {"quantile": 0.25}, "draws": 100}
COSTS = SETTINGS | {"fee_bps": 10, "slippage_bps": 5}


def paths_of(files: Files, settings: dict[str, Any] = SETTINGS, *words: object) -> Any:
    """Equity by date (rows) and benchmark."""
    assert files.run(run_benchmarks.main, settings, "--benchmarks", files.path("B.csv"), *words) == 0
    table = pd.read_csv(files.path("B.csv"))
    assert list(table.columns) == ["date", "benchmark", "equity", "traded"]
    return table.pivot_table(index="date", columns="benchmark", values="equity", sort=False)


def account_of(files: Files, settings: dict[str, Any]) -> tuple[Any, Any]:
    """equity.csv and trades.csv of the strategy."""
    words = ["--equity", files.path("E.csv"), "--trades", files.path("T.csv"), "--ledger", files.path("trials")]
    assert files.run(run_backtest.main, settings, *words) == 0
    return pd.read_csv(files.path("E.csv")), pd.read_csv(files.path("T.csv"))


def closes_of(files: Files) -> Any:
    return files.prices.pivot_table(index="date", columns="asset", values="close")


def test_dates_and_cash_are_those_of_the_strategy(tmp_path: Path) -> None:
    files = Files(tmp_path)
    paths, (equity, _) = paths_of(files), account_of(files, SETTINGS)
    assert paths.index.tolist() == equity["date"].tolist()
    assert (paths.iloc[0] == 1e6).all()
    named = ["buy_and_hold", "equal_weight", "momentum", "reversal"]
    assert sorted(paths.columns) == sorted(named + [f"random_{run:02d}" for run in range(20)])


def test_buy_and_hold_is_the_mean_of_relative_prices(tmp_path: Path) -> None:
    files = Files(tmp_path)
    relative = closes_of(files)
    relative = relative / relative.iloc[0]  # bought at the second open, which is the first close
    np.testing.assert_allclose(paths_of(files)["buy_and_hold"], 1e6 * relative.mean(axis=1), rtol=1e-12)


def test_equal_weights_are_rebalanced_at_the_dates_of_the_strategy(tmp_path: Path) -> None:
    files = Files(tmp_path)
    closes = closes_of(files).to_numpy()
    value, expected = 1e6, [1e6]
    for session in range(1, len(closes)):
        base = (session - 1) // 5 * 5
        value = value * (closes[session] / closes[base]).mean() / (closes[session - 1] / closes[base]).mean()
        expected.append(value)
    np.testing.assert_allclose(paths_of(files)["equal_weight"], expected, rtol=1e-12)


def test_costs_are_charged_and_traded_values_told(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.prices["open"] = files.prices["close"] = 50.0
    held = paths_of(files, COSTS)["buy_and_hold"]
    # 1 M at 50 slipped by 5 bp, 10 bp of that as the fee
    assert held.iloc[-1] == pytest.approx(1e6 - 1e6 * 5e-4 - 1e6 * (1 + 5e-4) * 1e-3)
    table = pd.read_csv(files.path("B.csv")).query("benchmark == 'buy_and_hold'")
    assert table["traded"].tolist()[:3] == pytest.approx([0, 1e6 * (1 + 5e-4), 0])


def test_the_index_is_held_and_is_no_part_of_the_others(tmp_path: Path) -> None:
    files = Files(tmp_path)
    paths, closes = paths_of(files, SETTINGS, "--index", "A03"), closes_of(files)
    np.testing.assert_allclose(paths["index"], 1e6 * closes["A03"] / closes["A03"].iloc[0], rtol=1e-12)
    others = (closes / closes.iloc[0]).drop(columns="A03")
    np.testing.assert_allclose(paths["buy_and_hold"], 1e6 * others.mean(axis=1), rtol=1e-12)


def test_momentum_is_the_strategy_that_trades_past_returns(tmp_path: Path) -> None:
    files = Files(tmp_path)
    paths = paths_of(files, COSTS)
    closes = closes_of(files)
    for name, sessions, sign in (("momentum", 60, 1), ("reversal", 5, -1)):
        past = sign * (closes / closes.shift(sessions) - 1)
        files.predictions["signal"] = past.loc[files.days[::5]].to_numpy().ravel()
        equity, _ = account_of(files, COSTS)
        np.testing.assert_allclose(paths[name], equity["equity"], rtol=1e-12)


def test_no_benchmark_knows_what_comes(tmp_path: Path) -> None:
    files, cut = Files(tmp_path), 150
    before = paths_of(files, COSTS, "--index", "A03")
    later = files.prices["date"] > files.days[cut]
    noise = np.exp(np.random.default_rng(9).normal(0, 0.2, (int(later.sum()), 1)))
    files.prices.loc[later, ["open", "close"]] *= noise
    after = paths_of(files, COSTS, "--index", "A03")
    pd.testing.assert_frame_equal(before.iloc[: cut + 1], after.iloc[: cut + 1], check_exact=True)
    assert (before.iloc[-1] != after.iloc[-1]).all()


@pytest.mark.parametrize("rule", [{"rule": "quantile", "quantile": 0.2}, {"rule": "proportional"}])
def test_random_signals_trade_as_much_as_the_strategy(tmp_path: Path, rule: dict[str, Any]) -> None:
    """Slow signals, assets that come late, go early, have holes in prices and signals."""
    files, random = Files(tmp_path, assets=40), np.random.default_rng(4)
    table = files.predictions
    slow = table.pivot_table(index="known_at", columns="asset", values="signal").ewm(halflife=4).mean()
    table["signal"] = slow.to_numpy().ravel()
    place = table["asset"].str[1:].astype(int)
    late, early = table["known_at"] < files.days[90], table["known_at"] > files.days[170]
    files.predictions = table[~((place < 10) & late) & ~((place > 32) & early) & (random.random(len(table)) > 0.02)]
    own = files.prices["asset"].str[1:].astype(int)
    absent = (own < 10) & (files.prices["date"] < files.days[90]) | (own > 32) & (
        files.prices["date"] > files.days[172]
    )
    files.prices = files.prices[~absent]
    paths_of(files, SETTINGS | {"portfolio": rule})
    equity, trades = account_of(files, SETTINGS | {"portfolio": rule})
    strategy = (trades["units"].abs() * trades["price"]).sum() / equity["equity"].mean()
    groups = pd.read_csv(files.path("B.csv")).groupby("benchmark")
    turnover = groups["traded"].sum() / groups["equity"].mean()
    random_runs = turnover[turnover.index.str.startswith("random_")]
    assert random_runs.mean() == pytest.approx(strategy, rel=0.03)
    assert (abs(random_runs / strategy - 1) < 0.08).all()


def test_an_edge_beats_random_signals_and_noise_does_not(tmp_path: Path) -> None:
    shares = []
    for edge in (0.3, 0.0):
        files = Files(tmp_path, edge=edge)
        last = paths_of(files).iloc[-1]
        random = last[last.index.str.startswith("random_")]
        shares.append((random < account_of(files, SETTINGS)[0]["equity"].iloc[-1]).mean())
    assert shares[0] == 1
    assert 0.02 < shares[1] < 0.98


def test_identities_are_exchanged_once() -> None:
    random = np.random.default_rng(0)
    signals = random.normal(size=(30, 15))
    signals[random.random(signals.shape) < 0.2] = np.nan
    known = np.isfinite(signals)
    found = renamed(signals, known, np.random.default_rng(1))
    for dealt in (found, dealt_anew(signals, np.random.default_rng(1))):
        assert (np.isfinite(dealt) == known).all()
        np.testing.assert_array_equal(np.sort(dealt, axis=1), np.sort(signals, axis=1))
    assert not (found == signals).any()  # nobody keeps its own signal


def test_the_exchange_is_the_same_on_all_dates_whatever_is_missing() -> None:
    signals = np.tile(np.arange(15.0), (30, 1))
    signals[np.random.default_rng(0).random(signals.shape) < 0.2] = np.nan
    found = renamed(signals, np.ones(signals.shape, bool), np.random.default_rng(1))
    assert np.isnan(found).sum() == np.isnan(signals).sum()
    assert all(len(set(column[np.isfinite(column)])) == 1 for column in found.T)


def test_naive_models_follow_the_portfolio_rule(tmp_path: Path) -> None:
    files = Files(tmp_path)
    table = files.predictions.rename(columns={"signal": "persistence"})
    table["contrary"] = -table["persistence"]
    table.to_csv(files.path("naive.csv"), index=False)
    paths = paths_of(files, COSTS, "--naive", files.path("naive.csv"))
    np.testing.assert_array_equal(paths["persistence"], account_of(files, COSTS)[0]["equity"])
    assert paths["contrary"].iloc[-1] != paths["persistence"].iloc[-1]


@pytest.mark.parametrize("portfolio", [
    {"rule": "given"}, {"rule": "top_k", "k": 3, "dropout": 1}, {"tranches": True, "quantile": 0.25},
    {"quantile": 0.25, "volatility_target": 0.1}, {"rule": "equal", "max_net": 0.0},
])  # fmt: skip
def test_all_rules_have_benchmarks(tmp_path: Path, portfolio: dict[str, Any]) -> None:
    files = Files(tmp_path, sessions=120)
    files.predictions["signal"] /= 20
    paths = paths_of(files, COSTS | {"portfolio": portfolio})
    assert (paths > 0).all().all()
    assert (paths.nunique() > 1).sum() >= (2 if portfolio.get("max_net") == 0 else 24)


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    files, found = Files(tmp_path), []
    for _ in range(2):
        paths_of(files, COSTS)
        found.append(files.path("B.csv").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(("words", "naive", "reason"), [
    (["--index", "SPX"], None, "no prices of the index 'SPX'"),
    ([], "known_at,asset\n2020-01-01,A00\n", "no naive model"),
    ([], "known_at,asset,momentum\n2020-01-01,A00,1\n", "column 'momentum': that is the name of the strategy"),
    ([], "known_at,asset,mine\n2020-01-01,A00,x\n", "naive.csv: row 2: mine 'x': not a number"),
])  # fmt: skip
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], naive: str | None, reason: str
) -> None:
    files = Files(tmp_path, sessions=30)
    if naive:
        files.path("naive.csv").write_text(naive)
        words = [*words, "--naive", str(files.path("naive.csv"))]
    assert files.run(run_benchmarks.main, SETTINGS, "--benchmarks", files.path("B.csv"), *words) == 2
    assert reason in capsys.readouterr().err.strip().splitlines()[-1]
    assert not files.path("B.csv").exists()
