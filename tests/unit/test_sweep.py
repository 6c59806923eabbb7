"""judge_sweep from its command line: figures against pandas and ffn, noise and planted edges, bad input, plots."""

from __future__ import annotations

import csv
import html
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import ffn
import numpy as np
import pandas as pd
import pytest

from scripts.backtest.judge_sweep import main
from scripts.backtest.statistics.overfitting import overfitting
from scripts.backtest.sweep.plots import histogram, number
from scripts.backtest.sweep.settings import SweepTrial
from scripts.backtest.sweep.trials import all_trials
from scripts.lib import job

DAYS = pd.bdate_range("2018-01-01", periods=640)
GRID: dict[str, list[Any]] = {
    "signal.lookback": [20, 60, 120],
    "trade.portfolio.quantile": [0.1, 0.2],
    "trade.fill": ["open", "close"],
}
OUTPUTS = ("table", "heatmap", "logits", "fan", "summary")


class Sweep:
    """Trials with their equities, and the files of their judge."""

    def __init__(self, folder: Path, grid: dict[str, list[Any]] = GRID, seeds: int = 2, folds: int = 2) -> None:
        self.folder, self.seeds, self.folds = folder, list(range(seeds)), list(range(folds))
        self.settings = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
        self.returns = np.random.default_rng(7).normal(0, 0.01, (len(self.settings), seeds, len(DAYS)))
        self.stretches = np.array_split(np.arange(len(DAYS)), folds)
        self.trials: list[dict[str, Any]] = [
            {"name": f"{number}-{seed}-{fold}", "values": values, "seed": seed, "fold": fold}
            for number, values in enumerate(self.settings)
            for seed in self.seeds
            for fold in self.folds
        ]
        self.equities: dict[str, Any] = {}

    def equity(self, trial: dict[str, Any]) -> Any:
        """The account of a trial: it starts anew on its fold's first day, so that day has no return."""
        days = self.stretches[trial["fold"]]
        own = self.returns[self.settings.index(trial["values"]), trial["seed"], days[1:]]
        table = pd.DataFrame(
            {"date": DAYS[days].strftime("%Y-%m-%d"), "equity": 1e6 * np.cumprod(np.append(1, 1 + own))}
        )
        return table.assign(cash=0.0, gross=1.0, net=0.0, turnover=np.append(0.0, np.full(len(own), 0.03)))

    def joined(self) -> Any:
        """(T, settings) returns at all days but each fold's first, seeds averaged."""
        rows = np.concatenate([days[1:] for days in self.stretches])
        return self.returns.mean(axis=1)[:, rows].T

    def __call__(self, **settings: Any) -> dict[str, Any]:
        assert self.code(**settings) == 0
        found: dict[str, Any] = json.loads((self.folder / "summary").read_text())
        return found

    def code(self, paths: list[Path] | None = None, words: list[str] | None = None, **settings: Any) -> Any:
        given = [self.folder / f"{trial['name']}/equity.csv" for trial in self.trials]
        for trial, path in zip(self.trials, given, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            own = self.equities[trial["name"]] if trial["name"] in self.equities else self.equity(trial)
            own.to_csv(path, index=False)
        chosen = {"draws": 100, **settings} if "grid" in settings else {"trials": self.trials, "draws": 100, **settings}
        options = words or ["--equity", *map(str, given if paths is None else paths)]
        options += [word for name in OUTPUTS for word in (f"--{name}", str(self.folder / name))]
        with pytest.raises(SystemExit) as stop:
            job.run(main, [*options, "--settings", json.dumps(chosen), "--title", "demo"])
        return stop.value.code

    def table(self) -> Any:
        return pd.read_csv(self.folder / "table")

    def words(self, name: str) -> list[str]:
        """The texts of a plot."""
        return [
            html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", (self.folder / name).read_text())
        ]


def annual(returns: Any) -> float:
    return float(np.mean(returns) / np.std(returns, ddof=1) * np.sqrt(252))


def test_the_table_holds_each_trial(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    sweep()
    table = sweep.table()
    assert list(table["trial"]) == [trial["name"] for trial in sweep.trials]
    for trial, (_, row) in zip(sweep.trials, table.iterrows(), strict=True):
        path = sweep.equity(trial)["equity"]
        assert {key: row[key] for key in GRID} == trial["values"]
        assert (row["seed"], row["fold"]) == (trial["seed"], trial["fold"])
        assert row["sharpe"] == pytest.approx(annual(path.pct_change().dropna()), rel=1e-9)
        assert row["total_return"] == pytest.approx(path.iloc[-1] / path.iloc[0] - 1, rel=1e-8)
        assert row["max_drawdown"] == pytest.approx((path / path.cummax() - 1).min(), rel=1e-8)
        assert row["turnover"] == pytest.approx(0.03 * path[1:].sum() / path.mean() * 252 / (len(path) - 1), rel=1e-8)
        assert row["sessions"] == len(path) - 1


def test_the_probability_is_that_of_ffn_for_the_joined_returns(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    found = sweep(blocks=8)
    joined = pd.DataFrame(sweep.joined()[: len(sweep.joined()) // 8 * 8])
    assert found["pbo"] == ffn.calc_prob_backtest_overfitting(joined, n_blocks=8)
    assert found["n"] == len(sweep.joined())
    assert (found["pbo_blocks"], found["pbo_settings"], found["settings"], found["trials"]) == (8, 12, 12, 48)
    assert any(f"overfitting {found['pbo']:.3g}" in text for text in sweep.words("logits"))


def test_best_and_median_setting(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    found, means = sweep(), sweep_means(sweep)
    best = max(means, key=lambda key: means[key])
    assert tuple(found["best"]["values"][key] for key in GRID) == best
    assert found["best"]["mean_sharpe"] == pytest.approx(means[best], rel=1e-8)
    assert found["median"]["mean_sharpe"] == pytest.approx(sorted(means.values())[(len(means) - 1) // 2], rel=1e-8)
    assert found["positive_share"] == np.mean([mean > 0 for mean in means.values()])
    table = sweep.table()
    own = table[(table[list(GRID)] == list(best)).all(axis=1)]
    for part in ("seed", "fold"):
        assert found["best"][f"spread_over_{part}s"] == pytest.approx(
            own.groupby(part)["sharpe"].mean().std(), rel=1e-7
        )
    assert found["best"]["lowest_sharpe"] == pytest.approx(own["sharpe"].min(), rel=1e-8)
    place = sweep.settings.index(found["best"]["values"])
    assert found["best"]["joined_sharpe"] == pytest.approx(annual(sweep.joined()[:, place]), rel=1e-9)
    low, high = found["best"]["joined_sharpe_interval"]
    assert low < found["best"]["joined_sharpe"] < high


def sweep_means(sweep: Sweep) -> dict[tuple[Any, ...], float]:
    found: dict[tuple[Any, ...], float] = sweep.table().groupby(list(GRID))["sharpe"].mean().to_dict()
    return found


@pytest.mark.parametrize("keys", [1, 2, 3, 4])
def test_the_heat_map_shows_the_means_of_pandas(tmp_path: Path, keys: int) -> None:
    grid = dict(list((GRID | {"trade.neutral": [True, False]}).items())[:keys])
    sweep = Sweep(tmp_path, grid)
    sweep()
    means = sweep.table().groupby(list(grid)[:3])["sharpe"].mean()
    words = sweep.words("heatmap")
    cells = [word for word in words if re.fullmatch(r"[−]?\d\.\d\d", word)]
    for text in set(map(number, means)):
        assert cells.count(text) >= list(map(number, means)).count(text)
    assert all(any(part in word for word in words) for part in ("2 seeds", "2 folds", "lookback"))
    assert any("2 values of neutral" in word for word in words) == (keys == 4)
    assert sum(word.startswith("fill ") for word in words) == (2 if keys > 2 else 0)


def test_noise_is_overfitted_and_a_planted_edge_is_not(tmp_path: Path) -> None:
    found = []
    for seed in range(6):  # the figure of one panel of noise scatters by a sixth
        sweep = Sweep(tmp_path / str(seed), {"signal.lookback": list(range(30))}, seeds=1, folds=1)
        sweep.returns = np.random.default_rng(seed).normal(0, 0.01, sweep.returns.shape)
        noise = sweep(blocks=10)
        found.append(noise["pbo"])
        assert len(noise["superior"]) == noise["superior_count"] <= 1
    assert 0.35 <= np.mean(found) <= 0.65
    sweep.returns[11] += 0.003
    edge = sweep(blocks=10)
    assert edge["pbo"] < 0.1
    assert edge["best"]["values"] == {"signal.lookback": 11}
    assert {"signal.lookback": 11} in edge["superior"]
    assert edge["spa_pvalue"] < 0.01


def test_dates_that_a_setting_lacks_are_left_out(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    late = [trial for trial in sweep.trials if trial["values"]["signal.lookback"] == 120 and trial["fold"] == 0]
    sweep.equities = {trial["name"]: sweep.equity(trial)[40:] for trial in late}
    found = sweep(blocks=8)
    joined = pd.DataFrame(sweep.joined()[40:])
    assert (found["n"], found["sessions_left_out"]) == (len(joined), 40)
    assert found["pbo"] == ffn.calc_prob_backtest_overfitting(joined[: len(joined) // 8 * 8], n_blocks=8)


def test_a_ruined_and_a_motionless_trial_are_counted(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, folds=1, seeds=1)
    dead, still = sweep.trials[0], sweep.trials[1]
    ruined = sweep.equity(dead)
    ruined.loc[300:, "equity"] = -5.0
    sweep.equities = {dead["name"]: ruined, still["name"]: sweep.equity(still).assign(equity=1e6, turnover=0.0)}
    found = sweep()
    assert (found["ruined"], found["motionless"], found["pbo_settings"]) == (1, 1, 10)
    states = sweep.table().set_index("trial")["state"].dropna().to_dict()
    assert states == {dead["name"]: "ruined", still["name"]: "motionless"}
    assert np.isnan(sweep.table()["sharpe"][1])
    left = sweep.joined()[:, 2:]
    assert found["pbo"] == overfitting(left, 16).probability
    assert "–" in sweep.words("heatmap")


@pytest.mark.parametrize(("grid", "still"), [({"a": [1]}, False), ({"a": [1, 2]}, True)])
def test_what_is_undefined_is_null_with_a_reason(tmp_path: Path, grid: dict[str, list[Any]], still: bool) -> None:
    sweep = Sweep(tmp_path, grid, seeds=1, folds=1)
    sweep.returns *= not still
    found = sweep()
    assert found["pbo"] is None
    assert "too few to compare" in found["reasons"]["pbo"]
    assert any(found["reasons"]["pbo"] in text for text in sweep.words("logits"))
    assert (found["best"] is None) == (found["superior"] is None) == still
    if still:
        assert found["reasons"]["best"] == "no trial moves"
        assert all("no trial moves" in sweep.words(name) for name in ("heatmap", "fan"))
    else:
        assert found["best"]["spread_over_seeds"] is None
        assert "fewer than two seeds" in found["reasons"]["spread_over_seeds"]


def test_few_sessions(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, seeds=1, folds=1)
    sweep.stretches = [np.arange(9)]
    found = sweep()
    assert found["pbo"] is None
    assert "16 blocks" in found["reasons"]["pbo"]
    assert found["reasons"]["superior"] == "8 sessions are fewer than 20"
    assert found["best"]["joined_sharpe_interval"] == [None, None]


def test_two_runs_are_equal_to_the_byte_and_the_folder_says_the_same(tmp_path: Path) -> None:
    sweep, grid = Sweep(tmp_path), GRID | {"signal.lookback": [20, 60, 120]}
    for trial in sweep.trials:
        trial["name"] = "{:03d}-{}-{}".format(*map(int, trial["name"].split("-")))
    sweep()
    first = [(tmp_path / name).read_bytes() for name in OUTPUTS]
    sweep()
    assert [(tmp_path / name).read_bytes() for name in OUTPUTS] == first
    assert sweep.code(words=["--accounts", str(tmp_path)], grid=grid, seeds=[0, 1], folds=2) == 0
    assert [(tmp_path / name).read_bytes() for name in OUTPUTS] == first


def test_trials_of_a_grid() -> None:
    found = all_trials({"a": [1, 2], "b": ["x"]}, [3], 2)
    assert [trial.name for trial in found] == ["000-3-0", "000-3-1", "001-3-0", "001-3-1"]
    assert found[3] == SweepTrial(name="001-3-1", values={"a": 2, "b": "x"}, seed=3, fold=1)


def test_logits_of_zero_count_as_overfitted() -> None:
    logits = np.array([-2.0, 0.0, 0.0, 1e-9, 1.0, 2.0])
    edges, shares = histogram(logits)
    assert shares.sum() == pytest.approx(1)
    assert shares[edges[1:] <= 0].sum() == pytest.approx((logits <= 0).mean())


class TestBadInput:
    """One line that names what is wrong, exit code 2, nothing written."""

    def refused(self, sweep: Sweep, capsys: pytest.CaptureFixture[str], *words: str, **options: Any) -> None:
        assert sweep.code(**options) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if "ERROR" in line]
        assert len(lines) == 1
        assert all(word in lines[0] for word in words), lines[0]
        assert not any((sweep.folder / name).exists() for name in OUTPUTS)

    def test_other_number_of_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        sweep = Sweep(tmp_path)
        sweep.code()
        for name in OUTPUTS:
            (tmp_path / name).unlink()
        paths = [tmp_path / f"{trial['name']}/equity.csv" for trial in sweep.trials][1:]
        capsys.readouterr()
        self.refused(sweep, capsys, "47 files for 48 trials", paths=paths)

    def test_a_missing_fold(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        sweep = Sweep(tmp_path)
        del sweep.trials[7]
        self.refused(sweep, capsys, "lookback 20, quantile 0.1, fill close: no trial of seed 1 and fold 1")

    def test_a_trial_twice(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        sweep = Sweep(tmp_path)
        sweep.trials[7] = sweep.trials[6] | {"name": "again"}
        self.refused(sweep, capsys, "again: the same setting, seed and fold as 1-1-0")

    def test_other_keys(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        sweep = Sweep(tmp_path, {"a": [1]}, seeds=1, folds=2)
        sweep.equities = {trial["name"]: sweep.equity(trial) for trial in sweep.trials}
        sweep.trials[1] = sweep.trials[1] | {"values": {"b": 1}}
        self.refused(sweep, capsys, "0-0-1: its keys are b, not a")

    def test_a_key_called_as_a_column(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.refused(Sweep(tmp_path, {"seed": [1, 2]}), capsys, "key 'seed' has the name of a column")

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [({"trials": []}, "either trials or a grid"), ({"grid": {"a": []}}, "grid.a"), ({"blocks": 7}, "blocks")],
    )
    def test_settings(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], reason: str
    ) -> None:
        self.refused(Sweep(tmp_path), capsys, reason, **settings)

    def test_neither_files_nor_a_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.refused(Sweep(tmp_path), capsys, "--equity, --accounts", words=["--title", "x"])

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda table: table[:1], "1 rows"),
            (lambda table: table.assign(equity=np.nan), "not a number"),
            (lambda table: table.assign(equity="nan"), "row 2: equity 'nan': not finite"),
            (lambda table: table.assign(equity=0.0), "row 2: equity 0"),
            (lambda table: table.drop(columns="turnover"), "no column 'turnover'"),
        ],
    )
    def test_a_bad_equity(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, reason: str) -> None:
        sweep = Sweep(tmp_path)
        sweep.equities = {"3-1-0": change(sweep.equity(sweep.trials[14]))}
        self.refused(sweep, capsys, "3-1-0/equity.csv", reason)

    def test_folds_that_overlap(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        sweep = Sweep(tmp_path)
        sweep.stretches[1] = sweep.stretches[1] - 5
        self.refused(sweep, capsys, "0-0-1/equity.csv: begins on", "0-0-0/equity.csv, another fold")


def test_a_name_out_of_the_grid_is_no_formula(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"signal.$x$": ["$a_b$", "<c&d>"], "b": [1, 2]}, folds=1)
    sweep()
    assert {"$a_b$", "<c&d>", "$x$"} <= set(sweep.words("heatmap"))
    with (tmp_path / "table").open() as file:
        assert next(csv.reader(file))[1] == "signal.$x$"
