"""Features of book states, batch by batch; columns.py beside it says what each one is."""

from __future__ import annotations

import numpy as np

from scripts.orderbook.features.columns import FLOW_LEVELS, NEAR_LEVELS, POINT, ROLLING, STATE, feature_names
from scripts.orderbook.features.kernels import (
    SCRATCH,
    SHAPES,
    STATES,
    add_flow,
    log_returns,
    rolling_sums,
    state_shapes,
)
from scripts.orderbook.features.settings import FeatureSettings

NANOSECONDS = 1e9


class FeatureStream:
    """Computes the features of consecutive states; what it gives does not depend on how they are cut into batches."""

    def __init__(self, depth: int, settings: FeatureSettings) -> None:
        self.names = feature_names(settings)
        self._depth = depth
        self._scratch = np.empty(SCRATCH), np.empty((2, SHAPES, STATES))
        self._last = np.full((2, 2, depth), np.nan)  # side, price or size, level of the last state
        self._last_time, self._last_segment, self._last_mid = 0, -1, np.nan  # the first segment is 0
        self._squares = [RollingSum(window) for window in settings.volatility_windows]
        self._rolling = [{name: RollingSum(window) for name in ROLLING} for window in settings.rolling_windows]

    def add(self, event_time: np.ndarray, segment: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Features of the next states.

        Args:
            event_time: (n,) int64, ns
            segment: (n,) int64
            levels: (4 * depth, n) float64, contiguous, in the order of `level_columns`

        Returns:
            (len(names), n).
        """
        out = np.empty((len(self.names), len(segment)))
        columns = dict(zip(self.names, out, strict=True))
        starts = np.flatnonzero(np.diff(segment, prepend=self._last_segment))
        sides = levels.reshape(2, 2, self._depth, -1)
        state_shapes(sides[0], sides[1], min(NEAR_LEVELS, self._depth), *self._scratch, out[: len(STATE)])
        self._add_changes(columns, sides, event_time, starts)
        self._add_windows(columns, starts)
        self._last = sides[:, :, :, -1].copy()
        self._last_time, self._last_segment, self._last_mid = event_time[-1], segment[-1], columns["mid"][-1]
        return out

    def _add_changes(
        self, columns: dict[str, np.ndarray], sides: np.ndarray, event_time: np.ndarray, starts: np.ndarray
    ) -> None:
        """Features of a state and the one before it."""
        for name, levels in (("ofi_1", 1), ("ofi_10", min(FLOW_LEVELS, self._depth))):
            columns[name].fill(0.0)
            for side, last, towards in zip(sides, self._last, (1.0, -1.0), strict=True):
                add_flow(side[0], side[1], last, towards, levels, columns[name])
        log_returns(columns["mid"], self._last_mid, columns["log_return"])
        columns["interval"][:] = np.diff(event_time, prepend=self._last_time) / NANOSECONDS
        for name in ("ofi_1", "ofi_10", "log_return", "interval"):
            columns[name][starts] = np.nan

    def _add_windows(self, columns: dict[str, np.ndarray], starts: np.ndarray) -> None:
        squares = columns["log_return"] ** 2
        rows = iter(list(columns.values())[len(POINT) :])
        for square in self._squares:
            row = next(rows)
            square.add(squares, starts, row)
            np.sqrt(row, out=row)
        for window in self._rolling:
            for name, rolling in window.items():
                row = next(rows)
                rolling.add(columns[ROLLING[name]], starts, row)
                if name.endswith("_mean"):
                    row /= rolling.window


class RollingSum:
    """Sum over the last `window` values of a segment, carried from batch to batch."""

    def __init__(self, window: int) -> None:
        self.window = window
        self._block = np.append(np.full(window, np.nan), 0.0)
        self._place = np.zeros(1, dtype=np.int64)
        self._head = np.zeros(1)

    def add(self, values: np.ndarray, starts: np.ndarray, out: np.ndarray) -> None:
        """Put the sums that end with each of the next values into `out`; a segment begins at each of `starts`."""
        rolling_sums(values, starts, self._block, self._place, self._head, out)
