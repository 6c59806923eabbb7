"""Look-ahead: planted leaks are found with their first date and their reach, and a clean signal passes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from scripts.backtest import check_causality, compute_signal, require_causality, simulate_prices
from scripts.backtest.prices.changes import change_after
from scripts.backtest.prices.settings import CausalitySettings, SimulatePricesSettings
from scripts.backtest.trading.settings import SignalSettings
from scripts.lib import job
from scripts.lib.causality import (
    ALL,
    DAY_NS,
    ROWS,
    Artifact,
    Cut,
    Table,
    check,
    document,
    evenly,
    first_difference,
    same_bits,
)
from scripts.lib.errors import InputError

Frame = Any
Signal = Callable[[Frame, Frame], Frame]
DAYS = pd.bdate_range("2022-01-03", periods=160)
ASSETS = [f"A{number:02d}" for number in range(12)]
CUTS = 4


def write_prices(path: Path) -> Path:
    """A dozen assets; one is listed late, one ends early."""
    random = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, (len(DAYS), len(ASSETS))), axis=0))
    opened = close * np.exp(random.normal(0, 0.005, close.shape))
    table = pd.DataFrame({
        "date": np.repeat(DAYS.strftime("%Y-%m-%d"), len(ASSETS)), "asset": ASSETS * len(DAYS), "open": opened.ravel(),
        "high": np.maximum(opened, close).ravel(), "low": np.minimum(opened, close).ravel(), "close": close.ravel(),
        "volume": random.integers(1_000, 100_000, close.size),
    })  # fmt: skip
    late = (table["asset"] == "A10") & (table["date"] < "2022-07-15")
    early = (table["asset"] == "A11") & (table["date"] > "2022-02-15")
    table[~(late | early)].to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prices(tmp_path_factory.mktemp("prices") / "prices.csv")


# ---------------------------------------------------------------------------------------------- signals, clean and not


def momentum(close: Frame, volume: Frame) -> Frame:
    return close.pct_change(10, fill_method=None)


def full_sample_score(close: Frame, volume: Frame) -> Frame:
    found = momentum(close, volume)
    return (found - found.mean()) / found.std()


def centred_mean(close: Frame, volume: Frame) -> Frame:
    return close.rolling(5, center=True, min_periods=1).mean()


def label_as_feature(close: Frame, volume: Frame) -> Frame:
    return close.shift(-1) / close - 1


def later_universe(close: Frame, volume: Frame) -> Frame:
    chosen = volume.mean().nlargest(6).index
    return momentum(close, volume)[chosen]


def survivors(close: Frame, volume: Frame) -> Frame:
    return momentum(close, volume)[close.columns[close.iloc[-1].notna()]]


def late_z_score(close: Frame, volume: Frame) -> Frame:
    """Clean until a date, from which on it takes tomorrow's close: a leak in a stretch only."""
    found = momentum(close, volume)
    found.loc["2022-06-01":] = label_as_feature(close, volume).loc["2022-06-01":]
    return found


def constant(close: Frame, volume: Frame) -> Frame:
    """Not made of the prices at all."""
    return pd.DataFrame(1.0, index=DAYS.rename("date"), columns=pd.Index(ASSETS, name="asset"))


def predictions_of(prices: Path, signal: Signal, target: Path) -> None:
    table = pd.read_csv(prices, parse_dates=["date"])
    close, volume = (table.pivot(index="date", columns="asset", values=name) for name in ("close", "volume"))
    found = signal(close, volume).stack(future_stack=True).dropna().rename("signal").reset_index()
    found.insert(0, "known_at", found.pop("date").dt.strftime("%Y-%m-%d"))
    found.to_parquet(target)


class Checked:
    """A report of check_causality on a signal that is computed in this process."""

    def __init__(self, folder: Path, prices: Path, signal: Signal, patch: pytest.MonkeyPatch, **settings: Any) -> None:
        def compute(words: Sequence[str], paths: Mapping[str, Path]) -> None:
            predictions_of(paths["prices"], signal, paths["predictions"])

        patch.setattr(check_causality, "run_command", compute)
        chosen = CausalitySettings(**({"cuts": CUTS} | settings))
        self.path = folder / "causality.json"
        check_causality.main(prices, "compute {prices} {predictions}", self.path, chosen)
        self.report = json.loads(self.path.read_text())

    @property
    def offences(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.report["offences"]
        return found


def test_a_clean_signal_passes_at_all_cuts(tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Checked(tmp_path, prices, momentum, monkeypatch).report
    assert found["status"] == "pass"
    assert len(found["cuts"]) == CUTS
    assert found["artifacts"][0]["responds"]
    assert found["artifacts"][0]["compared"] > 500


def test_a_normalisation_over_all_data_reaches_back_to_the_very_first(
    tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Checked(tmp_path, prices, full_sample_score, monkeypatch)
    assert len(found.offences) == CUTS
    first = str(DAYS[10].date())  # after ten days of warm-up
    assert {(row["at"], row["reach_back"]) for row in found.offences} == {(first, ALL)}
    assert "normalisation" in found.offences[0]["reads"]


def test_a_centred_window_reaches_back_a_day(tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Checked(tmp_path, prices, centred_mean, monkeypatch)
    assert [row["reach_back"] for row in found.offences] == [1] * CUTS
    for row in found.offences:
        assert row["at"] == str((pd.Timestamp(row["cut"]) - pd.offsets.BDay(1)).date())
        assert row["column"] == "signal"
    assert "centred window of about 5" in found.offences[0]["reads"]


def test_a_label_taken_for_a_feature_changes_at_the_cut_only(
    tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Checked(tmp_path, prices, label_as_feature, monkeypatch)
    assert [(row["at"], row["reach_back"]) for row in found.offences] == [(c, 0) for c in found.report["cuts"]]
    assert "same-bar label" in found.offences[0]["reads"]


@pytest.mark.parametrize("signal", [later_universe, survivors])
def test_a_universe_chosen_by_what_came_later_is_found_by_its_rows(
    tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch, signal: Signal
) -> None:
    found = Checked(tmp_path, prices, signal, monkeypatch)
    assert found.report["status"] == "fail"
    row = found.offences[0]
    assert (row["column"], row["reach_back"], row["at"]) == (ROWS, ALL, str(DAYS[10].date()))
    assert row["key"].startswith("asset A")
    assert "rows chosen" in row["reads"]


def test_a_leak_in_a_stretch_only_is_named_with_its_first_date(
    tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Checked(tmp_path, prices, late_z_score, monkeypatch, cuts=12)
    late = [cut for cut in found.report["cuts"] if cut >= "2022-06-01"]
    assert [row["at"] for row in found.offences] == late
    assert len(late) < 12


def test_predictions_that_no_price_changes_are_not_passed(
    tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Checked(tmp_path, prices, constant, monkeypatch).report
    assert found["status"] == "not checked"
    assert "not made of these inputs" in found["reason"]


def test_a_random_signal_without_seed_is_told(tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unseeded(close: Frame, volume: Frame) -> Frame:
        return close * np.random.default_rng().normal(size=close.shape)

    with pytest.raises(InputError, match=r"predictions is not deterministic.*signal at 2022-01-03 differs"):
        Checked(tmp_path, prices, unseeded, monkeypatch)


def test_a_command_that_cannot_bear_the_changed_prices_is_told_with_the_cut(
    tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict(close: Frame, volume: Frame) -> Frame:
        if close.shape[1] < len(ASSETS):
            raise InputError("an asset is missing")
        return momentum(close, volume)

    with pytest.raises(InputError, match=r"inputs after 2022-0\d-\d\d changed: an asset is missing"):
        Checked(tmp_path, prices, strict, monkeypatch)


def test_rows_without_a_number_count_as_none(tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide table made long has one for each asset that is listed later."""
    monkeypatch.setattr(pd.Series, "dropna", lambda series: series)
    assert Checked(tmp_path, prices, momentum, monkeypatch).report["status"] == "pass"


def test_weekly_predictions_are_cut_where_they_were_made(
    tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label over one day, in predictions of Fridays, is only seen by cuts on Fridays."""
    found = Checked(tmp_path, prices, lambda c, v: label_as_feature(c, v)[c.index.day_of_week == 4], monkeypatch)
    assert {pd.Timestamp(cut).day_name() for cut in found.report["cuts"]} == {"Friday"}
    assert [row["reach_back"] for row in found.offences] == [0] * CUTS


# ----------------------------------------------------------------------------------------------------- the real command


SCRIPT = """
import sys
import pandas as pd
table = pd.read_csv(sys.argv[1])
table["signal"] = table.groupby("asset")["close"].pct_change(5)
table = table.dropna()
if sys.argv[3] == "leak":
    table["signal"] -= table["signal"].mean()
if sys.argv[3] == "broken":
    print("first line", file=sys.stderr)
    raise SystemExit("no such model")
table["known_at"] = table["date"]
if sys.argv[3] != "silent":
    table[["known_at", "asset", "signal"]].to_csv(sys.argv[2], index=False)
"""


def run(program: Callable[..., None], *words: str | Path) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        job.run(program, list(map(str, words)))
    return stop.value.code


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


class Command:
    """Runs check_causality with a command of its own."""

    def __init__(self, folder: Path, prices: Path) -> None:
        self.folder, self.prices, self.report = folder, prices, folder / "causality.json"
        (folder / "a signal.py").write_text(SCRIPT)

    def __call__(self, kind: str, command: str | None = None) -> int | str | None:
        command = command or f"{sys.executable} '{self.folder}/a signal.py' {{prices}} {{predictions}} {kind}"
        settings = json.dumps({"cuts": 2, "format": "csv"})
        return run(check_causality.main, "--prices", self.prices, "--command", command, "--report", self.report,
                   "--settings", settings)  # fmt: skip


def test_the_programs_write_a_report_and_refuse_a_leak(
    tmp_path: Path, prices: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(tmp_path, prices)
    passed = tmp_path / "passed.txt"
    assert command("clean") == 0
    assert run(require_causality.main, "--report", command.report, "--passed", passed) == 0
    assert passed.read_text() == "pass at 2 cuts\n"
    before = command.report.read_bytes()
    assert command("clean") == 0
    assert command.report.read_bytes() == before
    passed.unlink()
    assert command("leak") == 0
    assert run(require_causality.main, "--report", command.report, "--passed", passed) == 1
    assert not passed.exists()
    line = last_line(capsys)
    assert "look-ahead: predictions: signal of asset A00 at 2022-01-10 depends on what came after" in line
    assert "normalisation" in line
    assert not list(tmp_path.glob(".causality-*"))


@pytest.mark.parametrize(
    ("kind", "command", "told"),
    [
        ("broken", None, "--command: exit code 1: no such model"),
        ("silent", None, "--command: ended without writing {predictions}"),
        ("", "nonexistent-program {prices} {predictions}", "nonexistent-program: No such file"),
        ("", "true {predictions}", "--command: no {prices} in it"),
        ("", "true {prices}", "--command: no {predictions} in it"),
        ("", "true 'unclosed {prices} {predictions}", "--command: no closing quotation"),
    ],
)
def test_a_bad_command_is_one_line(
    tmp_path: Path, prices: Path, capsys: pytest.CaptureFixture[str], kind: str, command: str | None, told: str
) -> None:
    run_it = Command(tmp_path, prices)
    assert run_it(kind, command) == 2
    assert told in last_line(capsys)
    assert not run_it.report.exists()


@pytest.mark.parametrize("text", ["{}", "no json", '{"status": "fail", "offences": []}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "causality.json"
    report.write_text(text)
    assert run(require_causality.main, "--report", report, "--passed", tmp_path / "passed.txt") == 2
    assert "not a report of check_causality" in last_line(capsys)


@pytest.mark.parametrize("rule", ["momentum", "reversal"])
def test_the_rules_of_the_workflow_pass_with_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    """Bit by bit: adjusting the past for later splits, as vendors do, would fail here."""
    files = {name: tmp_path / f"{name}.csv" for name in ("splits", "dividends", "delistings", "categories")}
    made = tmp_path / "prices.parquet"
    simulate_prices.main(made, **files, settings=SimulatePricesSettings(assets=60, sessions=300, seed=1))
    splits = pd.read_csv(files["splits"])
    assert len(splits) > 1

    def compute(words: Sequence[str], paths: Mapping[str, Path]) -> None:
        settings = SignalSettings.model_validate({"rule": rule, "lookback": 20})
        compute_signal.main(paths["prices"], paths["predictions"], settings, paths["splits"])

    monkeypatch.setattr(check_causality, "run_command", compute)
    report = tmp_path / "causality.json"
    command = "compute {prices} {splits} {predictions}"
    check_causality.main(made, command, report, CausalitySettings(), splits=files["splits"])
    assert json.loads(report.read_text())["status"] == "pass"


# ------------------------------------------------------------------------------------------------------ changed prices


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_prices_up_to_the_date_stay_and_all_after_it_change(tmp_path: Path, prices: Path, suffix: str) -> None:
    source, target = tmp_path / f"prices.{suffix}", tmp_path / "changed" / f"prices.{suffix}"
    target.parent.mkdir()
    table = pd.read_csv(prices, dtype={"close": str} if suffix == "csv" else None)
    table.to_csv(source, index=False) if suffix == "csv" else table.to_parquet(source)
    day = np.datetime64("2022-05-02")
    assert change_after(source, target, day, np.random.default_rng(3)) == (table["date"] > str(day)).sum()
    changed = pd.read_csv(target, dtype={"close": str}) if suffix == "csv" else pd.read_parquet(target)
    assert list(changed.columns) == list(table.columns)
    if suffix == "parquet":
        assert pq.read_schema(target).equals(pq.read_schema(source))
    pd.testing.assert_frame_equal(changed[changed["date"] <= str(day)], table[table["date"] <= str(day)])
    old, new = (frame[frame["date"] > str(day)].set_index(["date", "asset"]) for frame in (table, changed))
    both = old.join(new, suffixes=("", "_new"), how="inner").astype(float)
    assert (both["close"] != both["close_new"]).all()
    assert (both["high_new"] >= both[["open_new", "close_new"]].max(axis=1) * (1 - 1e-12)).all()
    assert new.index.get_level_values(0).nunique() == old.index.get_level_values(0).nunique()
    named = [set(frame.index.get_level_values(1)) for frame in (old, new)]
    assert "A10" in named[0] - named[1]  # listed after the date
    assert "A11" in named[1] - named[0]  # dead before it, and back
    assert len(named[0] - named[1]) == 2
    assert not new.index.duplicated().any()


# --------------------------------------------------------------------------------------------------------- the core


def ns(days: int) -> int:
    return days * DAY_NS + DAY_NS - 1


class Toy:
    """Ten numbers, one a day, and artifacts made of them."""

    def __init__(self, make: Callable[[Any], list[Artifact]], blind: bool = False) -> None:
        self._make, self._blind = make, blind

    def perturb(self, folder: Path, cut: Cut, seed: int) -> int:
        values = np.arange(10.0)
        later = np.array([ns(day) for day in range(10)]) > cut.instant
        values[later] += 0 if self._blind else 100 + seed
        np.save(folder / "values.npy", values)
        return 0 if self._blind else int(later.sum())

    def build(self, inputs: Path | None, folder: Path, cut: Cut | None) -> Iterable[Artifact]:
        return self._make(np.load(inputs / "values.npy") if inputs else np.arange(10.0))


def table_of(values: Any, **others: Any) -> Table:
    return Table(np.array([ns(day) for day in range(len(values))]), {}, {"value": values}, **others)


def judged(toy: Toy, folder: Path, days: Sequence[int] = (3, 6)) -> Any:
    return check(toy, lambda artifacts: [Cut(ns(day), f"day {day}") for day in days], 0, folder)


def test_a_scaler_that_is_fitted_on_all_data_is_found_and_one_fitted_on_train_is_not(tmp_path: Path) -> None:
    def scalers(values: Any) -> list[Artifact]:
        train = {"mean": [float(values[:3].mean())], "kind": "standard", "left out": None}
        whole = {"mean": [float(values.mean())], "kind": "standard", "left out": None}
        return [document("train scaler", ns(2), train), document("full scaler", ns(2), whole)]

    verdict = judged(Toy(scalers), tmp_path)
    assert [(row.artifact, row.column, row.at, row.reach_back) for row in verdict.offences] == [
        ("full scaler", "mean[0]", "1970-01-03", ALL)
    ] * 2
    assert "fitted" in verdict.offences[0].reads


def test_a_scaler_that_is_not_known_at_the_cut_is_not_compared(tmp_path: Path) -> None:
    late = Toy(lambda values: [document("scaler", ns(9), {"mean": float(values.mean())})])
    assert judged(late, tmp_path).reason == "nothing is stamped up to a cut"


def test_upstream_offenders_are_named_first(tmp_path: Path) -> None:
    def chain(values: Any) -> list[Artifact]:
        features = np.append(values[1:], 0.0)
        return [
            Artifact("features", lambda: table_of(features)),
            Artifact("signal", lambda: table_of(features.cumsum())),
        ]

    found = judged(Toy(chain), tmp_path).offences
    assert [row.artifact for row in found] == ["features", "features", "signal", "signal"]
    assert [row.reach_back for row in found] == [0] * 4


def test_a_perturbation_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    toy = Toy(lambda values: [Artifact("signal", lambda: table_of(values))], blind=True)
    with pytest.raises(InputError, match="no input after day 3 could be changed"):
        judged(toy, tmp_path)


def test_a_builder_that_is_not_deterministic_is_told(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    toy = Toy(lambda values: [document("weights", ns(1), {"bias": float(random.normal())})])
    with pytest.raises(InputError, match="weights is not deterministic: built of the same inputs twice, bias at 1970"):
        judged(toy, tmp_path)


def test_bits_are_compared_but_for_the_many_nan() -> None:
    other_nan = np.array([0x7FF8000000000001], np.uint64).view(float)[0]
    before = np.array([1.0, np.nan, 0.0, 0.1 + 0.2])
    after = np.array([1.0, other_nan, -0.0, 0.3])
    assert same_bits(before, after).tolist() == [True, True, False, False]
    assert same_bits(np.array([1, 2]), np.array([1.0, np.nan])).tolist() == [True, False]
    assert same_bits(np.array(["a", None], object), np.array(["a", np.nan], object)).tolist() == [True, True]
    assert same_bits(np.zeros((2, 3)), np.array([[0.0, 0, 0], [0, 1, 0]])).tolist() == [True, False]


def test_rows_are_matched_by_stamp_and_keys_and_not_by_place() -> None:
    stamps, assets, values = np.array([1, 1, 2, 2]), np.array(["a", "b", "a", "a"]), np.array([1.0, 2.0, 3.0, 4.0])
    before = Table(stamps, {"asset": assets}, {"value": values})
    turned = Table(stamps[[2, 1, 3, 0]], {"asset": assets[[2, 1, 3, 0]]}, {"value": values[[2, 1, 3, 0]]})
    assert first_difference(before, turned) is None
    fewer = Table(stamps[:3], {"asset": assets[:3]}, {"value": values[:3]})
    for pair in ((before, fewer), (fewer, before)):
        found = first_difference(*pair)
        assert found is not None
        assert (found.stamp, found.column, found.key) == (2, ROWS, "asset a")
    assert first_difference(before._replace(members=False), fewer) is None


def test_a_column_that_comes_later_differs() -> None:
    table = table_of(np.arange(3.0))
    found = first_difference(table, table._replace(values={**table.values, "p_up": np.ones(3)}))
    assert found is not None
    assert (found.column, found.stamp) == ("p_up", ns(0))


def test_cuts_are_inside() -> None:
    assert evenly(np.arange(100), 3).tolist() == [25, 50, 74]
    assert evenly(np.arange(1), 3).tolist() == [0]
    assert evenly(np.arange(0), 3).tolist() == []
