"""One account for all agents of a feed: decision by decision what their fills and the book's mids make of its capital.

Each of S agents manages 1/S of the capital, and the capital is S times the notional of the largest position at the
first decision's mid. Positions are units of the base currency: they neither grow with gains nor shrink with losses. So
an account that has lost nine tenths of its capital is closed at the book's prices and trades no more: returns on what
is left of it would tell of the leverage, not of the trader.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.lib.account import BENCHMARKS, EQUITY, TRADES, write_rows
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.taker_fills import fill_order
from scripts.orderbook.trading.walk import Traded, Walk

AGENT, RANDOM, FLAT = "agent", "random", "flat"
RUIN = 0.1  # of the capital
CRUMB = 1e-9  # of a unit: what rounding leaves of a closed position
FILL = np.dtype(
    [
        ("row", np.int64),  # among the states of all splits
        ("units", np.float64),  # signed
        ("notional", np.float64),  # units times price, signed
        ("fee", np.float64),
        ("slippage", np.float64),  # paid beyond the mid
        ("settled", np.bool_),  # no order: what the book did not take at a stretch's end, at the mid
    ]
)


@dataclass(frozen=True)
class Timeline:
    """The periods of an account, each from one decision to the next, through the splits in order of time.

    States of all splits stand one behind the other; n of them, T periods.
    """

    parts: list[Traded]
    """In order of time."""
    offsets: np.ndarray
    """(parts,) row of each part's first state."""
    clock: np.ndarray
    """(n,) int64 ns event time; where the venue's clock goes back, the latest time so far."""
    mid: np.ndarray
    """(n,) mid prices."""
    first: int
    """Row of the first decision."""
    ends: np.ndarray
    """(T,) rows at which periods end, ascending, each at a later time than the one before."""
    notional: float
    """Of the largest position at the first decision, quote currency."""

    @property
    def dates(self) -> np.ndarray:
        """(T + 1,) datetime64[ns]: the start, then the end of each period."""
        dates: np.ndarray = self.clock[self.marks].astype("datetime64[ns]")
        return dates

    @property
    def marks(self) -> np.ndarray:
        """(T + 1,) rows of the start and of the ends."""
        return np.concatenate([[self.first], self.ends])

    def book(self, row: int) -> np.ndarray:
        """(4, depth) levels of a state."""
        part = int(np.searchsorted(self.offsets, row, side="right")) - 1
        levels: np.ndarray = self.parts[part].tape.levels[row - self.offsets[part]]
        return levels


class Curve(NamedTuple):
    """What became of a capital; quote currency, or shares of the account value. T periods, A agents."""

    equity: np.ndarray  # (T + 1,), the capital first
    cash: np.ndarray  # (T + 1,)
    gross: np.ndarray  # (T + 1,) of the agents' positions, which are not netted
    net: np.ndarray  # (T + 1,)
    turnover: np.ndarray  # (T + 1,) traded notional over the account value before it
    fills: list[np.ndarray]  # A arrays of FILL
    closed: int  # period at whose end the account was closed for good; 0: never

    @property
    def returns(self) -> np.ndarray:
        """(T,) simple returns of the periods."""
        found: np.ndarray = self.equity[1:] / self.equity[:-1] - 1
        return found


def timeline_of(found: list[Traded], rules: TradingRules) -> Timeline:
    """The periods of all splits. Of decisions at one instant the last one counts."""
    parts = sorted(found, key=lambda part: int(part.tape.event_time[0]))
    offsets = np.cumsum([0, *(len(part.tape) for part in parts[:-1])])
    clock = np.maximum.accumulate(np.concatenate([part.tape.event_time for part in parts]))
    mid = np.concatenate([part.tape.mid for part in parts])
    ends = np.concatenate(
        [offset + np.array(rows[1:]) for offset, part in zip(offsets, parts, strict=True) for rows in part.rows]
    )
    kept = np.append(np.diff(clock[ends]) > 0, True)
    first = parts[0].rows[0][0]
    return Timeline(parts, offsets, clock, mid, first, ends[kept], rules.unit * rules.max_position * float(mid[first]))


def all_fills(timeline: Timeline, trader: str, rules: TradingRules) -> list[np.ndarray]:
    """The fills of each of a trader's runs, through all splits."""
    count = len(timeline.parts[0].walks[trader])
    return [fills_of(timeline, [part.walks[trader][i] for part in timeline.parts], rules) for i in range(count)]


def fills_of(timeline: Timeline, walks: list[Walk], rules: TradingRules) -> np.ndarray:
    """One run's fills (of FILL) through all splits, in order of time; `walks` one for each of the timeline's parts."""
    found = []
    for offset, part, run in zip(timeline.offsets, timeline.parts, walks, strict=True):
        rows = [(trade.row, trade.size, trade.notional, trade.fee, max(trade.spread_cost, 0.0), False)
                for trade in run.trades]  # fmt: skip
        fills = np.array(rows, FILL)
        fills = np.concatenate([fills, settlements(part, fills, rules)])
        fills = fills[np.argsort(fills["row"], kind="stable")]
        fills["row"] += offset
        found.append(fills)
    return np.concatenate(found)


def settlements(part: Traded, fills: np.ndarray, rules: TradingRules) -> np.ndarray:
    """What the book did not take when positions were closed at the ends of stretches: it goes at the mid."""
    last = np.array([rows[-1] for rows in part.rows])
    left = np.bincount(part.tape.stretch[fills["row"]], fills["units"], int(part.tape.stretch[-1]) + 1)
    left = left[part.tape.stretch[last]]
    open_ = np.abs(left) > CRUMB * rules.unit
    return settled(last[open_], left[open_], part.tape.mid[last[open_]])


def settled(rows: np.ndarray, positions: np.ndarray, mids: np.ndarray) -> np.ndarray:
    """Fills that end positions at the mid, free of cost."""
    found = np.zeros(len(rows), FILL)
    found["row"], found["units"], found["notional"], found["settled"] = rows, -positions, -positions * mids, True
    return found


def curve_of(timeline: Timeline, runs: list[np.ndarray], rules: TradingRules) -> Curve:
    """What became of the capital of as many agents as there are runs."""
    curve = marked(timeline, runs, rules)
    low = np.flatnonzero(curve.equity <= RUIN * curve.equity[0])
    if not len(low):
        return curve
    row = int(timeline.ends[low[0] - 1])
    return marked(timeline, [closed(timeline, fills, row, rules) for fills in runs], rules)._replace(closed=int(low[0]))


def marked(timeline: Timeline, runs: list[np.ndarray], rules: TradingRules) -> Curve:
    """Cash from the fills, positions marked at the mid."""
    count = len(timeline.ends) + 1
    flows, units, size, traded = (np.zeros(count) for _ in range(4))
    for fills in runs:
        period = np.searchsorted(timeline.ends, fills["row"]) + 1
        held = np.cumsum(np.bincount(period, fills["units"], count))
        held[np.abs(held) <= CRUMB * rules.unit] = 0.0
        flows -= np.bincount(period, fills["notional"] + fills["fee"], count)
        traded += np.bincount(period, np.abs(fills["notional"]) * ~fills["settled"], count)
        units += held
        size += np.abs(held)
    cash = len(runs) * timeline.notional + np.cumsum(flows)
    mid = timeline.mid[timeline.marks]
    equity = cash + units * mid
    before = np.append(equity[0], equity[:-1])
    return Curve(
        equity, cash, share(size * mid, equity), share(units * mid, equity), share(traded, before), list(runs), 0
    )


def share(values: np.ndarray, equity: np.ndarray) -> np.ndarray:
    """Values over the account value; 0 where nothing is left of it."""
    shares: np.ndarray = np.divide(values, equity, out=np.zeros(len(values)), where=equity > 0)
    return shares


def closed(timeline: Timeline, fills: np.ndarray, row: int, rules: TradingRules) -> np.ndarray:
    """One run's fills up to a row, and those that close its position there."""
    kept = fills[fills["row"] <= row]
    position = float(kept["units"].sum())
    if abs(position) <= CRUMB * rules.unit:
        return kept
    levels, mid = timeline.book(row), float(timeline.mid[row])
    fill = fill_order(-position, levels[:2], levels[2:], rules.fee_bps)
    slippage = max(fill.notional - fill.size * mid, 0.0)
    order = np.array([(row, fill.size, fill.notional, fill.fee, slippage, False)], FILL)[: int(fill.size != 0)]
    left = position + fill.size
    rest = settled(np.array([row]), np.array([left]), np.array([mid]))[: int(abs(left) > CRUMB * rules.unit)]
    return np.concatenate([kept, order, rest])


# ---------------------------------------------------------------------------------------------------------- the files


def write_equity(path: Path, timeline: Timeline, curve: Curve) -> None:
    columns = (column.tolist() for column in (curve.equity, curve.cash, curve.gross, curve.net, curve.turnover))
    write_rows(path, EQUITY, zip(instants(timeline.dates), *columns, strict=True))


def write_trades(path: Path, timeline: Timeline, curve: Curve, asset: str) -> None:
    """One row a fill of an agent, in order of time; what was settled is of the kind that needs no order."""
    fills = np.concatenate(curve.fills)
    fills = fills[np.argsort(fills["row"], kind="stable")]
    kinds = np.where(fills["settled"], "delisting", "order").tolist()
    dates = instants(timeline.clock[fills["row"]].astype("datetime64[ns]"))
    price = (fills["notional"] / fills["units"]).tolist()
    numbers = (fills["units"].tolist(), price, fills["fee"].tolist(), fills["slippage"].tolist())
    write_rows(path, TRADES, zip(dates, [asset] * len(fills), *numbers, kinds, strict=True))


def write_benchmarks(path: Path, timeline: Timeline, capital: float, rules: TradingRules) -> None:
    write_rows(path, BENCHMARKS, benchmark_rows(timeline, capital, rules))


def benchmark_rows(timeline: Timeline, capital: float, rules: TradingRules) -> Iterator[tuple[object, ...]]:
    """The baselines that trade, each with the whole capital: as if as many of it traded as there are agents."""
    dates = instants(timeline.dates)
    for trader in timeline.parts[0].walks:
        if trader in (AGENT, FLAT):
            continue
        for number, fills in enumerate(all_fills(timeline, trader, rules)):
            name = f"{trader}_{number:02d}" if trader == RANDOM else trader
            equity = capital * (curve_of(timeline, [fills], rules).equity / timeline.notional)
            yield from ((date, name, value) for date, value in zip(dates, equity.tolist(), strict=True))


def instants(dates: np.ndarray) -> list[str]:
    """datetime64[ns] as ISO 8601 with nanoseconds, UTC."""
    return [f"{date}Z" for date in np.datetime_as_string(dates, unit="ns").tolist()]
