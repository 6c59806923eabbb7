"""The judge of backtests against empyrical, statsmodels, arch, scipy, accounts by hand, and planted effects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import empyrical
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm  # type: ignore[import-untyped]
from arch.bootstrap import StationaryBootstrap
from scipy import stats

from scripts.backtest import judge_backtest, run_backtest, run_benchmarks
from scripts.backtest.statistics.bootstrap import block_length
from scripts.backtest.statistics.metrics import sharpe_interval
from scripts.lib.ledger import digest, register
from tests.unit import account_files
from tests.unit.account_files import CASH, Account, daily, intraday
from tests.unit.backtest_files import Files, run

Array = np.ndarray[Any, Any]
OUTPUTS = ("metrics", "periods", "drawdowns", "contributions", "comparison")
KEYS = {
    "final_equity", "total_return", "growth_rate", "sharpe", "sharpe_interval", "volatility", "max_drawdown", "fees",
    "slippage", "borrow", "interest", "dividends", "turnover", "trades", "sessions", "trials", "deflated_sharpe",
    "probabilistic_sharpe", "deflated_sharpe_of_trials", "trials_with_returns", "pbo", "spa_pvalue", "best_benchmark",
    "excess_sharpe_interval", "alpha", "alpha_interval", "beta", "gross_total_return", "cost_per_turnover_bps",
    "break_even_bps", "return_without_best_10", "return_without_best_3_names", "random_beaten_share", "rank_ic",
    "rank_ic_interval", "hit_rate", "base_rate", "permutation_pvalue", "causality", "positive_control_sharpe",
    "shuffled_sharpe", "lag_1_sharpe", "capacity_adv_1m", "capacity_adv_10m", "capacity_adv_100m", "start", "end",
    "data", "trial", "account", "simulated", "periods_a_year", "draws", "confidence", "seed", "n",
}  # fmt: skip


class Judged:
    """What the judge wrote."""

    def __init__(self, folder: Path) -> None:
        self.metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
        self.periods, self.drawdowns, self.contributions, self.comparison = (
            pd.read_csv(folder / f"{name}.csv") for name in OUTPUTS[1:]
        )
        self.bytes = [file.read_bytes() for file in sorted(folder.iterdir())]

    def row(self, name: str) -> Any:
        return self.comparison.set_index("name").loc[name]


class Case:
    """An account in a folder with a ledger of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.account, self.words, self.settings = folder, daily(), list[object](), {"draws": 200}

    def judge(self) -> Judged:
        assert self.code() == 0
        return Judged(self.folder / "out")

    def code(self) -> int | str | None:
        (self.folder / "out").mkdir(exist_ok=True)
        given = self.account.write(self.folder)
        options = {name: given[name] for name in ("equity", "trades", "benchmarks")} | {"account": given["description"]}
        words = [word for name, path in options.items() for word in (f"--{name}", path)]
        return judge(self.folder, self.settings, *words, *self.words)

    def digest(self) -> str:
        """Of the equity."""
        return digest(self.account.write(self.folder)["equity"])

    def change(self, table: str, **dropped: object) -> None:
        """Take columns or rows out of a table of the account."""
        setattr(self.account, table, getattr(self.account, table).drop(**dropped))

    def give(self, option: str, text: str) -> None:
        """Hand one more file to the judge."""
        (self.folder / option).write_text(text)
        self.words = [f"--{option}", self.folder / option]
        if option == "prices":
            self.account.description["data"] = digest(self.folder / option)

    def other_prices(self) -> None:
        """Prices that the account did not trade."""
        self.give("prices", "date,asset,open,close\n2021-01-05,AS00,1,1\n")
        self.account.description["data"] = "0" * 64

    def replay(self, account: str, **changed: object) -> None:
        """Hand a replay of an account to the judge."""
        report = {"account": account, "simulator": "bt", "version": "1.4.1", "sessions": 759,
                  "largest_difference": 3e-5, "first_beyond": "2021-03-01"}  # fmt: skip
        self.give("replay", json.dumps(report | changed))

    def enter(self, returns: Array, dates: Any = None) -> None:
        """Trials with returns (T, K) in the ledger."""
        dates = self.account.returns.index.to_numpy() if dates is None else dates
        for number, column in enumerate(returns.T):
            register(self.folder / "trials", "d" * 64, {"number": number}, "p", (dates, column))


def judge(folder: Path, settings: dict[str, Any], *words: object) -> int | str | None:
    ending = {"metrics": "json"}
    outputs = [word for name in OUTPUTS
               for word in (f"--{name}", folder / "out" / f"{name}.{ending.get(name, 'csv')}")]  # fmt: skip
    return run(judge_backtest.main, settings, *words, *outputs, "--ledger", folder / "trials")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_all_keys_are_there_and_defined(case: Case) -> None:
    metrics = case.judge().metrics
    assert set(metrics) >= KEYS
    words = {"account", "data", "trial", "start", "end", "simulated", "periods_a_year", "draws", "confidence", "seed",
             "n", "causality", "best_benchmark", "name", "line"}  # fmt: skip
    assert set(metrics["definitions"]) >= KEYS - words
    assert metrics["counts"] == case.account.description["counts"]
    assert metrics["definitions"]["sharpe"].startswith("Mean / standard deviation (ddof 1)")
    assert metrics["reasons"]["pbo"]
    assert metrics["trials"] == 1


def test_figures_are_those_of_empyrical(case: Case) -> None:
    metrics, returns = case.judge().metrics, case.account.returns
    assert metrics["sharpe"] == pytest.approx(empyrical.sharpe_ratio(returns), rel=1e-9)
    assert metrics["max_drawdown"] == pytest.approx(empyrical.max_drawdown(returns), rel=1e-9)
    assert metrics["growth_rate"] == pytest.approx(empyrical.cagr(returns), rel=1e-9)
    assert metrics["volatility"] == pytest.approx(empyrical.annual_volatility(returns), rel=1e-9)
    assert metrics["return_without_best_10"] == pytest.approx(empyrical.cum_returns_final(returns.nsmallest(749)))
    interval = sharpe_interval(returns.to_numpy(), 200, 0.95, 0)
    assert metrics["sharpe_interval"] == pytest.approx(interval, rel=1e-9)


def test_alpha_and_beta_are_those_of_least_squares(case: Case) -> None:
    metrics, returns = case.judge().metrics, case.account.returns.to_numpy()
    market = benchmark(case.account, "buy_and_hold")
    fit = sm.OLS(returns, sm.add_constant(market)).fit()
    assert [metrics["alpha"] / 252, metrics["beta"]] == pytest.approx(fit.params, rel=1e-9)
    alpha, beta = empyrical.alpha_beta(pd.Series(returns), pd.Series(market))
    assert (1 + metrics["alpha"] / 252) ** 252 - 1 == pytest.approx(alpha)
    assert metrics["beta"] == pytest.approx(beta)
    assert metrics["market_benchmark"] == "buy_and_hold"


def test_draws_are_paired(case: Case) -> None:
    """The same draws, taken by arch itself, through least squares and the difference of two Sharpe ratios."""
    found = case.judge()
    both = np.stack([case.account.returns, benchmark(case.account, "buy_and_hold")], axis=1)

    def statistic(drawn: Array) -> Array:
        ratios = drawn.mean(axis=0) / drawn.std(axis=0, ddof=1) * np.sqrt(252)
        return np.array([np.polyfit(drawn[:, 1], drawn[:, 0], 1)[1] * 252, ratios[0] - ratios[1], ratios[1]])

    drawn = StationaryBootstrap(block_length(both[:, 0]), both, seed=0).apply(statistic, 200)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    row = found.row("buy_and_hold")
    assert found.metrics["alpha_interval"] == pytest.approx([low[0], high[0]], rel=1e-8)
    assert [row["excess_sharpe_low"], row["excess_sharpe_high"]] == pytest.approx([low[1], high[1]], rel=1e-8)
    assert [row["low"], row["high"]] == pytest.approx([low[2], high[2]], rel=1e-8)


def benchmark(account: Account, name: str) -> Array:
    path = account.benchmarks.query("benchmark == @name")["equity"].to_numpy()
    found: Array = path[1:] / path[:-1] - 1
    return found


def test_the_best_benchmark_is_a_named_one(case: Case) -> None:
    found = case.judge()
    named = found.comparison[~found.comparison["name"].str.startswith("random_")].iloc[1:]
    best = named.loc[named["sharpe"].idxmax()]
    assert found.metrics["best_benchmark"] == best["name"]
    assert found.metrics["excess_sharpe"] == pytest.approx(found.metrics["sharpe"] - best["sharpe"])
    low, high = found.metrics["excess_sharpe_interval"]
    assert [low, high] == [best["excess_sharpe_low"], best["excess_sharpe_high"]]
    assert low < found.metrics["excess_sharpe"] < high
    random = case.account.benchmarks[case.account.benchmarks["benchmark"].str.startswith("random_")]
    beaten = random.groupby("benchmark")["equity"].last() < case.account.path.iloc[-1]
    assert found.metrics["random_beaten_share"] == beaten.mean()


def test_tables_are_those_of_pandas(case: Case) -> None:
    case.account.description["bands"] = []
    found = case.judge()
    tables = {"periods": account_files.periods(case.account), "drawdowns": account_files.drawdowns(case.account),
              "comparison": account_files.comparison(case.account)}  # fmt: skip
    made_up = ["turnover", "low", "high", "excess_sharpe_low", "excess_sharpe_high"]
    for name, expected in tables.items():
        ours = getattr(found, name).drop(columns=made_up, errors="ignore")
        expected = expected.drop(columns=made_up, errors="ignore").reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, expected, check_dtype=False, rtol=1e-9)
    assert (1 + found.periods["return"]).prod() - 1 == pytest.approx(found.metrics["total_return"])
    assert found.periods["trades"].sum() == len(case.account.trades)


def test_bands_stand_below_the_years(case: Case) -> None:
    days = case.account.path.index
    cut = days[400]
    case.account.description["bands"] = [
        {"name": "up to", "start": str(days[0].date()), "end": str(cut.date())},
        {"name": "after", "start": str((cut + pd.Timedelta(days=1)).date()), "end": str(days[-1].date())},
    ]
    found, path = case.judge().periods, case.account.path
    years = days[1:].year.nunique()
    assert list(found["period"][years:]) == ["up to", "after"]
    assert found["return"].iloc[-2] == pytest.approx(path.iloc[400] / path.iloc[0] - 1)
    assert found["return"].iloc[-1] == pytest.approx(path.iloc[-1] / path.iloc[400] - 1)


def test_costs_and_turnover_by_hand(case: Case) -> None:
    account, metrics = case.account, case.judge().metrics
    traded, paid = (account.trades["units"] * account.trades["price"]).abs().sum(), 0.0
    paid = float((account.trades["fee"] + account.trades["slippage"]).sum())
    gain = account.path.iloc[-1] - CASH
    assert metrics["turnover"] == pytest.approx(traded / account.path.mean() * 252 / 759)
    assert metrics["cost_per_turnover_bps"] == pytest.approx(paid / traded * 1e4)
    assert metrics["break_even_bps"] == pytest.approx((gain + paid) / traded * 1e4)
    assert metrics["gross_total_return"] == pytest.approx((gain + paid) / CASH)
    table = account.benchmarks.assign(traded=500.0)
    account.benchmarks = table
    row = case.judge().row("equal_weight")
    mean = table.query("benchmark == 'equal_weight'")["equity"].mean()
    assert row["turnover"] == pytest.approx(500 * 760 / mean * 252 / 759)


def test_deflated_ratios_follow_their_formula(case: Case) -> None:
    random = np.random.default_rng(0)
    case.enter(random.normal(0, 0.01, (759, 30)))
    metrics, returns = case.judge().metrics, case.account.returns.to_numpy()
    own = returns.mean() / returns.std(ddof=1)
    ratios = [
        own,
        *(table.mean() / table.std(ddof=1) for table in np.random.default_rng(0).normal(0, 0.01, (759, 30)).T),
    ]
    skew, kurtosis = stats.skew(returns), stats.kurtosis(returns, fisher=False)

    def deflated(count: int, spread: float) -> float:
        euler = 0.5772156649015329
        most = (1 - euler) * stats.norm.ppf(1 - 1 / count) + euler * stats.norm.ppf(1 - 1 / (count * np.e))
        hurdle = spread * most if count > 1 else 0.0
        scale = np.sqrt(1 - skew * own + (kurtosis - 1) / 4 * own**2)
        return float(stats.norm.cdf((own - hurdle) * np.sqrt(len(returns) - 1) / scale))

    assert metrics["trials"] == 30
    assert metrics["trials_with_returns"] == 31  # the account itself stands in no ledger here
    assert metrics["probabilistic_sharpe"] == pytest.approx(deflated(1, 0), abs=2e-3)
    assert metrics["deflated_sharpe"] == pytest.approx(deflated(30, 1 / np.sqrt(758)), abs=2e-3)
    assert metrics["deflated_sharpe_of_trials"] == pytest.approx(deflated(30, np.std(ratios, ddof=1)), abs=2e-3)


def noise_account(seed: int) -> Account:
    """An account that knows nothing and pays nothing."""
    account = daily(sessions=500, assets=4, seed=seed)
    steps = np.random.default_rng(seed).normal(0, 0.01, 499)
    account.equity["equity"] = CASH * np.cumprod(np.append(1, 1 + steps))
    return account


def test_noise_is_overfitted_and_a_planted_edge_is_not(case: Case, tmp_path: Path) -> None:
    case.settings = {"draws": 100, "blocks": 10}
    found: dict[float, list[float]] = {0.0: [], 0.0025: []}
    for seed in range(6):
        for edge, chances in found.items():
            case.folder = tmp_path / f"{seed}-{edge}"
            case.folder.mkdir()
            case.account = noise_account(seed)
            returns = np.random.default_rng(seed + 100).normal(0, 0.01, (499, 40))
            returns[:, 7] += edge
            case.enter(returns)
            metrics = case.judge().metrics
            chances.append(metrics["pbo"])
            superior = metrics["superiority"]["equal_weight"]
            if not 0.03 < superior["pvalue"] < 0.07:  # at the edge the two tests may differ
                assert (superior["pvalue"] < 0.05) == (superior["superior_trials"] > 0)
    assert 0.35 <= np.mean(found[0.0]) <= 0.65
    assert max(found[0.0025]) < 0.1


def test_trials_that_say_nothing_are_left_out_and_counted(case: Case) -> None:
    returns = np.random.default_rng(0).normal(0, 0.01, (759, 6))
    returns[:, 4] = 0
    case.enter(returns)
    dates = case.account.returns.index.to_numpy()
    case.enter(
        np.random.default_rng(1).normal(0, 0.01, (200, 7))[:, 6:], dates[:200]
    )  # rewrites no trial: number 0 ends
    register(case.folder / "trials", "d" * 64, {"number": "short"}, "p", (dates[:500], returns[:500, 0]))
    register(case.folder / "trials", "d" * 64, {"number": "most"}, "p", (dates[:700], returns[:700, 1]))
    register(case.folder / "trials", "d" * 64, {"number": "none"}, "p")
    register(case.folder / "trials", "c" * 64, {"number": "other data"}, "p", (dates, returns[:, 2]))
    metrics = case.judge().metrics
    assert [metrics[key] for key in ("trials", "trials_with_returns", "trials_short", "trials_idle")] == [9, 7, 1, 1]
    assert metrics["pbo_trials"] == 7
    assert 0 <= metrics["pbo"] <= 1


def test_an_edge_is_superior_to_its_benchmarks(case: Case) -> None:
    case.account = daily(skill=0.6)
    metrics = case.judge().metrics
    assert metrics["spa_pvalue"] < 0.05
    assert all(found["strategy"] for found in metrics["superiority"].values())
    assert metrics["random_beaten_share"] == 1
    case.account = noise_account(3)
    assert case.judge().metrics["spa_pvalue"] > 0.05


def test_a_trial_that_is_the_benchmark_is_no_rival_of_it(case: Case) -> None:
    path = case.account.benchmarks.query("benchmark == 'equal_weight'")["equity"].to_numpy()
    case.account.equity["equity"] = path
    assert case.judge().metrics["superiority"]["equal_weight"] == {
        "pvalue": None, "superior_trials": 0, "strategy": False,
    }  # fmt: skip


def test_what_else_was_found_is_carried_over(case: Case) -> None:
    case.account.extra["figures.csv"] = pd.DataFrame(
        [("rank_ic", "all", 0.04, 0.02, 0.06, 150), ("hit_rate", "all", 0.52, None, None, 150),
         ("permutation_pvalue", "all", 0.003, None, None, 150), ("rank_ic", "2021", 1, 1, 1, 9)],
        columns=["figure", "part", "value", "low", "high", "n"],
    )  # fmt: skip
    case.account.extra["sweep.json"] = {"pbo": 0.2, "trials": 12, "best": None, "keys": ["a"]}
    given = case.account.write(case.folder)
    names = ("stress", "figures", "coefficients", "causality", "sweep")
    case.words = [word for name in names for word in (f"--{name}", given[name])]
    metrics = case.judge().metrics
    assert metrics["lag_1_sharpe"] == pytest.approx(1.35 * 0.8)
    expected = {"causality": "pass", "rank_ic": 0.04, "rank_ic_interval": [0.02, 0.06], "hit_rate": 0.52,
                "base_rate": None, "permutation_pvalue": 0.003, "positive_control_sharpe": 9.0,
                "shuffled_sharpe": 0.05, "sweep": {"pbo": 0.2, "trials": 12}}  # fmt: skip
    assert {key: metrics[key] for key in expected} == expected


def test_the_second_simulator_s_difference_is_carried_over(case: Case) -> None:
    keys = ("peer_difference", "peer_simulator", "peer_sessions", "peer_first_beyond")
    metrics = case.judge().metrics
    assert [metrics[key] for key in keys] == [None] * 4
    case.replay(metrics["account"])
    table = case.folder / "figures-of-all.csv"
    case.words += ["--table", table]
    metrics = case.judge().metrics
    assert [metrics[key] for key in keys] == [3e-5, "bt 1.4.1", 759, "2021-03-01"]
    assert "bt" in metrics["definitions"]["peer_difference"]
    assert pd.read_csv(table).set_index("figure")["value"]["peer_difference"] == 3e-5


def test_an_account_of_instants_has_no_years(case: Case) -> None:
    case.account = intraday()
    found = case.judge()
    returns = case.account.returns
    assert found.metrics["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert found.metrics["growth_rate"] == pytest.approx((1 + returns).prod() ** (1 / len(returns)) - 1)
    assert found.metrics["definitions"]["sharpe"].endswith("not annualised; risk-free rate 0.")
    assert found.metrics["start"].endswith("Z")
    assert found.drawdowns["start"].str.endswith("Z").all()
    assert found.periods["period"].tolist() == [f"part {part} of 4" for part in range(1, 5)]
    assert (1 + found.periods["return"]).prod() - 1 == pytest.approx(found.metrics["total_return"])
    assert found.contributions["asset"].tolist() == ["BTC-USD"]
    gain = case.account.path.iloc[-1] - CASH
    assert found.contributions["profit"].tolist() == pytest.approx([gain])
    assert found.metrics["profit_of_no_asset"] == pytest.approx(0, abs=1e-6)
    assert found.metrics["return_without_best_3_names"] is None


def test_bands_are_the_periods_of_instants(case: Case) -> None:
    case.account = intraday()
    dates = case.account.equity["date"]
    case.account.description["bands"] = [
        {"name": "test", "start": dates[101], "end": dates[200]},
        {"name": "train", "start": "2023-01-01", "end": "2023-12-31"},
    ]
    row = case.judge().periods
    assert row["period"].tolist() == ["test"]
    path = case.account.path.to_numpy()
    assert row["return"].tolist() == pytest.approx([path[200] / path[100] - 1])


def test_a_ruined_account_and_one_at_rest(case: Case) -> None:
    case.account.equity.loc[400:, "equity"] = -5.0
    ruined = case.judge().metrics
    assert (ruined["n"], ruined["sessions"], ruined["growth_rate"]) == (400, 759, None)
    assert ruined["max_drawdown"] < -1
    case.account = daily()
    case.account.equity["equity"], case.account.trades = CASH, case.account.trades.iloc[:0]
    found = case.judge()
    assert found.metrics["sharpe"] is None
    assert (found.metrics["turnover"], found.metrics["trades"], len(found.contributions)) == (0, 0, 0)
    assert found.metrics["reasons"]["spa_pvalue"] == "the account never moves"
    assert found.metrics["sharpe_interval"] == [None, None]


def test_two_runs_write_the_same_bytes(case: Case) -> None:
    case.enter(np.random.default_rng(0).normal(0, 0.01, (759, 5)))
    assert case.judge().bytes == case.judge().bytes


class Traded:
    """A real account of run_backtest with splits, dividends, costs and rates, judged with its prices."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.files, self.settings, self.folder = Files(folder, assets=4), settings, folder
        self.events: dict[str, str] = {}

    def judge(self) -> Judged:
        file = self.files.path
        events = []
        for name, text in self.events.items():
            file(f"{name}.csv").write_text(text)
            events += [f"--{name}", str(file(f"{name}.csv"))]
        account = ["--equity", file("E.csv"), "--trades", file("T.csv"), "--account", file("A.json")]
        words = ["--positions", file("P.parquet"), "--ledger", file("trials"), *events]
        assert self.files.run(run_backtest.main, self.settings, *account, *words) == 0
        words = ["--benchmarks", file("B.csv"), *events]
        assert self.files.run(run_benchmarks.main, self.settings, *words) == 0
        (self.folder / "out").mkdir(exist_ok=True)
        words = [*account, "--benchmarks", file("B.csv"), "--prices", file("prices.csv"), *events]
        assert judge(self.folder, {"draws": 100}, *words) == 0
        return Judged(self.folder / "out")


def test_profits_add_up_with_splits_dividends_shorts_and_interest(tmp_path: Path) -> None:
    traded = Traded(tmp_path, {"portfolio": {"rule": "proportional"}, "fee_bps": 10, "slippage_bps": 5,
                               "borrow_rate": 0.05, "cash_rate": 0.02})  # fmt: skip
    days = traded.files.days
    for asset, ratio, day in (("A01", 2.0, 61), ("A02", 0.5, 100)):
        later = (traded.files.prices["asset"] == asset) & (traded.files.prices["date"] >= days[day])
        traded.files.prices.loc[later, ["open", "close"]] /= ratio
    traded.events = {
        "splits": f"date,asset,ratio\n{days[61]},A01,2\n{days[100]},A02,0.5\n",
        "dividends": f"date,asset,amount\n{days[70]},A01,1.5\n{days[101]},A02,3\n{days[101]},A00,2\n",
    }
    found = traded.judge()
    counts = found.metrics["counts"]
    assert found.metrics["profit_of_no_asset"] == pytest.approx(counts["interest"] - counts["borrow"], abs=1e-4)
    total = found.metrics["final_equity"] - 1e6
    assert found.contributions["profit"].sum() == pytest.approx(total - counts["interest"] + counts["borrow"])
    best = found.contributions["profit"].nlargest(3).sum()
    assert found.metrics["return_without_best_3_names"] == pytest.approx((total - best) / 1e6)


def test_profit_and_capacity_by_hand(tmp_path: Path) -> None:
    """A quarter of 1 M in A01, bought once at 100 with 10 bp of fees; a split, a dividend, a rise to 75 (150)."""
    traded = Traded(tmp_path, {"portfolio": {"rule": "given"}, "fee_bps": 10})
    files = traded.files
    files.predictions = pd.DataFrame({"known_at": files.days[9], "asset": files.assets, "signal": [0, 0.25, -0.05, 0]})
    files.prices[["open", "close"]] = 100.0
    later = (files.prices["asset"] == "A01") & (files.prices["date"] >= files.days[50])
    files.prices.loc[later, ["open", "close"]] = 75.0
    files.prices.loc[later, "volume"] = 2e5
    traded.events = {"splits": f"date,asset,ratio\n{files.days[50]},A01,2\n",
                     "dividends": f"date,asset,amount\n{files.days[60]},A01,0.5\n"}  # fmt: skip
    found = traded.judge()
    profits = found.contributions.set_index("asset")["profit"]
    assert profits["A01"] == pytest.approx(2_500 * (2 * 75 - 100) + 5_000 * 0.5 - 250)
    assert profits["A02"] == pytest.approx(-50)
    assert found.contributions.set_index("asset").loc["A02", "share"] == pytest.approx(-50 / profits.abs().sum())
    # A01: 0.25 of the account over 100 x 1e5 and later 75 x 2e5; A02: 0.05 over 1e7
    first, last = len(files.days[9:50]), len(files.days[50:])
    mean = (1e7 * first + 1.5e7 * last) / (first + last)
    for size in (1, 10, 100):
        expected = (0.25 / mean + 0.05 / 1e7) / 2 * size * 1e6
        assert found.metrics[f"capacity_adv_{size}m"] == pytest.approx(expected)


def test_categories_and_positions_without_prices(case: Case) -> None:
    given = case.account.write(case.folder)
    names = case.account.trades["asset"].unique()[1:]
    account_files.write(case.folder / "c.csv", pd.DataFrame({"asset": names, "category": "energy"}))
    case.words = ["--positions", given["positions"], "--categories", case.folder / "c.csv"]
    found = case.judge().contributions
    assert found["category"].value_counts().to_dict() == {"energy": len(names), "none": 1}
    assert found["profit"].is_monotonic_decreasing
    expected = account_files.contributions(case.account).set_index("asset")["profit"]
    last = case.account.trades.groupby("asset")["price"].last() * case.account.trades.groupby("asset")["units"].sum()
    held = case.account.positions.groupby("asset")["value"].last()
    pd.testing.assert_series_equal(found.set_index("asset")["profit"].sort_index(), expected + held - last,
                                   check_names=False)  # fmt: skip


@pytest.mark.parametrize(("spoil", "reason"), [
    (lambda case: case.change("equity", columns="net"), "equity.csv: no column 'net'"),
    (lambda case: case.give("trades", "date,asset,units,price,fee,slippage,kind\n2021-01-05,A,1,1,dear,0,order\n"),
     "trades: row 2: fee 'dear': not a number"),
    (lambda case: case.change("benchmarks", index=3), "buy_and_hold: its dates are not those"),
    (lambda case: case.account.description.pop("data"), "account.json: data: missing"),
    (lambda case: case.give("prices", "date,asset,open,close\n2021-01-05,AS00,1,1\n"), "no prices of AS01, which"),
    (lambda case: case.other_prices(), "not the prices that"),
    (lambda case: case.account.trades.__setitem__("date", ""), "trades.csv: row 2: no date"),
    (lambda case: case.account.description.__setitem__("settings", {"model_cutoff": "oops"}),
     "account.json: settings: model_cutoff 'oops': no day"),
    (lambda case: case.give("causality", '{"status": "fine"}'), "causality: status 'fine'"),
    (lambda case: case.give("causality", "[1]"), "not a JSON object"),
    (lambda case: case.replay("0" * 64), "replay: replays another account than"),
    (lambda case: case.replay(case.digest(), largest_difference=None), "largest_difference None: not a number"),
    (lambda case: case.give("stress", "family,setting\nlag,1\n"), "no column 'sharpe'"),
    (lambda case: case.give("figures", "figure,part,value,low,high\nrank_ic,all,x,,\n"), "value 'x': not a number"),
    (lambda case: case.settings.__setitem__("blocks", 7), "settings: blocks"),
    (lambda case: case.account.trades.__setitem__("date", "2030-01-02"),
     "trades.csv: row 2: date 2030-01-02 lies outside of the account's dates"),
    (lambda case: case.account.trades.__setitem__("date", "1999-01-04"),
     "trades.csv: row 2: date 1999-01-04 lies outside of the account's dates"),
])  # fmt: skip
def test_bad_input_is_one_line(case: Case, capsys: pytest.CaptureFixture[str], spoil: Any, reason: str) -> None:
    case.account = daily(sessions=60)
    spoil(case)
    assert case.code() == 2
    assert reason in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list((case.folder / "out").iterdir())


def test_every_number_of_the_json_is_in_the_table(case: Case) -> None:
    table = case.folder / "figures-of-all.csv"
    case.words = ["--table", table]
    metrics = case.judge().metrics
    rows = pd.read_csv(table).set_index("figure")
    numbers = {key for key, value in metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    assert numbers == set(rows.index)
    for key in ("sharpe", "break_even_bps", "deflated_sharpe", "beta", "trials"):
        assert rows.loc[key, "value"] == metrics[key]
    assert list(rows.loc["sharpe", ["low", "high"]]) == metrics["sharpe_interval"]
    assert "252" in rows.loc["sharpe", "definition"]
