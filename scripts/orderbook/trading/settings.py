"""Settings of trading."""

from __future__ import annotations

from pydantic import Field

from scripts.lib.settings import Settings


class TradingRules(Settings):
    """What trading costs and how often the agent may act: the same for training, evaluation and baselines."""

    unit: float = Field(0.01, gt=0, le=1e9)
    """Size of one unit of position, base currency (COIN-M: contracts). Keep it small beside the sizes in the book: what
    an order takes is there again at the next state."""
    max_position: int = Field(1, ge=1, le=10)
    """Inventory limit, units; the agent chooses among all whole positions from minus this to this."""
    fee_bps: float = Field(5.0, ge=0, le=1_000)
    """Taker fee on the traded notional, basis points."""
    latency_states: int = Field(1, ge=1, le=100_000)
    """An order arrives at least this many states after the one that it was decided on."""
    latency_ms: float = Field(0.0, ge=0, le=3_600_000)
    """And at least this much time after that one was known here, milliseconds."""
    decision_every: int = Field(10, ge=1, le=1_000_000)
    """States from one decision to the next."""
    max_loss_bps: float = Field(200.0, gt=0, le=10_000)
    """An episode of training ends once it has lost this much of the largest position's notional, basis points."""
