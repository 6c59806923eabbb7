"""An evenly spaced sample of a feed's features that fits into memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.lib.errors import InputError
from scripts.orderbook.states.columns import KEYS


@dataclass(frozen=True)
class FeatureSample:
    """States of a feed in time order.

    Attributes:
        states: states of all parts, of which these are a sample
        values: feature -> (n,), NaN where it is undefined
        stretch: (n,), equal for states that follow one another in one segment
    """

    states: int
    values: dict[str, np.ndarray]
    stretch: np.ndarray

    @property
    def size(self) -> int:
        return len(self.stretch)


@dataclass(frozen=True)
class Group:
    """A row group of a features file: the part's number, its own number there, and its states."""

    part: int
    number: int
    states: int


def read_sample(paths: list[Path], most: int) -> FeatureSample:
    """Read all states, or row groups evenly spaced over all parts with at most about `most` states in all.

    Whole row groups, since what follows from state to state, such as an autocorrelation, needs stretches of consecutive
    states.

    Raises:
        InputError: a file is not one of extract_features, or has other features than the first one.
    """
    files = [_open(path) for path in paths]
    names = files[0].schema_arrow.names
    for path, file in zip(paths, files, strict=True):
        if file.schema_arrow.names != names:
            raise InputError(f"{path}: other features than in {paths[0]}")
    groups = [
        Group(part, number, file.metadata.row_group(number).num_rows)
        for part, file in enumerate(files)
        for number in range(file.num_row_groups)
    ]
    chosen = choose(groups, most)
    if not chosen:
        raise InputError(f"{paths[0]}: no state in it")
    tables = [_read(paths[group.part], files[group.part], group.number) for group in chosen]
    values = {name: np.concatenate([table[name].to_numpy() for table in tables]) for name in names if name not in KEYS}
    segments = [table["segment"].to_numpy() for table in tables]
    return FeatureSample(sum(group.states for group in groups), values, stretches(chosen, segments))


def choose(groups: list[Group], most: int) -> list[Group]:
    """All groups, or as many as surely have no more than `most` states, evenly spaced; at least one."""
    groups = [group for group in groups if group.states]
    if sum(group.states for group in groups) <= most:
        return groups
    count = max(most // max(group.states for group in groups), 1)
    return [groups[i] for i in np.unique(np.linspace(0, len(groups) - 1, count).round().astype(np.int64))]


def stretches(groups: list[Group], segments: list[np.ndarray]) -> np.ndarray:
    """A number for each state that grows where the next state is of another part or segment, or not the next one."""
    found: list[np.ndarray] = []
    last = 0
    for i, (group, segment) in enumerate(zip(groups, segments, strict=True)):
        before = groups[i - 1]
        follows = i > 0 and group.part == before.part and group.number == before.number + 1
        first = segments[i - 1][-1] if follows else segment[0] - 1
        found.append(last + np.cumsum(np.diff(segment, prepend=first) != 0))
        last = int(found[-1][-1])
    return np.concatenate(found)


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _not_ours(path, error) from None
    types = [field.type for field in file.schema_arrow]
    if tuple(file.schema_arrow.names[: len(KEYS)]) != KEYS or set(types[len(KEYS) :]) != {pa.float64()}:
        raise _not_ours(path, ValueError("other columns"))
    return file


def _read(path: Path, file: pq.ParquetFile, group: int) -> pa.Table:
    try:
        return file.read_row_group(group)
    except (pa.ArrowException, OSError) as error:
        raise _not_ours(path, error) from None


def _not_ours(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a features file of extract_features ({type(error).__name__}: {error})")
