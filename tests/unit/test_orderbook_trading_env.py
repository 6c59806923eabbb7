"""The trading environment: conformity, money to the last digit, causality, ends, and resuming in the middle."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from scripts.orderbook.trading.account import Account
from scripts.orderbook.trading.env import TradingEnv, Vectors, Windows, reward_unit
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.taker_fills import Latency, fill_order
from scripts.orderbook.trading.tape import NEVER, Tape, decision_rows
from tests.unit.trading_tapes import book_levels, simulated_tape, tape_of

LENGTH = 8
RULES = TradingRules(unit=0.5, fee_bps=2.0, decision_every=3, max_position=2)
FLAT = 2  # the action


def make_env(tape: Tape, rules: TradingRules = RULES, episode: int = 40) -> TradingEnv:
    rows = decision_rows(tape, LENGTH, rules.decision_every)
    return TradingEnv(tape, Windows(tape.features, LENGTH), rows, rules, episode, reward_unit(tape, rows, rules))


def test_passes_the_checks_of_gymnasium_and_of_stable_baselines3() -> None:
    tape = simulated_tape(0, states=600)
    rows = decision_rows(tape, LENGTH, 3)
    all_rows = np.concatenate([np.array(found) for found in rows])
    vectors = Vectors(all_rows, np.random.default_rng(0).standard_normal((len(all_rows), 5)).astype(np.float32))
    for view in (Windows(tape.features, LENGTH), vectors):
        env = TradingEnv(tape, view, rows, RULES, 40, 1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # a book has no natural bounds, and the environment is made without a registered name
            for known in (".*minimum value is -infinity.*", ".*maximum value is infinity.*", ".*not have a `spec`.*"):
                warnings.filterwarnings("ignore", message=known)
            for known in (".*unconventional shape.*", ".*not within the bounds.*spec.*", ".*spec`? is None.*"):
                warnings.filterwarnings("ignore", message=known)
            warnings.filterwarnings("ignore", message=".*render_mode.*")
            gymnasium_check(env, skip_render_check=True)
            sb3_check(env)


def test_equal_seeds_give_equal_episodes_and_others_do_not() -> None:
    def episode(seed: int) -> list[object]:
        env = make_env(simulated_tape(1, states=900))
        first, _ = env.reset(seed=seed)
        actions = np.random.default_rng(0).integers(0, 5, 30)
        steps = [env.step(int(action)) for action in actions]
        return [first["book"].tobytes(), *[(step[0]["account"].tobytes(), step[1]) for step in steps]]

    assert episode(4) == episode(4)
    assert episode(4) != episode(5)


def slow_walk(tape: Tape, rules: TradingRules, rows: range, targets: list[int]) -> tuple[float, float, float]:
    """Oracle: state by state through a list of orders; cash, position and what was paid in fees."""
    cash, position, fees = 0.0, 0.0, 0.0
    orders: list[list[float]] = []
    decisions = dict(zip(rows, targets, strict=False))
    for row in range(rows[0], rows[len(targets)] + 1):
        for order in [order for order in orders if order[0] == row]:
            fill = fill_order(order[1], tape.levels[row, :2], tape.levels[row, 2:], 0.0)
            fee = rules.fee_bps / 10_000 * abs(fill.notional)
            cash, position, fees = cash - fill.notional - fee, position + fill.size, fees + fee
            orders.remove(order)
        if row in decisions:
            wanted = decisions[row] * rules.unit - position - sum(size for _, size in orders)
            arrival = int(tape.arrival[row])
            if wanted and arrival != NEVER:
                orders.append([arrival, wanted])
    return cash, position, fees


@pytest.mark.parametrize("latency", [Latency(1, 0), Latency(7, 0), Latency(1, 450)])
def test_equity_equals_that_of_a_walk_state_by_state(latency: Latency) -> None:
    random = np.random.default_rng(7)
    made = simulated_tape(2, states=600)
    tape = tape_of(made.levels, latency=latency)
    rows = decision_rows(tape, LENGTH, RULES.decision_every)[0]
    targets = random.integers(-2, 3, 120).tolist()
    account = Account(tape, RULES, rows[0])
    for place, target in enumerate(targets):
        account.aim(target * RULES.unit)
        account.advance(rows[place + 1])
    cash, position, fees = slow_walk(tape, RULES, rows, targets)
    assert account.position == pytest.approx(position, abs=1e-12)
    assert account.cash == pytest.approx(cash, rel=1e-12)
    assert sum(trade.fee for trade in account.trades) == pytest.approx(fees, rel=1e-12)
    assert account.equity == pytest.approx(account.gross - account.costs, abs=1e-9)
    # what positions earned by moves of the mid, from the trades alone
    moves = sum(trade.size * (tape.mid[account.row] - tape.mid[trade.row]) for trade in account.trades)
    assert account.gross == pytest.approx(moves, abs=1e-8)


def test_a_round_trip_worked_by_hand() -> None:
    """Buy 2 at state 2 and sell at state 4: half spreads, fees and the mid's move."""
    ticks = np.array([1000.0, 1000, 1000, 1010, 1020, 1020])
    tape = tape_of(book_levels(ticks, np.full(6, 1.0), np.full((6, 2), 3.0), 2))
    rules = TradingRules(unit=2.0, fee_bps=10.0, decision_every=1)
    account = Account(tape, rules, 1)
    account.aim(2.0)
    assert (account.position, account.committed) == (0.0, 2.0)
    account.advance(2)
    assert account.position == 2.0
    assert account.entry == pytest.approx(100.1)
    assert account.equity == pytest.approx(-2 * 0.1 - 0.001 * 200.2)
    account.advance(3)
    assert account.unrealised == pytest.approx(2 * (101.0 - 100.1))
    account.aim(0.0)
    account.advance(4)
    assert account.position == 0.0
    assert account.equity == pytest.approx(2 * (101.9 - 100.1) - 0.001 * (200.2 + 203.8))
    assert account.gross == pytest.approx(2 * 2.0)
    assert account.costs == pytest.approx(2 * 0.1 * 2 + 0.001 * (200.2 + 203.8))


def test_orders_in_flight_are_not_sent_twice() -> None:
    tape = tape_of(simulated_tape(3, states=100).levels, latency=Latency(10, 0))
    account = Account(tape, RULES, 20)
    for row in range(20, 29):
        account.advance(row)
        account.aim(0.5)
    account.advance(60)
    assert [(trade.decided, trade.row, trade.size) for trade in account.trades] == [(20, 30, 0.5)]


def test_a_thin_book_fills_in_part_and_the_next_decision_asks_for_the_rest() -> None:
    levels = book_levels(np.full(40, 1000.0), np.full(40, 1.0), np.full((40, 2), 0.3), 1)
    account = Account(tape_of(levels), TradingRules(unit=1.0, decision_every=1), 10)
    account.aim(1.0)
    account.advance(11)
    assert account.position == pytest.approx(0.3)
    account.aim(1.0)
    account.advance(12)
    assert account.position == pytest.approx(0.6)
    assert [trade.wanted for trade in account.trades] == pytest.approx([1.0, 0.7])


def test_a_fill_far_smaller_than_the_order_is_a_position() -> None:
    levels = book_levels(np.full(40, 1000.0), np.full(40, 1.0), np.full((40, 2), 0.3), 1)
    account = Account(tape_of(levels), TradingRules(unit=1e9, decision_every=1), 10)
    account.aim(1e9)
    account.advance(11)
    assert account.position == pytest.approx(0.3, rel=1e-6)
    account.close()
    assert account.position == 0
    assert account.equity == pytest.approx(account.gross - account.costs)


def test_what_is_seen_at_k_does_not_change_with_the_states_after_k() -> None:
    tape = simulated_tape(4, states=400)
    rows = decision_rows(tape, LENGTH, 3)[0]
    cut = rows[30]
    random = np.random.default_rng(0)
    levels, features = tape.levels.copy(), tape.features.copy()
    levels[cut + 1 :] *= random.uniform(0.5, 2.0, levels[cut + 1 :].shape)
    features[cut + 1 :] += 1
    other = replace(tape, levels=levels, features=features)
    seen = []
    for used in (tape, other):
        env = TradingEnv(used, Windows(used.features, LENGTH), [rows], RULES, 200, 1.0)
        looks = [env.reset(options={"row": rows[0]})[0]]
        looks += [env.step(int(action))[0] for action in np.random.default_rng(1).integers(0, 5, 60)]
        seen.append([look["book"].tobytes() + look["account"].tobytes() for look in looks])
    assert seen[0][:31] == seen[1][:31]
    assert all(a != b for a, b in zip(seen[0][31:], seen[1][31:], strict=True))


def test_the_window_ends_at_the_state_of_the_decision() -> None:
    tape = simulated_tape(4, states=100)
    env = make_env(tape)
    look, _ = env.reset(options={"row": 10})
    np.testing.assert_array_equal(look["book"], tape.features[3:11])


def test_episodes_never_leave_their_stretch_and_end_flat() -> None:
    made = simulated_tape(5, states=400)
    run = np.repeat([0, 1, 2, 5], [90, 12, 8, 290])
    tape = tape_of(made.levels, run)
    rows = decision_rows(tape, LENGTH, 3)
    assert [(found.start, found.stop) for found in rows] == [(7, 90), (97, 102), (117, 400)]
    assert all(tape.arrival[stop - 1] == NEVER for stop in (90, 102, 110, 400))
    env = make_env(tape)
    random = np.random.default_rng(0)
    seen = set()
    for episode in range(200):
        env.reset(seed=episode)
        start = env.account.row
        seen.add(start)
        for _ in range(1_000):
            _, _, terminated, truncated, info = env.step(int(random.integers(0, 5)))
            assert tape.stretch[info["row"] - LENGTH + 1] == tape.stretch[info["row"]] == tape.stretch[start]
            if terminated or truncated:
                break
        assert truncated != terminated
        assert env.account.position == 0.0
    assert {tape.stretch[row] for row in seen} == {0, 1, 3}


def test_truncated_after_so_many_decisions_terminated_by_a_loss() -> None:
    tape = simulated_tape(6, states=900)
    env = make_env(tape, episode=25)
    env.reset(options={"row": 7})
    ends = [env.step(FLAT)[2:4] for _ in range(25)]
    assert ends == [(False, False)] * 24 + [(False, True)]
    env = make_env(tape, RULES.model_copy(update={"max_loss_bps": 3.0}), episode=25)
    env.reset(options={"row": 7})
    for step in range(25):
        _, _, terminated, truncated, info = env.step(4 * (step % 2))  # long, short, long …: pays costs
        if terminated:
            break
    assert (terminated, truncated) == (True, False)
    assert info["equity_bps"] <= -3.0
    assert env.account.position == 0.0


def test_rewards_add_up_to_the_episode_s_equity() -> None:
    tape = simulated_tape(8, states=900)
    rows = decision_rows(tape, LENGTH, 3)
    env = TradingEnv(tape, Windows(tape.features, LENGTH), rows, RULES, 60, reward_bps=0.25)
    env.reset(seed=3)
    total, ended = 0.0, False
    random = np.random.default_rng(2)
    while not ended:
        _, reward, terminated, ended, info = env.step(int(random.integers(0, 5)))
        assert not terminated
        total += float(reward)
    assert total * 0.25 == pytest.approx(info["equity_bps"], rel=1e-9)


def test_flat_earns_and_costs_nothing() -> None:
    env = make_env(simulated_tape(9, states=400))
    env.reset(seed=0)
    assert [env.step(FLAT)[1] for _ in range(20)] == [0.0] * 20


def test_the_weight_of_costs_changes_the_reward_and_not_the_equity() -> None:
    tape = simulated_tape(10, states=400)
    rewards, equities = [], []
    for weight in (0.0, 0.5, 1.0):
        env = make_env(tape)
        env.reset(seed=1)
        env.cost_weight = weight
        steps = [env.step(action) for action in (4, 0, 2, 3)]
        rewards.append(sum(float(step[1]) for step in steps))
        equities.append(steps[-1][4]["equity_bps"])
    assert len(set(equities)) == 1
    assert rewards[1] == pytest.approx((rewards[0] + rewards[2]) / 2)
    assert rewards[0] > rewards[2]


def test_state_and_restore_go_on_bit_for_bit_also_through_json() -> None:
    tape = tape_of(simulated_tape(11, states=900).levels, latency=Latency(5, 0))
    random = np.random.default_rng(0)
    actions = random.integers(0, 5, 400).tolist()

    def go(env: TradingEnv, actions: list[int]) -> list[object]:
        seen: list[object] = []
        for action in actions:
            look, reward, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                look, _ = env.reset()
            seen.append((look["book"].tobytes(), look["account"].tobytes(), reward))
        return seen

    env = make_env(tape)
    env.reset(seed=12)
    go(env, actions[:203])
    saved = json.loads(json.dumps(env.state()))
    rest = go(env, actions[203:])
    other = make_env(tape)
    other.reset(seed=99)
    look = other.restore(saved)
    assert look.keys() == {"book", "account"}
    assert go(other, actions[203:]) == rest
