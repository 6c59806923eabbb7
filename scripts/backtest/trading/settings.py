"""Settings of predictions and of how they are traded."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from scripts.lib.settings import DAY, Settings


class Portfolio(Settings):
    """How the signals of a date become target weights."""

    rule: Literal["quantile", "top_k", "proportional", "equal", "given"] = "quantile"
    """quantile: long the largest, short the smallest; top_k: hold the k largest; proportional: to the signal; equal:
    all that have a signal; given: the signal is the weight."""
    gross: float = Field(1.0, gt=0, le=100)
    """Sum of the absolute weights, fraction of the account value (rule given: as the signals say)."""
    quantile: float = Field(0.1, gt=0, le=0.5)
    """Rule quantile: floor(quantile x N) of the N assets with a signal make a side."""
    long_only: bool = False
    """Rules quantile and proportional: no short side; the long side gets the whole gross."""
    k: int = Field(20, ge=1, le=10_000)
    """Rule top_k: names held."""
    dropout: int | None = Field(None, ge=1, le=10_000)
    """Rule top_k: names that may leave a date for better ones; null: all."""
    neutral: bool = True
    """Rule proportional: signals less their mean, so that longs and shorts balance."""
    tranches: bool = False
    """Each date's weights get 1/h of the book for h sessions, h being the prediction's horizon."""
    volatility_target: float | None = Field(None, gt=0, le=10)
    """Volatility a year to which weights are scaled, from the sessions before the decision; null: no scaling."""
    volatility_sessions: int = Field(60, ge=5, le=2_520)
    """Sessions of that estimate."""
    max_weight: float | None = Field(None, gt=0, le=100)
    """Largest absolute weight of an asset; null: none."""
    max_gross: float | None = Field(None, gt=0, le=100)
    """Largest sum of absolute weights; null: none (with a volatility target: the gross)."""
    max_net: float | None = Field(None, ge=0, le=100)
    """Largest absolute sum of weights; null: none."""
    max_turnover: float | None = Field(None, gt=0, le=100)
    """Largest traded value over account value when a target is traded; orders are scaled down alike; null: none."""


class BacktestSettings(Settings):
    """Settings of run_backtest."""

    portfolio: Portfolio = Portfolio()
    """From signals to weights."""
    signal_column: str = Field("signal", min_length=1)
    """Column of the predictions that is traded."""
    fill: Literal["next_open", "next_close"] = "next_open"
    """Price at which orders fill: the open or the close of the first session after the signal is known."""
    calendar: str | None = Field(None, min_length=1)
    """Exchange calendar (exchange_calendars' name, such as XNYS) of all assets, for prices without a column `calendar`
    that names each asset's own: prices on other days are left out and counted, and instants are compared with its
    opening times. null: every date of the prices is a session and opens at 00:00 UTC."""
    sessions_a_year: int = Field(252, ge=1, le=366)
    """Sessions by which figures become those of a year: 252 of an exchange, 365 of a market that never closes.
    A volatility target is scaled by them too."""
    no_price: Literal["wait", "lapse"] = "wait"
    """What an order does whose asset has no price at the fill: wait for the next one (until the next rebalance), or
    lapse."""
    whole_units: bool = False
    """Round units toward zero to whole ones."""
    initial_cash: float = Field(1_000_000.0, gt=0, le=1e15)
    """Account value at the start, currency."""
    fee_bps: float = Field(0.0, ge=0, le=1_000)
    """Fee, basis points of the traded notional."""
    fee_per_unit: float = Field(0.0, ge=0, le=1e6)
    """Fee a unit traded, currency."""
    fee_minimum: float = Field(0.0, ge=0, le=1e6)
    """Smallest fee an order, currency."""
    slippage_bps: float = Field(0.0, ge=0, le=1_000)
    """Slippage against the order, basis points of the price."""
    impact: float = Field(0.0, ge=0, le=100)
    """Square-root impact: this x daily volatility x sqrt(units / mean daily volume); 0: none."""
    impact_days: int = Field(20, ge=2, le=252)
    """Sessions of that volatility and volume."""
    borrow_rate: float = Field(0.0, ge=0, le=10)
    """Borrow fee a year on the value of short positions, actual/365."""
    cash_rate: float = Field(0.0, ge=-1, le=10)
    """Interest a year on cash (also on proceeds of short sales; paid on a debt), actual/365."""
    delisting_return: float = Field(0.0, ge=-1, le=10)
    """Return from the last price to what holders got, of assets whose prices end without an entry in the delistings."""
    delisted_after: int = Field(5, ge=1, le=252)
    """Sessions without a price up to the end of the data after which an asset counts as delisted."""
    draws: int = Field(2_000, ge=100, le=100_000)
    """Draws of the stationary bootstrap."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of intervals."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the bootstrap."""
    model_cutoff: str | None = Field(None, pattern=DAY)
    """Last day of what the model behind the predictions was trained on, of a language model its cutoff: the page tells
    what was earned before and after it. null: not known."""
    begin: str | None = Field(None, pattern=DAY)
    """First day whose signals are traded, such as 2015-01-01; null: all."""
    end: str | None = Field(None, pattern=DAY)
    """Day before which signals and sessions end; null: all."""
    folds: int = Field(1, ge=1, le=1_000)
    """Equal stretches into which the dates of the signals are cut, each an account of its own."""
    fold: int = Field(0, ge=0, le=999)
    """The one of them that is traded, from 0."""
    universe_share: float = Field(1.0, gt=0, le=1)
    """Share of the assets that may be traded, drawn at random: how much hangs on a few names."""
    universe_seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of that draw."""

    @field_validator("model_cutoff", "begin", "end")
    @classmethod
    def _it_is_a_day(cls, day: str | None) -> str | None:
        if day is not None:
            date.fromisoformat(day)
        return day

    @model_validator(mode="after")
    def _the_fold_is_one_of_them(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"fold: {self.fold} is none of 0 to {self.folds - 1}")
        return self

    @model_validator(mode="after")
    def _tranches_replace_rebalancing(self) -> Self:
        if self.portfolio.tranches and self.portfolio.rule == "top_k":
            raise ValueError("portfolio: tranches overlap; top_k holds names from date to date: choose one of them")
        return self


class ReplayOptions(Settings):
    """What the config says of replay_trades."""

    tolerance: float = Field(1e-9, gt=0, le=1)
    """Difference to the second simulator, as a fraction of the account value, up to which the two agree."""


class ReplaySettings(ReplayOptions):
    """Settings of replay_trades; all but the tolerance as in the backtest."""

    initial_cash: float = Field(1_000_000.0, gt=0, le=1e15)
    """Account value at the start, currency."""
    borrow_rate: float = Field(0.0, ge=0, le=10)
    """Borrow fee a year on the value of short positions, actual/365."""
    cash_rate: float = Field(0.0, ge=-1, le=10)
    """Interest a year on cash, actual/365."""
    calendar: str | None = Field(None, min_length=1)
    """Exchange calendar of all assets."""
    delisting_return: float = Field(0.0, ge=-1, le=10)
    """Return from the last price of assets whose prices end without an entry in the delistings."""
    delisted_after: int = Field(5, ge=1, le=252)
    """Sessions without a price after which an asset counts as delisted."""


class SignalOptions(Settings):
    """What the config says of compute_signal."""

    rule: Literal["momentum", "reversal", "command"] = "momentum"
    """momentum: the return so far; reversal: its negative; command: a program of one's own."""
    lookback: int = Field(60, ge=1, le=2_520)
    """Sessions of that return."""
    skip: int = Field(0, ge=0, le=252)
    """Latest sessions that it leaves out."""
    every: int = Field(5, ge=1, le=252)
    """Sessions from one date with signals to the next."""
    horizon: int | None = Field(None, ge=1, le=2_520)
    """Sessions that a signal speaks of; null: until the next one."""
    command: str | None = Field(None, min_length=1)
    """Rule command: a command line with {prices} and {predictions}, which writes the latter as Parquet: known_at,
    asset, signal, horizon. It is not given to a shell."""

    @model_validator(mode="after")
    def _a_command_has_its_files(self) -> Self:
        if self.rule == "command" and not all(name in (self.command or "") for name in ("{prices}", "{predictions}")):
            raise ValueError("command: must name {prices} and {predictions}")
        return self


class SignalSettings(SignalOptions):
    """Settings of compute_signal."""

    calendar: str | None = Field(None, min_length=1)
    """Exchange calendar, as in the backtest."""
    index: str | None = Field(None, min_length=1)
    """The backtest's index, which is a benchmark and gets no signal; a program of one's own leaves it out by itself."""
