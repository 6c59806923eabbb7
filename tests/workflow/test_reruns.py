"""What makes a job run again, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment
from tests.workflow.conftest import Plan

PROGRAMS = {
    "simulate_book": "scripts.orderbook.simulate_book",
    "parse_book": "scripts.orderbook.parse_book",
    "plot_book": "scripts.orderbook.plot_book",
    "summarise_books": "scripts.orderbook.summarise_books",
    "extract_features": "scripts.orderbook.extract_features",
    "explore_features": "scripts.orderbook.explore_features",
    "balance_windows": "scripts.orderbook.balance_windows",
    "pretrain_encoder": "scripts.orderbook.pretrain_encoder",
    "analyse_training": "scripts.orderbook.analyse_training",
    "test_inference": "scripts.orderbook.test_inference",
    "export_encoder": "scripts.orderbook.export_encoder",
    "train_agent": "scripts.orderbook.train_agent",
    "evaluate_agent": "scripts.orderbook.evaluate_agent",
    "check_book_causality": "scripts.orderbook.check_book_causality",
    "simulate_prices": "scripts.backtest.simulate_prices",
    "compute_signal": "scripts.backtest.compute_signal",
    "compute_trial_signal": "scripts.backtest.compute_signal",
    "check_causality": "scripts.backtest.check_causality, scripts.backtest.compute_signal",  # which it starts
    "require_causality": "scripts.backtest.require_causality",
    "run_backtest": "scripts.backtest.run_backtest",
    "run_trial": "scripts.backtest.run_backtest",
    "run_benchmarks": "scripts.backtest.run_benchmarks",
    "replay_trades": "scripts.backtest.replay_trades",
    "stress_backtest": "scripts.backtest.stress_backtest",
    "evaluate_predictions": "scripts.backtest.evaluate_predictions",
    "judge_sweep": "scripts.backtest.judge_sweep",
    "judge_backtest": "scripts.backtest.judge_backtest",
    "draw_tear_sheet": "scripts.backtest.draw_tear_sheet",
    "evaluate_gate": "scripts.gates.evaluate_gate",
    "write_overview": "scripts.report.write_overview",
}
JUDGED = {"judge_backtest", "draw_tear_sheet", "evaluate_gate", "write_overview"}  # what follows an account
CHECKED = {"require_causality", *JUDGED}
AGENTS = {"train_agent", "evaluate_agent", "check_book_causality", *CHECKED}
PRETRAINED = {"analyse_training", "test_inference", "export_encoder", *AGENTS}  # what follows pretrain_encoder
BALANCED = {"pretrain_encoder", *PRETRAINED}
PARSED = {"plot_book", "summarise_books", "extract_features", "explore_features", "balance_windows", *BALANCED}
TRADED = {"replay_trades", *JUDGED}  # what follows run_backtest
SIGNALLED = {"run_backtest", "run_benchmarks", "stress_backtest", "evaluate_predictions", *TRADED}
TRIED = {"run_trial", "judge_sweep", *JUDGED}
NOTHING = set[str]()
FOLLOWERS = {
    "simulate_book": {"parse_book", *PARSED},
    "parse_book": PARSED,
    "plot_book": NOTHING,
    "summarise_books": NOTHING,
    "extract_features": {"explore_features"},
    "explore_features": NOTHING,
    "balance_windows": BALANCED,
    "pretrain_encoder": PRETRAINED,
    "analyse_training": NOTHING,
    "test_inference": NOTHING,
    "export_encoder": NOTHING,
    "train_agent": AGENTS - {"train_agent"},
    "evaluate_agent": JUDGED,
    "check_book_causality": CHECKED,
    "simulate_prices": {"compute_signal", "compute_trial_signal", "check_causality", *CHECKED, *SIGNALLED, *TRIED},
    "compute_signal": SIGNALLED,
    "compute_trial_signal": TRIED,
    "check_causality": CHECKED,
    "require_causality": NOTHING,
    "run_backtest": TRADED,
    "replay_trades": JUDGED,
    "run_trial": TRIED - {"run_trial"},
    "run_benchmarks": JUDGED,
    "stress_backtest": JUDGED,
    "evaluate_predictions": JUDGED,
    "judge_sweep": JUDGED,
    "judge_backtest": JUDGED - {"judge_backtest"},
    "draw_tear_sheet": NOTHING,
    "evaluate_gate": {"write_overview"},
    "write_overview": NOTHING,
}
SOURCES = ("scripts/**/*.py", "rules/**/*.smk", "envs/*.yaml")


def sources(clone: Path) -> list[Path]:
    found = [path for pattern in SOURCES for path in clone.glob(pattern)]
    return [*found, clone / "Snakefile"]


def followers_of(rules: set[str]) -> set[str]:
    return set[str]().union(*(FOLLOWERS[rule] for rule in rules))


def with_followers(rules: set[str]) -> set[str]:
    return rules | followers_of(rules)


def test_nothing_changed_reruns_nothing(plan: Plan) -> None:
    assert plan() == {}


def test_touching_every_source_reruns_nothing(finished: Path, plan: Plan) -> None:
    for path in sources(finished):
        os.utime(path)
    assert plan() == {}


def test_reformatting_comments_and_docstrings_rerun_nothing(finished: Path, plan: Plan) -> None:
    before = {path: path.read_text() for path in finished.glob("scripts/**/*.py")}
    ruff = [str(Path(sys.executable).parent / "ruff"), "format", "--line-length", "60", "scripts"]
    subprocess.run(ruff, cwd=finished, check=True, capture_output=True)
    assert sum(path.read_text() != text for path, text in before.items()) > len(before) / 2
    for path in before:
        path.write_text(f"# a comment\n{path.read_text()}")
    book = finished / "scripts" / "orderbook" / "book" / "book.py"
    text = book.read_text()
    assert '"""A book that follows a stream' in text
    book.write_text(text.replace('"""A book that follows a stream', '"""Another text: a book that follows a stream'))
    assert plan() == {}


@pytest.mark.parametrize(
    "helper",
    [
        "scripts/orderbook/capture/raw.py",
        "scripts/orderbook/states/table.py",
        "scripts/lib/plots.py",
        "scripts/lib/progress.py",
    ],
)
def test_editing_a_helper_reruns_the_rules_that_import_it_and_names_it(finished: Path, plan: Plan, helper: str) -> None:
    path = finished / helper
    path.write_text(f"{path.read_text()}\n\nADDED = 1\n")
    planned = plan()
    importers = {rule for rule, program in PROGRAMS.items() if helper in imported_files(program)}
    assert importers, "the oracle found no importer: is the helper still there?"
    assert planned.keys() - {"check_gpus_pair", "check_gpus_node"} == with_followers(importers)
    # a follower of a job that runs again is told so, whatever else has changed
    first = importers - followers_of(importers)
    assert {rule for rule in PROGRAMS if helper in planned.get(rule, "")} == first


def imported_files(program: str) -> set[str]:
    """Oracle: the files below scripts/ that Python itself loads for a program."""
    code = f"import sys, {program}; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('scripts.')))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {str(Path(name).relative_to(ROOT)) for name in done.stdout.split()}


@pytest.mark.parametrize(
    ("overlay", "changed"),
    [
        ("orderbook: {plot: {levels: 3}}", {"plot_book"}),
        ("orderbook: {parse: {depth: 5}}", {"parse_book"}),
        ("orderbook: {simulate: {seed: 7}}", {"simulate_book"}),
        ("orderbook: {features: {rolling_windows: [10]}}", {"extract_features", "check_book_causality"}),
        ("orderbook: {explore: {lags: [1, 2]}}", {"explore_features"}),
        ("orderbook: {balance: {stride: 3}}", {"balance_windows"}),
        ("orderbook: {agent: {train: {gamma: 0.5}}}", {"train_agent"}),
        ("orderbook: {agent: {evaluate: {draws: 200}}}", {"evaluate_agent", "check_book_causality"}),
        # evaluate_agent's settings change too, but Snakemake names the new agents as its reason
        ("orderbook: {agent: {trading: {fee_bps: 1.0}}}", {"train_agent"}),
        ("orderbook: {encoder: {pretrain: {mask_fraction: 0.5}}}", {"pretrain_encoder"}),
        ("orderbook: {encoder: {inference: {repeats: 11}}}", {"test_inference"}),
        ("orderbook: {encoder: {export: {windows: 3}}}", {"export_encoder"}),
        ("backtest: {simulate: {seed: 3}}", {"simulate_prices"}),
        ("backtest: {causality: {cuts: 2}}", {"check_causality"}),
        (
            "backtest: {backtests: {momentum: {trade: {fee_bps: 1.0}}}}",
            {"run_backtest", "run_trial", "run_benchmarks", "stress_backtest"},
        ),
        ("backtest: {replay: {tolerance: 1.0e-6}}", {"replay_trades"}),
        # settings of replay_trades too, but Snakemake names the new trades as its reason
        (
            "backtest: {backtests: {momentum: {trade: {cash_rate: 0.01}}}}",
            {"run_backtest", "run_trial", "run_benchmarks", "stress_backtest"},
        ),
        ("backtest: {judge: {draws: 200}}", {"judge_backtest"}),
        ("backtest: {tear_sheet: {trades_shown: 3}}", {"draw_tear_sheet"}),
        ("gates: {backtest: {backtest: {checks: {drawdown: null}}}}", {"evaluate_gate"}),
        ("preflight: {check: {repeats: 2}}", {"check_gpus_pair", "check_gpus_node"}),
    ],
)
def test_a_stage_s_settings_rerun_that_stage_and_its_followers(plan: Plan, overlay: str, changed: set[str]) -> None:
    planned = plan(overlay)
    expected = with_followers(changed) if changed <= FOLLOWERS.keys() else changed
    assert planned.keys() == expected
    assert {rule for rule, reason in planned.items() if "Params have changed" in reason} == changed


@pytest.mark.parametrize(
    "overlay",
    [
        "preflight: {launch: {pair: {cpus: 2, mem: 3GB, runtime: 1h}}}",
        "preflight: {launch: {node: {gpu: 8}, pair: {gpu: 2}}}",
        "orderbook: {encoder: {launch: {pretrain: {gpu: 2, cpus: 4, mem: 5GB, runtime: 3d}, inference: {gpu: 1}}}}",
        "orderbook: {agent: {launch: {gpu: 1, cpus: 4, mem: 5GB, runtime: 3d}}}",
        "site: {memory_gb: 4}",
        "orderbook: {books: {unused: {venue: binance-spot, raw: nowhere.gz, parts: [a]}}}",
    ],
)
def test_how_jobs_are_launched_and_feeds_that_are_not_active_rerun_nothing(plan: Plan, overlay: str) -> None:
    assert plan(overlay) == {}


def test_a_comment_in_an_environment_reruns_nothing_and_a_pin_its_rules(finished: Path, plan: Plan) -> None:
    env = finished / "envs" / "data.yaml"
    env.write_text(f"# another comment\n{env.read_text()}")
    assert plan() == {}
    env.write_text(env.read_text().replace("orjson==3.13.0", "orjson==3.12.0"))
    planned = plan()
    assert planned.keys() == with_followers({"simulate_book"})
    assert "envs/data.yaml" in planned["simulate_book"]
