"""Measures of windows of states: the compiled inner loop of scan.py beside it."""

from __future__ import annotations

from scripts.lib.kernels import Array, kernel

BP = 1e4  # basis points in 1


@kernel
def measure(
    starts: Array, length: int, log_mid: Array, spread: Array, depth: Array, known: Array, fault: Array, out: Array,
    least: Array, worst: Array,
) -> None:  # fmt: skip
    """Measure the windows that begin at `starts` and have `length` states, each by itself.

    Args:
        log_mid, spread, depth: (n,) of each state: ln of the mid, spread, ln of the size of all levels
        known: (n,) certain levels
        fault: (n,) 0 for states that can be used, else why not
        out: (windows, 4), filled: √Σ r² and Σ r of the log returns r of the mid, basis points; mean spread; mean depth
        least, worst: (windows,), filled: the fewest certain levels, the largest fault
    """
    for i in range(starts.size):
        start = starts[i]
        found, fewest = fault[start], known[start]
        squares, spreads, depths = 0.0, spread[start], depth[start]
        for j in range(start + 1, start + length):
            change = log_mid[j] - log_mid[j - 1]
            squares += change * change
            spreads += spread[j]
            depths += depth[j]
            found, fewest = max(found, fault[j]), min(fewest, known[j])
        out[i, 0] = BP * squares**0.5
        out[i, 1] = BP * (log_mid[start + length - 1] - log_mid[start])
        out[i, 2], out[i, 3] = spreads / length, depths / length
        least[i], worst[i] = fewest, found
