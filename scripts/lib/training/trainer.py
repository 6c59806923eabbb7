"""The engine that trains the models of all lines: a line brings a task (task.py), `train` does the rest.

    with ranks_of_job(gpus) as ranks:
        result = train(task, settings.training, ranks, checkpoints, "scripts.LINE.STAGE", data_files, settings)
        if ranks.first:
            save(result.model)

This is the loop, from a task and its settings to the best model, over any interruption. Beside it, one subject a
module: settings, task (what a line brings), order and loader (which sample when), precision, optimizer, schedule,
distributed (processes), evaluation, identity, checkpoint and state (what is kept), interruption (signals and time
limits), memory (too little of it), throughput, metrics (where figures go).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from scripts.lib.devices import device_name
from scripts.lib.errors import Stopped
from scripts.lib.joblog import log
from scripts.lib.progress import Progress
from scripts.lib.settings import Settings
from scripts.lib.training import memory
from scripts.lib.training.checkpoint import Checkpoint, CheckpointStore
from scripts.lib.training.distributed import Ranks
from scripts.lib.training.evaluation import Figures, Interrupted, evaluate
from scripts.lib.training.identity import identity_of, keyed_folder, versions
from scripts.lib.training.interruption import StopRequests, end_of_job
from scripts.lib.training.loader import Piece, pieces_of_step, prefetched, training_fetcher
from scripts.lib.training.metrics import Metrics
from scripts.lib.training.optimizer import make_optimizer, set_learning_rate, trainable
from scripts.lib.training.order import noise_seed, steps_of
from scripts.lib.training.precision import Precision, choose_precision
from scripts.lib.training.schedule import learning_rate
from scripts.lib.training.settings import TrainingSettings
from scripts.lib.training.state import Course, read_tensors, write_tensors
from scripts.lib.training.task import Batch, Task
from scripts.lib.training.throughput import Meter, mfu, peak_flops


@dataclass(frozen=True)
class Result:
    """What a training ends with; the same in every process."""

    model: Any
    """The model with the weights of the lowest validation loss (the last ones without validation), on the device."""
    precision: Precision
    step: int
    """Steps done."""
    samples: int
    """Samples seen."""
    best_step: int
    """Step whose weights the model has."""
    best_loss: float | None
    """Its validation loss."""
    reason: str
    """Why it ended: "all steps done" or "no improvement in N validations"."""
    metrics: Path
    """The metrics, JSON lines (metrics.py says what they hold)."""


def train(
    task: Task,
    settings: TrainingSettings,
    ranks: Ranks,
    root: Path,
    program: str,
    data: list[Path],
    stage: Settings | None = None,
) -> Result:
    """Train, going on from the newest checkpoint of the same code, settings and data.

    Args:
        task: model, samples and loss.
        settings: what to compute and how to carry it out.
        ranks: the job's processes.
        root: folder of the line's checkpoints, such as checkpoints/orderbook/pretrain_encoder/BOOK.
        program: name of the program's module, whose code is part of the checkpoints' key.
        data: files whose content is part of the key.
        stage: the whole settings of the stage, where they hold more than `settings`; part of the key.

    Raises:
        InputError: settings that this machine cannot fulfil, a checkpoint in use, too little memory for one sample, a
            loss that is not finite.
        Stopped: by a signal or before the job's time limit; the state is saved.
    """
    check(task, settings, ranks)
    precision = _choose(settings, ranks)
    key = {"transformer_engine": precision.transformer_engine} | versions("torch")
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequests(settings.run.stop_minutes, ranks.from_first(end_of_job)))
        folder = ranks.from_first(lambda: keyed_folder(root, identity_of(program, stage or settings, data) | key))
        store = CheckpointStore(folder, settings.run.keep)
        found = ranks.from_first(lambda: stack.enter_context(store).newest())
        training = Training(task, settings, ranks, precision, store, stop)
        training.begin(found)

        def open_metrics() -> None:
            training.metrics = stack.enter_context(training.metrics_of(folder, stage or settings))

        ranks.from_first(open_metrics)
        return training.run()


def check(task: Task, settings: TrainingSettings, ranks: Ranks) -> None:
    """Refuse what cannot be shared out.

    Raises:
        InputError: no samples, or a number of processes that does not divide a step's samples.
    """
    batch = settings.batch * settings.accumulation
    if len(task.train) == 0:
        raise ranks.fail("there is no sample to train on")
    if batch % ranks.world:
        raise ranks.fail(f"batch * accumulation = {batch} samples cannot be shared among {ranks.world} processes")


def _choose(settings: TrainingSettings, ranks: Ranks) -> Precision:
    """The precision, decided by the first process for all."""
    return ranks.from_first(lambda: choose_precision(settings.precision, ranks.device))


class Training:
    """One training under way; `train` puts it together. All processes call the same methods in the same order."""

    def __init__(
        self,
        task: Task,
        settings: TrainingSettings,
        ranks: Ranks,
        precision: Precision,
        store: CheckpointStore,
        stop: StopRequests,
    ) -> None:
        self.task, self.settings, self.ranks = task, settings, ranks
        self.precision, self.store, self.stop = precision, store, stop
        self.batch = settings.batch * settings.accumulation
        self.steps = steps_of(len(task.train), self.batch, settings.epochs, settings.max_steps)
        self.course = Course()
        self.metrics = Metrics()
        self.meter = Meter()
        self.saved_at = time.monotonic()
        self.finite = torch.ones((), dtype=torch.bool, device=ranks.device)

    # ------------------------------------------------------------------------------------------------ beginning

    def begin(self, found: Checkpoint | None) -> None:
        """Build model and optimizer, and load the checkpoint if there is one."""
        self.ranks.seed(self.settings.seed)
        self.model = self.task.build(self.precision).to(self.ranks.device)
        self.optimizer = make_optimizer(self.model, self.settings)
        self.parameters = trainable(self.model)
        if found is None:
            self.ranks.start_alike(self.model)
        else:
            self.course = Course.from_json(found.info)
            read_tensors(found.folder, self.model, self.optimizer, self.ranks.device)
            log.info("going on at step %d of %d, from %s", self.course.step, self.steps, found.folder)
        self.figures = Figures.of(self.course.sums, self.ranks.device)
        self._choose_micro_batch()

    def _choose_micro_batch(self) -> None:
        """As many samples at once as settings and share allow, or as few as an earlier attempt had to take."""
        layout = f"{self.ranks.world} x {device_name(self.ranks.device)}"
        if self.course.layout != layout:
            largest = min(self.settings.batch, self.batch // self.ranks.world)
            self.course = replace(self.course, layout=layout, micro_batch=largest)

    def metrics_of(self, folder: Path, stage: Settings) -> Metrics:
        """The sinks in a folder, cut to what they held at this state."""
        project = self.settings.run.wandb_project
        wandb = (project, stage.model_dump(mode="json")) if project else None
        return Metrics(folder, self.course.metrics_size, self.course.step, wandb)

    def _write_start(self) -> None:
        self.metrics.write(
            "start", self.course.step, samples=self.course.samples, processes=self.ranks.world,
            device=device_name(self.ranks.device), precision=self.precision.name, reason=self.precision.reason,
            parameters=sum(parameter.numel() for parameter in self.parameters), steps=self.steps, batch=self.batch,
            torch=torch.__version__,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------- the loop

    def run(self) -> Result:
        """Train to the end and return the best model."""
        if self.course.ended is None:
            self._write_start()
            log.info("training in %s (%s)", self.precision.name, self.precision.reason)
            if self.ranks.first:
                with Progress("train", self.steps * self.batch, "samples", done=self.course.samples) as progress:
                    self._loop(progress.advance)
            else:
                self._loop(lambda samples: None)
        return self._result()

    def _loop(self, advance: Callable[[float], None]) -> None:
        """Steps and validations until the end; a stream of samples has one micro-batch, another one begins anew."""
        while self.course.ended is None:
            with prefetched(
                training_fetcher(self.task.train, self.settings.seed), self._pieces(), self.ranks.device,
                self.settings.run.loaders,
            ) as stream:  # fmt: skip
                micro_batch = self.course.micro_batch
                while self.course.ended is None and self.course.micro_batch == micro_batch:
                    if self._validation_is_due():
                        self._validate()
                    elif self.course.step >= self.steps:
                        self._end("all steps done")
                    elif self._step(stream):
                        advance(self.batch)

    def _pieces(self) -> Iterator[Piece]:
        """This process' micro-batches from here to the last step."""
        micro_batch = self.course.micro_batch
        for step in range(self.course.step, self.steps):
            yield from pieces_of_step(step, self.batch, micro_batch, self.ranks)

    def _step(self, stream: Iterator[tuple[Piece, Batch]]) -> bool:
        """One step; False if memory did not suffice and nothing has changed but the micro-batch."""
        short, figures = self._accumulate(stream)
        due = self.ranks.first and time.monotonic() - self.saved_at >= self.settings.run.checkpoint_minutes * 60
        short, stop, save = self.ranks.any_of(short, self.stop.reason is not None, due)
        if short:
            self._take_less()
            return False
        self._update(figures)
        if self.course.step % self.settings.run.log_every == 0 or self.course.step == self.steps:
            self._log()
        if stop:
            self._stop()
        if save and not self._validation_is_due():
            self._save()
        return True

    def _accumulate(self, stream: Iterator[tuple[Piece, Batch]]) -> tuple[bool, Figures]:
        """Gradients of this process' share of the step: of the sum of its losses over the step's number of samples.

        Returns:
            Whether memory was too short for it, and the sums of the loss and its parts.
        """
        self.model.train()
        self.optimizer.zero_grad(set_to_none=False)
        figures = Figures(self.ranks.device)
        try:
            for _ in pieces_of_step(self.course.step, self.batch, self.course.micro_batch, self.ranks):
                piece, batch = next(stream)
                self.ranks.seed(noise_seed(self.settings.seed, self.course.step, piece.start))
                with self.precision.autocast(self.ranks.device):
                    loss = self.task.loss(self.model, batch)
                (loss.sum / self.batch).backward()
                figures.add(loss)
        except (RuntimeError, MemoryError) as error:
            if not memory.is_out_of_memory(error):
                raise
            return True, figures
        return False, figures

    def _update(self, figures: Figures) -> None:
        """Sum gradients and figures over the processes and change the weights.

        The gradients are those of sum / batch; times batch / weight they are those of the mean.
        """
        self.ranks.sum_gradients(self.parameters)
        figures.sum_over(self.ranks)
        scale = (self.batch / figures.weight("loss")).to(torch.float32)
        torch._foreach_mul_([parameter.grad for parameter in self.parameters], scale)
        limit = self.settings.gradient_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        self.finite &= torch.isfinite(norm) & torch.isfinite(figures.sum("loss"))
        set_learning_rate(self.optimizer, self._rate())
        self.optimizer.step()
        self.ranks.share_buffers(self.model)
        figures.put("gradient_norm", norm)
        self.figures.add_all(figures)
        self.meter.count(self.batch)
        self.course.step += 1
        self.course.samples += self.batch

    def _rate(self) -> float:
        return learning_rate(self.course.step, self.steps, self.settings) * self.course.judgement.factor

    def _take_less(self) -> None:
        """Halve the micro-batch after too little memory: more of them make the same step.

        Raises:
            InputError: it was one sample already.
        """
        memory.free(self.ranks.device)
        smaller = memory.halved(self.course.micro_batch)
        where = f"on {device_name(self.ranks.device)} ({memory.peak_gb(self.ranks.device):.1f} GB used)"
        if smaller == 0:
            raise self.ranks.fail(f"step {self.course.step + 1}: out of memory with one sample at a time {where}")
        if self.ranks.first:
            log.warning("out of memory %s: %d samples at a time, not %d", where, smaller, self.course.micro_batch)
        self.metrics.write("event", self.course.step, event="out_of_memory", micro_batch=smaller)
        self.course.micro_batch = smaller

    # ---------------------------------------------------------------------------------------------- validation

    def _validation_is_due(self) -> bool:
        """Whether this step is to be validated and has not been: after every epoch or `validate_every` steps."""
        step = self.course.step
        if self.task.validation is None or len(self.task.validation) == 0 or step <= self.course.validated:
            return False
        if step >= self.steps:
            return True
        if self.settings.validate_every:
            return step % self.settings.validate_every == 0
        before, now = ((s * self.batch) // len(self.task.train) for s in (step - 1, step))
        return now > before

    def _validate(self) -> None:
        """Validate, judge, and save where it is the best so far."""
        assert self.task.validation is not None
        self._check_finite()
        self.meter.pause()
        try:
            found = evaluate(
                self.task, self.task.validation, self.model, self.precision, self.ranks, self.course.micro_batch,
                self.settings.run.loaders, lambda: self.stop.reason is not None,
            )  # fmt: skip
        except Interrupted as how:
            self.meter.go_on()
            return self._take_less() if how.out_of_memory else self._stop()
        self._judge(found)
        self.meter.go_on()
        return None

    def _judge(self, found: dict[str, float]) -> None:
        before, step = self.course.judgement, self.course.step
        after = before.after(found["loss"], step, self.settings)
        self.course.judgement, self.course.validated = after, step
        self.metrics.write("validation", step, samples=self.course.samples, best=after.best_loss, **found)
        log.info(
            "validation at step %d: loss %.6g, best %.6g at step %d",
            step,
            found["loss"],
            after.best_loss,
            after.best_step,
        )
        if after.factor < before.factor:
            self.metrics.write("event", step, event="learning_rate_cut", factor=after.factor)
        if after.gives_up(self.settings):
            self._end(f"no improvement in {after.since_best} validations")
        elif after.best_step == step < self.steps:  # the last step is saved by `_end`
            self._save()

    # --------------------------------------------------------------------------------------- metrics, checkpoints

    def _log(self) -> None:
        """Write the means since the last time."""
        self._check_finite()
        rate = self.meter.take()
        peak = peak_flops(device_name(self.ranks.device), self.precision.name)
        share = mfu(rate, self.task.flops_per_sample, peak, self.ranks.world)
        self.metrics.write(
            "train", self.course.step, samples=self.course.samples, epoch=self.course.samples / len(self.task.train),
            **self.figures.means(), learning_rate=self.optimizer.param_groups[0]["lr"], samples_per_s=rate, mfu=share,
            memory_gb=memory.peak_gb(self.ranks.device), micro_batch=self.course.micro_batch,
        )  # fmt: skip
        self.figures = Figures(self.ranks.device)

    def _check_finite(self) -> None:
        """Refuse to go on with weights that a loss or gradient has spoilt; no checkpoint ever holds such.

        Raises:
            InputError: a loss or a gradient since the last time was not finite.
        """
        if not bool(self.finite):
            raise self.ranks.fail(
                f"loss or gradient is not finite in one of the last steps before {self.course.step} (learning rate"
                f" {self.optimizer.param_groups[0]['lr']:.3g}): lower learning_rate, or set gradient_norm"
            )

    def _save(self) -> None:
        """Write a checkpoint; all processes wait for it."""
        self._check_finite()
        self.meter.pause()
        self.course.sums = self.figures.as_json()
        if self.ranks.first:
            self.course.metrics_size = self.metrics.sync()
            write = lambda folder: write_tensors(folder, self.model, self.optimizer)  # noqa: E731
            best = self.course.judgement.best_step if self.course.judgement.best_loss is not None else None
            self.store.save(self.course.step, write, self.course.as_json(), needs=best)
        self.ranks.wait()
        self.saved_at = time.monotonic()
        self.meter.go_on()

    def _stop(self) -> None:
        """Save and leave; a validation that is due comes first when the training goes on."""
        reason = next(reason for reason in self.ranks.gather(self.stop.reason) if reason)
        self._save()
        raise Stopped(
            f"{reason}; saved at step {self.course.step} of {self.steps}, the same command goes on from there"
        )

    def _end(self, reason: str) -> None:
        self.course.ended = reason
        judgement = self.course.judgement
        self.metrics.write(
            "end", self.course.step, reason=reason, best_step=judgement.best_step, best=judgement.best_loss
        )
        log.info("%s", reason)
        self._save()

    def _result(self) -> Result:
        """Load the best weights and hand the model over."""
        judgement = self.course.judgement
        best = judgement.best_step if judgement.best_loss is not None else self.course.step
        if best != self.course.step:
            folder = self.ranks.from_first(lambda: self.store.at(best).folder)
            read_tensors(folder, self.model, None, self.ranks.device)
        self.model.eval()
        return Result(
            self.model, self.precision, self.course.step, self.course.samples, best, judgement.best_loss,
            self.course.ended or "", self.store.folder / "metrics.jsonl",
        )  # fmt: skip
