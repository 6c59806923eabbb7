"""The training loop in one process: against plain PyTorch, over stops, too little memory and bad numbers."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.lib.errors import InputError, Stopped
from scripts.lib.training.distributed import Ranks
from scripts.lib.training.metrics import read_metrics
from scripts.lib.training.order import samples_at
from scripts.lib.training.settings import TrainingSettings
from scripts.lib.training.task import Batch, Indices, Loss
from scripts.lib.training.trainer import Result, train
from tests.unit.training_toy import PROGRAM, Numbers, ToyTask

ALONE = Ranks(0, 1, torch.device("cpu"))
SMALL: dict[str, Any] = {"batch": 4, "accumulation": 2, "epochs": 3, "learning_rate": 0.01, "gradient_norm": 1.0}
CLOCKS = {"samples_per_s", "memory_gb", "mfu"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def settings_of(run: dict[str, Any] | None = None, **values: Any) -> TrainingSettings:
    return TrainingSettings.model_validate(SMALL | values | {"run": {"log_every": 2} | (run or {})})


def go(task: ToyTask, root: Path, settings: TrainingSettings | None = None) -> Result:
    return train(task, settings or settings_of(), ALONE, root, PROGRAM, [])


def weights(result: Result) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = result.model.state_dict()
    return found


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Weights equal but for rounding; the running mean sees micro-batches and is left out."""
    learnt = [name for name in one if not name.endswith("mean")]
    return all(torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-6) for name in learnt)


def timeless(path: Path) -> list[dict[str, Any]]:
    """Records of a metrics file without what clocks and attempts differ in."""
    records = [record for record in read_metrics(path) if record["kind"] != "start"]
    return [{key: value for key, value in record.items() if key not in CLOCKS} for record in records]


class StoppedAt(ToyTask):
    """Sends this process a signal in a step, counted from 1 over all calls."""

    def __init__(self, call: int, number: int = signal.SIGTERM, validating: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.call, self.number, self.validating, self.calls = call, number, validating, 0

    def loss(self, model: Any, batch: Batch) -> Loss:
        self.calls += model.training is not self.validating
        if self.calls == self.call and model.training is not self.validating:
            os.kill(os.getpid(), self.number)
        return super().loss(model, batch)


def test_it_trains_as_a_plain_loop_of_pytorch_does(tmp_path: Path) -> None:
    """Oracle: torch's own AdamW, OneCycleLR and clipping over whole batches, no micro-batches."""
    settings = settings_of(schedule="one-cycle", peak=0.025, warmup=0.3, final=0.01, weight_decay=0.1)
    task = ToyTask(dropout=0.0, validation=0)
    result = go(task, tmp_path, settings)
    torch.manual_seed(settings.seed)
    model = task.build(result.precision)
    vectors = [p for p in model.parameters() if p.ndim < 2]
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=0.01
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.025, total_steps=result.step, pct_start=0.3, div_factor=2.5, final_div_factor=100,
        cycle_momentum=False,
    )  # fmt: skip
    for step in range(result.step):
        batch = task.train.fetch(*samples_at(settings.seed, 37, step * 8, step * 8 + 8))
        loss = task.loss(model, batch)
        optimizer.zero_grad()
        (loss.sum / loss.weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    assert result.step == -(-37 * 3 // 8)
    assert close(weights(result), model.state_dict())
    logged = [record["learning_rate"] for record in read_metrics(result.metrics, "train")]
    assert max(logged) > 0.02
    assert logged[-1] == pytest.approx(0.01 * 0.01)


def test_micro_batches_change_nothing_but_rounding(tmp_path: Path) -> None:
    whole = go(ToyTask(dropout=0.0), tmp_path, settings_of(batch=8, accumulation=1))
    parts = go(ToyTask(dropout=0.0), tmp_path, settings_of(batch=1, accumulation=8))
    assert close(weights(whole), weights(parts))
    assert whole.best_step == parts.best_step


def test_every_sample_is_seen_once_an_epoch_over_all_steps(tmp_path: Path) -> None:
    task = ToyTask()
    result = go(task, tmp_path)
    asked = task.train.asked
    assert result.samples == result.step * 8 == 112
    assert sorted(asked[:111]) == [(epoch, index) for epoch in range(3) for index in range(37)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize(("call", "validating"), [(1, False), (7, False), (1, True), (2, True)])
def test_a_stop_saves_and_the_next_attempt_ends_bit_equal(
    tmp_path: Path, number: int, call: int, validating: bool
) -> None:
    before = signal.getsignal(number)
    straight = go(ToyTask(), tmp_path / "straight")
    with pytest.raises(Stopped, match=rf"{signal.Signals(number).name} came; saved at step \d+ of 14"):
        go(StoppedAt(call, number, validating), tmp_path / "cut")
    resumed = go(ToyTask(), tmp_path / "cut")
    assert equal(weights(straight), weights(resumed))
    assert timeless(straight.metrics) == timeless(resumed.metrics)
    assert (resumed.best_step, resumed.best_loss) == (straight.best_step, straight.best_loss)
    assert len(read_metrics(resumed.metrics, "start")) == 2
    assert signal.getsignal(number) == before


def test_a_stop_at_every_step_still_comes_to_the_same_end(tmp_path: Path) -> None:
    straight = go(ToyTask(), tmp_path / "straight")
    for _ in range(13):
        with pytest.raises(Stopped):
            go(StoppedAt(1), tmp_path / "cut")
    resumed = go(ToyTask(), tmp_path / "cut")
    assert equal(weights(straight), weights(resumed))
    assert timeless(straight.metrics) == timeless(resumed.metrics)


def test_the_job_s_time_limit_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1000")
    with pytest.raises(Stopped, match="the job's time is nearly over; saved at step 1 of 14"):
        go(ToyTask(), tmp_path)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = go(ToyTask(), tmp_path)
    task = ToyTask()
    again = go(task, tmp_path)
    assert task.train.asked == []
    assert equal(weights(first), weights(again))
    assert (again.reason, again.best_loss, again.step) == ("all steps done", first.best_loss, first.step)


def test_too_little_memory_halves_the_micro_batch_and_keeps_step_and_order(tmp_path: Path) -> None:
    enough, short = ToyTask(dropout=0.0), ToyTask(dropout=0.0, memory=1)
    plenty, little = go(enough, tmp_path / "plenty"), go(short, tmp_path / "little")
    assert close(weights(plenty), weights(little))
    assert set(short.sizes) == {1}
    events = read_metrics(little.metrics, "event")
    assert [event["micro_batch"] for event in events] == [2, 1]
    assert [event["step"] for event in events] == [0, 0]
    steps = [(record["step"], record["samples"]) for record in read_metrics(little.metrics, "train")]
    assert steps == [(record["step"], record["samples"]) for record in read_metrics(plenty.metrics, "train")]


def test_too_little_memory_in_the_middle_is_remembered_over_a_stop(tmp_path: Path) -> None:
    class Shrinking(StoppedAt):
        def loss(self, model: Any, batch: Batch) -> Loss:
            self.memory = 2 if self.calls >= 8 else None
            return super().loss(model, batch)

    class ShortFromStep4(ToyTask):
        def loss(self, model: Any, batch: Batch) -> Loss:
            self.memory = 2 if len(self.sizes) >= 8 else None
            return super().loss(model, batch)

    straight = go(ShortFromStep4(validation=0), tmp_path / "straight")
    with pytest.raises(Stopped):
        go(Shrinking(14, validation=0), tmp_path / "cut")
    task = ToyTask(validation=0)
    resumed = go(task, tmp_path / "cut")
    assert set(task.sizes) == {2}
    assert equal(weights(straight), weights(resumed))


def test_no_memory_for_one_sample_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^step 1: out of memory with one sample at a time on cpu \(.* GB used\)$"):
        go(ToyTask(memory=0), tmp_path)


def test_too_little_memory_in_validation_halves_the_micro_batch_too(tmp_path: Path) -> None:
    class ShortInValidation(ToyTask):
        def loss(self, model: Any, batch: Batch) -> Loss:
            self.memory = None if model.training else 3
            return super().loss(model, batch)

    result = go(ShortInValidation(dropout=0.0), tmp_path / "short")
    assert [event["micro_batch"] for event in read_metrics(result.metrics, "event")] == [2]
    full = go(ToyTask(dropout=0.0), tmp_path / "full")
    assert result.best_loss == pytest.approx(full.best_loss, rel=1e-5)


def test_other_errors_are_not_taken_for_too_little_memory(tmp_path: Path) -> None:
    class Broken(ToyTask):
        def loss(self, model: Any, batch: Batch) -> Loss:
            raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        go(Broken(), tmp_path)


def test_early_stopping_hands_over_the_best_weights(tmp_path: Path) -> None:
    class Worsening(ToyTask):
        """Each validation after the second is worse than the one before."""

        validations = 0

        def loss(self, model: Any, batch: Batch) -> Loss:
            loss = super().loss(model, batch)
            if model.training:
                return loss
            self.validations += len(batch["x"]) != 4  # the last, smaller piece of a validation
            count = self.validations
            return Loss(torch.tensor(float(abs(count - 2) + 1)) * loss.weight, loss.weight)

    chosen = settings_of(epochs=30, validate_every=3, stop_patience=2, plateau_patience=0, plateau_factor=0.5)
    result = go(Worsening(), tmp_path, chosen)
    assert result.reason == "no improvement in 3 validations"
    losses = [record["loss"] for record in read_metrics(result.metrics, "validation")]
    assert result.best_step == 3 * (1 + losses.index(min(losses)))
    assert result.step == result.best_step + 9
    cuts = [record["factor"] for record in read_metrics(result.metrics, "event")]
    assert cuts == [0.5, 0.25, 0.125]
    saved = torch.load(result.metrics.parent / f"step-{result.best_step:09d}" / "model.pt", weights_only=True)
    assert equal(weights(result), saved)


def test_numbers_that_are_not_finite_end_it_and_are_never_saved(tmp_path: Path) -> None:
    class Diverging(ToyTask):
        def loss(self, model: Any, batch: Batch) -> Loss:
            loss = super().loss(model, batch)
            return Loss(loss.sum * (float("nan") if len(self.sizes) > 9 else 1.0), loss.weight)

    with pytest.raises(InputError, match="loss or gradient is not finite in one of the last steps before 5"):
        go(Diverging(), tmp_path, settings_of({"checkpoint_minutes": 0.0}))
    saved = list(tmp_path.glob("*/step-*/model.pt"))
    assert saved
    for path in saved:
        assert all(bool(value.isfinite().all()) for value in torch.load(path, weights_only=True).values())


def test_the_key_is_of_what_is_computed(tmp_path: Path) -> None:
    go(ToyTask(), tmp_path)
    task = ToyTask()
    go(task, tmp_path, settings_of({"keep": 5, "checkpoint_minutes": 3.0}))
    assert task.train.asked == [], "how it is carried out changes no result"
    go(task, tmp_path, settings_of(seed=1))
    assert len(task.train.asked) >= 112
    data = tmp_path / "data.bin"
    data.write_bytes(b"one")
    folders = set()
    for content in (b"one", b"two", b"one"):
        data.write_bytes(content)
        folders.add(train(ToyTask(), settings_of(), ALONE, tmp_path, PROGRAM, [data]).metrics.parent)
    assert len(folders) == 2
    keys = [json.loads((folder / "key.json").read_text()) for folder in folders]
    assert {len(key["data"]) for key in keys} == {1}


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    straight = go(ToyTask(), tmp_path / "straight")
    often = settings_of({"checkpoint_minutes": 0.0})
    with pytest.raises(Stopped):
        go(StoppedAt(13), tmp_path / "cut", often)
    newest = max(tmp_path.glob("cut/*/step-*"))
    with (newest / "model.pt").open("r+b") as file:
        file.seek(200)
        file.write(b"damage")
    task = ToyTask()
    with caplog.at_level("WARNING", logger="tidemill"):
        resumed = go(task, tmp_path / "cut", often)
    assert f"{newest.name}/model.pt: its content has changed" in caplog.text
    assert equal(weights(straight), weights(resumed))
    assert timeless(straight.metrics) == timeless(resumed.metrics)


def test_nothing_to_train_on_and_unequal_shares_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no sample to train on"):
        go(ToyTask(train=0), tmp_path)
    with pytest.raises(InputError, match="= 8 samples cannot be shared among 3 processes"):
        train(ToyTask(), settings_of(), Ranks(0, 3, torch.device("cpu")), tmp_path, PROGRAM, [])


def test_a_step_may_take_more_samples_than_there_are(tmp_path: Path) -> None:
    task = ToyTask(train=3)
    result = go(task, tmp_path, settings_of(epochs=8))
    assert result.step == 3
    assert sorted(task.train.asked) == [(epoch, index) for epoch in range(8) for index in range(3)]


def test_samples_are_fetched_by_threads_without_changing_a_bit(tmp_path: Path) -> None:
    class Uneven(Numbers):
        def fetch(self, indices: Indices, epochs: Indices) -> Batch:
            torch.randn(100 * int(indices[0] % 7) + 1).sum()  # other amounts of work, and draws of the global generator
            return super().fetch(indices, epochs)

    one = go(ToyTask(dropout=0.0), tmp_path / "one", settings_of({"loaders": 1}))
    task = ToyTask(dropout=0.0)
    task.train = Uneven(37)
    four = go(task, tmp_path / "four", settings_of({"loaders": 4}))
    assert equal(weights(one), weights(four))
