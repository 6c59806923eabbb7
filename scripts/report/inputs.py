"""What the overview is told by its rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

LINES = ("orderbook", "market", "llm", "thesis", "tasks", "backtest")


def overview_settings(unchecked: list[str]) -> Callable[[Any], str]:
    """Params function: settings of write_overview, as JSON.

    Args:
        unchecked: backtests whose predictions are files, so that nobody can say what they depend on.
    """

    def settings(wildcards: Any) -> str:
        not_run = [f"causality of {name}: its predictions are a file, not made here" for name in unchecked]
        return json.dumps({"lines": list(LINES), "not_run": not_run}, sort_keys=True)

    return settings
