"""A small finished run, made once, that tests copy and change."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import copy_repository, snakemake

TARGETS = ("all", "preflight")
COLLECTING = (*TARGETS, "orderbook", "backtest", "gates", "promotions")  # targets that only collect
SMALL = """
orderbook:
  simulate: {messages: 120}
  balance: {length: 4, stride: 2, min_windows: 1}
  encoder:
    pretrain: {temporal_dim: 4, mask_span: 2, max_steps: 2, evaluate_windows: 8}
    inference: {batches: [1], repeats: 10, warm_up: 0, windows: 8}
    export: {windows: 2}
  agent:
    seeds: [0, 1]
    trading: {decision_every: 1}
    train: {decisions: 32, environments: 2, rollout: 8, batch: 16, epochs: 1, hidden: [4]}
    evaluate: {splits: [validation], draws: 100, block: 2}
backtest:
  active: [momentum]
  backtests:
    momentum:
      trade: {draws: 100}
      forecasts: {draws: 100}
      sweep: {grid: {signal.lookback: [20, 60], trade.portfolio.quantile: [0.2]}, seeds: [0], folds: 1}
  simulate: {sessions: 200, assets: 20}
  causality: {cuts: 1}
  judge: {draws: 100}
  tear_sheet: {draws: 100, window: 40}
preflight:
  check: {matrix_size: 32, buffer_mb: 1, repeats: 1}
"""
CONFIG = ("config/demo.yaml", "small.yaml")
# laid over the demo's values where the line runs on captures of thousands of states
TOY = """
orderbook:
  balance: {length: 16, stride: 16, min_windows: 5}
  encoder:
    pretrain: {temporal_dim: 16, batch: 16, max_steps: 60, evaluate_windows: 100}
    inference: {repeats: 10, warm_up: 1, windows: 20}
    export: {windows: 2}
  agent:
    seeds: [0, 1]
    train: {decisions: 512, environments: 2, rollout: 64, batch: 64, epochs: 1, hidden: [8]}
    evaluate: {draws: 100}
backtest: {active: []}
"""


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the order-book line and the GPU checks have run at a very small size."""
    clone = copy_repository(tmp_path_factory.mktemp("finished") / "clone")
    (clone / "small.yaml").write_text(SMALL)
    done = snakemake("--profile", "local", "--configfile", *CONFIG, "--", *TARGETS, cwd=clone)
    assert done.returncode == 0, done.stdout + done.stderr
    return clone


@pytest.fixture
def finished(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to change at will; times are kept."""
    return Path(shutil.copytree(finished_run, tmp_path / "clone", symlinks=True))


Plan = Callable[..., dict[str, str]]


@pytest.fixture
def plan(finished: Path) -> Plan:
    """What a dry run would do in the copy (with a config laid over it): rule -> reason; empty for nothing."""

    def dry_run(overlay: str = "") -> dict[str, str]:
        (finished / "mine.yaml").write_text(overlay)
        config = (*CONFIG, "mine.yaml") if overlay else CONFIG
        done = snakemake("--profile", "local", "--dry-run", "--configfile", *config, "--", *TARGETS, cwd=finished)
        assert done.returncode == 0, done.stdout + done.stderr
        return read_plan(done.stdout + done.stderr)

    return dry_run


def read_plan(text: str) -> dict[str, str]:
    """Rules and reasons of a dry run's output, targets left out."""
    blocks = re.findall(r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    reason: (.*)$", text, flags=re.MULTILINE)
    return {rule: reason for rule, reason in reversed(blocks) if rule not in COLLECTING}
