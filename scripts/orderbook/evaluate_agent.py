"""Trade through validation and test with all agents of a feed, beside naive baselines at the same costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from scripts.lib import job
from scripts.lib.account import write_description
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.lib.ledger import LEDGER
from scripts.lib.plots import save_svg
from scripts.lib.tables import write_csv
from scripts.orderbook.agent.account import (
    AGENT,
    RANDOM,
    all_fills,
    curve_of,
    timeline_of,
    write_benchmarks,
    write_equity,
    write_trades,
)
from scripts.orderbook.agent.contract import Files, describe
from scripts.orderbook.agent.evaluation_plot import draw_evaluation
from scripts.orderbook.agent.policy import (
    AgentDescription,
    decider,
    digests,
    load_policy,
    read_description,
    read_encoder,
    view_of,
)
from scripts.orderbook.agent.settings import EvaluateAgentSettings
from scripts.orderbook.agent.stress import stress_rows
from scripts.orderbook.encoder.model import Encoder
from scripts.orderbook.trading.data import read_split, rows_of
from scripts.orderbook.trading.statistics import FEW_BLOCKS, LEVEL, Earned, Resampling, earned
from scripts.orderbook.trading.tape import Tape
from scripts.orderbook.trading.walk import (
    Traded,
    Walk,
    agent_trader,
    changes_of,
    constant_trader,
    imbalance_trader,
    random_trader,
    walk,
)  # fmt: skip
from scripts.orderbook.windows.inputs import Scaling

CPU = torch.device("cpu")


def main(
    states: list[job.InputFile],
    windows: job.InputFile,
    scaling: job.InputFile,
    encoder: job.InputFile,
    encoder_config: job.InputFile,
    policies: list[job.InputFile],
    agents: list[job.InputFile],
    evaluation: job.OutputFile,
    plot: job.OutputFile,
    trades: job.OutputFile,
    equity: job.OutputFile,
    predictions: job.OutputFile,
    account: job.OutputFile,
    account_equity: job.OutputFile,
    account_trades: job.OutputFile,
    account_benchmarks: job.OutputFile,
    stress: job.OutputFile,
    asset: str,
    settings: EvaluateAgentSettings,
    ledger: Path = LEDGER,
) -> None:
    """Trade through validation and test with all agents of a feed, beside naive baselines at the same costs.

    Baselines: flat; hold (long all the time); random (changes its position as often as the agents do, one run for each
    of them); imbalance (the sign of the book's imbalance beyond a threshold).

    Args:
        states: Parquet of parse_book, all parts of a feed in time order
        windows: windows.parquet of balance_windows, which tells the splits
        scaling: scaling.json of balance_windows
        encoder: weights of pretrain_encoder, safetensors
        encoder_config: encoder.json beside them
        policies: weights of train_agent, one for each seed
        agents: agent.json of train_agent, in the same order
        evaluation: CSV with what each trader earned in each split, with intervals
        plot: SVG of the same
        trades: CSV with all fills
        equity: CSV with positions and equity over time
        predictions: Parquet for the backtest: known_at, asset, horizon, signal of each decision
        account: JSON, what the account of all agents together is
        account_equity: CSV of it: date (of each decision), equity, cash, gross, net, turnover
        account_trades: CSV of it: date, asset, units (signed), price, fee, slippage (quote currency), kind
        account_benchmarks: CSV of it: date, benchmark, equity of each baseline that trades
        stress: CSV with what it would have earned with other fees, later orders, and every decision turned round
        asset: name of what is traded, such as the feed's
        settings: splits, baselines and intervals
        ledger: folder that counts every configuration ever run on these states
    """
    if len(policies) != len(agents):
        raise InputError(f"--policies, --agents: {len(policies)} and {len(agents)} files, one pair for each seed")
    model, scales = read_encoder(encoder, encoder_config, scaling)
    descriptions = [read_description(path) for path in agents]
    check_rules(agents, descriptions, settings)
    check_inputs(agents, descriptions, digests(encoder, scaling, windows))
    found = [
        trade(split, states, windows, model, scales, policies, descriptions, settings) for split in settings.splits
    ]
    table = evaluate(found, settings)
    write_csv(evaluation, [row.row() for row in table])
    save_svg(draw_evaluation(found, table, asset), plot, f"{asset}: agents and baselines out of sample")
    write_csv(trades, trade_rows(found), TRADE_COLUMNS)
    write_csv(equity, equity_rows(found, settings.max_points))
    write_predictions(predictions, found, asset, settings.trading.decision_every)
    timeline = timeline_of(found, settings.trading)
    curve = curve_of(timeline, all_fills(timeline, AGENT, settings.trading), settings.trading)
    write_equity(account_equity, timeline, curve)
    write_trades(account_trades, timeline, curve, asset)
    write_benchmarks(account_benchmarks, timeline, float(curve.equity[0]), settings.trading)
    write_csv(stress, stress_rows(timeline, settings.trading, resampling_of(settings)))
    files = Files(states, windows, [encoder, scaling, *policies])
    write_description(account, describe(asset, timeline, curve, settings, descriptions, files, ledger))
    report(table)


def trade(
    split: str, states: list[Path], windows: Path, model: Encoder, scales: Scaling, policies: list[Path],
    agents: list[AgentDescription], settings: EvaluateAgentSettings,
) -> Traded:  # fmt: skip
    """All traders' runs through one split."""
    tape = read_split(states, windows, split, scales, settings.trading, settings.max_states, settings.known_levels)
    rows = rows_of(tape, model.config.length, settings.trading, windows)
    views = {mode: view_of(mode, model, tape.features, rows, CPU)[0] for mode in {agent.encoder for agent in agents}}
    walks = {AGENT: [], **baselines(tape, rows, settings)}
    for path, agent in zip(policies, agents, strict=True):
        probabilities = decider(load_policy(path, agent, model))
        trader = agent_trader(probabilities, views[agent.encoder], settings.trading, agent.reward_bps)
        walks[AGENT].append(walk(tape, rows, settings.trading, trader, f"{split}-seed-{agent.seed}"))
    walks[RANDOM] = random_walks(tape, rows, settings, walks[AGENT])
    return Traded(split, tape, rows, walks)


def report(table: list[Earned]) -> None:
    """Say what was earned, and where there is too little time for the intervals to be trusted."""
    few = sorted({row.split for row in table if row.blocks < FEW_BLOCKS})
    if few:
        log.warning("%s: fewer than %d blocks of the bootstrap: intervals are too narrow", ", ".join(few), FEW_BLOCKS)
    for row in table:
        log.info("%s %s: %.2f bp net, %.0f %% interval %.2f to %.2f", row.split, row.trader, row.net_bps, 100 * LEVEL,
                 row.low_bps, row.high_bps)  # fmt: skip


def check_rules(paths: list[Path], agents: list[AgentDescription], settings: EvaluateAgentSettings) -> None:
    """Raises: InputError: an agent was trained with other positions or another rhythm than it is to trade with."""
    for path, agent in zip(paths, agents, strict=True):
        for key in ("max_position", "decision_every"):
            trained, wanted = getattr(agent.trading, key), getattr(settings.trading, key)
            if trained != wanted:
                raise InputError(f"{path}: trained with {key} {trained}, not {wanted}")


def check_inputs(paths: list[Path], agents: list[AgentDescription], given: dict[str, str]) -> None:
    """Raises: InputError: an agent saw the book through another encoder or scaling, or learned from other splits, so
    that what is out of sample here need not be so for it."""
    for path, agent in zip(paths, agents, strict=True):
        for name, digest in given.items():
            if agent.made_with.get(name) != digest:
                raise InputError(f"{path}: was not trained with the {name} given here (sha256 {digest[:16]}…)")


def baselines(tape: Tape, rows: list[range], settings: EvaluateAgentSettings) -> dict[str, list[Walk]]:
    """Runs of the traders that need no agent."""
    rules = settings.trading
    traders = {
        "flat": constant_trader(rules, 0),
        "hold": constant_trader(rules, 1),
        "imbalance": imbalance_trader(tape, rules, settings.rule_levels, settings.rule_threshold),
    }
    return {name: [walk(tape, rows, rules, trader, name)] for name, trader in traders.items()}


def random_walks(tape: Tape, rows: list[range], settings: EvaluateAgentSettings, agents: list[Walk]) -> list[Walk]:
    """A random trader for each agent, which changes its position as often."""
    rules = settings.trading
    return [
        walk(
            tape, rows, rules, random_trader(rules, changes_of(run), np.random.default_rng([settings.seed, i])), RANDOM
        )
        for i, run in enumerate(agents)
    ]


def evaluate(found: list[Traded], settings: EvaluateAgentSettings) -> list[Earned]:
    """Rows of the table: each split, then all of them together where there are several."""
    resampling = resampling_of(settings)
    table = [
        earned(part.split, trader, runs, part.hours, resampling)
        for part in found
        for trader, runs in part.walks.items()
    ]
    if len(found) > 1:
        hours = sum(part.hours for part in found)
        for trader, runs in found[0].walks.items():
            joined = [join([part.walks[trader][i] for part in found]) for i in range(len(runs))]
            table.append(earned("all", trader, joined, hours, resampling))
    return table


def resampling_of(settings: EvaluateAgentSettings) -> Resampling:
    return Resampling(settings.draws, settings.block, settings.seed)


def join(walks: list[Walk]) -> Walk:
    """Runs of one trader one behind the other; rows stay those of their own tapes."""
    names = [name for name in vars(walks[0]) if name != "trades"]
    arrays = {name: np.concatenate([getattr(run, name) for run in walks]) for name in names}
    return Walk(**arrays, trades=[trade for run in walks for trade in run.trades])


TRADE_COLUMNS = (
    "split", "trader", "run", "decided_at", "filled_at", "wanted", "size", "price", "notional", "spread_cost", "fee",
)  # fmt: skip


def runs_of(found: Iterable[Traded]) -> Iterator[tuple[Traded, str, int, Walk]]:
    """All runs with split, trader and number."""
    for part in found:
        for trader, runs in part.walks.items():
            for number, run in enumerate(runs):
                yield part, trader, number, run


def trade_rows(found: list[Traded]) -> Iterator[dict[str, Any]]:
    """One row a fill; sizes in base currency, signed, money in quote currency, times of the venue."""
    for part, trader, number, run in runs_of(found):
        for trade in run.trades:
            decided, filled = (iso(int(part.tape.event_time[row])) for row in (trade.decided, trade.row))
            yield {
                "split": part.split, "trader": trader, "run": number, "decided_at": decided, "filled_at": filled,
                "wanted": trade.wanted, "size": trade.size, "price": trade.notional / trade.size,
                "notional": trade.notional, "spread_cost": trade.spread_cost, "fee": trade.fee,
            }  # fmt: skip


def equity_rows(found: list[Traded], points: int) -> Iterator[dict[str, Any]]:
    """At most `points` rows a run, the last decision among them: target in units, then what was earned from the split's
    start to the next decision, basis points."""
    for part, trader, number, run in runs_of(found):
        gross, costs = run.gross.cumsum(), (run.spread + run.fees).cumsum()
        for place in np.unique(np.linspace(0, len(gross) - 1, min(points, len(gross))).round().astype(int)):
            yield {
                "split": part.split, "trader": trader, "run": number,
                "time": iso(int(part.tape.event_time[run.row[place]])), "target": int(run.target[place]),
                "gross_bps": gross[place], "costs_bps": costs[place], "net_bps": gross[place] - costs[place],
            }  # fmt: skip


def write_predictions(path: Path, found: list[Traded], asset: str, horizon: int) -> None:
    """One row a decision: the instant at which its states were known here, and the mean over the agents of their signal
    (−1 … 1) and of their target. The horizon is the states until the next decision."""
    known = np.concatenate([part.tape.known_at[part.walks[AGENT][0].row] for part in found])
    signal, target = (
        np.concatenate([np.mean([getattr(run, name) for run in part.walks[AGENT]], axis=0) for part in found])
        for name in ("signal", "target")
    )
    order = np.argsort(known, kind="stable")
    split = np.repeat([part.split for part in found], [len(part.walks[AGENT][0].row) for part in found])
    columns = {
        "known_at": pa.array(known[order], pa.int64()).cast(pa.timestamp("ns", tz="UTC")),
        "asset": pa.array([asset] * len(known)),
        "horizon": pa.array([horizon] * len(known), pa.int64()),
        "signal": pa.array(signal[order]),
        "target": pa.array(target[order]),
        "split": pa.array(split[order]),
    }
    pq.write_table(pa.table(columns), path)


def iso(ns: int) -> str:
    """An instant as ISO 8601 with nanoseconds, UTC."""
    return f"{np.datetime64(ns, 'ns')}Z"


if __name__ == "__main__":
    job.run(main)
