"""Train an agent on book states: PPO over the encoder's view of the book, rewards net of costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from scripts.lib import job
from scripts.lib.devices import choose_device
from scripts.lib.errors import Stopped
from scripts.lib.joblog import log
from scripts.lib.progress import Progress
from scripts.lib.tables import write_csv
from scripts.lib.training.checkpoint import CheckpointStore
from scripts.lib.training.identity import identity_of, keyed_folder, versions
from scripts.lib.training.interruption import StopRequests, end_of_job
from scripts.orderbook.agent.policy import AgentDescription, digests, read_encoder, save_agent, view_of
from scripts.orderbook.agent.settings import AgentRun, TrainAgentSettings
from scripts.orderbook.agent.training import History, Learner, make_environments
from scripts.orderbook.encoder.model import Encoder
from scripts.orderbook.trading.data import read_split, rows_of
from scripts.orderbook.trading.env import reward_unit

PROGRAM = "scripts.orderbook.train_agent"
SECONDS_PER_MINUTE = 60.0


def main(
    states: list[job.InputFile],
    windows: job.InputFile,
    scaling: job.InputFile,
    encoder: job.InputFile,
    encoder_config: job.InputFile,
    policy: job.OutputFile,
    agent: job.OutputFile,
    history: job.OutputFile,
    checkpoints: Path,
    seed: int,
    gpus: int,
    settings: TrainAgentSettings,
) -> None:
    """Train an agent on book states: PPO over the encoder's view of the book, rewards net of costs.

    Goes on from its newest checkpoint where one of the same code, settings and data is there.

    Args:
        states: Parquet of parse_book, all parts of a feed in time order
        windows: windows.parquet of balance_windows, which tells the training period
        scaling: scaling.json of balance_windows
        encoder: weights of pretrain_encoder, safetensors
        encoder_config: encoder.json beside them
        policy: weights of the agent, safetensors
        agent: JSON with what the agent is built from
        history: CSV with one row a rollout
        checkpoints: folder in which the state is kept until the training is done, and after
        seed: of the agent's weights, its actions and its episodes
        gpus: GPUs that the rule asked for; 0 trains on CPU
        settings: environment and PPO
    """
    device = choose_device(gpus)
    model, scales = read_encoder(encoder, encoder_config, scaling)
    data = [*states, windows, scaling, encoder, encoder_config]
    identity = identity_of(PROGRAM, settings, data) | {"seed": seed} | versions("torch", "stable-baselines3")
    folder = keyed_folder(checkpoints, identity)
    tape = read_split(
        states, windows, "train", scales, settings.trading, settings.max_states, settings.known_levels, settings.mirror
    )
    rows = rows_of(tape, model.config.length, settings.trading, windows)
    view, vectors = view_of(settings.encoder, model, tape.features, rows, device)
    unit = reward_unit(tape, rows, settings.trading)
    environments = make_environments(tape, view, rows, settings.trading, settings, unit)
    # small networks on vectors are faster on the CPU
    learner = Learner(
        environments, settings, model, vectors, seed, device if settings.encoder == "trained" else torch.device("cpu")
    )
    learn(learner, folder, settings.run)
    made_with = digests(encoder, scaling, windows)
    save_agent(learner.model.policy, describe(learner, model, settings, unit, seed, made_with), policy, agent)
    write_history(history, learner.history)


def learn(learner: Learner, folder: Path, run: AgentRun) -> None:
    """Learn from the newest checkpoint to the end, saving on the way and at the end.

    Raises:
        InputError: another copy of this job is at work on the same checkpoints.
        Stopped: by a signal or before the job's time limit; the state is saved.
    """
    with StopRequests(run.stop_minutes, end_of_job()) as stop, CheckpointStore(folder, run.keep) as store:
        if (found := store.newest()) is not None:
            learner.restore(found.folder)
            log.info("going on at rollout %d of %d, from %s", learner.done, learner.rollouts, found.folder)
        with Progress("train", learner.rollouts, "rollouts", done=learner.done) as progress:
            learner.learn(keeper(learner, store, stop, run, progress))


def keeper(
    learner: Learner, store: CheckpointStore, stop: StopRequests, run: AgentRun, progress: Progress
) -> Callable[[int], None]:
    """What is done between two rollouts: save where it is due, and stop where that is asked for."""
    saved = time.monotonic()

    def between(done: int) -> None:
        nonlocal saved
        progress.advance()
        last, due = done >= learner.rollouts, time.monotonic() - saved >= run.checkpoint_minutes * SECONDS_PER_MINUTE
        if last or due or stop.reason:
            store.save(done, learner.save, {"decisions": learner.decisions})
            saved = time.monotonic()
        if stop.reason and not last:
            raise Stopped(f"{stop.reason}; saved after rollout {done} of {learner.rollouts}")

    return between


def describe(
    learner: Learner, encoder: Encoder, settings: TrainAgentSettings, unit: float, seed: int, made_with: dict[str, str]
) -> AgentDescription:
    """agent.json."""
    config = encoder.config
    return AgentDescription(
        encoder=settings.encoder, hidden=settings.hidden, length=config.length, features=config.features,
        width=config.width, reward_bps=unit, seed=seed, decisions=learner.decisions, trading=settings.trading,
        made_with=made_with,
    )  # fmt: skip


def write_history(path: Path, history: History) -> None:
    """One row a rollout: decisions so far, the costs' weight, mean reward a decision, episodes ended and what they
    earned net of all costs (basis points), then what PPO reports."""
    write_csv(path, ({"rollout": number, **row} for number, row in enumerate(history, start=1)), digits=9)


if __name__ == "__main__":
    job.run(main)
