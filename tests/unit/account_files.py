"""Files of an account and of its judge with known properties, for the tests of the pages.

A market of random walks is traded every fifth session on a signal that knows a little of the next returns. What the
judge would write is computed here by pandas, on its own, so that pages can be compared with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts.backtest.statistics.metrics import deflated_sharpe

Array = np.ndarray[Any, Any]
FEE, SLIPPAGE, CASH = 10e-4, 5e-4, 1_000_000.0


@dataclass
class Account:
    """An account as tables; change them before `write`."""

    equity: Any  # date, equity, cash, gross, net, turnover
    trades: Any  # date, asset, units, price, fee, slippage, kind
    benchmarks: Any  # date, benchmark, equity
    positions: Any  # date, asset, units, value
    description: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)  # file name -> table or object

    @property
    def path(self) -> Any:
        """Account value by moment."""
        return pd.Series(self.equity["equity"].to_numpy(), pd.to_datetime(self.equity["date"]))

    @property
    def returns(self) -> Any:
        return self.path.pct_change().dropna()

    def write(self, folder: Path) -> dict[str, Path]:
        """Write everything below a folder. Returns the program's options."""
        account = folder / "account"
        account.mkdir(parents=True, exist_ok=True)
        for name in ("equity", "trades", "benchmarks"):
            getattr(self, name).to_csv(account / f"{name}.csv", index=False, lineterminator="\n")
        (account / "account.json").write_text(json.dumps(self.description))
        options = {name: account / f"{name}.csv" for name in ("equity", "trades", "benchmarks")}
        options["description"] = account / "account.json"
        if self.positions is not None:
            options["positions"] = account / "positions.parquet"
            self.positions.to_parquet(options["positions"])
        options |= self._judged(folder, account / "equity.csv")
        for name, content in self.extra.items():
            options[name.split(".")[0]] = write(folder / name, content)
        return options

    def _judged(self, folder: Path, equity: Path) -> dict[str, Path]:
        tables = {"periods": periods(self), "drawdowns": drawdowns(self), "contributions": contributions(self),
                  "comparison": comparison(self)}  # fmt: skip
        found = figures(self) | {"account": sha256(equity.read_bytes()).hexdigest()} | self.metrics
        options = {"metrics": write(folder / "metrics.json", found)}
        return options | {name: write(folder / f"{name}.csv", table) for name, table in tables.items()}


def write(path: Path, content: Any) -> Path:
    """A table as CSV, an object as JSON, text as it is."""
    if isinstance(content, pd.DataFrame):
        content.to_csv(path, index=False, lineterminator="\n")
    elif isinstance(content, str):
        path.write_text(content)
    else:
        path.write_text(json.dumps(content, indent=2, sort_keys=True))
    return path


def daily(sessions: int = 760, assets: int = 30, seed: int = 0, skill: float = 0.14) -> Account:
    """An account of sessions, with all optional files."""
    random = np.random.default_rng(seed)
    days = pd.bdate_range("2021-01-04", periods=sessions)
    moves = random.standard_t(5, (sessions, assets)) * 0.012
    prices = 100 * np.exp(np.cumsum(moves, axis=0))
    names = [f"AS{number:02d}" for number in range(assets)]
    account = trade(days.strftime("%Y-%m-%d"), names, prices, skill, random)
    account.description = describe("momentum-demo", 252, "session", [
        {"name": "train", "start": "2018-01-02", "end": "2019-12-31"},
        {"name": "validation", "start": "2020-01-20", "end": "2020-12-11"},
        {"name": "test", "start": "2021-01-04", "end": str(days[-1].date())},
    ])  # fmt: skip
    account.extra = extras(random, days)
    return account


def intraday(decisions: int = 400, seed: int = 1) -> Account:
    """An account of one asset over 20 minutes, a decision each three seconds or so; not annualised."""
    random = np.random.default_rng(seed)
    ns = 1_704_103_200_000_000_000 + np.cumsum(random.integers(10**9, 5 * 10**9, decisions))
    dates = [f"{np.datetime64(int(moment), 'ns')}Z" for moment in ns]
    prices = 40_000 * np.exp(np.cumsum(random.normal(0, 2e-5, (decisions, 1)), axis=0))
    account = trade(pd.Index(dates), ["BTC-USD"], prices, 0.3, random, every=10)
    account.description = describe("orderbook-demo", None, "decision", [])
    account.description["line"] = "orderbook"
    account.positions = None
    return account


def trade(
    dates: Any, names: list[str], prices: Array, skill: float, random: np.random.Generator, every: int = 5
) -> Account:
    """Hold longs and shorts by a noisy look at the next moves, from one rebalance to the next."""
    sessions, assets = prices.shape
    cash, units = CASH, np.zeros(assets)
    rows, fills, held = [(dates[0], CASH, CASH, 0.0, 0.0, 0.0)], [], []
    for row in range(1, sessions):
        traded = 0.0
        if row % every == 1:
            ahead = prices[min(row + every, sessions - 1)] / prices[row] - 1
            signal = skill * ahead / max(ahead.std(), abs(ahead).mean(), 1e-12) + random.normal(size=assets)
            weights = signal / np.abs(signal).sum()
            orders = weights * (cash + units @ prices[row]) / prices[row] - units
            filled = prices[row] * (1 + np.sign(orders) * SLIPPAGE)
            fees = np.abs(orders) * filled * FEE
            cash -= orders @ filled + fees.sum()
            units = units + orders
            traded = float(np.abs(orders) @ filled)
            fills += [(dates[row], name, o, p, f, abs(o) * q * SLIPPAGE, "order")
                      for name, o, p, f, q in zip(names, orders, filled, fees, prices[row], strict=True)]  # fmt: skip
            held += [(dates[row], name, u, u * p) for name, u, p in zip(names, units, prices[row], strict=True)]
        value = cash + units @ prices[row]
        exposed = units * prices[row] / value
        rows.append((dates[row], value, cash, np.abs(exposed).sum(), exposed.sum(), traded / value))
    equity = pd.DataFrame(rows, columns=["date", "equity", "cash", "gross", "net", "turnover"])
    trades = pd.DataFrame(fills, columns=["date", "asset", "units", "price", "fee", "slippage", "kind"])
    positions = pd.DataFrame(held, columns=["date", "asset", "units", "value"])
    return Account(equity, trades, benchmarks_of(dates, prices, random), positions, {})


def benchmarks_of(dates: Any, prices: Array, random: np.random.Generator) -> Any:
    """Buy and hold, equal weight, and 20 runs around nothing."""
    relative = prices / prices[0]
    steps = np.vstack([np.ones(prices.shape[1]), prices[1:] / prices[:-1]]).mean(axis=1)
    spread = np.diff(np.log(relative.mean(axis=1))).std()
    noise = np.cumsum(random.normal(0, spread, (20, len(prices))), axis=1)
    runs = {f"random_{number:02d}": np.exp(path - path[0]) for number, path in enumerate(noise)}
    paths = {"buy_and_hold": relative.mean(axis=1), "equal_weight": np.cumprod(steps)} | runs
    return pd.concat(
        [pd.DataFrame({"date": dates, "benchmark": name, "equity": CASH * path}) for name, path in paths.items()]
    )


def describe(name: str, periods: int | None, period: str, bands: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "name": name, "line": "market", "data": "d" * 64, "trial": "e" * 64, "periods_a_year": periods,
        "period": period, "simulated": False, "bands": bands,
        "contract": ["A signal is known after the close of its date.",
                     "Orders fill at the next session's open, 5 basis points against the order.",
                     "Fees are 10 basis points of what is traded."],
        "counts": {"price_rows": 22_800, "missing_prices": 12, "rows_outside_sessions": 3, "delistings": 1,
                   "suspected_splits": 0, "unfilled_orders": 4},
        "settings": {"fee_bps": 10, "slippage_bps": 5, "borrow_rate": 0.01, "cash_rate": 0.0,
                     "portfolio": {"rule": "proportional", "gross": 1.0, "max_weight": None}},
    }  # fmt: skip


def extras(random: np.random.Generator, days: Any) -> dict[str, Any]:
    """What stress, evaluation, causality check and sweep would write."""

    def row(family: str, setting: object, sharpe: float) -> dict[str, object]:
        return {"family": family, "setting": setting, "total_return": sharpe / 5, "sharpe": sharpe, "low": sharpe - 0.9,
                "high": sharpe + 0.9, "turnover": 40.0, "final_equity": CASH * (1 + sharpe / 5)}  # fmt: skip

    stress = [row("slippage_bps", bp, 1.6 - 0.05 * bp) for bp in (0, 5, 10, 20, 50)]
    stress += [row("fee_bps", bp, 1.9 - 0.05 * bp) for bp in (0, 5, 10, 20, 50)]
    stress += [row("lag", lag, 1.35 * 0.8**lag) for lag in range(6)]
    stress += [row("fill", "next_close", 1.1), row("shuffled_labels", "", 0.05), row("positive_control", "", 9.0),
               row("sign_flip", "", -2.2)]  # fmt: skip
    ic = random.normal(0.04, 0.1, len(days[::5]))
    coefficients = pd.DataFrame({"date": days[::5].strftime("%Y-%m-%d"), "ic": ic, "rank_ic": ic,
                                 "hit_rate": 0.5 + ic / 4,
                                 "base_rate": 0.51})  # fmt: skip
    parts = [("rank_ic_by_lag", str(lag), 0.04 * 0.7**lag, 0.012) for lag in (0, 1, 2, 5, 10, 20)]
    parts += [("quantile_return", f"{group + 1} of 5", 0.001 * (group - 1.6), 0.0009) for group in range(5)]
    parts += [
        ("share_that_rose", f"p_up {said:.4f}", 0.5 + 0.8 * (said - 0.5), np.nan)
        for said in (0.31, 0.42, 0.5, 0.6, 0.7)
    ]
    rows = [(figure, part, value, value - half, value + half, 150) for figure, part, value, half in parts]
    table = pd.DataFrame(rows, columns=["figure", "part", "value", "low", "high", "n"])
    causality = {"status": "pass", "reason": None, "cuts": ["2022-01-03"], "artifacts": [], "offences": []}
    return {"stress.csv": pd.DataFrame(stress), "figures.csv": table, "coefficients.csv": coefficients,
            "causality.json": causality}  # fmt: skip


def sharpe_of(returns: Any, periods: float | None) -> float | None:
    spread = returns.std(ddof=1)
    return float(returns.mean() / spread * np.sqrt(periods or 1)) if len(returns) > 1 and spread > 0 else None


def depth_of(path: Any) -> float:
    return float((path / path.cummax() - 1).min())


def figures(account: Account) -> dict[str, Any]:
    """metrics.json, as far as pandas tells it at once; intervals are made up around the value."""
    path, returns, year = account.path, account.returns, account.description["periods_a_year"]
    ratio = sharpe_of(returns, year)
    around = [None, None] if ratio is None else [ratio - 1.1, ratio + 1.1]
    costs = float((account.trades["fee"] + account.trades["slippage"]).sum())
    years = max(len(returns) / (year or 1), 1e-9)
    growth = (path.iloc[-1] / path.iloc[0]) ** (1 / years) - 1 if path.min() > 0 else None
    return {
        "total_return": float(path.iloc[-1] / path.iloc[0] - 1), "growth_rate": growth, "sharpe": ratio,
        "sharpe_interval": around, "volatility": float(returns.std(ddof=1)) * np.sqrt(year or 1),
        "max_drawdown": depth_of(path), "final_equity": float(path.iloc[-1]),
        "fees": float(account.trades["fee"].sum()),
        "slippage": float(account.trades["slippage"].sum()), "borrow": 1_234.5, "interest": 0.0, "dividends": None,
        "turnover": 41.3, "trades": len(account.trades), "sessions": len(returns), "trials": 12,
        "gross_total_return": float((path.iloc[-1] + costs) / path.iloc[0] - 1),
        "deflated_sharpe": deflated_sharpe(returns.to_numpy(), 12),
        "probabilistic_sharpe": 0.97, "deflated_sharpe_of_trials": None, "trials_with_returns": 12, "pbo": 0.21,
        "spa_pvalue": 0.08, "best_benchmark": "equal_weight", "excess_sharpe_interval": [-0.4, 2.2], "alpha": 0.087,
        "alpha_interval": [-0.01, 0.19], "beta": 0.04, "cost_per_turnover_bps": 15.2, "break_even_bps": 27.9,
        "return_without_best_10": 0.05, "return_without_best_3_names": 0.12, "random_beaten_share": 0.95,
        "rank_ic": 0.041, "rank_ic_interval": [0.02, 0.06], "hit_rate": 0.521, "base_rate": 0.507,
        "permutation_pvalue": 0.002, "causality": "pass", "positive_control_sharpe": 9.0, "shuffled_sharpe": 0.05,
        "lag_1_sharpe": 1.1, "capacity_adv_1m": 0.0004, "capacity_adv_10m": 0.004, "capacity_adv_100m": 0.04,
        "start": str(account.equity["date"].iloc[0]), "end": str(account.equity["date"].iloc[-1]), "data": "d" * 64,
        "trial": "e" * 64, "simulated": account.description["simulated"], "periods_a_year": year, "draws": 2_000,
        "confidence": 0.95, "seed": 0, "n": len(returns),
    }  # fmt: skip


def periods(account: Account) -> Any:
    """One row a calendar year."""
    year, columns = account.description["periods_a_year"], list("abcdefg")
    rows = []
    for label, part in account.returns.groupby(account.returns.index.year):
        ratio, spread = sharpe_of(part, year), part.std(ddof=1) * np.sqrt(year or 1)
        path = (1 + part).cumprod()
        days = pd.to_datetime(account.trades["date"])
        rows.append((label, path.iloc[-1] - 1, ratio, spread, depth_of(path), 41.0, int((days.dt.year == label).sum())))
    return pd.DataFrame(rows, columns=columns).set_axis(
        ["period", "return", "sharpe", "volatility", "max_drawdown", "turnover", "trades"], axis=1
    )


def drawdowns(account: Account) -> Any:
    """Stretches below a peak, the deepest first."""
    path = account.path
    under, rows = path < path.cummax(), []
    for _, part in path[under].groupby((~under).cumsum()[under]):
        peak = path.index.get_loc(part.index[0]) - 1
        last = path.index.get_loc(part.index[-1]) + 1
        trough = path.index.get_loc(part.idxmin())
        cells = account.equity["date"]
        end, took = (cells[last], last - trough) if last < len(path) else (None, None)
        rows.append((cells[peak], cells[trough], end, part.min() / path.iloc[peak] - 1, trough - peak, took))
    table = pd.DataFrame(rows, columns=["start", "trough", "end", "depth", "sessions", "recovery_sessions"])
    return table.sort_values("depth").head(10)


def contributions(account: Account) -> Any:
    """Profit by asset at the last price of each, and a category by its number."""
    trades = account.trades
    last = trades.groupby("asset")["price"].last()
    flows = trades.assign(flow=-trades["units"] * trades["price"] - trades["fee"]).groupby("asset")
    profit = flows["flow"].sum() + trades.groupby("asset")["units"].sum() * last
    table = pd.DataFrame({"asset": profit.index, "category": [f"sector {i % 4}" for i in range(len(profit))],
                          "profit": profit.to_numpy(), "share": (profit / profit.abs().sum()).to_numpy(),
                          "trades": flows.size().to_numpy()})  # fmt: skip
    return table.sort_values("profit", ascending=False)


def comparison(account: Account) -> Any:
    """Strategy and benchmarks."""
    paths = {"strategy": account.equity["equity"].to_numpy()}
    paths |= {name: part["equity"].to_numpy() for name, part in account.benchmarks.groupby("benchmark", sort=False)}
    rows = []
    for name, values in paths.items():
        path, year = pd.Series(values), account.description["periods_a_year"]
        ratio = sharpe_of(path.pct_change().dropna(), year)
        low, high = (None, None) if ratio is None else (ratio - 1, ratio + 1)
        growth = (values[-1] / values[0]) ** ((year or 1) / (len(values) - 1)) - 1 if values.min() > 0 else None
        rows.append((name, values[-1] / values[0] - 1, growth, ratio, low, high, depth_of(path), 41.0,
                     None if name == "strategy" else -0.5, None if name == "strategy" else 2.0))  # fmt: skip
    return pd.DataFrame(rows, columns=["name", "total_return", "growth_rate", "sharpe", "low", "high", "max_drawdown",
                                       "turnover", "excess_sharpe_low", "excess_sharpe_high"])  # fmt: skip
