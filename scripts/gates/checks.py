"""One check of one figure, and what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from scripts.gates.settings import Compared, Equal, GateSettings, Limit, Measured, Regression

Found = Literal["pass", "warn", "fail"]
Status = Literal[Found, "waived"]
PASS: Final = "pass"
WARN: Final = "warn"
FAIL: Final = "fail"
WAIVED: Final = "waived"
NO_BASELINE = "no promoted model yet"

AnyCheck = Limit | Regression | Equal


class Unusable(Exception):
    """A figure that cannot be judged: missing, undefined or of the wrong kind; the message says which."""


@dataclass(frozen=True)
class Baseline:
    """What was promoted last, before what is judged now."""

    digest: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """What a check says of a figure."""

    status: Found
    reason: str
    value: float | str | bool | None = None
    interval: tuple[float | None, float | None] | None = None
    threshold: float | str | bool | None = None
    baseline: float | None = None
    n: float | None = None


def checks_of(gate: GateSettings, subject: str) -> dict[str, AnyCheck]:
    """The checks that a subject is judged by."""
    return {name: check for name, check in gate.checks.items() if check is not None and _is_for(check, subject)}


def _is_for(check: Measured, subject: str) -> bool:
    matches = fnmatchcase(subject, check.subjects.removeprefix("!"))
    return not matches if check.subjects.startswith("!") else matches


def judge(check: AnyCheck, metrics: Mapping[str, Any], baseline: Baseline | None) -> Finding:
    """Judge a figure; one that is missing or undefined fails, whatever the severity."""
    known = _shown(check, metrics)
    try:
        n = number(metrics, check.n) if check.n else None
        if n is not None and check.n_min is not None and n < check.n_min:
            return Finding(check.severity, f"{check.n} {n:g} < {check.n_min}: too few", **known)
        if isinstance(check, Equal):
            return _judge_equal(check, metrics, known)
        if isinstance(check, Limit):
            return _judge_limit(check, metrics, known)
        return _judge_regression(check, metrics, baseline, known)
    except Unusable as error:
        return Finding(FAIL, str(error), **known)


def _judge_equal(check: Equal, metrics: Mapping[str, Any], known: dict[str, Any]) -> Finding:
    value = present(metrics, check.metric)
    known["threshold"] = check.equals
    if isinstance(value, bool) == isinstance(check.equals, bool) and value == check.equals:
        return Finding(PASS, f"{_text(value)} as wanted", **known)
    return Finding(check.severity, f"{_text(value)}, not {_text(check.equals)}", **known)


def _judge_limit(check: Limit, metrics: Mapping[str, Any], known: dict[str, Any]) -> Finding:
    known["threshold"] = check.threshold
    figure = compared(check, metrics)
    line = _comparison(check, figure, check.threshold)
    if is_met(check, figure, check.threshold):
        return Finding(PASS, line, **known)
    alarm = ": too good to be true, look for a leak" if check.kind == "alarm" else ""
    return Finding(check.severity, line + alarm, **known)


def _judge_regression(
    check: Regression, metrics: Mapping[str, Any], baseline: Baseline | None, known: dict[str, Any]
) -> Finding:
    figure = compared(check, metrics)
    if baseline is None:
        return Finding(PASS, NO_BASELINE, **known)
    try:
        before = number(baseline.metrics, check.metric)
    except Unusable as error:
        return Finding(WARN, f"not compared: of the promoted {baseline.digest}: {error}", **known)
    drop = check.max_drop if check.max_drop is not None else (check.max_relative_drop or 0) * abs(before)
    threshold = before - drop if check.direction == "min" else before + drop
    known |= {"baseline": before, "threshold": threshold}
    other = " on other data" if metrics.get("data") != baseline.metrics.get("data") else ""
    line = f"{_comparison(check, figure, threshold)}; promoted {baseline.digest}: {before:g}{other}"
    return Finding(PASS if is_met(check, figure, threshold) else check.severity, line, **known)


def is_met(check: Compared, figure: float, threshold: float) -> bool:
    """Whether a figure lies on the right side of a threshold, which itself does."""
    return figure >= threshold if check.direction == "min" else figure <= threshold


def _comparison(check: Compared, figure: float, threshold: float) -> str:
    signs = (">=", "<") if check.direction == "min" else ("<=", ">")
    sign = signs[0] if is_met(check, figure, threshold) else signs[1]
    what = "" if check.bound == "value" else f"{check.bound} end "
    return f"{what}{figure:g} {sign} {threshold:g}"


def compared(check: Compared, metrics: Mapping[str, Any]) -> float:
    """The number that a check compares.

    Raises:
        Unusable: the figure, or the interval that is asked for, is missing or undefined.
    """
    value = number(metrics, check.metric)
    if check.bound == "value":
        return value
    bounds = interval(metrics, check.metric)
    end = bounds[0 if check.bound == "low" else 1] if bounds else None
    if end is None:
        raise Unusable(f"{check.metric}: it has no interval")
    return end


def interval(metrics: Mapping[str, Any], key: str) -> tuple[float | None, float | None] | None:
    """The interval of a figure, at KEY_interval or at KEY_low and KEY_high; None where there is none."""
    for low, high in ((f"{key}_interval.0", f"{key}_interval.1"), (f"{key}_low", f"{key}_high")):
        found = (_number_or_none(metrics, low), _number_or_none(metrics, high))
        if found != (None, None):
            return found
    return None


def number(metrics: Mapping[str, Any], key: str) -> float:
    """The finite number at a dotted key.

    Raises:
        Unusable: there is none.
    """
    value = present(metrics, key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unusable(f"{key}: {_text(value)} is no number")
    if not math.isfinite(value):
        raise Unusable(f"{key}: {value}")
    return float(value)


def _number_or_none(metrics: Mapping[str, Any], key: str) -> float | None:
    try:
        return number(metrics, key)
    except Unusable:
        return None


def present(metrics: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key.

    Raises:
        Unusable: it is missing or null.
    """
    value: Any = metrics
    for part in key.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise Unusable(f"{key}: not among the metrics")
    if value is None:
        raise Unusable(f"{key}: undefined (null)")
    return value


def _shown(check: AnyCheck, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What a verdict shows of a figure, as far as it is there."""
    try:
        value = present(metrics, check.metric)
    except Unusable:
        value = None
    if isinstance(value, float) and not math.isfinite(value):
        value = None
    return {
        "value": value if isinstance(value, str | bool | int | float | None) else None,
        "interval": interval(metrics, check.metric),
        "n": _number_or_none(metrics, check.n) if check.n else None,
    }


def _text(value: object) -> str:
    """A value in a line: a text in quotes, and nothing long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
