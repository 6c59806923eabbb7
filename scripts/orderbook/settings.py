"""Settings of the order-book line: one model a stage, and the feeds."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Launch, Name, Settings
from scripts.lib.training.settings import TrainingSettings
from scripts.orderbook.encoder_config import SizeName

Venue = Literal[
    "binance-spot", "binance-usdm", "binance-coinm", "bybit", "kraken", "okx", "bitget", "coinbase", "bitmex", "tardis",
    "lobster", "databento",
]  # fmt: skip
# each of their files begins with the whole book; captures of a venue's own stream hold a snapshot where it began
WHOLE_FILES = {"tardis", "lobster", "databento"}
API_KEY = "TARDIS_API_KEY"  # environment variable with the key to all but the free days
Exchange = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Window = Annotated[int, Field(ge=2, le=1_000_000)]
Lag = Annotated[int, Field(ge=1, le=8_000)]
Signal = Annotated[float, Field(ge=0, lt=1)]

ACCIDENT_MESSAGES = 8
"""Depth messages that an accident of a simulated stream needs to itself, beside `snapshot_after`."""


class SimulateOptions(Settings):
    """What the config says of simulated feeds."""

    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the random numbers; each part of a feed draws its own from it and from the part's name."""
    messages: int = Field(2_000, ge=10, le=100_000_000)
    """Depth messages a part."""
    interval_ms: int = Field(100, ge=1, le=60_000)
    """Time between two depth messages, milliseconds."""
    events_per_message: float = Field(20.0, gt=0, le=10_000)
    """Mean number of order-book events between two depth messages."""
    start_price: float = Field(60_000.0, gt=0, le=1e9)
    """Mid price at the start, quote currency."""
    tick: float = Field(0.1, ge=1e-8, le=1e6)
    """Smallest price step, quote currency."""
    lot: float = Field(0.001, gt=0, le=1e6)
    """Smallest size step, base currency."""
    snapshot_levels: int = Field(1_000, ge=1, le=5_000)
    """Levels a side in the REST snapshot."""
    snapshot_after: int = Field(3, ge=0, le=1_000)
    """Depth messages that the collector received before the snapshot came, at the start and after each gap."""
    regime_messages: float = Field(200.0, ge=1, le=1e9)
    """Mean stay in a regime, depth messages; volatility, spread and depth each change theirs by themselves."""
    volatility_ticks: list[Annotated[float, Field(ge=0, le=1_000)]] = Field([2.0, 6.0], min_length=1, max_length=10)
    """Standard deviation of the mid's change from one depth message to the next, ticks; one value a regime."""
    spread_ticks: list[Annotated[float, Field(ge=1, le=1_000)]] = Field([1.5, 4.0], min_length=1, max_length=10)
    """Mean spread, ticks; one value a regime."""
    depth_lots: list[Annotated[float, Field(ge=1, le=1e9)]] = Field([200.0, 800.0], min_length=1, max_length=10)
    """Mean size of a level, lots; one value a regime."""
    pressure_messages: float = Field(200.0, ge=1, le=1e9)
    """Life (1/e) of the pressure that makes the sizes of one side larger than those of the other, depth messages."""
    lost_diffs: int = Field(0, ge=0, le=1_000_000)
    """Depth messages a part that are missing: each is a gap, and a later REST snapshot mends it."""
    swapped_diffs: int = Field(0, ge=0, le=1_000_000)
    """Depth messages a part that stand after the next one: each is a gap, too."""
    negative_sizes: int = Field(0, ge=0, le=1_000_000)
    """Depth messages a part that hold a negative size: each is a bad line and, since it is missing, a gap."""
    doubled_diffs: int = Field(0, ge=0, le=1_000_000)
    """Depth messages a part that stand there twice."""
    garbage_lines: int = Field(0, ge=0, le=1_000_000)
    """Lines a part that are no messages: noise, or the beginning of one."""
    cut_bytes: int = Field(0, ge=0, le=1_000_000)
    """Bytes missing at the end of each packed part: one bad line, and the last messages are lost."""

    @property
    def accidents(self) -> int:
        """Accidents a part, but for the cut."""
        return self.lost_diffs + self.swapped_diffs + self.negative_sizes + self.doubled_diffs + self.garbage_lines

    @model_validator(mode="after")
    def _a_book_can_be_rebuilt(self) -> Self:
        if self.snapshot_after >= self.messages:
            raise ValueError(f"snapshot_after: {self.snapshot_after} with {self.messages} messages: no snapshot comes")
        needed = (self.accidents + 1) * (self.snapshot_after + ACCIDENT_MESSAGES)
        if self.accidents and needed > self.messages:
            raise ValueError(f"messages: {self.accidents} accidents a part need {needed}, not {self.messages}")
        return self


class SimulateSettings(SimulateOptions):
    """Settings of simulate_book."""

    symbol: str = Field("BTCUSDT", min_length=1)
    """Symbol written into the messages."""
    signal: Signal = 0.0
    """Correlation of the pressure, which the imbalance of the sizes shows, with the mid's next change. 0: the mid is a
    random walk that has nothing to do with the book."""


class FetchOptions(Settings):
    """What the config says of all feeds of a provider."""

    base_url: str = Field("https://datasets.tardis.dev/v1", pattern=r"^https?://[^/\s]+[^\s]*[^/\s]$")
    """Where the provider's files lie: BASE/EXCHANGE/incremental_book_L2/YYYY/MM/DD/SYMBOL.csv.gz."""


class FetchSettings(FetchOptions):
    """Settings of fetch_book."""

    exchange: Exchange
    """The provider's name of the exchange, such as binance-futures."""
    symbol: str = Field(min_length=1)
    """The exchange's name of the instrument."""
    attempts: int = Field(10, ge=1, le=1_000)
    """Attempts in a row that bring nothing new, before the download is given up."""
    first_wait_s: float = Field(1.0, gt=0, le=600)
    """Wait after the first of them, seconds; each further one waits twice as long, up to two minutes."""
    silence_s: float = Field(60.0, gt=0, le=3_600)
    """Time without a byte after which a connection counts as dead, seconds."""


class ParseOptions(Settings):
    """What the config says of all feeds."""

    depth: int = Field(24, ge=1, le=1_000)
    """Levels a side in each state."""
    every_messages: int = Field(1, ge=1, le=1_000_000_000)
    """A state is written after this many depth messages; 1: after each. A segment's first state always is."""
    every_ms: int | None = Field(None, ge=1, le=86_400_000)
    """Instead: once this much event time has passed since the last state written, milliseconds; null: by messages."""
    crossed: Literal["drop_older", "flag", "resync"] = "drop_older"
    """What is done when a message leaves the best bid at or above the best ask. drop_older: the one of the two that
    was set earlier is removed, until they no longer cross (but none where the venue's checksum proves the book); flag:
    nothing, it is only counted; resync: the segment ends, and the next snapshot begins a new one."""
    max_bad_lines: int = Field(100, ge=0)
    """Lines that may be unreadable before the part is refused."""

    @model_validator(mode="after")
    def _rows_come_by_messages_or_by_time(self) -> Self:
        if self.every_ms is not None and self.every_messages != 1:
            raise ValueError("every_messages and every_ms: set one of them")
        return self


class ParseSettings(ParseOptions):
    """Settings of parse_book."""

    venue: Venue
    """Venue whose format and sequence rules hold."""
    symbol: str | None = None
    """The instrument to take from a capture of several; null: the only one."""


class PlotSettings(Settings):
    """Settings of plot_book."""

    levels: int = Field(20, ge=1, le=1_000)
    """Levels a side drawn in the ladder and summed in the depth."""
    max_points: int = Field(2_000, ge=10, le=100_000)
    """States drawn at most, evenly chosen over the part."""


class FeatureSettings(Settings):
    """Settings of extract_features."""

    volatility_windows: list[Window] = Field([100, 1_000], max_length=16)
    """Windows of the realised volatility, in states."""
    rolling_windows: list[Window] = Field([100, 1_000], max_length=16)
    """Windows of the rolling order flow imbalance, imbalance and return, in states."""

    @model_validator(mode="after")
    def _windows_differ(self) -> Self:
        for name in ("volatility_windows", "rolling_windows"):
            windows = getattr(self, name)
            if len(set(windows)) < len(windows):
                raise ValueError(f"{name}: a window is named twice")
        return self


class ExploreSettings(Settings):
    """Settings of explore_features."""

    max_states: int = Field(500_000, ge=10_000, le=10_000_000)
    """States used at most, in stretches evenly spaced over all parts; about 0.2 GB of memory a million."""
    bins: int = Field(60, ge=5, le=500)
    """Bins of the histograms, and of each axis of the regime map."""
    lags: list[Lag] = Field([1, 2, 5, 10, 20, 50, 100, 200, 500], min_length=1, max_length=50)
    """Lags of the autocorrelation, in states."""


class BalanceSettings(Settings):
    """Settings of balance_windows."""

    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the draw of windows."""
    levels: int = Field(24, ge=1, le=1_000)
    """Levels a side, at most those of the states; a window has 4 features a level."""
    known_levels: int | None = Field(None, ge=0, le=1_000)
    """Levels a side that must be certain in each state of a window; null: all of its levels. Beyond the outermost price
    of the last REST snapshot, levels that no message has named since are missing: after long drifts nothing is certain
    until the next snapshot. Fewer than all: the others are taken as the messages tell."""
    length: int = Field(256, ge=2, le=65_536)
    """States a window."""
    stride: int = Field(64, ge=1, le=1_000_000)
    """States from the beginning of one window to that of the next."""
    train_share: float = Field(0.70, gt=0, lt=1)
    """Share of the states, in order of time, that are for training."""
    validation_share: float = Field(0.25, gt=0, lt=1)
    """Share of the states after those that are for validation; the rest is for the test."""
    embargo: int | None = Field(None, ge=0)
    """States left out between two splits, beside the windows that reach over the cut; null: a window's length."""
    tick: float | None = Field(None, ge=1e-8, le=1e6)
    """Smallest price step, quote currency; null: the largest step that divides all prices of the training states."""
    volatility_bins: int = Field(3, ge=1, le=20)
    """Quantile bins of the realised volatility of a window's mid."""
    trend_bins: int = Field(3, ge=1, le=20)
    """Quantile bins of the change of the mid over a window."""
    spread_bins: int = Field(3, ge=1, le=20)
    """Quantile bins of the mean spread of a window, in ticks."""
    depth_bins: int = Field(3, ge=1, le=20)
    """Quantile bins of the mean logarithm of the size of all levels of both sides."""
    min_windows: int = Field(20, ge=1)
    """A condition with fewer windows in a split is rare: it does not lower the number that is taken of the others."""
    rare: Literal["keep", "drop"] = "keep"
    """What is taken of a rare condition. keep: all of its windows; drop: none. Nothing is ever taken twice."""
    evaluation: Literal["natural", "balanced"] = "natural"
    """Validation and test windows. natural: as the market has them; balanced: drawn like the training windows."""
    max_train_windows: int = Field(200_000, ge=1)
    """Training windows at most; 4 * 4 * levels * length bytes each."""
    max_evaluation_windows: int = Field(20_000, ge=1)
    """Validation windows at most, and test windows at most."""

    @model_validator(mode="after")
    def _something_is_left_for_the_test(self) -> Self:
        if self.train_share + self.validation_share >= 1:
            raise ValueError("validation_share: nothing is left for the test")
        return self

    @property
    def certain(self) -> int:
        """Levels a side that must be certain."""
        return self.levels if self.known_levels is None else self.known_levels


class MaskSettings(Settings):
    """What is hidden from the encoder, in pretraining and where its reconstruction is measured."""

    mask_fraction: float = Field(0.25, gt=0, lt=1)
    """Share of a window's entries that is hidden."""
    mask_modes: list[Literal["cell", "step", "level"]] = Field(["cell", "step", "level"], min_length=1, max_length=3)
    """What is hidden together, drawn for each window and epoch. cell: each entry by itself; step: all of a run of
    states; level: price and size of one level of one side over a run of states."""
    mask_span: int = Field(8, ge=1, le=65_536)
    """States in a run of step and level."""

    @model_validator(mode="after")
    def _modes_differ(self) -> Self:
        if len(set(self.mask_modes)) < len(self.mask_modes):
            raise ValueError("mask_modes: a mode is named twice")
        return self


class PretrainSettings(TrainingSettings, MaskSettings):
    """Settings of pretrain_encoder."""

    size: SizeName = "deep_narrow"
    """Width x layers of the encoder (parameters): toy 64 x 2 (0.14 M), small 128 x 4 (0.9 M), base 384 x 7,
    deep_narrow 256 x 16, shallow_wide 512 x 4 (each 13 M), large 768 x 12 (85 M)."""
    fill: Literal["neighbours", "token"] = "neighbours"
    """What stands in place of a hidden entry. neighbours: the last and the next known value of its feature, and the
    model says what to take of each and what to add; token: a learned value, and the model says all."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of a layer's output that is dropped while training."""
    temporal_dim: int = Field(256, ge=2, le=65_536)
    """States of a window; those of balance_windows must have as many."""
    depth_dim: int = Field(96, ge=16, le=4_096, multiple_of=16)
    """Features of a state, 4 times the levels; those of balance_windows must have as many."""
    schedule: Literal["constant", "cosine", "one-cycle", "warmup-stable-decay"] = "one-cycle"
    """Course of the learning rate over the steps."""
    peak: float | None = Field(2.5e-4, gt=0, le=1)
    """one-cycle: the highest learning rate."""
    warmup: float = Field(0.3, ge=0, le=1)
    """Share of the steps in which the learning rate rises."""
    gradient_norm: float | None = Field(1.5, gt=0)
    """Norm to which gradients are clipped; null: not at all."""
    plateau_patience: int | None = Field(5, ge=0)
    """Validations without improvement that are borne before the learning rate is multiplied by plateau_factor; null:
    it never is."""
    stop_patience: int | None = Field(15, ge=0)
    """Validations without improvement that are borne before the training stops early; null: it never does."""
    evaluate_windows: int = Field(2_000, ge=1, le=1_000_000)
    """Windows of each split on which the reconstruction is measured at most, evenly spaced."""


class InferenceSettings(MaskSettings):
    """Settings of test_inference."""

    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the masks."""
    batches: list[Annotated[int, Field(ge=1, le=65_536)]] = Field([1, 32], min_length=1, max_length=16)
    """Windows given to the encoder at a time, each timed."""
    repeats: int = Field(200, ge=10, le=1_000_000)
    """Timed calls of each batch."""
    warm_up: int = Field(20, ge=0, le=10_000)
    """Calls before those that are timed."""
    windows: int = Field(2_000, ge=1, le=1_000_000)
    """Windows of the test split on which the reconstruction is measured at most, evenly spaced."""


class ExportSettings(Settings):
    """Settings of export_encoder."""

    tolerance: float = Field(1e-5, gt=0, le=1)
    """Largest difference that is borne between the exported programs and the encoder, relative to 1 or to the value
    where that is larger."""
    windows: int = Field(8, ge=2, le=1_024)
    """Windows of the test split, a quarter of their entries hidden, on which they are compared."""


class EncoderLaunch(Settings):
    """How the encoder's GPU jobs are launched."""

    pretrain: Launch
    """pretrain_encoder: up to 2 GPUs."""
    inference: Launch
    """test_inference: with a GPU it is timed beside the CPU."""


class EncoderBlock(Settings):
    """The `orderbook.encoder:` block of the config."""

    pretrain: PretrainSettings = PretrainSettings()
    """pretrain_encoder: masked pretraining."""
    inference: InferenceSettings = InferenceSettings()
    """test_inference: latency, throughput, reconstruction by level and condition."""
    export: ExportSettings = ExportSettings()
    """export_encoder: TorchScript and torch.export."""
    launch: EncoderLaunch
    """GPUs, threads, memory and time."""

    @model_validator(mode="after")
    def _fp8_has_its_environment(self) -> Self:
        if self.pretrain.precision == "fp8" and self.launch.pretrain.env != "transformer-engine":
            raise ValueError("pretrain.precision: fp8 needs launch.pretrain.env: transformer-engine")
        return self


class Feed(Settings):
    """Definition of one feed, a `{book}` of the rules."""

    venue: Venue
    """Venue whose format and sequence rules hold."""
    symbol: Annotated[str, Field(min_length=1)] | None = None
    """The instrument to take from a capture of several; null: the only one."""
    provider: Literal["tardis"] | None = None
    """Who has the files: fetch_book gets them there. null: they are named by `raw`, or simulated."""
    exchange: Exchange | None = None
    """The provider's name of the exchange, such as binance-futures."""
    sha256: str | None = None
    """Path of a manifest with digests of the fetched files, lines of sha256sum for PART.csv.gz; null: none is known."""
    raw: str | None = None
    """Path of the raw files, with `{part}` where the part's name goes; null: fetched or simulated."""
    snapshot: str | None = None
    """Path of REST snapshots in files of their own: with `{part}` one for each part, without it that of the first."""
    snapshot_each_part: bool | None = None
    """Whether each part begins with a snapshot of its own, so that all parts are parsed at the same time; if not, each
    goes on with the book that the one before left. null: true for simulated and fetched parts, LOBSTER, Databento and
    Tardis files, and where `snapshot` names one for each part."""
    parts: list[Name] = Field(min_length=1)
    """Names of the parts, in time order: raw files, or days (YYYYMMDD) of a fetched or simulated feed."""
    signal: Signal = 0.0
    """Of a simulated feed: how well the imbalance of its book predicts the mid (see simulate_book); 0: not at all."""

    @property
    def is_simulated(self) -> bool:
        return self.raw is None and self.provider is None

    @property
    def is_chained(self) -> bool:
        """Whether a part goes on with the book that the one before left."""
        if self.snapshot_each_part is not None:
            return not self.snapshot_each_part
        whole = self.raw is None or self.venue in WHOLE_FILES
        return not (whole or (self.snapshot is not None and "{part}" in self.snapshot))

    @model_validator(mode="after")
    def _raw_and_parts_agree(self) -> Feed:
        if self.provider:
            self._check_fetched()
        elif self.exchange or self.sha256:
            raise ValueError(f"{'exchange' if self.exchange else 'sha256'}: only with a provider")
        if self.is_simulated:
            self._check_simulated()
        elif self.signal:
            raise ValueError("signal: only a simulated feed has one")
        if len(set(self.parts)) < len(self.parts):
            raise ValueError("parts: a part is named twice")
        if self.raw is not None and len(self.parts) > 1 and "{part}" not in self.raw:
            raise ValueError("raw: several parts need a '{part}' in the path")
        if self.snapshot is not None and (self.raw is None or self.venue in WHOLE_FILES):
            raise ValueError(f"snapshot: {self.venue} files need none" if self.raw else "snapshot: only with 'raw'")
        return self

    def _check_fetched(self) -> None:
        if self.raw is not None:
            raise ValueError("provider and raw: set one of them")
        if self.venue != self.provider:
            raise ValueError(f"venue: files of {self.provider} have venue '{self.provider}', not '{self.venue}'")
        if not self.symbol or not self.exchange:
            raise ValueError(f"{'exchange' if self.symbol else 'symbol'}: a fetched feed needs one")
        self._check_days("fetched")

    def _check_simulated(self) -> None:
        if self.venue != "binance-usdm":
            raise ValueError("only binance-usdm feeds can be simulated; give 'raw'")
        if not self.symbol:
            raise ValueError("symbol: a simulated feed needs one")
        self._check_days("simulated")

    def _check_days(self, kind: str) -> None:
        for part in self.parts:
            if not re.fullmatch(r"\d{8}", part):
                raise ValueError(f"parts: those of a {kind} feed are days, YYYYMMDD, not '{part}'")


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


class BookCausalityOptions(Settings):
    """What the config says of the causality check."""

    cuts: int = Field(1, ge=1, le=100)
    """Instants after which the captures are changed, in each of training, validation and test."""
    windows: int = Field(2_000, ge=1, le=1_000_000)
    """Windows of a split drawn for it at most."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the changes."""


class BookCausalitySettings(BookCausalityOptions):
    """Settings of check_book_causality: its own, and those of the stages that it runs once more."""

    venue: Venue
    """Venue whose format and sequence rules hold."""
    symbol: str | None = None
    """The instrument to take from a capture of several; null: the only one."""
    chained: bool = False
    """Whether a part goes on with the book that the one before left."""
    parse: ParseOptions = ParseOptions()
    """Raw part to book states."""
    features: FeatureSettings = FeatureSettings()
    """Features of each state."""
    balance: BalanceSettings = BalanceSettings()
    """Windows."""
    evaluate: EvaluateOptions = EvaluateOptions()
    """Splits that the agents trade through."""
    trading: TradingRules = TradingRules()
    """Costs, latency and inventory."""


class OrderbookConfig(Settings):
    """The `orderbook:` block of the config."""

    feeds: list[Name] = Field(default=[])
    """Active feeds: names of entries in `books`."""
    books: dict[Name, Feed] = Field(default={})
    """Definitions of feeds by name."""
    fetch: FetchOptions = FetchOptions()
    """fetch_book: days of a provider's feeds."""
    simulate: SimulateOptions = SimulateOptions()
    """simulate_book: raw depth streams for the demo and for tests."""
    parse: ParseOptions = ParseOptions()
    """parse_book: raw part to book states."""
    plot: PlotSettings = PlotSettings()
    """plot_book: price ladder, spread and depth over time."""
    features: FeatureSettings = FeatureSettings()
    """extract_features: prices, imbalances, order flow and rolling statistics of each state."""
    explore: ExploreSettings = ExploreSettings()
    """explore_features: distributions, autocorrelation and regimes of a feed."""
    balance: BalanceSettings = BalanceSettings()
    """balance_windows: windows of book states for training, drawn evenly from the market's conditions."""
    encoder: EncoderBlock
    """Masked pretraining of the encoder, its speed, its export."""

    causality: BookCausalityOptions = BookCausalityOptions()
    """check_book_causality: whether anything depends on messages that came after it."""
    agent: AgentConfig
    """train_agent and evaluate_agent: agents that trade on book states, beside naive baselines."""

    @model_validator(mode="after")
    def _the_encoder_fits_the_windows(self) -> Self:
        found = (self.balance.length, 4 * self.balance.levels)
        if found != (self.encoder.pretrain.temporal_dim, self.encoder.pretrain.depth_dim):
            raise ValueError(
                "encoder.pretrain: temporal_dim and depth_dim must be balance.length and 4 * balance.levels,"
                f" {found[0]} and {found[1]}"
            )
        return self

    @model_validator(mode="after")
    def _feeds_are_defined(self) -> OrderbookConfig:
        if len(set(self.feeds)) < len(self.feeds):
            raise ValueError("feeds: a feed is named twice")
        for name in self.feeds:
            if name not in self.books:
                raise ValueError(f"feeds: '{name}' is not defined in books ({', '.join(self.books) or 'none is'})")
        return self
