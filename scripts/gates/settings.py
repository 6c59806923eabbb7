"""Settings of the gates: what a model or a backtest has to show before it is promoted.

Thresholds stand here and not in the settings of what is judged: changing one judges again and trains nothing.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from scripts.lib.errors import InputError
from scripts.lib.settings import Settings

Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]
CheckName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Pattern = Annotated[str, Field(pattern=r"^!?[A-Za-z0-9_*?-]+$")]
Text = Annotated[str, Field(min_length=1, max_length=500)]


def as_date(value: object) -> object:
    """YAML reads 2026-01-31 as a date and "2026-01-31" as text; both are meant."""
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, datetime):
        raise ValueError("a date such as 2026-01-31, without a time")
    return value


Date = Annotated[date, BeforeValidator(as_date)]


class Measured(Settings):
    """What all checks have: the figure, and what comes of it."""

    metric: Key
    """Dotted key into the metrics; a number takes an item of a list (sharpe_interval.0)."""
    severity: Literal["fail", "warn"] = "fail"
    """What a figure beyond the threshold does; one that is missing or undefined always fails."""
    n: Key | None = None
    """Dotted key of the number of observations behind the figure; null: not looked at."""
    n_min: int | None = Field(None, ge=1)
    """Fewest observations; null: not looked at."""
    subjects: Pattern = "*"
    """Names of what is judged by it, a pattern such as orderbook-*; with ! in front: all but those."""

    @model_validator(mode="after")
    def _check_n(self) -> Self:
        if (self.n is None) != (self.n_min is None):
            raise ValueError("n and n_min: give both or neither")
        return self


class Compared(Measured):
    """A check of a number."""

    direction: Literal["min", "max"]
    """min: at least the threshold; max: at most."""
    bound: Literal["value", "low", "high"] = "value"
    """What is compared: the value, or the low or high end of its interval, found at METRIC_interval, else at METRIC_low
    and METRIC_high."""


class Limit(Compared):
    """A threshold that is told."""

    kind: Literal["limit", "alarm"]
    """limit: what is wanted; alarm: beyond it the figure is too good to be true, and a leak is likely."""
    threshold: float
    """In the metric's unit; a figure equal to it passes."""


class Regression(Compared):
    """A threshold that the last promoted one gives; the first one passes, and the verdict says why."""

    kind: Literal["regression"]
    """Compared with the figure of the last promoted one."""
    max_drop: float | None = Field(None, ge=0)
    """How much worse it may be, in the metric's unit; null: max_relative_drop is given."""
    max_relative_drop: float | None = Field(None, ge=0)
    """How much worse it may be, as a share of the promoted one's absolute figure; null: max_drop is given."""

    @model_validator(mode="after")
    def _check_drop(self) -> Self:
        if (self.max_drop is None) == (self.max_relative_drop is None):
            raise ValueError("max_drop and max_relative_drop: give one of them")
        return self


class Equal(Measured):
    """A text, truth value or whole number that has to be as told."""

    kind: Literal["equal"]
    """Compared for equality."""
    equals: str | bool | int
    """The value wanted."""


Check = Annotated[Limit | Regression | Equal, Field(discriminator="kind")]


class Waiver(Settings):
    """Someone bears a check that is not met, for a time."""

    check: CheckName
    """Which check."""
    subject: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Of which feed or backtest; null: of all."""
    reason: Text
    """Why it may pass."""
    by: Text
    """Who says so."""
    until: Date
    """Last day on which it holds (UTC); beyond that the check fails again."""


class GateSettings(Settings):
    """The gate of one stage."""

    gate: Literal["checks", "none"] = "checks"
    """checks: those below decide; none: there is no gate, and the verdict says so."""
    checks: dict[CheckName, Check | None] = {}
    """By name; null takes a check out. Keys of each: kind (limit | alarm | regression | equal), metric, direction
    (min | max), bound (value | low | high), threshold or max_drop or max_relative_drop or equals, severity (fail |
    warn), n, n_min, subjects."""
    waive: list[Waiver] = []
    """Checks that are borne for a time: check, subject (null: all), reason, by, until (a date)."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [name for name, check in self.checks.items() if check is not None]
        if self.gate == "checks" and not names:
            raise ValueError("checks: none is given; write `gate: none` to have no gate")
        for waiver in self.waive:
            if self.gate == "checks" and waiver.check not in names:
                raise ValueError(f"waive: no check '{waiver.check}' ({', '.join(names)})")
        return self


def check_subjects(gates: GatesConfig, known: dict[str, dict[str, set[str]]]) -> None:
    """Look whether what checks and waivers are for is there: of a misspelt name nothing would be checked or waived.

    Args:
        gates: the `gates:` block.
        known: by line and stage the names that are defined.

    Raises:
        InputError: one line naming the gate and the first subject that there is none of.
    """
    for line, stages in known.items():
        for stage, names in stages.items():
            gate: GateSettings = getattr(getattr(gates, line), stage)
            for name, check in gate.checks.items():
                plain = check.subjects.removeprefix("!") if check else "*"
                if not set(plain) & set("*?[") and plain not in names:
                    raise InputError(f"config: gates.{line}.{stage}.checks.{name}.subjects: no '{plain}'"
                                     f" ({', '.join(sorted(names)) or 'none is defined'})")  # fmt: skip
            for waiver in gate.waive:
                if waiver.subject is not None and waiver.subject not in names:
                    raise InputError(f"config: gates.{line}.{stage}.waive: no subject '{waiver.subject}'"
                                     f" ({', '.join(sorted(names)) or 'none is defined'})")  # fmt: skip


class OrderbookGates(Settings):
    """Gates of the order-book line."""

    encoder: GateSettings
    """The pretrained encoder of a feed."""


class BacktestGates(Settings):
    """Gates of the backtests."""

    backtest: GateSettings
    """A backtest; those of a feed's agents are named orderbook-FEED."""


class GatesConfig(Settings):
    """The `gates:` block of the config: a gate for each line and stage that has something to promote."""

    orderbook: OrderbookGates
    """Gates of the order-book line."""
    backtest: BacktestGates
    """Gates of the backtests."""
