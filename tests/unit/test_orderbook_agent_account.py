"""The agents' account: equity from fills and marks recomputed, its ends, its trials, and what stress makes of it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from scripts.lib.account import read_benchmarks, read_description, read_equity, read_trades
from scripts.lib.errors import InputError
from scripts.lib.ledger import trial_returns, trials
from scripts.orderbook.agent.account import FILL, RUIN, Timeline, all_fills, curve_of, timeline_of
from scripts.orderbook.agent.contract import states_digest
from scripts.orderbook.agent.stress import again, sharpe, sharpe_intervals
from scripts.orderbook.trading.data import rows_of as rows_of_tape
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.statistics import Resampling, stationary_times
from scripts.orderbook.trading.taker_fills import NS_PER_MS
from scripts.orderbook.trading.tape import Tape, decision_rows, make_tape
from scripts.orderbook.trading.walk import Traded, constant_trader, imbalance_trader, random_trader, walk
from tests.unit.agent_files import LENGTH, RULES, Files, evaluate, make_files, train, train_settings, write_states
from tests.unit.trading_tapes import NOW, simulated_tape, tape_of

SEEDS = (3, 4, 5)
ASSET = "BTCUSDT"


class Evaluated(NamedTuple):
    """Agents of three seeds, evaluated."""

    files: Files
    agents: list[dict[str, Path]]
    outputs: dict[str, Path]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    torch.set_num_threads(1)
    files = make_files(tmp_path_factory.mktemp("account"), 0.3, states=4_000)
    agents = [train(files, seed, train_settings(decisions=2_048)) for seed in SEEDS]
    return Evaluated(files, agents, evaluate(files, agents, block=10, simulated=True))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tape_of_files() -> Tape:
    return simulated_tape(0, 4_000, 0.3, depth=4)


def mids_at(tape: Tape, dates: np.ndarray) -> np.ndarray:
    return tape.mid[np.searchsorted(tape.event_time, dates.astype(np.int64))]


def first_rows(files: Files, tape: Tape) -> dict[str, int]:
    """Row of each split's first decision."""
    windows = pq.read_table(files.windows).to_pylist()
    found = {}
    for split in ("validation", "test"):
        start = min(row["start_time"] for row in windows if row["split"] == split)
        found[split] = int(np.searchsorted(tape.event_time, start)) + LENGTH - 1
    return found


# ----------------------------------------------------------------------------------------------------------- the files


def test_equity_is_the_cash_of_the_trades_and_positions_at_the_mid(evaluated: Evaluated) -> None:
    equity = read_equity(evaluated.outputs["account_equity"])
    trades = read_trades(evaluated.outputs["account_trades"], read_equity(evaluated.outputs["account_equity"]).dates)
    assert equity.intraday
    tape = tape_of_files()
    first = first_rows(evaluated.files, tape)["validation"]
    capital = len(SEEDS) * RULES["unit"] * tape.mid[first]
    assert equity.equity[0] == equity.cash[0] == pytest.approx(capital, rel=1e-15)
    assert len(trades.dates) > 100
    for place, date in enumerate(equity.dates):
        done = trades.dates <= date if place else trades.dates < date
        cash = capital - np.sum(trades.units[done] * trades.price[done] + trades.fee[done])
        units = np.sum(trades.units[done])
        value = units * mids_at(tape, np.array([date]))[0]
        assert equity.cash[place] == pytest.approx(cash, abs=1e-9 * capital)
        assert equity.equity[place] == pytest.approx(cash + value, abs=1e-9 * capital)
        assert equity.net[place] == pytest.approx(value / (cash + value), abs=1e-9)
    assert (np.abs(equity.net) <= equity.gross + 1e-12).all()
    assert (equity.gross.max(), equity.gross[-1], equity.turnover[0]) == (pytest.approx(1, abs=0.05), 0, 0)


def test_the_dates_are_those_of_the_decisions_and_ascend(evaluated: Evaluated) -> None:
    equity = read_equity(evaluated.outputs["account_equity"])
    assert (np.diff(equity.dates) > np.timedelta64(0)).all()
    decisions = {row["split"]: int(row["decisions"]) for row in rows_of(evaluated.outputs["evaluation"])}
    assert len(equity.dates) == decisions["all"] + 1
    tape = tape_of_files()
    first = first_rows(evaluated.files, tape)["validation"]
    taken = tape.event_time[first + RULES["decision_every"] * np.arange(decisions["validation"] + 1)]
    np.testing.assert_array_equal(equity.dates[: len(taken)].astype(np.int64), taken)


def test_the_total_is_what_the_evaluation_says(evaluated: Evaluated) -> None:
    """The evaluation counts basis points of the largest position's notional at each split's start."""
    equity = read_equity(evaluated.outputs["account_equity"]).equity
    tape, nets = tape_of_files(), {}
    for row in rows_of(evaluated.outputs["evaluation"]):
        if row["trader"] == "agent":
            nets[row["split"]] = float(row["net_bps"])
    mids = {split: tape.mid[row] for split, row in first_rows(evaluated.files, tape).items()}
    wanted = sum(nets[split] * mids[split] for split in mids) / mids["validation"]
    assert equity[-1] / equity[0] - 1 == pytest.approx(wanted * 1e-4, abs=1e-9)
    assert wanted == pytest.approx(nets["all"], rel=0.02)  # the mid hardly moves from one split to the next


def test_costs_are_those_of_the_evaluation(evaluated: Evaluated) -> None:
    trades = read_trades(evaluated.outputs["account_trades"], read_equity(evaluated.outputs["account_equity"]).dates)
    listed = [row for row in rows_of(evaluated.outputs["trades"]) if row["trader"] == "agent"]
    assert len(trades.dates) == len(listed)
    assert (trades.slippage >= 0).all()
    assert trades.slippage.sum() == pytest.approx(sum(float(row["spread_cost"]) for row in listed), rel=1e-8)
    np.testing.assert_allclose(trades.fee, 0.5e-4 * np.abs(trades.units * trades.price), rtol=1e-12)
    np.testing.assert_allclose(
        trades.slippage, trades.units * (trades.price - mids_at(tape_of_files(), trades.dates)), atol=1e-9
    )
    assert (set(trades.assets), set(trades.kind)) == ({ASSET}, {"order"})


def test_benchmarks_start_from_the_same_cash_at_the_same_dates(evaluated: Evaluated) -> None:
    equity = read_equity(evaluated.outputs["account_equity"])
    found = read_benchmarks(evaluated.outputs["account_benchmarks"], equity.dates)
    assert list(found) == ["hold", "imbalance", "random_00", "random_01", "random_02"]
    assert all(values[0] == equity.equity[0] for values in found.values())
    listed = [row for row in rows_of(evaluated.outputs["trades"]) if row["trader"] == "hold"]
    spent = sum(float(row["notional"]) + float(row["fee"]) for row in listed)
    notional = equity.equity[0] / len(SEEDS)
    assert found["hold"][-1] == pytest.approx(equity.equity[0] * (1 - spent / notional), rel=1e-9)


def test_account_json_says_what_it_is(evaluated: Evaluated) -> None:
    found = read_description(evaluated.outputs["account"])
    assert (found.name, found.line, found.period) == (f"orderbook-{ASSET}", "orderbook", "decision")
    assert found.simulated
    assert found.periods_a_year is None
    assert [band.name for band in found.bands] == ["train", "validation", "test"]
    tape = tape_of_files()
    assert found.bands[0].start == f"{np.datetime64(int(tape.event_time[0]), 'ns')}Z"
    assert all(band.start < band.end for band in found.bands)
    trades = read_trades(evaluated.outputs["account_trades"], read_equity(evaluated.outputs["account_equity"]).dates)
    assert (found.counts["agents"], found.counts["fills"]) == (len(SEEDS), len(trades.dates))
    assert found.counts["closed_for_good_after_decision"] == found.counts["decisions_at_one_instant"] == 0
    assert any("0.5 basis points" in sentence for sentence in found.contract)


def test_the_ledger_counts_each_configuration_once_with_its_returns(evaluated: Evaluated, tmp_path: Path) -> None:
    files, agents = replace(evaluated.files, folder=tmp_path), evaluated.agents
    outputs = evaluate(files, agents, block=10)
    found, equity = read_description(outputs["account"]), read_equity(outputs["account_equity"])
    returns = trial_returns(tmp_path / "trials", found.data)
    assert returns.names == (found.trial,)
    np.testing.assert_array_equal(returns.dates, equity.dates[1:])
    np.testing.assert_allclose(
        returns.returns[:, 0], equity.equity[1:] / equity.equity[:-1] - 1, rtol=1e-12, atol=1e-15
    )
    evaluate(files, agents, block=20)  # the blocks of the intervals make no other trial
    assert trials(tmp_path / "trials", found.data) == 1
    for agents_, fee in ((agents, 2.0), (agents[:2], 0.5)):
        changed = read_description(evaluate(files, agents_, block=10, trading={"fee_bps": fee})["account"])
        assert changed.data == found.data
        assert not changed.simulated
    assert trials(tmp_path / "trials", found.data) == 3


def test_the_order_in_which_splits_are_named_does_not_matter(evaluated: Evaluated, tmp_path: Path) -> None:
    files = replace(evaluated.files, folder=tmp_path)
    turned = evaluate(files, evaluated.agents, block=10, simulated=True, splits=["test", "validation"])
    for name in ("account_equity", "account_trades"):
        assert turned[name].read_bytes() == evaluated.outputs[name].read_bytes()


# ------------------------------------------------------------------------------------------------------ states' digest


def test_the_digest_of_states_tells_them_apart_and_nothing_else(tmp_path: Path) -> None:
    tape = simulated_tape(1, 20_000, depth=4)
    path = write_states(tmp_path / "a.parquet", tape, slice(0, 20_000))
    twin = write_states(tmp_path / "b.parquet", tape, slice(0, 20_000))
    assert states_digest([path]) == states_digest([twin])
    assert states_digest([path, twin]) != states_digest([path])
    tape.levels[9_000, 1, 2] *= 1.01
    assert states_digest([write_states(tmp_path / "c.parquet", tape, slice(0, 20_000))]) != states_digest([path])


@pytest.mark.parametrize("content", [b"", b"abc", b"x" * 100])
def test_a_file_that_is_none_of_states_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "states.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"states.parquet: not a states file of parse_book"):
        states_digest([path])


# ---------------------------------------------------------------------------------------------------- walks to accounts


def traded(tape: Tape, rules: TradingRules, runs: int = 2, split: str = "test") -> Traded:
    """Random traders in the place of agents."""
    rows = decision_rows(tape, LENGTH, rules.decision_every)
    traders = [random_trader(rules, 0.5, np.random.default_rng([7, i])) for i in range(runs)]
    return Traded(split, tape, rows, {"agent": [walk(tape, rows, rules, trader, "x") for trader in traders]})


def timeline(tape: Tape, rules: TradingRules) -> Timeline:
    return timeline_of([traded(tape, rules)], rules)


def levels_in_stretches(states: int = 2_000) -> tuple[np.ndarray, np.ndarray]:
    run = np.repeat([0, 1, 2], [600, 900, states - 1_500])
    return simulated_tape(5, states, noise=3.0).levels, run


def test_decision_by_decision_the_account_earns_what_the_walks_do() -> None:
    """Oracle: the walk's own book-keeping, which resets at each stretch."""
    rules = TradingRules(**RULES, max_position=2)
    levels, run = levels_in_stretches()
    tape = tape_of(levels, run)
    part = traded(tape, rules)
    found = timeline_of([part], rules)
    curve = curve_of(found, all_fills(found, "agent", rules), rules)
    notionals = np.concatenate([np.full(len(rows) - 1, 1.0 * tape.mid[rows[0]]) for rows in part.rows])
    money = sum(run.net for run in part.walks["agent"]) * 1e-4 * notionals
    np.testing.assert_allclose(np.diff(curve.equity), money, atol=1e-9 * curve.equity[0])
    traded_ = sum(run.traded for run in part.walks["agent"]) * notionals
    np.testing.assert_allclose(curve.turnover[1:] * curve.equity[:-1], traded_, atol=1e-9 * curve.equity[0])
    assert not curve.closed
    assert (curve.gross > np.abs(curve.net) + 0.1).any()  # one long, one short


def test_what_a_thin_book_does_not_take_is_settled_at_the_mid() -> None:
    rules = TradingRules(**RULES)
    levels, run = levels_in_stretches()
    tape = tape_of(levels, run)
    tape.levels[:, [1, 3], :] = 0.1  # three levels of it
    found = timeline(tape, rules)
    curve = curve_of(found, all_fills(found, "agent", rules), rules)
    fills = np.concatenate(curve.fills)
    last = fills[fills["settled"]]
    assert len(last) > 0
    assert set(last["row"]) <= {rows[-1] for rows in found.parts[0].rows}
    np.testing.assert_allclose(last["notional"] / last["units"], tape.mid[last["row"]], rtol=1e-12)
    assert (last["fee"] == 0).all()
    ends = np.searchsorted(found.ends, [rows[-1] for rows in found.parts[0].rows]) + 1
    np.testing.assert_allclose(curve.gross[ends], 0, atol=1e-12)
    notionals = np.concatenate([np.full(len(rows) - 1, 0.5 * tape.mid[rows[0]]) for rows in found.parts[0].rows])
    money = sum(run.net for run in found.parts[0].walks["agent"]) * 1e-4 * notionals
    np.testing.assert_allclose(np.diff(curve.equity), money, atol=1e-9 * curve.equity[0])


def test_an_account_that_has_lost_nearly_all_is_closed_for_good() -> None:
    rules = TradingRules(**(RULES | {"fee_bps": 200.0}))
    tape = simulated_tape(6, 3_000)
    found = timeline(tape, rules)
    fills = all_fills(found, "agent", rules)
    curve = curve_of(found, fills, rules)
    assert 0 < curve.closed < len(found.ends)
    row = int(found.ends[curve.closed - 1])
    for before, after in zip(fills, curve.fills, strict=True):
        assert len(after) < len(before)
        assert after["row"].max() <= row
        assert abs(after["units"].sum()) < 1e-9
    np.testing.assert_array_equal(curve.equity[curve.closed :], curve.equity[-1])
    assert (curve.equity[: curve.closed] > RUIN * curve.equity[0]).all()
    flows = sum(float((run["notional"] + run["fee"]).sum()) for run in curve.fills)
    assert curve.equity[-1] == pytest.approx(curve.equity[0] - flows, abs=1e-9 * curve.equity[0])
    assert np.isfinite(curve.returns).all()
    # the last orders of all take from the book of that row: a sale gets less than the mid
    closing = [run[-1] for run in curve.fills if run[-1]["row"] == row and not run[-1]["settled"]]
    assert all(fill["slippage"] > 0 for fill in closing)


def test_of_decisions_at_one_instant_the_last_counts() -> None:
    rules = TradingRules(**RULES)
    plain = simulated_tape(8, 1_000)
    times = plain.event_time.copy()
    times[300:420] = times[300]  # a venue that stamps many changes alike,
    times[600:640] -= 9_000 * NS_PER_MS  # and whose clock goes back
    tape = make_tape(times, times, np.zeros(1_000), plain.levels, plain.features, NOW)
    part = traded(tape, rules)
    found = timeline_of([part], rules)
    assert (np.diff(found.dates) > np.timedelta64(0)).all()
    decisions = len(part.rows[0]) - 1
    assert decisions - 40 < len(found.ends) < decisions - 20
    curve = curve_of(found, all_fills(found, "agent", rules), rules)
    money = sum(float(run.net.sum()) for run in part.walks["agent"]) * 1e-4 * found.notional
    assert curve.equity[-1] - curve.equity[0] == pytest.approx(money, abs=1e-9 * curve.equity[0])
    marks = part.rows[0][-1]
    assert found.ends[-1] == marks


def test_without_a_fill_the_capital_stays() -> None:
    rules, tape = TradingRules(**RULES), simulated_tape(9, 500)
    rows = decision_rows(tape, LENGTH, rules.decision_every)
    flat = walk(tape, rows, rules, constant_trader(rules, 0), "flat")
    found = timeline_of([Traded("test", tape, rows, {"agent": [flat]})], rules)
    fills = all_fills(found, "agent", rules)
    assert (len(fills[0]), fills[0].dtype) == (0, FILL)
    assert set(curve_of(found, fills, rules).equity) == {found.notional}


@pytest.mark.parametrize(("ahead", "said"), [(0, False), (90_000, True)])
def test_a_local_clock_far_ahead_is_said(ahead: int, said: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Orders then seem to leave long after their state, most of them after the 100 s of the tape."""
    plain, rules = simulated_tape(13, 1_000), TradingRules(**RULES)
    times = plain.event_time
    tape = make_tape(times, times + ahead * NS_PER_MS, np.zeros(1_000), plain.levels, plain.features, NOW)
    rows_of_tape(tape, LENGTH, rules, Path("windows.parquet"))
    assert ("states were known 90000 ms (median) after" in caplog.text) == said


# --------------------------------------------------------------------------------------------------------------- stress


def test_the_table_of_stress_holds_every_family(evaluated: Evaluated) -> None:
    rows = rows_of(evaluated.outputs["stress"])
    assert [(row["family"], row["setting"]) for row in rows] == [
        *(("fee_bps", fee) for fee in ("0", "0.5", "1", "2", "5", "10")), *(("lag", lag) for lag in "125"),
        ("sign_flip", "-1"),
    ]  # fmt: skip
    equity = read_equity(evaluated.outputs["account_equity"])
    own = rows[1]
    assert float(own["final_equity"]) == pytest.approx(equity.equity[-1], rel=1e-9)
    returns = np.diff(equity.equity) / equity.equity[:-1]
    assert float(own["sharpe"]) == pytest.approx(returns.mean() / returns.std(ddof=1), rel=1e-8)
    assert float(own["low"]) < float(own["sharpe"]) < float(own["high"])
    trades = read_trades(evaluated.outputs["account_trades"], read_equity(evaluated.outputs["account_equity"]).dates)
    assert float(own["turnover"]) == pytest.approx(
        np.abs(trades.units * trades.price).sum() / equity.equity.mean(), rel=1e-8
    )
    totals = [float(row["total_return"]) for row in rows[:6]]
    assert totals == sorted(totals, reverse=True)


def test_other_fees_are_what_an_evaluation_at_those_fees_finds(evaluated: Evaluated, tmp_path: Path) -> None:
    rows = rows_of(evaluated.outputs["stress"])
    wanted = next(row for row in rows if (row["family"], row["setting"]) == ("fee_bps", "2"))
    files = replace(evaluated.files, folder=tmp_path)
    outputs = evaluate(files, evaluated.agents, block=10, trading={"fee_bps": 2.0})
    found = read_equity(outputs["account_equity"]).equity
    assert float(wanted["final_equity"]) == pytest.approx(found[-1], rel=1e-9)


def test_later_orders_fill_as_many_states_later_and_turned_ones_trade_the_other_side() -> None:
    rules = TradingRules(**(RULES | {"decision_every": 8, "unit": 0.1}))  # within the best level
    found = timeline(simulated_tape(10, 2_000), rules)
    base = curve_of(found, all_fills(found, "agent", rules), rules)
    end = found.parts[0].rows[0][-1]
    for lag in (1, 5):
        for mine, plain in zip(again(found, rules, lag, 1).fills, base.fills, strict=True):
            before = plain[plain["row"] < end - lag]
            np.testing.assert_array_equal(mine["row"][: len(before)], before["row"] + lag)
            np.testing.assert_array_equal(mine["units"][: len(before)], before["units"])
    for mine, plain in zip(again(found, rules, 0, -1).fills, base.fills, strict=True):
        np.testing.assert_array_equal(mine["row"], plain["row"])
        np.testing.assert_array_equal(mine["units"], -plain["units"])
        np.testing.assert_allclose(mine["slippage"], plain["slippage"], atol=1e-9)  # the spread is alike on both sides


def test_a_signal_that_pays_loses_with_lag_and_turned_round() -> None:
    rules = TradingRules(**(RULES | {"fee_bps": 0.0, "decision_every": 2}))
    tape = simulated_tape(11, 6_000, drift=0.5, stay=0.9)
    rows = decision_rows(tape, LENGTH, rules.decision_every)
    run = walk(tape, rows, rules, imbalance_trader(tape, rules, 1, 0.5), "imbalance")
    found = timeline_of([Traded("test", tape, rows, {"agent": [run]})], rules)
    totals = [curve_of(found, all_fills(found, "agent", rules), rules).equity[-1]]
    totals += [again(found, rules, lag, 1).equity[-1] for lag in (2, 5)]
    assert totals[0] > found.notional
    assert totals == sorted(totals, reverse=True)
    assert again(found, rules, 0, -1).equity[-1] < found.notional


def test_intervals_of_sharpe_ratios_are_those_of_samples_drawn_one_by_one() -> None:
    random = np.random.default_rng(12)
    returns = random.normal([[0.2], [-0.1], [1e-6]], [[1.0], [0.5], [1e-6]], (3, 300)) * 1e-3
    low, high = sharpe_intervals(returns, Resampling(500, 10, 4))
    random = np.random.default_rng(4)
    draws = []
    for _ in range(500):
        times = stationary_times(300, 10, random)
        draws.append([sharpe(row[times]) for row in returns])
    np.testing.assert_allclose([low, high], np.quantile(draws, [0.025, 0.975], axis=0), rtol=1e-9, atol=1e-12)


def test_the_sharpe_ratio_of_what_never_changes_is_undefined() -> None:
    low, high = sharpe_intervals(np.zeros((1, 50)), Resampling(100, 5, 0))
    assert np.isnan([*low, *high, sharpe(np.zeros(50)), sharpe(np.ones(1))]).all()


def test_an_interval_of_one_period_is_undefined() -> None:
    settings: Any = Resampling(100, 5, 0)
    assert np.isnan(sharpe_intervals(np.array([[0.1]]), settings)).all()
