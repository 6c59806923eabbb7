"""The simulator against bt, against a slow account that steps through every session, and against its own laws."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from scripts.backtest.prices.panel import Array, Event, Events, Panel
from scripts.backtest.trading.costs import Costs
from scripts.backtest.trading.simulator import NO_EVENTS, Contract, Path, Plan, simulate

SEEDS = range(12)
START = np.datetime64("2019-01-01")
ALL_COSTS = Costs(fee_bps=10, fee_per_unit=0.003, fee_minimum=1.0, slippage_bps=5, borrow_rate=0.02, cash_rate=0.03)


def panel_of(seed: int, sessions: int = 120, assets: int = 9, holes: bool = True) -> Panel:
    """Random walks; with holes: sessions without prices, a late listing, and an asset whose prices end."""
    random = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, (sessions, assets)), axis=0))
    opened = close * np.exp(random.normal(0, 0.01, close.shape))
    if holes:
        gone = random.random(close.shape) < 0.05
        gone[: sessions // 3, 1] = True
        gone[sessions // 2 :, 2] = True
        close[gone] = np.nan
        opened[gone | (random.random(close.shape) < 0.03)] = np.nan
    days = START + np.cumsum(random.choice([1, 1, 1, 3], sessions)).astype("timedelta64[D]")
    names = tuple(f"A{i}" for i in range(assets))
    return Panel(days, names, opened, close, random.uniform(1e4, 1e5, close.shape))


def plan_of(seed: int, panel: Panel, every: int = 5) -> Plan:
    random = np.random.default_rng(1_000 + seed)
    sessions = np.arange(1, len(panel.sessions), every)
    weights = random.normal(0, 1, (len(sessions), len(panel.assets)))
    weights[random.random(weights.shape) < 0.3] = 0
    return Plan(sessions, weights / np.abs(weights).sum(axis=1, keepdims=True))


def events_of(seed: int, panel: Panel) -> Events:
    random = np.random.default_rng(2_000 + seed)
    count = len(panel.assets)
    middle = len(panel.sessions) // 2
    splits = tuple(sorted(Event(int(s), int(a), r) for s, a, r in zip(
        random.integers(2, len(panel.sessions), 4), random.choice(count, 4, replace=False), (2.0, 0.5, 3.0, 0.1),
        strict=True)))  # fmt: skip
    paid = tuple(sorted(Event(int(s), int(a), 0.4) for s, a in zip(
        random.integers(2, len(panel.sessions), 6), random.integers(0, count, 6), strict=True)))  # fmt: skip
    return Events(splits, paid, (Event(middle, 2, -0.3),))


@dataclass
class SlowAccount:
    """An account of its own kind: dictionaries, every session, one asset after the other."""

    cash: float
    units: dict[int, float] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)  # the last close known, in units of today

    def worth(self, prices: dict[int, float]) -> float:
        return self.cash + sum(
            units * prices.get(asset, self.last[asset]) for asset, units in self.units.items() if units
        )


def slow_equity(panel: Panel, plan: Plan, contract: Contract, events: Events) -> list[float]:
    """Equity at each close from the first target on, by the contract's words."""
    account = SlowAccount(contract.initial_cash)
    waiting: dict[int, float] = {}
    equity: list[float] = []
    targets = dict(zip(plan.sessions.tolist(), plan.weights.tolist(), strict=True))
    costs, first = contract.costs, int(plan.sessions[0])
    for session in range(len(panel.sessions)):
        opened = {a: p for a, p in enumerate(panel.open[session].tolist()) if p == p}
        closed = {a: p for a, p in enumerate(panel.close[session].tolist()) if p == p}
        if session > first:
            years = int((panel.sessions[session] - panel.sessions[session - 1]) / np.timedelta64(1, "D")) / 365
            shorted = sum(-units * account.last[a] for a, units in account.units.items() if units < 0)
            account.cash += (account.cash * costs.cash_rate - shorted * costs.borrow_rate) * years
        for event in events.splits:
            if event.session == session:
                account.units[event.asset] = account.units.get(event.asset, 0.0) * event.value
                if event.asset in account.last:
                    account.last[event.asset] /= event.value
        for event in events.dividends:
            if event.session == session:
                account.cash += account.units.get(event.asset, 0.0) * event.value
        for event in events.delistings:
            if event.session == session:
                waiting.pop(event.asset, None)
                units = account.units.pop(event.asset, 0.0)
                account.cash += units * account.last.get(event.asset, 0.0) * (1 + event.value)
        if session in targets:
            waiting = dict(enumerate(targets[session]))
        fills = closed if contract.at_close else opened
        value = account.worth(fills)
        for asset in sorted(set(waiting) & set(fills)):
            price = fills[asset]
            change = waiting.pop(asset) * value / price - account.units.get(asset, 0.0)
            if change:
                price *= 1 + (costs.slippage_bps / 1e4) * (1 if change > 0 else -1)
                fee = max(
                    abs(change) * price * costs.fee_bps / 1e4 + abs(change) * costs.fee_per_unit, costs.fee_minimum
                )
                account.cash -= change * price + fee
                account.units[asset] = account.units.get(asset, 0.0) + change
        if not contract.wait:
            waiting = {}
        account.last.update(closed)
        if session >= first:
            equity.append(account.worth({}))
    return equity


def run(panel: Panel, plan: Plan, contract: Contract, events: Events = NO_EVENTS) -> Path:
    return simulate(panel, plan, contract, events, int(plan.sessions[0]))


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("at_close", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_account_equals_one_that_steps_through_every_session(seed: int, at_close: bool, wait: bool) -> None:
    panel = panel_of(seed)
    plan, events = plan_of(seed, panel), events_of(seed, panel)
    contract = Contract(1e6, at_close, wait=wait, costs=ALL_COSTS)
    path = run(panel, plan, contract, events)
    np.testing.assert_allclose(path.equity, slow_equity(panel, plan, contract, events), rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_bt_replaying_the_trades_has_the_same_equity(seed: int) -> None:
    import bt

    panel = panel_of(seed)
    plan, costs = plan_of(seed, panel), Costs(fee_bps=10, slippage_bps=5)
    plan.weights[:12, [1, 2]] = [[0.05, -0.05]]  # the one that is listed late, the one that goes
    path = run(panel, plan, Contract(1e6, costs=costs), Events(delistings=(Event(60, 2, -0.3),)))
    assert [(event["session"], event["asset"]) for event in path.trades[path.trades["delisting"]]] == [(60, 2)]
    assert path.trades["session"][path.trades["asset"] == 1].min() >= 40
    assert (path.trades["units"] < 0).any()
    assert np.isnan(panel.open[path.first :]).any()
    days = pd.DatetimeIndex(panel.sessions)
    closes = pd.DataFrame(panel.close, days, list(panel.assets)).ffill().bfill()
    trades = path.trades
    paid = trades["price"] + np.sign(trades["units"]) * trades["fee"] / np.abs(trades["units"])
    index = pd.MultiIndex.from_arrays([days[trades["session"]], [panel.assets[a] for a in trades["asset"]]])
    orders = pd.DataFrame({"quantity": trades["units"], "price": paid}, index.set_names(["Date", "Security"]))
    strategy = bt.Strategy("replay", [bt.algos.ReplayTransactions("orders")], [bt.Security(a) for a in panel.assets])
    test = bt.Backtest(strategy, closes, initial_capital=1e6, integer_positions=False,
                       additional_data={"orders": orders, "bidoffer": closes * 0})  # fmt: skip
    bt.run(test)
    values = test.strategy.values[days[path.first] :].to_numpy()
    np.testing.assert_allclose(path.equity, values, rtol=1e-9)


def test_no_signal_leaves_the_cash_alone() -> None:
    panel = panel_of(0)
    path = run(panel, Plan(np.array([1, 50]), np.zeros((2, 9))), Contract(1e6, costs=Costs(fee_bps=10)))
    assert (path.equity == 1e6).all()
    assert not len(path.trades)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_assets_means_nothing(seed: int) -> None:
    panel, order = panel_of(seed), np.random.default_rng(seed).permutation(9)
    plan, contract = plan_of(seed, panel), Contract(1e6, costs=ALL_COSTS)
    turned = Panel(panel.sessions, panel.assets, panel.open[:, order], panel.close[:, order], panel.volume[:, order])
    other = run(turned, Plan(plan.sessions, plan.weights[:, order]), contract)
    np.testing.assert_allclose(other.equity, run(panel, plan, contract).equity, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_prices_and_cash_in_another_currency_scale_the_equity(seed: int) -> None:
    panel, scale = panel_of(seed), 7.5
    plan, costs = plan_of(seed, panel), Costs(fee_bps=10, slippage_bps=5, borrow_rate=0.02)
    scaled = panel._replace(open=panel.open * scale, close=panel.close * scale)
    one, other = run(panel, plan, Contract(1e6, costs=costs)), run(scaled, plan, Contract(1e6 * scale, costs=costs))
    np.testing.assert_allclose(other.equity, one.equity * scale, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_split_changes_nothing_but_the_units(seed: int) -> None:
    panel = panel_of(seed, holes=False)
    plan, contract = plan_of(seed, panel), Contract(1e6, costs=Costs(fee_bps=10, slippage_bps=5, borrow_rate=0.02))
    for session, ratio in ((40, 2.0), (77, 1 / 15)):  # also a reverse split
        opened, close = panel.open.copy(), panel.close.copy()
        opened[session:, 4] /= ratio
        close[session:, 4] /= ratio
        path = run(panel._replace(open=opened, close=close), plan, contract, Events((Event(session, 4, ratio),)))
        np.testing.assert_allclose(path.equity, run(panel, plan, contract).equity, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_assets_profits_add_up_to_the_change_of_equity(seed: int) -> None:
    panel = panel_of(seed, holes=False)
    path = run(panel, plan_of(seed, panel), Contract(1e6, costs=Costs(fee_bps=10, slippage_bps=5)))
    profits = np.zeros(9)
    for trade in path.trades:
        gain = trade["units"] * (panel.close[-1, trade["asset"]] - trade["price"]) - trade["fee"]
        profits[trade["asset"]] += gain
    assert profits.sum() == pytest.approx(path.equity[-1] - 1e6, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_fees_grow_with_the_traded_value(seed: int) -> None:
    panel = panel_of(seed)
    trades = run(panel, plan_of(seed, panel), Contract(1e6, costs=Costs(fee_bps=25))).trades
    np.testing.assert_allclose(trades["fee"], np.abs(trades["units"]) * trades["price"] * 0.0025, rtol=1e-12)


def test_a_dividend_is_cash_that_a_short_position_pays() -> None:
    prices = np.full((4, 2), 100.0)
    panel = Panel(START + np.arange(4), ("A", "B"), prices, prices, prices)
    plan = Plan(np.array([1]), np.array([[0.5, -0.25]]))
    events = Events(dividends=(Event(2, 0, 1.0), Event(2, 1, 2.0)))
    path = run(panel, plan, Contract(1000.0), events)
    np.testing.assert_allclose(path.equity, [1000, 1000 + 5 * 1.0 - 2.5 * 2.0, 1000])


def test_a_delisted_asset_is_closed_at_its_last_price_and_return() -> None:
    close = np.array([[10.0], [10.0], [8.0], [np.nan], [np.nan]])
    panel = Panel(START + np.arange(5), ("A",), close, close, close)
    path = run(panel, Plan(np.array([1]), np.ones((1, 1))), Contract(1000.0), Events(delistings=(Event(3, 0, -0.5),)))
    np.testing.assert_allclose(path.equity, [1000, 800, 400, 400])
    assert path.trades[-1]["delisting"]
    assert path.trades[-1]["price"] == 4.0


def test_an_asset_is_not_bought_before_its_first_close() -> None:
    """It could not be valued: the order waits, or lapses, as one without a price does."""
    opened, close = np.full((4, 2), 10.0), np.full((4, 2), 10.0)
    opened[0, 1] = close[:2, 1] = np.nan
    panel, plan = (
        Panel(START + np.arange(4), ("A", "B"), opened, close, close),
        Plan(np.array([1]), np.full((1, 2), 0.5)),
    )
    path = run(panel, plan, Contract(1000.0))
    _check(path.equity)
    assert [(trade["session"], trade["asset"]) for trade in path.trades] == [(1, 0), (2, 1)]
    lapsed = run(panel, plan, Contract(1000.0, wait=False))
    assert (len(lapsed.trades), lapsed.equity[-1]) == (1, 1000.0)


def test_whole_units_are_never_more_than_the_weight_says() -> None:
    panel = panel_of(3, holes=False)
    path = run(panel, plan_of(3, panel), Contract(20_000.0, whole_units=True))
    assert (path.trades["units"] % 1 == 0).all()
    assert (path.gross <= 1.25).all()


def test_turnover_is_limited() -> None:
    panel = panel_of(4, holes=False)
    path = run(panel, plan_of(4, panel), Contract(1e6, max_turnover=0.2))
    assert path.turnover.max() == pytest.approx(0.2)


def test_square_root_impact_costs_twice_as_much_a_unit_for_four_times_the_order() -> None:
    panel = panel_of(5, holes=False)
    plan = Plan(np.array([60]), np.array([[1.0, *np.zeros(8)]]))
    paid = [
        run(panel, plan, Contract(cash, costs=Costs(impact=1.0))).trades[0]["price"] / panel.open[60, 0] - 1
        for cash in (1e5, 4e5)
    ]
    assert paid[1] / paid[0] == pytest.approx(2.0)
    window = panel.close[40:60, 0]
    volatility = np.std(window[1:] / window[:-1] - 1, ddof=1)
    expected = volatility * np.sqrt(1e5 / panel.open[60, 0] / panel.volume[40:60, 0].mean())
    assert paid[0] == pytest.approx(expected)


def test_a_ruined_account_closes_everything_and_stays_out() -> None:
    prices = np.array([[10.0], [10.0], [25.0], [40.0], [5.0], [5.0]])
    panel = Panel(START + np.arange(6), ("A",), prices, prices, prices)
    path = run(panel, Plan(np.array([1, 3, 4]), np.full((3, 1), -1.0)), Contract(1000.0))
    assert path.ruined
    np.testing.assert_allclose(path.equity, [1000, -500, -2000, -2000, -2000])


def _check(array: Array) -> None:
    assert np.isfinite(array).all()


def test_nothing_is_undefined_where_prices_are_missing() -> None:
    for seed in SEEDS:
        panel = panel_of(seed)
        path = run(panel, plan_of(seed, panel), Contract(1e6, costs=ALL_COSTS), events_of(seed, panel))
        for values in (path.equity, path.cash, path.gross, path.net, path.turnover):
            _check(values)
