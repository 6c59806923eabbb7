"""Settings of the backtests."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Settings

DAY = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"


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
    """Exchange calendar (exchange_calendars' name, such as XNYS): prices on other days are left out and counted, and
    instants are compared with its opening times. null: every date of the prices is a session and opens at 00:00 UTC."""
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


class EvaluateSettings(Settings):
    """Settings of evaluate_predictions."""

    signal_column: str = Field("signal", min_length=1)
    """Column of the predictions that is judged."""
    fill: Literal["next_open", "next_close"] = "next_open"
    """Price from which, and to which, returns are taken."""
    calendar: str | None = Field(None, min_length=1)
    """Exchange calendar, as in the backtest."""
    quantiles: int = Field(5, ge=2, le=20)
    """Groups of assets by signal."""
    lags: list[Annotated[int, Field(ge=0, le=252)]] = Field([0, 1, 2, 5, 10, 20], min_length=1, max_length=30)
    """Sessions by which the trade is late, for the decay."""
    draws: int = Field(2_000, ge=100, le=100_000)
    """Draws of the stationary bootstrap."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of intervals."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the bootstrap."""


class CausalitySettings(Settings):
    """Settings of check_causality."""

    cuts: int = Field(4, ge=1, le=100)
    """Dates after which the prices are changed, evenly spaced over those of the predictions."""
    calendar: str | None = Field(None, min_length=1)
    """Exchange calendar, as in the backtest: an instant is compared up to the opening of the first changed session."""
    format: Literal["parquet", "csv"] = "parquet"
    """What the command writes for {predictions}."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the changes."""
