"""Agents: what they read and see, exact resume over any interruption, and that only the training period counts."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from scripts.lib.errors import InputError
from scripts.lib.training.checkpoint import CheckpointStore
from scripts.orderbook.agent.policy import decider, load_policy, read_description, read_encoder, view_of
from scripts.orderbook.agent.settings import TrainAgentSettings
from scripts.orderbook.agent.training import Learner, make_environments
from scripts.orderbook.trading.data import mirrored, read_split, rows_of, split_bounds
from scripts.orderbook.trading.env import Vectors, Windows, reward_unit
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.tape import Tape
from scripts.orderbook.windows.inputs import load_scaling
from tests.conftest import ROOT, clean_environment
from tests.unit.agent_files import DEPTH, LENGTH, Files, make_files, train, train_settings, write_states
from tests.unit.trading_tapes import simulated_tape

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), drift=0.3, states=2_000)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in the programs that are started: the number of threads decides the order of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tape_of(files: Files, split: str = "train", mirror: bool = False, most: int = 10**6) -> Tape:
    scaling = load_scaling(files.scaling)
    return read_split(files.states, files.windows, split, scaling, train_settings().trading, most, mirror=mirror)


# ------------------------------------------------------------------------------------------------ from files to tapes


def test_splits_hold_their_own_states_and_none_twice(files: Files) -> None:
    tapes = {split: tape_of(files, split) for split in ("train", "validation", "test")}
    for split, tape in tapes.items():
        start, end = split_bounds(files.windows, split)
        assert (tape.event_time[0], tape.event_time[-1]) == (start, end)
    assert [len(tape) for tape in tapes.values()] == [1_400 - LENGTH, 400 - LENGTH, 200 - LENGTH]
    assert tapes["train"].event_time[-1] < tapes["validation"].event_time[0]
    assert tapes["validation"].event_time[-1] < tapes["test"].event_time[0]


def test_moments_that_two_splits_share_belong_to_the_earlier_one(files: Files, tmp_path: Path) -> None:
    """Many states of one time, and no embargo: a split by places is none by times."""
    rows = [("train", 0, 500), ("validation", 500, 700), ("validation", 710, 800), ("test", 790, 900)]
    table = [{"split": split, "start_time": start, "end_time": end} for split, start, end in rows]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "windows.parquet")
    found = [split_bounds(tmp_path / "windows.parquet", split) for split in ("train", "validation", "test")]
    assert found == [(0, 500), (501, 800), (801, 900)]


def test_stretches_end_with_parts_segments_and_unusable_states(files: Files, tmp_path: Path) -> None:
    tape = simulated_tape(0, 2_000, depth=DEPTH)
    tape.levels[200, 2, DEPTH - 1] = np.nan  # an unknown level
    tape.levels[300, 0, 0] = tape.levels[300, 2, 0] + 1  # crossed
    paths = [
        write_states(tmp_path / "a.parquet", tape, slice(0, 1_000), np.repeat([0, 1], [500, 500])),
        write_states(tmp_path / "b.parquet", tape, slice(1_000, 2_000), np.ones(1_000, int)),
    ]
    read = read_split(paths, files.windows, "train", load_scaling(files.scaling), TradingRules(), 10**6)
    starts = [int(np.searchsorted(tape.event_time, read.event_time[rows[0]])) for rows in read.stretches()]
    assert starts == [0, 201, 301, 500, 1_000]
    assert sum(map(len, read.stretches())) == 1_400 - LENGTH - 2


def test_the_latest_states_are_taken_where_there_are_too_many(files: Files) -> None:
    whole, some = tape_of(files), tape_of(files, most=333)
    assert len(some) == 333
    np.testing.assert_array_equal(some.levels, whole.levels[-333:])
    np.testing.assert_array_equal(some.features, whole.features[-333:])


def test_features_are_those_of_the_scaling_and_prices_those_of_the_states(files: Files) -> None:
    tape, made = tape_of(files), simulated_tape(0, 2_000, 0.3, depth=DEPTH)
    np.testing.assert_array_equal(tape.levels, made.levels[: len(tape)])
    assert np.abs(tape.features[:, :DEPTH].mean(axis=0)).max() < 0.2
    assert tape.features[:, DEPTH].std() == pytest.approx(1.0, abs=0.05)


def test_the_mirror_image_swaps_sides_and_reflects_moves() -> None:
    levels = simulated_tape(3, 50, depth=DEPTH).levels
    run = np.repeat([0, 1], [20, 30])
    image = mirrored(levels, run)
    mid, other = ((book[:, 0, 0] + book[:, 2, 0]) / 2 for book in (levels, image))
    np.testing.assert_allclose(np.diff(other[:20]), -np.diff(mid[:20]), atol=1e-9)
    np.testing.assert_allclose(np.diff(other[20:]), -np.diff(mid[20:]), atol=1e-9)
    assert (other[0], other[20]) == pytest.approx((mid[0], mid[20]))
    np.testing.assert_array_equal(image[:, 1], levels[:, 3])
    np.testing.assert_allclose(image[:, 2, 0] - image[:, 0, 0], levels[:, 2, 0] - levels[:, 0, 0], atol=1e-9)
    np.testing.assert_allclose(mirrored(image, run), levels, atol=1e-9)


def test_holding_a_position_over_the_market_and_its_image_earns_nothing_before_costs(files: Files) -> None:
    tape = tape_of(files, mirror=True)
    stretches = tape.stretches()
    assert len(stretches) == 4  # two parts, twice
    moves = [tape.mid[rows[-1]] - tape.mid[rows[0]] for rows in stretches]
    assert moves[0] + moves[2] == pytest.approx(0, abs=1e-8)
    assert moves[1] + moves[3] == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windows": "scaling"}, "not windows.parquet of balance_windows"),
        ({"scaling": "encoder_config"}, "not the scaling of balance_windows"),
        ({"encoder": "scaling"}, "not the weights of an encoder"),
        ({"states": "windows"}, "not a states file"),
    ],
)
def test_wrong_files_are_named(files: Files, changes: dict[str, str], message: str) -> None:
    inputs = files.inputs()
    for name, other in changes.items():
        inputs[name] = [inputs[other]] if name == "states" else inputs[other]
    with pytest.raises(InputError, match=message):
        train(Files(**inputs, folder=files.folder), 0, train_settings())


def test_a_scaling_of_other_windows_is_refused(files: Files, tmp_path: Path) -> None:
    replace(load_scaling(files.scaling), length=LENGTH + 1).save(tmp_path / "scaling.json")
    with pytest.raises(InputError, match=r"encoder.json: reads windows of 16 states, .*scaling.json is of 17"):
        read_encoder(files.encoder, files.encoder_config, tmp_path / "scaling.json")


def test_stretches_too_short_to_decide_in_are_an_error(files: Files) -> None:
    with pytest.raises(InputError, match="longest stretch of usable states has 1000, two decisions need 2016"):
        train(files, 0, train_settings(trading={"decision_every": 2_000}))


def test_batches_must_divide_a_rollout() -> None:
    with pytest.raises(ValueError, match="batch: 48 does not divide the 128 decisions"):
        train_settings(batch=48)


# --------------------------------------------------------------------------------------------------------- the policy


def learner_of(files: Files, settings: TrainAgentSettings, seed: int = 0) -> Learner:
    encoder, _ = read_encoder(files.encoder, files.encoder_config, files.scaling)
    tape = tape_of(files, mirror=settings.mirror)
    rows = rows_of(tape, LENGTH, settings.trading, files.windows)
    view, vectors = view_of(settings.encoder, encoder, tape.features, rows, CPU)
    unit = reward_unit(tape, rows, settings.trading)
    environments = make_environments(tape, view, rows, settings.trading, settings, unit)
    return Learner(environments, settings, encoder, vectors, seed, CPU)


def test_the_pretrained_encoder_survives_the_policy_s_initialisation(files: Files) -> None:
    encoder, _ = read_encoder(files.encoder, files.encoder_config, files.scaling)
    inside = learner_of(files, train_settings(encoder="trained")).model.policy.features_extractor.encoder
    for name, value in encoder.state_dict().items():
        assert torch.equal(inside.state_dict()[name], value), name
    assert all(parameter.requires_grad for parameter in inside.parameters())


def test_vectors_computed_beforehand_give_the_actions_that_windows_give(files: Files) -> None:
    frozen = learner_of(files, train_settings()).model.policy
    trained = learner_of(files, train_settings(encoder="trained")).model.policy
    trained.load_state_dict(trained.state_dict() | frozen.state_dict())
    encoder, _ = read_encoder(files.encoder, files.encoder_config, files.scaling)
    tape = tape_of(files)
    rows = rows_of(tape, LENGTH, train_settings().trading, files.windows)
    vectors, windows = (view_of(mode, encoder, tape.features, rows, CPU)[0] for mode in ("frozen", "trained"))
    assert isinstance(vectors, Vectors)
    assert isinstance(windows, Windows)
    for row in [*rows[0]][::37]:
        account = np.array([0.5, 0.5, -1.0], dtype=np.float32)
        mine = decider(frozen)({"book": vectors.at(row), "account": account})
        other = decider(trained)({"book": windows.at(row), "account": account})
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def test_a_saved_agent_acts_like_the_one_that_was_trained(files: Files) -> None:
    for mode in ("frozen", "trained"):
        paths = train(files, 3, train_settings(encoder=mode))
        description = read_description(paths["agent"])
        encoder, _ = read_encoder(files.encoder, files.encoder_config, files.scaling)
        policy = load_policy(paths["policy"], description, encoder)
        learner = learner_of(files, train_settings(encoder=mode), seed=3)
        learner.learn(lambda done: None)
        for name, value in learner.model.policy.state_dict().items():
            assert torch.equal(policy.state_dict()[name], value), name


def test_training_the_encoder_changes_it_and_freezing_does_not_hold_it(files: Files) -> None:
    encoder, _ = read_encoder(files.encoder, files.encoder_config, files.scaling)
    learner = learner_of(files, train_settings(encoder="trained"))
    learner.learn(lambda done: None)
    inside = learner.model.policy.features_extractor.encoder.state_dict()
    assert any(not torch.equal(inside[name], value) for name, value in encoder.state_dict().items())
    frozen = learner_of(files, train_settings())
    assert frozen.model.policy.features_extractor.encoder is None


def test_an_agent_of_another_encoder_is_refused(files: Files, tmp_path: Path) -> None:
    paths = train(files, 4, train_settings())
    encoder, _ = read_encoder(files.encoder, files.encoder_config, files.scaling)
    changed = read_description(paths["agent"]).model_copy(update={"width": 48})
    with pytest.raises(InputError, match=r"trained with an encoder of length, features, width \(16, 16, 48\)"):
        load_policy(paths["policy"], changed, encoder)
    other = read_description(paths["agent"]).model_copy(update={"hidden": [17]})
    with pytest.raises(InputError, match="not the weights of its agent"):
        load_policy(paths["policy"], other, encoder)


def test_costs_grow_over_the_warm_up_and_the_learning_rate_falls_to_nothing(files: Files) -> None:
    learner = learner_of(files, train_settings(decisions=128 * 8, cost_warmup=0.5))
    learner.learn(lambda done: None)
    assert [row["cost_weight"] for row in learner.history] == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    rates = [row["learning_rate"] for row in learner.history]
    assert rates == pytest.approx([1e-3 * (8 - i) / 8 for i in range(8)])


# ------------------------------------------------------------------------------------------------------ exact resume


def weights_of(learner: Learner) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in learner.model.policy.state_dict().items()}


@pytest.mark.parametrize("mode", ["frozen", "trained"])
def test_going_on_from_any_rollout_ends_bit_for_bit_like_never_stopping(
    files: Files, tmp_path: Path, mode: str
) -> None:
    settings = train_settings(encoder=mode, cost_warmup=0.6)
    straight = learner_of(files, settings)
    straight.learn(lambda done: straight.save(folder) if (folder := make(tmp_path / str(done))) else None)
    for done in (1, 3):
        other = learner_of(files, settings)
        torch.manual_seed(random.randrange(10**6))
        np.random.seed(done)
        other.restore(tmp_path / str(done))
        assert other.done == done
        other.learn(lambda done: None)
        assert weights_of(other) == weights_of(straight)
        assert repr(other.history) == repr(straight.history)


def make(path: Path) -> Path:
    path.mkdir()
    return path


def test_seeds_differ_and_are_repeatable(files: Files) -> None:
    found = []
    for seed in (1, 1, 2):
        learner = learner_of(files, train_settings(decisions=128), seed)
        learner.learn(lambda done: None)
        found.append(weights_of(learner))
    assert found[0] == found[1] != found[2]


SLOW_AT_THE_END = """
import time
from scripts.lib import job
from scripts.lib.training.checkpoint import CheckpointStore
from scripts.orderbook import train_agent

save = CheckpointStore.save

def save_slowly(store, step, *rest):
    save(store, step, *rest)
    time.sleep(2.0 if step >= 30 else 0.0)  # it is still at work whenever the test comes to stop it

CheckpointStore.save = save_slowly
job.run(train_agent.main)
"""


def command(files: Files, folder: Path, settings: TrainAgentSettings) -> list[str]:
    options: list[Any] = ["--states", *files.states]
    for name in ("windows", "scaling", "encoder", "encoder_config"):
        options += [f"--{name.replace('_', '-')}", getattr(files, name)]
    outputs = {"policy": "policy.safetensors", "agent": "agent.json", "history": "history.csv"}
    options += [item for name, file in outputs.items() for item in (f"--{name}", folder / file)]
    options += ["--checkpoints", folder / "checkpoints", "--seed", 5, "--gpus", 0]
    options += ["--settings", settings.model_dump_json()]
    return [sys.executable, "-c", SLOW_AT_THE_END, *map(str, options)]


def start(files: Files, folder: Path, settings: TrainAgentSettings) -> subprocess.Popen[str]:
    environment = clean_environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    return subprocess.Popen(command(files, folder, settings), env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoint(folder: Path, step: int) -> None:
    end = time.monotonic() + 120
    while not any(int(path.name[5:]) >= step for path in folder.glob("checkpoints/*/step-*")):
        assert time.monotonic() < end, "no checkpoint came"
        time.sleep(0.01)


def test_killed_and_told_to_stop_at_random_moments_the_program_ends_with_equal_files(
    files: Files, tmp_path: Path
) -> None:
    settings = train_settings(decisions=128 * 60, run={"checkpoint_minutes": 0.0})
    straight = train(Files(**files.inputs(), folder=make(tmp_path / "straight")), 5, settings)
    folder = make(tmp_path / "broken")

    killed = start(files, folder, settings)
    wait_for_checkpoint(folder, random.randrange(1, 8))
    time.sleep(random.random() * 0.1)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert sorted(path.name for path in folder.iterdir() if path.name[0] != ".") == ["checkpoints"]

    stopped = start(files, folder, settings)
    wait_for_checkpoint(folder, 20)
    stopped.send_signal(signal.SIGTERM)
    _, log = stopped.communicate(timeout=300)
    assert stopped.returncode == 75, log
    assert "going on at rollout" in log
    assert "SIGTERM came; saved after rollout" in log

    resumed = train(Files(**files.inputs(), folder=folder), 5, settings)
    for name, path in resumed.items():
        assert path.read_bytes() == straight[name].read_bytes(), name


def test_a_second_copy_of_a_job_stops_with_a_line(files: Files) -> None:
    settings = train_settings(decisions=128)
    train(files, 31, settings)
    folder = max(files.folder.glob("checkpoints/*"), key=lambda path: path.stat().st_mtime_ns)
    with CheckpointStore(folder), pytest.raises(InputError, match="another copy of this job is at work"):
        train(files, 31, settings)


def test_other_settings_seeds_and_data_begin_afresh(files: Files) -> None:
    folder = files.folder / "checkpoints"
    before = set(folder.glob("*")) if folder.exists() else set()
    runs: list[tuple[int, dict[str, Any]]] = [
        (21, {}),
        (21, {}),
        (22, {}),
        (21, {"gamma": 0.5}),
        (21, {"run": {"keep": 1}}),
    ]
    for seed, settings in runs:
        train(files, seed, train_settings(decisions=128, **settings))
    assert len(set(folder.glob("*")) - before) == 3


@pytest.mark.parametrize("package", ["torch", "stable-baselines3"])
def test_other_versions_begin_afresh(files: Files, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """New pins make the rule run again: it must not hand over what the old ones have computed."""
    train(files, 41, train_settings(decisions=128))
    before = set((files.folder / "checkpoints").glob("*"))
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.1+cpu" if name == package else real(name))
    train(files, 41, train_settings(decisions=128))
    (new,) = set((files.folder / "checkpoints").glob("*")) - before
    assert json.loads((new / "key.json").read_text())[package] == "0.1"


# --------------------------------------------------------------------------------------------------------- causality


def test_nothing_after_the_training_period_reaches_the_agent(files: Files, tmp_path: Path) -> None:
    tape = simulated_tape(0, 2_000, 0.3, depth=DEPTH)
    end = split_bounds(files.windows, "train")[1]
    later = tape.event_time > end
    noise = np.random.default_rng(0)
    for side, sign in ((0, -1), (2, 1)):
        tape.levels[later, side] += sign * noise.uniform(0, 5, int(later.sum()))[:, None]
    tape.levels[later, 1] *= 7
    parts = [slice(0, 1_000), slice(1_000, 2_000)]
    changed = [write_states(tmp_path / f"{i}.parquet", tape, part) for i, part in enumerate(parts)]
    assert changed[1].read_bytes() != files.states[1].read_bytes()
    other = Files(**(files.inputs() | {"states": changed}), folder=tmp_path)
    mine, theirs = train(files, 7, train_settings()), train(other, 7, train_settings())
    assert mine["policy"].read_bytes() == theirs["policy"].read_bytes()
    assert mine["agent"].read_bytes() == theirs["agent"].read_bytes()
    assert load_file(mine["policy"]).keys() == load_file(theirs["policy"]).keys()
