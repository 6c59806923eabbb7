"""The `orderbook:` block of the config: its feeds, and the settings of all rooms joined."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Name, Settings
from scripts.orderbook.agent.settings import AgentConfig
from scripts.orderbook.book.settings import ParseOptions
from scripts.orderbook.capture.settings import WHOLE_FILES, Exchange, FetchOptions, Venue
from scripts.orderbook.causality.settings import BookCausalityOptions
from scripts.orderbook.encoder.settings import EncoderBlock
from scripts.orderbook.features.settings import ExploreSettings, FeatureSettings
from scripts.orderbook.simulation.settings import Signal, SimulateOptions
from scripts.orderbook.states.settings import PlotSettings
from scripts.orderbook.windows.settings import BalanceSettings


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
