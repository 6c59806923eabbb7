"""Evaluation of agents: money recomputed from the list of trades, intervals, baselines, and the two controls."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from scripts.lib.errors import InputError
from scripts.orderbook.agent.settings import EvaluateAgentSettings
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.statistics import Resampling, interval, stationary_times
from scripts.orderbook.trading.taker_fills import Latency
from scripts.orderbook.trading.tape import decision_rows
from scripts.orderbook.trading.walk import changes_of, constant_trader, imbalance_trader, random_trader, walk
from tests.unit.agent_files import LENGTH, RULES, Files, evaluate, make_files, train, train_settings
from tests.unit.trading_tapes import simulated_tape, tape_of

LEARNING: dict[str, Any] = {
    "decisions": 16_384, "environments": 8, "rollout": 128, "batch": 256, "epochs": 4, "hidden": [32], "episode": 100,
}  # fmt: skip
TRADERS = {"agent", "flat", "hold", "imbalance", "random"}
SEEDS = range(5)

Row = dict[str, str]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def rows_of(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def row_of(path: Path, split: str, trader: str) -> dict[str, float]:
    row = next(row for row in rows_of(path) if (row["split"], row["trader"]) == (split, trader))
    return {name: float(value) for name, value in row.items() if name not in ("split", "trader") and value}


def trained_and_evaluated(folder: Path, drift: float, **changes: Any) -> tuple[Files, dict[str, Path]]:
    files = make_files(folder, drift)
    agents = [train(files, seed, train_settings(**LEARNING)) for seed in SEEDS]
    return files, evaluate(files, agents, block=10, **changes)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, dict[str, Path]]:
    """Five agents on a book whose imbalance moves the mid."""
    return trained_and_evaluated(tmp_path_factory.mktemp("planted"), drift=0.3)


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, dict[str, Path]]:
    """The same with an imbalance that means nothing."""
    return trained_and_evaluated(tmp_path_factory.mktemp("control"), drift=0.0)


# ------------------------------------------------------------------------------------------------------- the controls


def test_a_planted_signal_is_found_and_earns_net_of_costs(planted: tuple[Files, dict[str, Path]]) -> None:
    agent = row_of(planted[1]["evaluation"], "all", "agent")
    assert agent["runs"] == len(SEEDS)
    assert agent["low_bps"] > 0
    assert agent["worst_run_bps"] > 0
    for trader in ("flat", "hold", "random"):
        assert agent["low_bps"] > row_of(planted[1]["evaluation"], "all", trader)["net_bps"], trader


def test_on_a_random_walk_the_interval_contains_zero_or_less(control: tuple[Files, dict[str, Path]]) -> None:
    agent = row_of(control[1]["evaluation"], "all", "agent")
    assert agent["low_bps"] <= 0
    rule = row_of(control[1]["evaluation"], "all", "imbalance")
    assert rule["low_bps"] <= 0
    assert rule["net_bps"] < rule["gross_bps"]


# ----------------------------------------------------------------------------------------------------------- the files


def test_the_table_holds_every_trader_in_each_split_and_in_both(planted: tuple[Files, dict[str, Path]]) -> None:
    rows = rows_of(planted[1]["evaluation"])
    assert {(row["split"], row["trader"]) for row in rows} == {
        (split, trader) for split in ("validation", "test", "all") for trader in TRADERS
    }
    for name in ("decisions", "trades", "gross_bps", "net_bps", "fees_bps", "turnover"):
        for trader in TRADERS:
            parts = [row_of(planted[1]["evaluation"], split, trader)[name] for split in ("validation", "test")]
            assert sum(parts) == pytest.approx(row_of(planted[1]["evaluation"], "all", trader)[name], abs=1e-6)


def test_flat_has_nothing_and_others_earn_gross_less_costs(planted: tuple[Files, dict[str, Path]]) -> None:
    for row in rows_of(planted[1]["evaluation"]):
        net, gross, spread, fees = (float(row[f"{name}_bps"]) for name in ("net", "gross", "spread", "fees"))
        assert net == pytest.approx(gross - spread - fees, abs=1e-6)
        assert float(row["low_bps"]) <= net <= float(row["high_bps"])
        assert spread >= 0
        if row["trader"] == "flat":
            assert (row["net_bps"], row["trades"], row["low_bps"], row["high_bps"]) == ("0", "0", "0", "0")


def test_what_was_earned_follows_from_the_list_of_trades_alone(planted: tuple[Files, dict[str, Path]]) -> None:
    """Oracle: every position ends closed, so that cash is all there is."""
    files, outputs = planted
    trades = rows_of(outputs["trades"])
    tape = simulated_tape(0, 6_000, 0.3, depth=4)
    mids = dict(zip(tape.event_time.tolist(), tape.mid.tolist(), strict=True))
    windows = pq.read_table(files.windows).to_pylist()
    for split in ("validation", "test"):
        start = min(row["start_time"] for row in windows if row["split"] == split)
        first = int(np.searchsorted(tape.event_time, start)) + LENGTH - 1
        notional = RULES["unit"] * tape.mid[first]
        mine = [row for row in trades if (row["split"], row["trader"]) == (split, "agent")]
        nets = []
        for run in map(str, SEEDS):
            fills = [row for row in mine if row["run"] == run]
            assert sum(float(row["size"]) for row in fills) == pytest.approx(0, abs=1e-9)
            cash = -sum(float(row["notional"]) + float(row["fee"]) for row in fills)
            nets.append(cash / notional * 1e4)
        found = row_of(outputs["evaluation"], split, "agent")
        assert found["net_bps"] == pytest.approx(np.mean(nets), abs=1e-5)
        assert (found["worst_run_bps"], found["best_run_bps"]) == pytest.approx((min(nets), max(nets)), abs=1e-5)
    for row in trades:
        decided, filled = (np.datetime64(row[name][:-1], "ns") for name in ("decided_at", "filled_at"))
        assert decided <= filled
        mid = mids[int(filled.astype(np.int64))]
        beyond = float(row["notional"]) - float(row["size"]) * mid
        assert float(row["spread_cost"]) == pytest.approx(beyond, abs=1e-6)
        assert float(row["fee"]) == pytest.approx(0.5e-4 * abs(float(row["notional"])), rel=1e-8)


def test_the_equity_table_ends_where_the_evaluation_does(planted: tuple[Files, dict[str, Path]]) -> None:
    rows = rows_of(planted[1]["equity"])
    for split in ("validation", "test"):
        runs = [[row for row in rows if (row["split"], row["trader"], row["run"]) == (split, "agent", str(run))]
                for run in SEEDS]  # fmt: skip
        ends = [float(run[-1]["net_bps"]) for run in runs]
        assert np.mean(ends) == pytest.approx(row_of(planted[1]["evaluation"], split, "agent")["net_bps"], abs=1e-6)
        assert all(run == sorted(run, key=lambda row: row["time"]) for run in runs)


def test_predictions_say_when_they_were_known_and_hold_one_signal_a_decision(
    planted: tuple[Files, dict[str, Path]],
) -> None:
    files, outputs = planted
    table = pq.read_table(outputs["predictions"])
    assert table.column_names == ["known_at", "asset", "horizon", "signal", "target", "split"]
    assert table.schema.field("known_at").type == pa.timestamp("ns", tz="UTC")
    known = table["known_at"].cast(pa.int64()).to_numpy()
    assert len(known) == row_of(outputs["evaluation"], "all", "agent")["decisions"]
    assert (np.diff(known) > 0).all()
    event = known - 2_000_000  # the simulated latency from the venue
    tape = simulated_tape(0, 6_000, 0.3, depth=4)
    assert np.isin(event, tape.event_time).all()
    signal = table["signal"].to_numpy()
    assert np.abs(signal).max() <= 1
    assert set(table["horizon"].to_pylist()) == {RULES["decision_every"]}
    # the signal points where the mid goes until the next decision
    places = np.searchsorted(tape.event_time, event)
    later = np.minimum(places + RULES["decision_every"], len(tape) - 1)
    moves = tape.mid[later] - tape.mid[places]
    assert np.corrcoef(signal, moves)[0, 1] > 3 / np.sqrt(len(moves))
    assert files.windows.exists()


def test_two_evaluations_are_byte_for_byte_alike(tmp_path: Path) -> None:
    files = make_files(tmp_path, 0.3, states=2_000)
    agents = [train(files, seed, train_settings()) for seed in range(2)]
    first = {name: path.read_bytes() for name, path in evaluate(files, agents).items()}
    assert {name: path.read_bytes() for name, path in evaluate(files, agents).items()} == first
    with pytest.raises(InputError, match="2 and 1 files, one pair for each seed"):
        evaluate(files, [agents[0], {"policy": agents[1]["policy"]}])


def test_agents_of_other_positions_are_refused(tmp_path: Path) -> None:
    files = make_files(tmp_path, 0.3, states=2_000)
    agents = [train(files, 0, train_settings(decisions=128))]
    with pytest.raises(InputError, match="trained with max_position 1, not 2"):
        evaluate(files, agents, trading={"max_position": 2})
    with pytest.raises(InputError, match="trained with decision_every 5, not 7"):
        evaluate(files, agents, trading={"decision_every": 7})


@pytest.mark.parametrize("name", ["encoder", "scaling", "windows"])
def test_agents_of_another_book_are_refused(tmp_path: Path, name: str) -> None:
    """Files of the same shape: nothing but their content tells them apart."""
    mine, other = (make_files(tmp_path / f"{seed}", 0.3, states=2_000 + 10 * seed, seed=seed) for seed in range(2))
    agents = [train(mine, 0, train_settings(decisions=128))]
    evaluate(mine, agents)
    with pytest.raises(InputError, match=f"0-agent: was not trained with the {name} given here"):
        evaluate(replace(mine, **{name: getattr(other, name)}), agents)


def test_a_split_is_named_once() -> None:
    with pytest.raises(ValueError, match="splits: a split is named twice"):
        EvaluateAgentSettings(splits=["test", "test"])


# ----------------------------------------------------------------------------------------------------------- baselines


def test_hold_pays_two_fills_and_random_changes_as_often_as_it_is_told() -> None:
    tape, rules = simulated_tape(2, 20_000), TradingRules(**RULES)
    rows = decision_rows(tape, LENGTH, rules.decision_every)
    held = walk(tape, rows, rules, constant_trader(rules, 1), "hold")
    assert len(held.trades) == 2
    assert held.gross.sum() == pytest.approx(
        1e4 * (tape.mid[rows[0][-1]] - tape.mid[held.trades[0].row]) / tape.mid[rows[0][0]], abs=1e-6
    )
    wild = walk(tape, rows, rules, random_trader(rules, 0.3, np.random.default_rng(0)), "random")
    assert changes_of(wild) == pytest.approx(0.3, abs=0.02)
    assert {-1, 0, 1} == set(wild.target.tolist())


@pytest.mark.parametrize("latency", [1, 12])
def test_the_imbalance_rule_follows_the_book(latency: int) -> None:
    """Also while its first order is on its way, two decisions long."""
    levels, rules = simulated_tape(3, 2_000).levels, TradingRules(**RULES)
    levels[LENGTH : LENGTH + 20, [1, 3], 0] = 5.0  # only the first decision sees an imbalance
    tape = tape_of(levels, latency=Latency(latency, 0))
    rows = decision_rows(tape, LENGTH, rules.decision_every)
    found = walk(tape, rows, rules, imbalance_trader(tape, rules, 1, 0.5), "imbalance")
    bids, asks = tape.levels[found.row, 1, 0], tape.levels[found.row, 3, 0]
    now = (bids - asks) / (bids + asks)
    np.testing.assert_allclose(found.signal, now)
    target = 0
    for value, taken in zip(now, found.target, strict=True):
        target = int(np.sign(value)) if abs(value) > 0.5 else target
        assert taken == target


# ----------------------------------------------------------------------------------------------------------- intervals


def test_samples_of_the_stationary_bootstrap_run_on_in_blocks_of_the_mean_length() -> None:
    times = stationary_times(100_000, 20, np.random.default_rng(0))
    assert times.min() >= 0
    assert times.max() < 100_000
    joined = np.diff(times) % 100_000 == 1
    assert joined.mean() == pytest.approx(1 - 1 / 20, abs=0.005)
    assert np.bincount(times, minlength=100_000).mean() == 1


def test_the_interval_of_independent_earnings_is_the_normal_one() -> None:
    net = np.random.default_rng(1).normal(0.1, 2.0, (1, 2_000))
    low, high = interval(net, Resampling(2_000, 1, 0))
    half = 1.96 * net.std() * np.sqrt(2_000)
    assert low == pytest.approx(net.sum() - half, abs=0.1 * half)
    assert high == pytest.approx(net.sum() + half, abs=0.1 * half)


def test_blocks_widen_the_interval_of_earnings_that_go_together() -> None:
    random = np.random.default_rng(2)
    net = np.repeat(random.normal(0, 1, 200), 10)[None]
    narrow, wide = (interval(net, Resampling(1_000, block, 0)) for block in (1, 50))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_runs_that_differ_widen_the_interval() -> None:
    random = np.random.default_rng(3)
    market = random.normal(0, 0.1, 500)
    alike = np.tile(market, (5, 1))
    differing = alike + np.linspace(-0.1, 0.1, 5)[:, None]
    narrow, wide = (interval(net, Resampling(1_000, 5, 0)) for net in (alike, differing))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_intervals_hold_what_they_promise() -> None:
    """Of 95 % intervals around a mean of zero about 95 % contain it; autocorrelated earnings, blocks long enough."""
    random = np.random.default_rng(4)
    hits = 0
    for trial in range(200):
        shocks = random.normal(size=1_200)
        net = np.convolve(shocks, np.ones(4), "valid")[None, :1_000]
        low, high = interval(net, Resampling(200, 25, trial))
        hits += low <= 0 <= high
    assert 0.88 <= hits / 200 <= 0.99
