"""Settings of sweeps."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from scripts.lib.settings import Settings

Value = float | int | str | bool | None


class SweepConfig(Settings):
    """Settings x seeds x folds, each a backtest and a job of its own."""

    grid: dict[str, Annotated[list[Value], Field(min_length=1)]] = Field(min_length=1)
    """Keys of the backtest, such as signal.lookback or trade.portfolio.quantile, each with its values."""
    seeds: list[Annotated[int, Field(ge=0, le=2**32 - 1)]] = Field([0], min_length=1, max_length=1_000)
    """Seeds of the draws of the universe."""
    universe_share: float = Field(1.0, gt=0, le=1)
    """Share of the assets that each seed draws."""
    folds: int = Field(1, ge=1, le=1_000)
    """Equal stretches of time."""

    @model_validator(mode="after")
    def _nothing_is_tried_twice(self) -> Self:
        listed: list[tuple[str, list[Any]]] = [(f"grid: {key}", [*values]) for key, values in self.grid.items()]
        for key, values in [*listed, ("seeds", [*self.seeds])]:
            if twice := [value for place, value in enumerate(values) if value in values[:place]]:
                raise ValueError(f"{key}: {twice[0]!r} is there twice")
        return self


def changed(values: Any, path: str, value: Value) -> dict[str, Any]:
    """A copy of plain values with another one at a dotted path.

    Raises:
        ValueError: there is no such path.
    """
    first, _, rest = path.partition(".")
    if not isinstance(values, dict) or first not in values:
        raise ValueError(f"'{path}' is not there")
    return values | {first: changed({} if values[first] is None else values[first], rest, value) if rest else value}


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
