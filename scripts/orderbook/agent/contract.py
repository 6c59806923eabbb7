"""What the account of a feed's agents is: the sentences of its contract, what was counted, its place among trials."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from scripts.lib.account import Band, Description
from scripts.lib.errors import InputError
from scripts.lib.ledger import digest_of, register
from scripts.lib.splits import NAMES
from scripts.orderbook.agent.account import AGENT, RUIN, Curve, Timeline, instants
from scripts.orderbook.agent.policy import AgentDescription
from scripts.orderbook.agent.settings import EvaluateAgentSettings
from scripts.orderbook.trading.data import split_bounds
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.tape import NEVER

FOOTER = 8  # bytes at a Parquet file's end: length of the footer, then PAR1


class Files(NamedTuple):
    """What the agents traded on, and what made their decisions."""

    states: list[Path]
    windows: Path
    deciders: list[Path]
    """Encoder, scaling, policies."""


def describe(
    asset: str,
    timeline: Timeline,
    curve: Curve,
    settings: EvaluateAgentSettings,
    agents: list[AgentDescription],
    files: Files,
    ledger: Path,
) -> Description:
    """Enter the account in the trial ledger, and say what it is.

    Args:
        asset: name of what is traded.
        timeline: its periods.
        curve: what became of the capital.
        settings: how it was traded.
        agents: who traded.
        files: from which it was traded.
        ledger: folder of the trials.
    """
    data, how = states_digest(files.states), trial_settings(settings, agents)
    trial = register(ledger, data, how, digest_of(files.deciders), (timeline.dates[1:], curve.returns))
    return Description(
        name=f"orderbook-{asset}",
        line="orderbook",
        data=data,
        trial=trial,
        periods_a_year=None,
        period="decision",
        contract=contract(settings.trading, len(agents), timeline.parts[0].tape.levels.shape[2]),
        counts=counts_of(timeline, curve),
        settings=how | {"splits": settings.splits, "max_states": settings.max_states},
        simulated=settings.simulated,
        bands=bands_of(files.windows),
    )


def trial_settings(settings: EvaluateAgentSettings, agents: list[AgentDescription]) -> dict[str, Any]:
    """What tells one trial on a feed from another beside the weights. Splits do not: they are the stretch of time."""
    return {
        "line": "orderbook",
        "trading": settings.trading.model_dump(mode="json"),
        "known_levels": settings.known_levels,
        "agents": [agent.model_dump(mode="json") for agent in agents],
    }


def states_digest(states: list[Path]) -> str:
    """Digest of a feed's states: the footers of its files, without reading what may be 100 GB.

    A footer holds the number of rows, and for each 8192 of them the smallest and largest time and update id and the
    compressed size of every column, each level's prices and sizes among them.

    Raises:
        InputError: not a Parquet file.
    """
    found = hashlib.sha256()
    for path in states:
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(size - FOOTER)
                length = int.from_bytes(file.read(4), "little")
                file.seek(size - FOOTER - length)
                found.update(file.read(length) + size.to_bytes(8, "little"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a states file of parse_book ({error})") from None
    return found.hexdigest()


def bands_of(windows: Path) -> list[Band]:
    """The splits that windows.parquet holds, with the instants of their first and last state."""
    held = set(pq.read_table(windows, columns=["split"])["split"].to_pylist())
    found = []
    for name in NAMES:
        if name in held:
            start, end = instants(np.array(split_bounds(windows, name), "datetime64[ns]"))
            found.append(Band(name=name, start=start, end=end))
    return found


def counts_of(timeline: Timeline, curve: Curve) -> dict[str, float]:
    """What was found and done."""
    decisions = [part.tape.arrival[np.concatenate([rows[:-1] for rows in part.rows])] for part in timeline.parts]
    trades = [trade for part in timeline.parts for run in part.walks[AGENT] for trade in run.trades]
    fills = np.concatenate(curve.fills)
    return {
        "agents": len(curve.fills),
        "stretches": sum(len(part.rows) for part in timeline.parts),
        "decisions": sum(len(rows) for rows in decisions),
        "decisions_at_one_instant": sum(len(rows) for rows in decisions) - len(timeline.ends),
        "decisions_too_late_to_arrive": sum(int((rows == NEVER).sum()) for rows in decisions),
        "fills": int((~fills["settled"]).sum()),
        "fills_in_part": sum(abs(trade.size) < abs(trade.wanted) for trade in trades),
        "positions_settled_at_the_mid": int(fills["settled"].sum()),
        "closed_for_good_after_decision": curve.closed,
    }


def contract(rules: TradingRules, agents: int, depth: int) -> list[str]:
    """Sentences that say how the account came about."""
    largest = f"{rules.unit * rules.max_position:g}"
    return [
        f"Each of {agents} agents, trained alike from different seeds, manages 1/{agents} of the capital; their orders"
        " and positions are not netted. Nobody chose among them.",
        f"The capital is {agents} times the notional of the largest position ({largest} of the base currency) at the"
        " first decision's mid. Positions are units: they neither grow with gains nor shrink with losses.",
        f"Each agent decides every {rules.decision_every} states, from the states up to that one and from its own"
        " account, on a target position.",
        "A market order then leaves when that state was known here, the later of its event time and of the capture's"
        f" local time. It meets the first state that comes {rules.latency_states} or more states after the one decided"
        f" on and whose event time is at least {rules.latency_ms:g} ms after that departure. Where the capture's clock"
        " runs behind the venue's, part of the data's way to us goes uncounted.",
        f"There it takes the visible levels of the other side, best first, up to {depth} of them; what they do not hold"
        " is cancelled. It never waits in a queue.",
        "What it takes is there again at the next state: its own impact on the book is not modelled, so that orders"
        " must be small beside the sizes shown.",
        f"A fill pays {rules.fee_bps:g} basis points of its notional as fee; slippage is what it paid beyond the mid of"
        " the state that it met.",
        "Positions are marked at the mid. Cash earns nothing, and short positions and funding cost nothing.",
        f"A position is one of {2 * rules.max_position + 1} sizes, from {largest} short to {largest} long.",
        "At the end of each stretch of usable states (a gap, a break of the sequence, the end of the split) orders on"
        " their way are cancelled and the position is closed at that state's book; what its levels do not take is"
        " settled at the mid, as a trade of the kind 'delisting'. No position lives through a gap.",
        f"An account that is down to {RUIN:.0%} of its capital is closed at the book's prices and trades no more,"
        " agents and benchmarks alike.",
        "A period reaches from one decision to the next; its date is the event time at its end, of several at one"
        " instant the last. Figures are those of a period, not annualised.",
        "Benchmarks trade the same decisions at the same costs with the whole capital: hold buys at once, imbalance"
        " follows the sign of the book's imbalance, random changes its position as often as an agent does.",
        "Splits follow one another in time and were new to the agents; the encoder's weights were chosen by how well"
        " they fill in validation windows.",
    ]
