"""Backtests, as the overview shows them: what lies together in a folder of results/backtest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib.account import Description, read_description
from scripts.lib.documents import read_object
from scripts.lib.errors import InputError
from scripts.lib.tables import Row, read_rows

COMPARISON = ("name", "total_return", "growth_rate", "sharpe", "low", "high", "max_drawdown", "turnover")


class Backtest(NamedTuple):
    """One backtest with what belongs to it."""

    name: str
    metrics: dict[str, Any]
    description: Description
    benchmark: Row | None  # row of the best benchmark in comparison.csv
    causality: str  # pass, fail or not checked
    reason: str  # why, where it did not pass
    page: str  # where its tear sheet lies


def read_backtests(
    metrics: Sequence[Path], accounts: Sequence[Path], comparisons: Sequence[Path], causality: Sequence[Path]
) -> list[Backtest]:
    """Bring together what is of one backtest: files in folders of its name, and the account of its name.

    Raises:
        InputError: metrics without an account, or of another trial.
    """
    descriptions = {description.name: description for description in map(read_description, accounts)}
    tables = {path.absolute().parent.name: path for path in comparisons}
    checks = {path.absolute().parent.name: path for path in causality}
    found = []
    for path in metrics:
        name = path.absolute().parent.name
        if name not in descriptions:
            raise InputError(f"{path}: no account.json was given whose name is '{name}'")
        found.append(_backtest(path, descriptions[name], tables.get(name), checks.get(name)))
    return found


def _backtest(path: Path, description: Description, table: Path | None, check: Path | None) -> Backtest:
    metrics = read_object(path)
    if metrics.get("trial", description.trial) != description.trial:
        raise InputError(f"{path}: judges another trial than that of the account '{description.name}'")
    best = metrics.get("best_benchmark")
    rows = read_rows(table, COMPARISON) if table else []
    benchmark = next((row for row in rows[1:] if row["name"] == best), None)
    status, reason = _causality(check, metrics)
    page = str(path.parent / "tear_sheet.html")
    return Backtest(description.name, metrics, description, benchmark, status, reason, page)


def _causality(path: Path | None, metrics: dict[str, Any]) -> tuple[str, str]:
    """Status of the check for look-ahead, and why it did not pass."""
    found = read_object(path) if path else {"status": metrics.get("causality")}
    status = found.get("status") if found.get("status") in ("pass", "fail") else "not checked"
    offences = found.get("offences") or [{}]
    first = offences[0]
    reason = f"{first['artifact']}: {first.get('column')} at {first.get('at')}" if "artifact" in first else ""
    return str(status), reason or str(found.get("reason") or "")
