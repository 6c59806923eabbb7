"""The files that agents are trained and evaluated on, made from a simulated book: states, windows, scaling, encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.orderbook import evaluate_agent, train_agent
from scripts.orderbook.agent.settings import EvaluateAgentSettings, TrainAgentSettings
from scripts.orderbook.book.advance import Rows
from scripts.orderbook.encoder.config import EncoderConfig, write_config
from scripts.orderbook.encoder.model import new_encoder, save_weights
from scripts.orderbook.states.table import StatesWriter
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.tape import Tape
from scripts.orderbook.windows.inputs import Moments, book_features
from tests.unit.trading_tapes import TICK, simulated_tape

DEPTH, LENGTH = 4, 16
SHARES = {"train": (0.0, 0.7), "validation": (0.7, 0.9), "test": (0.9, 1.0)}
RULES: dict[str, Any] = {"unit": 0.5, "fee_bps": 0.5, "decision_every": 5}
SMALL: dict[str, Any] = {
    "decisions": 512, "environments": 4, "rollout": 32, "episode": 40, "batch": 64, "epochs": 2, "hidden": [16],
    "learning_rate": 1e-3,
}  # fmt: skip


@dataclass(frozen=True)
class Files:
    """Paths of everything but the agents."""

    states: list[Path]
    windows: Path
    scaling: Path
    encoder: Path
    encoder_config: Path
    folder: Path

    def inputs(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("states", "windows", "scaling", "encoder", "encoder_config")}


def write_states(path: Path, tape: Tape, rows: slice, segment: np.ndarray | None = None) -> Path:
    """A states file of some rows of a tape."""
    levels = tape.levels[rows].reshape(-1, 4 * DEPTH)
    n = len(levels)
    known = np.isfinite(levels).all(axis=1) * DEPTH
    segments = np.zeros(n, int) if segment is None else segment
    numbers = [tape.event_time[rows], tape.known_at[rows], np.arange(n), segments, known]
    with StatesWriter(path, DEPTH) as writer:
        writer.write(Rows(np.stack(numbers, axis=1).astype(np.int64), levels, np.array([n])))
    return path


def write_windows(path: Path, tape: Tape) -> Path:
    """A first and a last window of each split, purged."""
    rows = []
    for split, (low, high) in SHARES.items():
        first, last = int(low * len(tape)), int(high * len(tape)) - LENGTH
        for start in (first, last - LENGTH):
            times = tape.event_time[start], tape.event_time[start + LENGTH - 1]
            rows.append({"split": split, "start_time": int(times[0]), "end_time": int(times[1])})
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def make_files(folder: Path, drift: float, states: int = 6_000, seed: int = 0) -> Files:
    """Two parts of one simulated book."""
    folder.mkdir(exist_ok=True)
    tape = simulated_tape(seed, states, drift, depth=DEPTH)
    parts = [slice(0, states // 2), slice(states // 2, states)]
    moments = Moments(4 * DEPTH)
    moments.add(book_features(tape.levels[: int(0.7 * states)].reshape(-1, 4 * DEPTH), TICK, DEPTH))
    moments.scaling(TICK, DEPTH, LENGTH).save(folder / "scaling.json")
    config = EncoderConfig(features=4 * DEPTH, length=LENGTH, width=32, layers=1, heads=2)
    save_weights(folder / "model.safetensors", new_encoder(config, seed))
    write_config(folder / "encoder.json", config)
    return Files(
        states=[write_states(folder / f"{i}.parquet", tape, part) for i, part in enumerate(parts)],
        windows=write_windows(folder / "windows.parquet", tape),
        scaling=folder / "scaling.json",
        encoder=folder / "model.safetensors",
        encoder_config=folder / "encoder.json",
        folder=folder,
    )


def train_settings(**changes: Any) -> TrainAgentSettings:
    rules = TradingRules(**(RULES | changes.pop("trading", {})))
    return TrainAgentSettings(**(SMALL | {"trading": rules} | changes))


def train(files: Files, seed: int, settings: TrainAgentSettings) -> dict[str, Path]:
    """Run train_agent in this process; its outputs by name."""
    outputs: dict[str, Any] = {name: files.folder / f"{seed}-{name}" for name in ("policy", "agent", "history")}
    train_agent.main(
        **files.inputs(), **outputs, checkpoints=files.folder / "checkpoints", seed=seed, gpus=0, settings=settings
    )
    return outputs


def evaluate(files: Files, agents: list[dict[str, Path]], **changes: Any) -> dict[str, Path]:
    """Run evaluate_agent in this process; its outputs by name."""
    rules = TradingRules(**(RULES | changes.pop("trading", {})))
    values: dict[str, Any] = {"draws": 400, "trading": rules} | changes
    settings = EvaluateAgentSettings(**values)
    names = {"evaluation": "csv", "plot": "svg", "trades": "csv", "equity": "csv", "predictions": "parquet"}
    account = {
        "account": "json",
        **dict.fromkeys(("account_equity", "account_trades", "account_benchmarks", "stress"), "csv"),
    }
    outputs: dict[str, Any] = {name: files.folder / f"{name}.{suffix}" for name, suffix in (names | account).items()}
    evaluate_agent.main(
        **files.inputs(), **outputs, policies=[agent["policy"] for agent in agents],
        agents=[agent["agent"] for agent in agents if "agent" in agent], asset="BTCUSDT", settings=settings,
        ledger=files.folder / "trials",
    )  # fmt: skip
    return outputs
