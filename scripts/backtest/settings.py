"""Settings of the backtests: their block of the config."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from scripts.backtest.judging.settings import JudgeSettings
from scripts.backtest.prices.settings import (
    CausalityOptions,
    PricesConfig,
    SimulatePricesOptions,
)
from scripts.backtest.statistics.settings import EvaluateOptions
from scripts.backtest.sweep.settings import SweepConfig, Value, changed
from scripts.backtest.tear_sheet.settings import TearSheetSettings
from scripts.backtest.trading.settings import (
    BacktestSettings,
    ReplayOptions,
    SignalOptions,
)
from scripts.lib.errors import InputError
from scripts.lib.settings import Name, Settings, validate


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
    "trade.sessions_a_year": "the market tells it", "trade.model_cutoff": _STATISTICS,
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
