"""The first walk over a feed's states: where windows can begin, in what condition the market is in each, how to scale.

Memory: 80 bytes a window, and one batch of states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.lib.errors import InputError
from scripts.lib.progress import Progress
from scripts.orderbook.capture.records import PRICE_SCALE
from scripts.orderbook.states.reader import Batch, StatesReader
from scripts.orderbook.windows.inputs import PER_LEVEL, Moments, Scaling, book_features, has_levels, is_open
from scripts.orderbook.windows.kernels import measure
from scripts.orderbook.windows.settings import BalanceSettings

MEASURES = {"volatility": "bp", "trend": "bp", "spread": "ticks", "depth": "log size"}
"""What conditions are made of, with units."""
WINDOW = np.dtype(
    [("part", np.int64), ("segment", np.int64)]
    + [(name, np.int64) for name in ("start_row", "start_time", "end_time")]  # row in the part; ns
    + [("position", np.int64), ("known_levels", np.int64)]  # of the first state among all of the feed; the fewest
    + [(name, np.float64) for name in MEASURES]
)
FAULTS = UNKNOWN, CROSSED = (1, 2)
FAULT_NAMES = {UNKNOWN: "unknown_levels", CROSSED: "crossed"}


@dataclass
class Scan:
    """What the walk has found.

    Attributes:
        states: states of the feed
        windows: records of WINDOW, those that can be used, in order of time; the spread in ticks
        left_out: why others cannot, and how many
        scaling: fitted on the states before the first cut
    """

    states: int
    windows: np.ndarray
    left_out: dict[str, int]
    scaling: Scaling


class Tail:
    """Arrays of the last states of a part, put before those of the next batch: windows reach over batches."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._kept: dict[str, np.ndarray] = {}

    def join(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays with what is left of the batches before in front of them."""
        if self._kept:
            arrays = {name: np.concatenate([self._kept[name], array]) for name, array in arrays.items()}
        self._kept = {name: array[len(array) - min(self._length, len(array)) :] for name, array in arrays.items()}
        return arrays


def batches(paths: list[Path], levels: int, what: str) -> Iterator[tuple[int, int, Batch]]:
    """All states of a feed with their best levels: the part's number, the row of the batch's first state, the batch.

    Raises:
        InputError: a file that is not one of parse_book, holds fewer levels, or begins before the one before it ends.
    """
    with Progress(what, count_states(paths), "states") as progress:
        last_time: int | None = None
        for part, path in enumerate(paths):
            with StatesReader(path) as reader:
                if reader.depth < levels:
                    raise InputError(f"{path}: holds {reader.depth} levels a side, not {levels}")
                row = 0
                for batch in reader.batches(levels):
                    if not row and last_time is not None and batch.event_time[0] < last_time:
                        raise InputError(
                            f"{path}: begins before {paths[part - 1]} ends: the parts are not in time order"
                        )
                    yield part, row, batch
                    row += len(batch.segment)
                    last_time = int(batch.event_time[-1])
                    progress.advance(len(batch.segment))


def count_states(paths: list[Path]) -> int:
    total = 0
    for path in paths:
        with StatesReader(path) as reader:
            total += reader.states
    return total


def scan(paths: list[Path], settings: BalanceSettings, train_states: int) -> Scan:
    """Walk over all states of a feed.

    Args:
        paths: states files of the parts, in time order
        settings: form of the windows
        train_states: the first states, on which alone the scaling and the tick are fitted

    Raises:
        InputError: beside those of `batches`, no state before the cut can be used.
    """
    fit, find = Fit(settings, train_states), Finder(settings)
    for part, row, batch in batches(paths, settings.levels, "scan"):
        fault = faults(batch, settings.levels, settings.certain)
        fit.add(batch.levels.T, fault)
        find.add(part, row, batch, fault)
    scaling = fit.scaling(paths)
    windows = np.concatenate([np.empty(0, WINDOW), *find.pieces])
    # rounded, so that equal spreads are equal numbers
    windows["spread"] = np.round(windows["spread"] / scaling.tick, 6)
    left_out = {name: int(find.left_out[fault]) for fault, name in FAULT_NAMES.items()}
    return Scan(find.states, windows, left_out, scaling)


def faults(batch: Batch, levels: int, certain: int) -> np.ndarray:
    """(n,) 0 for states that can be used, else UNKNOWN (levels) or CROSSED."""
    states = batch.levels.T
    fault = np.where(is_open(states), 0, CROSSED)
    fault[~has_levels(states, batch.known_levels, levels, certain)] = UNKNOWN
    return fault


class Fit:
    """Fits tick and scaling on the first states of a feed."""

    def __init__(self, settings: BalanceSettings, states: int) -> None:
        self._settings, self._left = settings, states
        self._moments, self._units = Moments(PER_LEVEL * settings.levels), 0

    def add(self, states: np.ndarray, fault: np.ndarray) -> None:
        """Take in (n, 4 * levels) further states."""
        states = states[: self._left][fault[: self._left] == 0]
        self._left -= min(self._left, len(fault))
        if not len(states):
            return
        self._moments.add(
            book_features(states, 1.0, self._settings.levels)
        )  # distances in prices: no tick is known yet
        if self._settings.tick is None:
            levels = self._settings.levels
            prices = np.concatenate([states[:, :levels], states[:, 2 * levels : 3 * levels]], axis=1)
            self._units = common_step(np.rint(prices * PRICE_SCALE).astype(np.int64), self._units)

    def scaling(self, paths: list[Path]) -> Scaling:
        """The scaling; distances are divided by the tick.

        Raises:
            InputError: no state could be used.
        """
        levels, length = self._settings.levels, self._settings.length
        if not self._moments.count:
            raise InputError(f"{paths[0]}: no state for training with {self._settings.certain} known levels a side")
        tick = self._settings.tick or self._units / PRICE_SCALE
        unit = np.repeat([tick, 1.0, tick, 1.0], levels)
        return self._moments.scaling(tick, levels, length, unit)


def common_step(units: np.ndarray, step: int) -> int:
    """The largest number that divides all `units` and `step`; of those before, `step` is that of all."""
    if step and not (units % step).any():  # nearly always: a division costs less than a common divisor
        return step
    return int(np.gcd(step, np.gcd.reduce(units, axis=None)))


class Finder:
    """Finds and measures the windows of a feed; every segment has its own grid, which its first state begins.

    Attributes:
        states: states so far
        pieces: windows that can be used, the spread in prices
        left_out: windows by fault
    """

    def __init__(self, settings: BalanceSettings) -> None:
        self._length, self._stride = settings.length, settings.stride
        self.states = 0
        self.pieces: list[np.ndarray] = []
        self.left_out = np.zeros(1 + max(FAULTS), np.int64)
        self._begin_part()

    def _begin_part(self) -> None:
        self._tail = Tail(self._length - 1)
        self._segment, self._begin = -1, 0  # the first segment is 0

    def add(self, part: int, row: int, batch: Batch, fault: np.ndarray) -> None:
        """Take in the states of a part from `row` on."""
        count = len(fault)
        if row == 0:
            self._begin_part()
        rows = np.arange(row, row + count)
        changes = np.diff(batch.segment, prepend=self._segment) != 0
        begin = np.maximum.accumulate(np.where(changes, rows, self._begin))
        self._segment, self._begin = int(batch.segment[-1]), int(begin[-1])
        others = {"known": batch.known_levels, "fault": fault, "event_time": batch.event_time}
        joined = self._tail.join(state_measures(batch, fault) | others)
        place = rows - begin - (self._length - 1)  # in the segment, of the window that ends here
        ends = np.flatnonzero((place >= 0) & (place % self._stride == 0))
        starts = ends - (self._length - 1)
        windows = np.empty(len(starts), WINDOW)
        windows["part"], windows["segment"] = part, batch.segment[ends]
        windows["start_row"], windows["position"] = row + starts, self.states + starts
        before = len(joined["fault"]) - count
        worst = self._measure(joined, starts + before, windows)
        windows["end_time"] = batch.event_time[ends]
        self.left_out += np.bincount(worst, minlength=len(self.left_out))
        self.pieces.append(windows[worst == 0])
        self.states += count

    def _measure(self, joined: dict[str, np.ndarray], starts: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Fill in the measures, the known levels and the start times; the largest fault of each window."""
        out, worst = np.empty((len(starts), len(MEASURES))), np.empty(len(starts), np.int64)
        log_mid, spread, depth = (joined[name] for name in ("log_mid", "spread", "depth"))
        least = np.empty_like(worst)
        measure(starts, self._length, log_mid, spread, depth, joined["known"], joined["fault"], out, least, worst)
        windows["known_levels"] = least
        for name, values in zip(MEASURES, out.T, strict=True):
            windows[name] = values
        windows["start_time"] = joined["event_time"][starts]
        return worst


def state_measures(batch: Batch, fault: np.ndarray) -> dict[str, np.ndarray]:
    """ln of the mid, spread (price) and ln of the size of all levels of each state; 0 where it cannot be used."""
    good = fault == 0
    bid, bid_size, ask, ask_size = batch.levels.reshape(PER_LEVEL, -1, len(fault))[:, :, good]
    values = {
        "log_mid": np.log((bid[0] + ask[0]) / 2),
        "spread": ask[0] - bid[0],
        "depth": np.log(bid_size.sum(axis=0) + ask_size.sum(axis=0)),
    }
    out = {name: np.zeros(len(fault)) for name in values}
    for name, column in values.items():
        out[name][good] = column
    return out
