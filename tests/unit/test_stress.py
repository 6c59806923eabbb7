"""Stressed backtests against plain ones, and signals whose result is known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts.backtest import run_backtest, stress_backtest
from tests.unit.backtest_files import Files

SETTINGS: dict[str, Any] = {"portfolio": {"quantile": 0.25}, "draws": 100, "fee_bps": 5, "slippage_bps": 5}


def stressed(files: Files, settings: dict[str, Any] = SETTINGS) -> Any:
    assert files.run(stress_backtest.main, settings, "--stress", files.path("S.csv")) == 0
    return pd.read_csv(files.path("S.csv"), dtype={"setting": str}).set_index(["family", "setting"])


def plain(files: Files, settings: dict[str, Any] = SETTINGS) -> dict[str, Any]:
    """metrics.json of run_backtest."""
    words = ["--equity", files.path("E.csv"), "--trades", files.path("T.csv"), "--metrics", files.path("M.json")]
    assert files.run(run_backtest.main, settings, *words, "--ledger", files.path("trials")) == 0
    found: dict[str, Any] = pd.read_json(files.path("M.json"), typ="series").to_dict()
    return found


def check(row: Any, expected: dict[str, Any]) -> None:
    for name in ("total_return", "sharpe", "turnover", "final_equity"):
        assert row[name] == pytest.approx(expected[name], rel=1e-8), name
    assert [row["low"], row["high"]] == pytest.approx(expected["sharpe_interval"], rel=1e-8)


def test_rows_are_those_of_backtests_with_these_settings(tmp_path: Path) -> None:
    files = Files(tmp_path, edge=0.1)
    table = stressed(files)
    check(table.loc[("lag", "0")], plain(files))
    check(table.loc[("fill", "next_close")], plain(files, SETTINGS | {"fill": "next_close"}))
    check(table.loc[("slippage_bps", "20")], plain(files, SETTINGS | {"slippage_bps": 20}))
    check(table.loc[("fee_bps", "50")], plain(files, SETTINGS | {"fee_bps": 50}))
    files.predictions["signal"] *= -1
    check(table.loc[("sign_flip", "-1")], plain(files))


def test_a_lag_is_the_same_signal_known_later(tmp_path: Path) -> None:
    files = Files(tmp_path, edge=0.1)
    late = stressed(files).loc[("lag", "2")]
    place = {day: number for number, day in enumerate(files.days)}
    files.predictions["known_at"] = [files.days[min(place[day] + 2, len(files.days) - 1)]
                                     for day in files.predictions["known_at"]]  # fmt: skip
    assert late["final_equity"] == pytest.approx(plain(files)["final_equity"])


def test_settings_of_ones_own_are_among_the_costs(tmp_path: Path) -> None:
    table = stressed(Files(tmp_path, sessions=60), SETTINGS | {"fee_bps": 7})
    assert table.loc["fee_bps"].index.tolist() == ["0", "5", "7", "10", "20", "50"]
    returns = table.loc["fee_bps"]["total_return"]
    assert (returns.diff().dropna() < 0).all()


@pytest.mark.parametrize("edge", [0.0, 0.3])
def test_the_positive_control_earns_and_shuffled_signals_do_not(tmp_path: Path, edge: float) -> None:
    table = stressed(Files(tmp_path, edge=edge), SETTINGS | {"fee_bps": 0, "slippage_bps": 0})
    control = table.loc["positive_control"].iloc[0]
    assert control["sharpe"] > max(5, table.loc[("lag", "0"), "sharpe"])
    assert control["low"] > 2
    shuffled = table.loc[("shuffled_labels", "mean of 10")]
    assert abs(shuffled["sharpe"]) < 1
    assert shuffled["low"] < 0 < shuffled["high"]
    assert table.loc[("sign_flip", "-1"), "sharpe"] == pytest.approx(-table.loc[("lag", "0"), "sharpe"], abs=0.5)


def test_the_mean_of_shuffles_is_that_of_its_seeds(tmp_path: Path) -> None:
    table = stressed(Files(tmp_path))
    seeds, mean = table.loc["shuffled_labels_seed"], table.loc[("shuffled_labels", "mean of 10")]
    assert len(seeds) == 10
    assert seeds["sharpe"].nunique() == 10
    assert mean["sharpe"] == pytest.approx(seeds["sharpe"].mean())
    assert mean["high"] - mean["low"] == pytest.approx(4 * seeds["sharpe"].std())


@pytest.mark.parametrize("portfolio", [
    {"rule": "given"}, {"rule": "top_k", "k": 3}, {"tranches": True, "quantile": 0.25}, {"rule": "proportional"},
])  # fmt: skip
def test_the_positive_control_earns_by_every_rule(tmp_path: Path, portfolio: dict[str, Any]) -> None:
    files = Files(tmp_path, sessions=120)
    files.predictions["signal"] /= 20
    half = files.prices["asset"].isin(["A00", "A07"]) & (files.prices["date"] > files.days[60])
    files.prices.loc[half, ["open", "close"]] /= 2  # a split is no return
    files.path("splits.csv").write_text(f"date,asset,ratio\n{files.days[61]},A00,2\n{files.days[61]},A07,2\n")
    words = ["--stress", files.path("S.csv"), "--splits", files.path("splits.csv")]
    assert files.run(stress_backtest.main, SETTINGS | {"portfolio": portfolio}, *words) == 0
    table = pd.read_csv(files.path("S.csv")).set_index("family")
    assert table.loc["positive_control", "sharpe"] > 4


def test_it_tells_its_seed_and_repeats_itself(tmp_path: Path) -> None:
    files = Files(tmp_path)
    table, first = stressed(files), files.path("S.csv").read_bytes()
    assert (table["n"] == len(files.days) - 1).all()
    assert (table[["draws", "seed", "confidence"]] == [100, 0, 0.95]).all().all()
    stressed(files)
    assert files.path("S.csv").read_bytes() == first
    other = stressed(files, SETTINGS | {"seed": 1})
    assert not np.allclose(other.loc["shuffled_labels_seed"]["sharpe"], table.loc["shuffled_labels_seed"]["sharpe"])


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = Files(tmp_path, sessions=30)
    files.predictions["known_at"] = files.days[-1]
    files.predictions = files.predictions.drop_duplicates(["known_at", "asset"])
    assert files.run(stress_backtest.main, SETTINGS, "--stress", files.path("S.csv")) == 2
    assert "no session of" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not files.path("S.csv").exists()
