"""Learning rates against PyTorch's own schedulers, plateaus against its ReduceLROnPlateau."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
import torch

from scripts.lib.training.schedule import Judgement, learning_rate
from scripts.lib.training.settings import TrainingSettings


def settings_of(**values: Any) -> TrainingSettings:
    return TrainingSettings.model_validate({"learning_rate": 1e-4, "warmup": 0.0} | values)


def rates(steps: int, **values: Any) -> list[float]:
    return [learning_rate(step, steps, settings_of(**values)) for step in range(steps)]


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)


def run(scheduler: Any, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("steps", [10, 97, 1000])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_one_cycle_is_torch_s(steps: int, share: float) -> None:
    oracle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer(), 2.5e-4, total_steps=steps + 1, pct_start=share, div_factor=2.5, final_div_factor=1e4,
        cycle_momentum=False,
    )  # fmt: skip
    ours = rates(steps + 1, schedule="one-cycle", peak=2.5e-4, warmup=share, final=1e-4)
    assert ours[:-1] == pytest.approx(run(oracle, steps), rel=1e-9)
    assert ours[-1] == pytest.approx(1e-8)
    assert max(ours) <= 2.5e-4


def test_cosine_is_torch_s() -> None:
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer(), T_max=99, eta_min=1e-5)
    assert rates(100, schedule="cosine", final=0.1) == pytest.approx(run(oracle, 100), rel=1e-9)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "warmup-stable-decay"])
def test_the_rise_is_linear_and_begins_above_zero(schedule: str) -> None:
    found = rates(100, schedule=schedule, warmup=0.1)
    rise = [found[step + 1] - found[step] for step in range(9)]
    assert rise == pytest.approx([1e-4 / 11] * 9)
    assert found[0] == pytest.approx(1e-4 / 11)
    assert found[10] == pytest.approx(1e-4)
    assert max(found) == found[10]


def test_constant_stays() -> None:
    assert set(rates(50, schedule="constant")) == {1e-4}


def test_warmup_stable_decay_is_level_and_then_falls_linearly() -> None:
    found = rates(100, schedule="warmup-stable-decay", warmup=0.1, decay=0.2, final=0.5)
    assert found[10:80] == pytest.approx([1e-4] * 70)
    assert [before - after for before, after in pairwise(found[79:])] == pytest.approx([2.5e-6] * 20)
    assert found[-1] == pytest.approx(0.5e-4)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle", "warmup-stable-decay"])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
def test_a_few_steps_have_sensible_rates(schedule: str, steps: int, warmup: float) -> None:
    peak = 2.5e-4 if schedule == "one-cycle" else None
    for rate in rates(steps, schedule=schedule, peak=peak, warmup=warmup, decay=0.0):
        assert 0 <= rate <= 2.5e-4


@pytest.mark.parametrize("patience", [0, 1, 5])
def test_plateaus_are_torch_s(patience: int) -> None:
    draw = random.Random(patience)
    judge, settings = Judgement(), settings_of(plateau_patience=patience, plateau_factor=0.5)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer(), factor=0.5, patience=patience, threshold=0.0, threshold_mode="abs", eps=0.0
    )
    for step in range(1, 60):
        loss = draw.choice([1.0, 0.9, 0.8, 0.7]) - 0.005 * step * (step < 20)
        judge = judge.after(loss, step, settings)
        oracle.step(loss)
        assert judge.factor * 1e-4 == pytest.approx(oracle.optimizer.param_groups[0]["lr"])
    assert judge.factor < 1


def test_the_best_is_kept_and_patience_ends() -> None:
    settings = settings_of(stop_patience=2, min_improvement=0.1)
    judge, given_up = Judgement(), []
    for step, loss in enumerate([5.0, 4.0, 3.95, 3.92, 3.95, 4.2], start=1):
        judge = judge.after(loss, step, settings)
        given_up.append(judge.gives_up(settings))
    assert (judge.best_loss, judge.best_step) == (4.0, 2)
    assert given_up == [False, False, False, False, True, True]
    assert not judge.gives_up(settings_of())


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"schedule": "one-cycle"}, "peak"),
        ({"schedule": "one-cycle", "peak": 1e-5}, "peak"),
        ({"schedule": "cosine", "peak": 1e-3}, "peak"),
        ({"schedule": "warmup-stable-decay", "warmup": 0.6, "decay": 0.6}, "warmup, decay"),
        ({"batch": 0}, "batch"),
        ({"precision": "fp16"}, "precision"),
        ({"run": {"keep": 0}}, "keep"),
        ({"plateau_factor": 1.0}, "plateau_factor"),
    ],
)
def test_settings_that_make_no_sense_are_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        settings_of(**values)
