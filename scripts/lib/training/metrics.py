"""Where the figures of a training go: JSON lines beside the checkpoints, TensorBoard, and Weights & Biases on request.

metrics.jsonl holds one object a line, told apart by `kind`:

    start       at each start: step, samples, processes, device, precision and why, parameters, versions
    train       every `log_every` steps: means since the last such line
    validation  loss and the task's further figures over all validation samples
    event       out_of_memory, learning_rate_cut
    end         why the training ended, best step and loss

A resumed training cuts the file to what it held when the checkpoint was made, so no step appears twice.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from scripts.lib.errors import InputError
from scripts.lib.joblog import log

Record = Mapping[str, Any]


class Sink(Protocol):
    """One place where records go."""

    def write(self, record: Record) -> None:
        """Add a record."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


class JsonLines:
    """The JSON lines file; whole lines up to `size` are kept, the rest was written after the checkpoint."""

    def __init__(self, path: Path, size: int) -> None:
        found = path.stat().st_size if path.exists() else 0
        if found < size:
            log.warning("%s: %d bytes of it are lost", path, size - found)
        self._file = path.open("r+b" if found else "w+b")
        self._file.truncate(min(size, found))
        self._file.seek(0, os.SEEK_END)

    def write(self, record: Record) -> None:
        """Add a record; it is in the file at once."""
        finite = {key: None if _is_not_finite(value) else value for key, value in record.items()}
        self._file.write(json.dumps(finite, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def sync(self) -> int:
        """Bring the file to the disk; its size in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoard:
    """Numbers of records as curves over the steps, in the folder `tensorboard`."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes seconds to import

        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def write(self, record: Record) -> None:
        """Add a record's numbers."""
        for name, value in curves(record).items():
            self._writer.add_scalar(name, value, record["step"])

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


class WandB:
    """Weights & Biases: one run for all attempts at a training. Without WANDB_MODE it is written to files (offline)."""

    def __init__(self, folder: Path, project: str, run: str, settings: Record) -> None:
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        if mode == "online" and not os.environ.get("WANDB_API_KEY"):
            raise InputError("WANDB_MODE is online, but WANDB_API_KEY is not set")
        try:
            import wandb
        except ImportError as error:
            raise InputError(f"run.wandb_project: wandb cannot be imported ({error})") from None
        self._run = wandb.init(
            project=project, id=run, name=run, resume="allow", mode=mode, dir=str(folder), config=dict(settings)
        )

    def write(self, record: Record) -> None:
        """Add a record's numbers."""
        if values := curves(record):
            self._run.log(values, step=record["step"])

    def close(self) -> None:
        """Flush and close."""
        self._run.finish()


def _is_not_finite(value: object) -> bool:
    """JSON knows neither NaN nor infinity."""
    return isinstance(value, float) and not math.isfinite(value)


def curves(record: Record) -> dict[str, float]:
    """Names "kind/figure" and values of a record's numbers; starts and ends have no curves."""
    if record["kind"] not in ("train", "validation"):
        return {}
    numbers = {key: value for key, value in record.items() if key != "step" and isinstance(value, int | float)}
    return {f"{record['kind']}/{key}": float(value) for key, value in numbers.items()}


class Metrics:
    """All sinks together.

    Args:
        folder: of the checkpoints; None (all processes but the first): no sinks.
        size: bytes of metrics.jsonl that belong to the checkpoint resumed from.
        step: its step.
        wandb: arguments of the W&B sink; None: none.
    """

    def __init__(
        self, folder: Path | None = None, size: int = 0, step: int = 0, wandb: tuple[str, Record] | None = None
    ) -> None:
        self._lines: JsonLines | None = None
        self._sinks: list[Sink] = []
        if folder is None:
            return
        self._lines = JsonLines(folder / "metrics.jsonl", size)
        self._sinks = [self._lines, TensorBoard(folder / "tensorboard", step)]
        if wandb:
            project, settings = wandb
            self._sinks.append(WandB(folder, project, folder.name, settings))

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for sink in self._sinks:
            sink.close()

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Add a record to all sinks."""
        for sink in self._sinks:
            sink.write({"kind": kind, "step": step, **values})

    def sync(self) -> int:
        """Bring the JSON lines to the disk; their size in bytes."""
        return self._lines.sync() if self._lines else 0


def read_metrics(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Records of a metrics file, of one kind or all.

    Raises:
        InputError: a line is not a record.
    """
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
            if kind is None or record["kind"] == kind:
                records.append(record)
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path}: line {number}: no record of a training") from None
    return records
