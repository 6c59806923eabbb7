"""Simulated prices, and the signals computed from prices."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts.backtest import compute_signal, simulate_prices
from scripts.backtest.prices.settings import SimulatePricesSettings
from scripts.backtest.trading.settings import SignalSettings
from scripts.lib.errors import InputError

FILES = ("prices", "splits", "dividends", "delistings", "categories")


def simulate(folder: Path, **settings: Any) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    paths = {name: folder / f"{name}.{'parquet' if name == 'prices' else 'csv'}" for name in FILES}
    chosen = SimulatePricesSettings(**({"sessions": 400, "assets": 20} | settings))
    simulate_prices.main(**paths, settings=chosen)
    return paths


def signals(paths: dict[str, Path], **settings: Any) -> pd.DataFrame:
    made = paths["prices"].with_name("predictions.parquet")
    compute_signal.main(paths["prices"], made, SignalSettings(**settings), paths["splits"])
    return pd.read_parquet(made)


def test_two_simulations_are_equal_and_another_seed_is_not(tmp_path: Path) -> None:
    first, second = simulate(tmp_path / "a"), simulate(tmp_path / "b")
    for name in FILES:
        assert first[name].read_bytes() == second[name].read_bytes()
    other = simulate(tmp_path / "c", seed=1)
    assert other["prices"].read_bytes() != first["prices"].read_bytes()


def test_simulated_prices_hold_what_raw_prices_hold(tmp_path: Path) -> None:
    """Bars that contain their open and close, splits that jump by their ratio, names that end, and late ones."""
    paths = simulate(tmp_path, volatility=0.005)
    prices = pd.read_parquet(paths["prices"])
    assert (prices["high"] >= prices[["open", "close"]].max(axis=1) - 1e-9).all()
    assert (prices["low"] <= prices[["open", "close"]].min(axis=1) + 1e-9).all()
    wide = prices.pivot(index="date", columns="asset", values="close")
    splits = pd.read_csv(paths["splits"], parse_dates=["date"])
    assert len(splits) == 2
    assert (splits["ratio"] < 1).any(), "no reverse split"
    for row in splits.itertuples():
        before = wide.loc[: row.date, row.asset].dropna()
        moved = before.iloc[-2] / before.iloc[-1]
        assert moved == pytest.approx(row.ratio, rel=0.1)
    delisted = pd.read_csv(paths["delistings"], parse_dates=["date"])
    assert len(delisted) == 1
    for row in delisted.itertuples():
        assert wide[row.asset].last_valid_index() <= row.date
    assert wide.apply(lambda column: column.first_valid_index()).nunique() > 1, "none is listed late"


@pytest.mark.parametrize("rule", ["momentum", "reversal"])
def test_a_signal_is_the_return_over_its_look_back(tmp_path: Path, rule: str) -> None:
    """Recomputed by pandas from prices without splits in that window."""
    paths = simulate(tmp_path)
    made = signals(paths, rule=rule, lookback=20, skip=2, every=5)
    wide = pd.read_parquet(paths["prices"]).pivot(index="date", columns="asset", values="close").ffill()
    split = set(pd.read_csv(paths["splits"])["asset"])
    expected = (wide.shift(2) / wide.shift(22) - 1) * (1 if rule == "momentum" else -1)
    checked = 0
    for row in made[~made["asset"].isin(split)].itertuples():
        assert row.signal == pytest.approx(expected.loc[row.known_at, row.asset], rel=1e-12, abs=1e-15)
        checked += 1
    assert checked > 500
    assert set(made["horizon"]) == {5}


def test_a_split_moves_no_signal(tmp_path: Path) -> None:
    """The same prices, raw with their split and in units after it."""
    days = pd.bdate_range("2024-01-01", periods=10)
    close = np.linspace(100, 109, 10)
    raw = close * np.where(np.arange(10) < 5, 2.0, 1.0)
    for name, values in (("raw", raw), ("adjusted", close)):
        pd.DataFrame({"date": days, "asset": "A", "open": values, "close": values}).to_parquet(
            tmp_path / f"{name}.parquet"
        )
    (tmp_path / "splits.csv").write_text(f"date,asset,ratio\n{days[5]:%Y-%m-%d},A,2\n")
    found = []
    for name, splits in (("raw", tmp_path / "splits.csv"), ("adjusted", None)):
        out = tmp_path / f"{name}-signal.parquet"
        compute_signal.main(tmp_path / f"{name}.parquet", out, SignalSettings(lookback=3, every=1), splits)
        found.append(pd.read_parquet(out)["signal"].to_numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12, atol=1e-14)


def test_an_asset_without_a_price_on_the_date_has_no_signal(tmp_path: Path) -> None:
    paths = simulate(tmp_path, holes=0.05)
    made = signals(paths, lookback=10, every=1)
    priced = set(map(tuple, pd.read_parquet(paths["prices"])[["date", "asset"]].itertuples(index=False)))
    assert all((row.known_at, row.asset) in priced for row in made.itertuples())


def test_the_index_is_no_candidate(tmp_path: Path) -> None:
    paths = simulate(tmp_path)
    everything = signals(paths)
    index = str(everything["asset"].iloc[0])
    rest = everything[everything["asset"] != index].reset_index(drop=True)
    pd.testing.assert_frame_equal(signals(paths, index=index), rest)


def test_a_program_of_ones_own_makes_the_signal(tmp_path: Path) -> None:
    paths = simulate(tmp_path)
    script = tmp_path / "model.py"
    script.write_text(
        "import sys, pandas as pd\n"
        "p = pd.read_parquet(sys.argv[1])\n"
        "p.rename(columns={'date': 'known_at'}).assign(signal=p['close'], horizon=1)"
        "[['known_at', 'asset', 'horizon', 'signal']].to_parquet(sys.argv[2])\n"
    )
    command = f"{sys.executable} {script} {{prices}} {{predictions}}"
    made = signals(paths, rule="command", command=command)
    assert len(made) == len(pd.read_parquet(paths["prices"]))


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import sys; sys.exit('no model there')", "exit code 1: no model there"),
        ("import sys; open(sys.argv[2], 'w').write('x')", "python"),
        ("pass", "ended without writing {predictions}"),
        ("import sys, pandas as pd; pd.DataFrame({'a': [1]}).to_parquet(sys.argv[2])", "without a column 'known_at'"),
    ],
)
def test_a_program_that_fails_is_one_line(tmp_path: Path, code: str, named: str) -> None:
    paths = simulate(tmp_path)
    script = tmp_path / "model.py"
    script.write_text(code)
    with pytest.raises(InputError, match=named) as error:
        signals(paths, rule="command", command=f"{sys.executable} {script} {{prices}} {{predictions}}")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("*.made.parquet"))


def test_too_long_a_look_back_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no date with a signal: 500 sessions"):
        signals(simulate(tmp_path), lookback=500)
