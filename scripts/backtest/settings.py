"""Settings of the backtests."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from scripts.backtest.tear_sheet.settings import TearSheetSettings
from scripts.lib.errors import InputError
from scripts.lib.settings import Name, Settings, validate

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
    """Exchange calendar (exchange_calendars' name, such as XNYS) of all assets, for prices without a column `calendar`
    that names each asset's own: prices on other days are left out and counted, and instants are compared with its
    opening times. null: every date of the prices is a session and opens at 00:00 UTC."""
    sessions_a_year: int = Field(252, ge=1, le=366)
    """Sessions by which figures become those of a year: 252 of an exchange, 365 of a market that never closes."""
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


class EvaluateOptions(Settings):
    """What the config says of evaluate_predictions."""

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


class EvaluateSettings(EvaluateOptions):
    """Settings of evaluate_predictions; column, fill and calendar are those of the trade."""

    signal_column: str = Field("signal", min_length=1)
    """Column of the predictions that is judged."""
    fill: Literal["next_open", "next_close"] = "next_open"
    """Price from which, and to which, returns are taken."""
    calendar: str | None = Field(None, min_length=1)
    """Exchange calendar, as in the backtest."""
    delisting_return: float = Field(0.0, ge=-1, le=10)
    """As in the backtest: return from the last price of assets whose prices end."""
    delisted_after: int = Field(5, ge=1, le=252)
    """As in the backtest: sessions without a price after which an asset counts as delisted."""


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


class CausalityOptions(Settings):
    """What the config says of check_causality."""

    cuts: int = Field(4, ge=1, le=100)
    """Dates after which the prices are changed, evenly spaced over those of the predictions."""
    format: Literal["parquet", "csv"] = "parquet"
    """What the command writes for {predictions}."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the changes."""


class CausalitySettings(CausalityOptions):
    """Settings of check_causality."""

    calendar: str | None = Field(None, min_length=1)
    """Exchange calendar, as in the backtest: an instant is compared up to the opening of the first changed session."""


class SimulatePricesOptions(Settings):
    """What the config says of simulated prices."""

    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the random numbers."""
    first: str = Field("2015-01-01", pattern=DAY)
    """First day."""
    sessions: int = Field(2_520, ge=120, le=100_000)
    """Sessions, Mondays to Fridays."""
    assets: int = Field(100, ge=10, le=1_000)
    """Assets."""
    volatility: float = Field(0.015, gt=0, le=0.2)
    """Standard deviation of a session's return, fraction."""
    holes: float = Field(0.001, ge=0, le=0.5)
    """Share of the prices that are missing."""


class SimulatePricesSettings(SimulatePricesOptions):
    """Settings of simulate_prices."""

    signal: float = Field(0.0, ge=0, le=1)
    """Standard deviation of the assets' drifts over that of their returns: what momentum can find; 0: nothing."""


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


class PricesConfig(Settings):
    """Prices that backtests trade on: files of one's own, of another line, or simulated."""

    path: str | None = None
    """CSV or Parquet with date, asset, open, high, low, close, volume; null: simulate_prices makes them."""
    splits: str | None = None
    """CSV with date, asset, ratio; null: none."""
    dividends: str | None = None
    """CSV with date, asset, amount; null: none."""
    delistings: str | None = None
    """CSV with date, asset, return; null: none."""
    categories: str | None = None
    """CSV with asset, category; null: none."""
    earlier: str | None = None
    """An earlier vintage of the prices; null: none."""
    signal: float = Field(0.0, ge=0, le=1)
    """Simulated: strength of the momentum."""

    @model_validator(mode="after")
    def _events_belong_to_files(self) -> Self:
        if self.path is None:
            for name in ("splits", "dividends", "delistings", "categories", "earlier"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: simulated prices have their own; name a path")
        elif self.signal:
            raise ValueError("signal: only simulated prices have one")
        return self


Value = float | int | str | bool | None


class SweepConfig(Settings):
    """Settings x seeds x folds, each a backtest and a job of its own."""

    grid: dict[str, list[Value]] = Field(min_length=1)
    """Keys of the backtest, such as signal.lookback or trade.portfolio.quantile, each with its values."""
    seeds: list[Annotated[int, Field(ge=0, le=2**32 - 1)]] = Field([0], min_length=1, max_length=1_000)
    """Seeds of the draws of the universe."""
    universe_share: float = Field(1.0, gt=0, le=1)
    """Share of the assets that each seed draws."""
    folds: int = Field(1, ge=1, le=1_000)
    """Equal stretches of time."""


def changed(values: dict[str, Any], path: str, value: Value) -> dict[str, Any]:
    """A copy of plain values with another one at a dotted path.

    Raises:
        ValueError: there is no such path.
    """
    first, _, rest = path.partition(".")
    if first not in values:
        raise ValueError(f"'{path}' is not there")
    return values | {first: changed(values[first] or {}, rest, value) if rest else value}


def _try(model: Settings, key: str, path: str, value: Value) -> None:
    """Raises: ValueError: a block takes no such key of a grid, or not this value."""
    try:
        validate(type(model), changed(model.model_dump(mode="json"), path, value), f"sweep.grid: {key}")
    except InputError as error:
        raise ValueError(str(error)) from None
    except ValueError as error:
        raise ValueError(f"sweep.grid: {error}") from None


_STATISTICS = "it changes the statistics of an account and not the account"
NOT_TRIED = {
    "trade.draws": _STATISTICS, "trade.confidence": _STATISTICS, "trade.seed": _STATISTICS,
    "trade.sessions_a_year": _STATISTICS, "trade.model_cutoff": _STATISTICS,
    "trade.folds": "sweep.folds gives it", "trade.fold": "sweep.folds gives it",
    "trade.universe_seed": "sweep.seeds gives it", "trade.universe_share": "sweep.universe_share gives it",
}  # fmt: skip


class BacktestConfig(Settings):
    """One backtest: prices, signals, how they are traded and tried."""

    prices: str
    """Name of an entry in `prices`."""
    predictions: str | None = None
    """CSV or Parquet with known_at, asset, horizon, signal, one's own or a line's; null: `signal` makes it."""
    signal: SignalOptions | None = None
    """Rule that makes the predictions from the prices."""
    index: str | None = Field(None, min_length=1)
    """Asset of the prices that is the index: a benchmark; null: none."""
    naive: str | None = None
    """Predictions of naive models, a column each: benchmarks; null: none."""
    trade: BacktestSettings = BacktestSettings()
    """Portfolio, costs, statistics."""
    forecasts: EvaluateOptions = EvaluateOptions()
    """How the predictions are judged before any portfolio."""
    sweep: SweepConfig | None = None
    """What is tried beside it; null: nothing."""

    @model_validator(mode="after")
    def _the_grid_fits(self) -> Self:
        """Every value of the grid is tried on the block that it belongs to."""
        for key, values in (self.sweep.grid if self.sweep else {}).items():
            block, _, path = key.partition(".")
            model = getattr(self, block, None) if block in ("signal", "trade") else None
            if model is None or not path:
                raise ValueError(f"sweep.grid: '{key}' is no key of signal or trade")
            if key in NOT_TRIED:
                raise ValueError(f"sweep.grid: '{key}' is no setting to be tried: {NOT_TRIED[key]}")
            for value in values:
                _try(model, key, path, value)
        return self

    @model_validator(mode="after")
    def _signals_have_one_source(self) -> Self:
        if (self.predictions is None) == (self.signal is None):
            raise ValueError("predictions, signal: name one of them")
        return self


class JudgeSettings(Settings):
    """Settings of judge_backtest."""

    draws: int = Field(2_000, ge=100, le=100_000)
    """Draws of the stationary bootstrap."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of intervals; the rest of it is the family-wise error with which trials are called superior."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the bootstrap."""
    blocks: int = Field(16, ge=4, le=20, multiple_of=2)
    """Blocks of time whose halves are compared for the probability of overfitting; fewer when time is short."""
    coverage: float = Field(0.8, gt=0, le=1)
    """Share of the account's periods that a trial of the ledger must have returns of, to be compared with it."""
    parts: int = Field(4, ge=1, le=100)
    """Equal parts of time in the table of periods, of accounts that have neither years nor bands."""
    drawdowns: int = Field(10, ge=1, le=1_000)
    """Drawdowns in the table, the deepest ones."""


class BacktestLineConfig(Settings):
    """The `backtest:` block of the config."""

    active: list[str] = Field(default=[])
    """Active backtests: names of entries in `backtests`. Accounts that lines end in are judged beside them."""
    backtests: dict[Name, BacktestConfig] = Field(default={})
    """Definitions of backtests by name."""
    prices: dict[Name, PricesConfig] = Field(default={})
    """Definitions of prices by name."""
    simulate: SimulatePricesOptions = SimulatePricesOptions()
    """simulate_prices: daily prices for the demo and for tests."""
    causality: CausalityOptions = CausalityOptions()
    """check_causality: whether predictions depend on what came after them."""
    replay: ReplayOptions = ReplayOptions()
    """replay_trades: whether a second simulator agrees on the same orders."""
    judge: JudgeSettings = JudgeSettings()
    """judge_backtest: what is to be believed of an account."""
    tear_sheet: TearSheetSettings = TearSheetSettings()
    """draw_tear_sheet: a backtest on one page."""

    @model_validator(mode="after")
    def _names_are_defined(self) -> Self:
        for name in self.active:
            if name not in self.backtests:
                raise ValueError(f"active: '{name}' is not defined in backtests ({', '.join(self.backtests)})")
        for name, entry in self.backtests.items():
            if entry.prices not in self.prices:
                raise ValueError(
                    f"backtests.{name}.prices: '{entry.prices}' is not defined in prices ({', '.join(self.prices)})"
                )
        return self


class SweepTrial(Settings):
    """One backtest of a sweep."""

    name: str = Field(min_length=1)
    """Name of its folder."""
    values: dict[str, Value] = Field(min_length=1)
    """Value of each key of the grid; the first two keys span the heat map."""
    seed: int = Field(ge=0, le=2**32 - 1)
    """Seed of its draw of the universe."""
    fold: int = Field(ge=0, le=999)
    """Its stretch of time, from 0."""


class SweepSettings(Settings):
    """Settings of judge_sweep."""

    trials: list[SweepTrial] = []
    """All backtests, in the order of the equity files: every setting with every seed and every fold."""
    grid: dict[str, Annotated[list[Value], Field(min_length=1)]] = {}
    """Instead of the trials, as in the sweep of a backtest: each key with its values. The trials are then called by the
    number of their setting, seed and fold, such as 007-0-2."""
    seeds: list[Annotated[int, Field(ge=0, le=2**32 - 1)]] = [0]
    """With a grid: seeds of the draws of the universe."""
    folds: int = Field(1, ge=1, le=1_000)
    """With a grid: equal stretches of time."""
    sessions_a_year: int = Field(252, ge=1, le=366)
    """Sessions by which Sharpe ratios and turnover become those of a year, as in the backtests."""
    blocks: int = Field(16, ge=2, le=20, multiple_of=2)
    """Blocks of time whose halves are compared for the probability of overfitting, an even number."""
    size: float = Field(0.05, gt=0, le=0.5)
    """Family-wise error with which settings are called better than cash."""
    draws: int = Field(2_000, ge=100, le=100_000)
    """Draws of the stationary bootstrap."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of intervals."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the bootstrap."""

    @model_validator(mode="after")
    def _trials_or_a_grid(self) -> Self:
        if bool(self.trials) == bool(self.grid):
            raise ValueError("either trials or a grid must be given")
        return self
