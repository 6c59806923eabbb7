"""From files to tapes: the states of one split, with the features and the split of balance_windows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.lib.progress import Progress
from scripts.lib.splits import NAMES
from scripts.orderbook.states.reader import Batch, StatesReader
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.taker_fills import NS_PER_MS, Latency
from scripts.orderbook.trading.tape import NEVER, Tape, decision_rows, make_tape
from scripts.orderbook.windows.inputs import PER_LEVEL, Scaling, usable

BETWEEN_PARTS = 2  # jump of the row numbers, so that the last row of a part is not followed by the next one's first

MANY = 0.5  # share of the orders


class Needed(NamedTuple):
    """Levels a side that the features take, and how many of them must be certain (None: all)."""

    levels: int
    certain: int | None


@dataclass(frozen=True)
class Rows:
    """Usable states: row numbers over all parts, segments, times (n,) int64; levels (n, 4, depth) float64."""

    row: np.ndarray
    segment: np.ndarray
    event_time: np.ndarray
    local_time: np.ndarray
    levels: np.ndarray

    def last(self, count: int) -> Rows:
        """The latest `count` of them."""
        return self if count >= len(self.row) else Rows(*(values[-count:] for values in vars(self).values()))


def read_split(
    states: list[Path], windows: Path, split: str, scaling: Scaling, rules: TradingRules, max_states: int,
    certain: int | None = None, mirror: bool = False,
) -> Tape:  # fmt: skip
    """The usable states of one split as a tape.

    Args:
        states: Parquet of parse_book, all parts of a feed in time order.
        windows: windows.parquet of balance_windows: the split reaches from its first window's start to the last one's
            end, without the moments of the splits before it. Windows of two splits never overlap, so neither do tapes.
        split: train, validation or test.
        scaling: of the features.
        rules: latency.
        max_states: at most so many, the latest.
        certain: levels a side that must be certain; None: all that the features need.
        mirror: whether the split's mirror image follows it: see `mirrored`.

    Raises:
        InputError: a file is not what it should be, or no state of the split is usable.
    """
    start, end = split_bounds(windows, split)
    rows = read_rows(states, start, end, Needed(scaling.levels, certain), max_states)
    run = np.concatenate([[0], np.cumsum((np.diff(rows.row) != 1) | (np.diff(rows.segment) != 0))])
    times, levels = (rows.event_time, rows.local_time), rows.levels
    if mirror:
        levels = np.concatenate([levels, mirrored(levels, run)])
        times = (np.tile(times[0], 2), np.tile(times[1], 2))
        run = np.concatenate([run, run + run[-1] + 1])
    features = scaling.of_states(levels.reshape(len(levels), -1))
    return make_tape(*times, run, levels, features, Latency(rules.latency_states, rules.latency_ms))


def rows_of(tape: Tape, length: int, rules: TradingRules, windows: Path) -> list[range]:
    """Decision rows of a tape.

    Raises:
        InputError: no stretch is long enough.
    """
    rows = decision_rows(tape, length, rules.decision_every)
    if not rows:
        longest = max(len(stretch) for stretch in tape.stretches())
        raise InputError(
            f"{windows}: the split's longest stretch of usable states has {longest}, two decisions need"
            f" {length + rules.decision_every} (length {length}, decision_every {rules.decision_every})"
        )
    count = sum(len(found) for found in rows)
    log.info("%d states in %d stretches, %d decisions", len(tape), len(rows), count)
    warn_of_clocks(tape, np.concatenate([np.array(found[:-1]) for found in rows]))
    return rows


def warn_of_clocks(tape: Tape, decisions: np.ndarray) -> None:
    """Say so where most orders never arrive, as when the capture's clock is far ahead of the venue's."""
    late = float(np.mean(tape.arrival[decisions] == NEVER))
    if late > MANY:
        ahead = float(np.median(tape.known_at - tape.event_time)) / NS_PER_MS
        log.warning("%.0f %% of the orders arrive after their stretch's end; states were known %.0f ms (median) after"
                    " their event time", 100 * late, ahead)  # fmt: skip


def split_bounds(windows: Path, split: str) -> tuple[int, int]:
    """Event times (ns) of a split's first and last state.

    Windows are split by their places among the states. Where several states have one time, or the venue's clock goes
    back, the split before may reach into this one's times: those are left to it.

    Raises:
        InputError: not a file of balance_windows, or no window of that split in it.
    """
    try:
        table = pq.read_table(windows, columns=["split", "start_time", "end_time"])
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{windows}: not windows.parquet of balance_windows ({error})") from None
    chosen = table.filter(pc.equal(table["split"], split))
    if not chosen.num_rows:
        raise InputError(f"{windows}: no window of the split '{split}'")
    start, end = int(pc.min(chosen["start_time"]).as_py()), int(pc.max(chosen["end_time"]).as_py())
    before = table.filter(pc.is_in(table["split"], pa.array(NAMES[: NAMES.index(split)], pa.string())))
    taken = [int(pc.max(before["end_time"]).as_py())] if before.num_rows else []
    return max([start, *(last + 1 for last in taken)]), end


def read_rows(states: list[Path], start: int, end: int, needed: Needed, max_states: int) -> Rows:
    """The latest usable states with start <= event_time <= end, read batch by batch.

    Raises:
        InputError: a file is not one of parse_book, depths differ or are too small, or no state is usable.
    """
    kept: deque[Rows] = deque()
    found = seen = first = 0
    depth: int | None = None
    with Progress("read", len(states), "parts") as progress:
        for path in states:
            with StatesReader(path) as reader:
                check_depth(path, reader.depth, depth, needed.levels)
                depth = reader.depth
                for batch in reader.batches():
                    inside = (batch.event_time >= start) & (batch.event_time <= end)
                    rows = usable_rows(batch, inside, first, needed)
                    seen += int(inside.sum())
                    first += len(batch.event_time)
                    kept.append(rows)
                    found += len(rows.row)
                    while found - len(kept[0].row) >= max_states:
                        found -= len(kept.popleft().row)
            first += BETWEEN_PARTS
            progress.advance()
    if not found:
        raise InputError(f"{states[0]}: none of the {seen} states of the split has {needed.levels} known levels a side")
    fields = [vars(rows) for rows in kept]
    rows = Rows(**{name: np.concatenate([field[name] for field in fields]) for name in fields[0]}).last(max_states)
    log.info("%d states of the split, %d usable ones taken", seen, len(rows.row))
    return rows


def check_depth(path: Path, depth: int, before: int | None, levels: int) -> None:
    """Raises: InputError: fewer levels than the features need, or not as many as the parts before."""
    if depth < levels:
        raise InputError(f"{path}: holds {depth} levels a side, the features need {levels}")
    if before is not None and depth != before:
        raise InputError(f"{path}: holds {depth} levels a side, the parts before {before}")


def usable_rows(batch: Batch, inside: np.ndarray, first: int, needed: Needed) -> Rows:
    """The states of a batch that are inside the split, have all levels that the features need, and are not crossed."""
    chosen = np.flatnonzero(inside & usable(batch.levels.T, batch.known_levels, needed.levels, needed.certain))
    taken = np.ascontiguousarray(batch.levels[:, chosen].T).reshape(
        len(chosen), PER_LEVEL, len(batch.levels) // PER_LEVEL
    )
    return Rows(first + chosen, batch.segment[chosen], batch.event_time[chosen], batch.local_time[chosen], taken)


def mirrored(levels: np.ndarray, run: np.ndarray) -> np.ndarray:
    """The market's mirror image: bids become asks, and prices are reflected about the first mid of their run.

    What rises falls there, at the same costs. Trained on both, an agent cannot take the direction in which its training
    period happened to drift for something that it should hold.

    Args:
        levels: (n, 4, depth): bid prices, bid sizes, ask prices, ask sizes.
        run: (n,) number of the run of consecutive states.
    """
    first = np.concatenate([[0], np.flatnonzero(np.diff(run)) + 1])
    centre = (levels[first, 0, 0] + levels[first, 2, 0])[np.searchsorted(first, np.arange(len(run)), "right") - 1]
    image: np.ndarray = levels[:, [2, 3, 0, 1]]
    image[:, [0, 2]] = centre[:, None, None] - image[:, [0, 2]]
    return image
