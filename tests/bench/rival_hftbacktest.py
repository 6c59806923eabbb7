"""What hftbacktest needs from a raw capture to the top levels of the book after every depth message.

    .envs/bench-books/bin/python tests/bench/rival_hftbacktest.py RAW.gz DEPTH ROWS

ROWS is the room that `convert` needs. Runs in the environment envs/bench-books.yaml. Prints JSON: wall seconds of
`convert` and of the replay, CPU seconds of both, states read. To be generous, neither starting Python nor compiling
counts, trades are taken out before the replay, and nothing is stored.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from hftbacktest import BacktestAsset, ROIVectorMarketDepthBacktest
from hftbacktest.data.utils import binancefutures
from numba import njit

DEPTH_EVENTS = (1, 3, 4)  # depth, clear, snapshot
FAR = 5_000  # ticks looked through at most


def replay(hbt: Any, depth: int, out: Any) -> int:
    """Read the best levels whenever the local time moves on."""
    states, last = 0, 0
    while hbt.wait_next_feed(False, 10**15) != 1:
        if hbt.current_timestamp == last:
            continue
        last = hbt.current_timestamp
        book, row = hbt.depth(0), out[states % out.shape[0]]
        found, tick = 0, book.best_bid_tick
        end = tick - FAR
        while found < depth and tick > end:
            size = book.bid_qty_at_tick(tick)
            if size > 0:
                row[2 * found], row[2 * found + 1] = tick * 0.1, size
                found += 1
            tick -= 1
        found, tick = 0, book.best_ask_tick
        end = tick + FAR
        while found < depth and tick < end:
            size = book.ask_qty_at_tick(tick)
            if size > 0:
                row[2 * (depth + found)], row[2 * (depth + found) + 1] = tick * 0.1, size
                found += 1
            tick += 1
        states += 1
    return states


compiled: Any = njit(replay)


def backtest(events: np.ndarray) -> ROIVectorMarketDepthBacktest:
    """Its faster book: one vector over the prices of interest."""
    asset = (
        BacktestAsset().data([events]).linear_asset(1.0).constant_order_latency(0, 0).power_prob_queue_model(2.0)
        .no_partial_fill_exchange().trading_value_fee_model(0, 0).tick_size(0.1).lot_size(0.001)
        .roi_lb(30_000.0).roi_ub(100_000.0)
    )  # fmt: skip
    return ROIVectorMarketDepthBacktest([asset])


def main() -> None:
    raw, depth, buffer = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    out = np.zeros((4_096, 4 * depth))
    start, cpu = time.perf_counter(), time.process_time()
    events = binancefutures.convert(raw, combined_stream=True, buffer_size=buffer)
    converting, cpu = time.perf_counter() - start, time.process_time() - cpu
    events = events[np.isin(events["ev"] & 0xFF, DEPTH_EVENTS)]
    compiled(backtest(events[:1_000].copy()), depth, out)
    hbt = backtest(events)
    start, cpu = time.perf_counter(), cpu - time.process_time()
    states = compiled(hbt, depth, out)
    told = {"convert": converting, "replay": time.perf_counter() - start, "cpu": cpu + time.process_time()}
    print(json.dumps(told | {"states": int(states)}))


if __name__ == "__main__":
    main()
