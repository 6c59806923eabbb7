"""Settings of the agents: training and evaluation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Launch, Settings
from scripts.orderbook.trading.settings import TradingRules


class AgentRun(Settings):
    """How the training of an agent is carried out, never what it computes: a change leaves the checkpoints valid."""

    checkpoint_minutes: float = Field(10.0, ge=0, le=1_440)
    """Time between two checkpoints, minutes; 0: after every rollout."""
    keep: int = Field(2, ge=1, le=1_000)
    """Newest checkpoints kept."""
    stop_minutes: float = Field(5.0, ge=0, le=600)
    """Time before the end of a Slurm job at which the training saves and stops, minutes."""


class AgentOptions(Settings):
    """What the config says of the training of agents."""

    encoder: Literal["frozen", "trained"] = "frozen"
    """frozen: the agent sees the encoder's view of the latest window, computed once for each decision; trained: the
    encoder goes on learning with the policy, which costs its forward and backward pass at every step."""
    decisions: int = Field(2_000_000, ge=1, le=10_000_000_000)
    """Decisions to learn from, over all environments; rounded up to whole rollouts."""
    environments: int = Field(16, ge=1, le=4_096)
    """Copies of the market that are walked through side by side."""
    rollout: int = Field(256, ge=2, le=1_000_000)
    """Decisions of each environment between two updates of the policy."""
    episode: int = Field(500, ge=2, le=1_000_000)
    """Decisions an episode at most; a position left open is closed at its end, at the book's prices."""
    batch: int = Field(512, ge=2, le=1_000_000)
    """Decisions a gradient step; must divide environments times rollout."""
    epochs: int = Field(4, ge=1, le=100)
    """Passes over a rollout's decisions."""
    learning_rate: float = Field(3.0e-4, gt=0, le=1)
    """Learning rate of Adam at the start; it falls linearly to zero."""
    gamma: float = Field(0.95, ge=0, le=1)
    """Discount of rewards a decision later."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Weight of longer looks ahead in the advantages (generalised advantage estimation)."""
    clip: float = Field(0.2, gt=0, le=1)
    """Largest change of an action's probability ratio that still counts."""
    entropy: float = Field(0.01, ge=0, le=1)
    """Weight of the policy's entropy, which keeps it trying."""
    hidden: list[Annotated[int, Field(ge=1, le=8_192)]] = Field([64, 64], min_length=1, max_length=8)
    """Widths of the hidden layers of policy and value, each."""
    cost_warmup: float = Field(0.3, ge=0, le=1)
    """Share of the training over which costs in the reward rise from nothing to full: an agent that pays in full while
    it still acts at random learns to stay flat before it can see what the book tells."""
    mirror: bool = True
    """Whether to train on the market's mirror image too (bids for asks, prices reflected), so that the direction in
    which the training period happened to drift is not learned."""
    max_states: int = Field(2_000_000, ge=100, le=1_000_000_000)
    """States to train on at most, the latest of the training period; about 1.3 kB of memory each at 24 levels, twice as
    much with their mirror image."""
    run: AgentRun = AgentRun()
    """How the training is carried out."""

    @model_validator(mode="after")
    def _batches_are_whole(self) -> Self:
        if self.environments * self.rollout % self.batch:
            raise ValueError(
                f"batch: {self.batch} does not divide the {self.environments * self.rollout} decisions of a rollout"
                " (environments times rollout)"
            )
        return self


class TrainAgentSettings(AgentOptions):
    """Settings of train_agent."""

    known_levels: int | None = Field(None, ge=0, le=1_000)
    """Levels a side that must be certain in each state, as for balance_windows; null: all that the features take."""
    trading: TradingRules = TradingRules()
    """Costs, latency and inventory."""


class EvaluateOptions(Settings):
    """What the config says of the evaluation of agents."""

    splits: list[Literal["validation", "test"]] = Field(["validation", "test"], min_length=1, max_length=2)
    """Splits to trade through; no agent was trained or chosen on either. The encoder's weights were chosen by how well
    they fill in validation windows, so the test alone is new to both."""
    rule_threshold: float = Field(0.5, ge=0, lt=1)
    """The imbalance rule goes long above this imbalance, short below its negative, and keeps its position between."""
    rule_levels: int = Field(1, ge=1, le=1_000)
    """Levels a side that the imbalance rule sums."""
    draws: int = Field(2_000, ge=100, le=1_000_000)
    """Bootstrap samples for the intervals."""
    block: int = Field(50, ge=1, le=1_000_000)
    """Mean length of the bootstrap's blocks, decisions: no shorter than positions are held."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the random baseline and of the bootstrap."""
    max_states: int = Field(2_000_000, ge=100, le=1_000_000_000)
    """States of a split traded through at most, the latest ones."""
    max_points: int = Field(2_000, ge=10, le=1_000_000)
    """Rows of the equity table at most for each run, evenly chosen."""

    @model_validator(mode="after")
    def _splits_differ(self) -> Self:
        if len(set(self.splits)) < len(self.splits):
            raise ValueError("splits: a split is named twice")
        return self


class EvaluateAgentSettings(EvaluateOptions):
    """Settings of evaluate_agent."""

    known_levels: int | None = Field(None, ge=0, le=1_000)
    """Levels a side that must be certain in each state, as for balance_windows; null: all that the features take."""
    trading: TradingRules = TradingRules()
    """Costs, latency and inventory: those that the agents were trained with."""
    simulated: bool = False
    """Whether the book is simulated, so that what was earned says nothing of any market."""


class AgentConfig(Settings):
    """The `orderbook.agent:` block of the config."""

    seeds: list[Annotated[int, Field(ge=0, le=2**32 - 1)]] = Field([0, 1, 2, 3, 4], min_length=1, max_length=1_000)
    """One agent is trained for each seed, as a job of its own."""
    trading: TradingRules = TradingRules()
    """Costs, latency and inventory, for all agents and baselines."""
    train: AgentOptions = AgentOptions()
    """train_agent: a policy for each seed."""
    evaluate: EvaluateOptions = EvaluateOptions()
    """evaluate_agent: all seeds and the baselines out of sample."""
    launch: Launch
    """GPUs, threads, memory and time of train_agent."""

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: a seed is named twice")
        return self
