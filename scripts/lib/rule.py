"""What rules are written with, beside `code` (scripts/lib/code.py): settings slices, growing memory, launching.

Standard library and pydantic only: every cluster job evaluates this again.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from scripts.lib.settings import Settings

MB_PER_UNIT = {"MB": 1, "GB": 1_000, "TB": 1_000_000}


def settings_of(config: Settings) -> Callable[..., Callable[[Any], str]]:
    """Make the `settings(...)` that rules call.

    `settings("orderbook.parse", venue="orderbook.books.{book}.venue")` is a function of wildcards that returns, as
    JSON, the keys of the block `orderbook.parse` and the key `venue` from elsewhere. A function and not a text, since
    Snakemake would expand the braces of a text; quote it in the command line with `:q`.
    """

    def settings(block: str, **keys: str) -> Callable[[Any], str]:
        def slice_json(wildcards: Any) -> str:
            names = dict(wildcards.items())
            values = dict(_plain(_find(config, block.format(**names))))
            values |= {key: _plain(_find(config, path.format(**names))) for key, path in keys.items()}
            return json.dumps(values, sort_keys=True)

        return slice_json

    return settings


def _find(config: Settings, path: str) -> Any:
    """The value at a dotted path, through models and mappings."""
    value: Any = config
    for key in path.split("."):
        value = value[key] if isinstance(value, dict) else getattr(value, key)
    return value


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def growing_to(limit_gb: int) -> Callable[[str], Callable[..., str]]:
    """Make the `growing(...)` that CPU rules call for `mem`.

    `growing("4GB")` asks for 4 GB at the first attempt and as much again at each retry (out of memory is the usual
    reason), up to the site's limit.
    """

    def growing(memory: str) -> Callable[..., str]:
        first = megabytes(memory)

        def grown(wildcards: Any, attempt: int) -> str:
            return f"{max(first, min(first * attempt, limit_gb * MB_PER_UNIT['GB']))}MB"

        return grown

    return growing


def megabytes(memory: str) -> int:
    """ "4GB" in MB (units of 1000).

    Raises:
        ValueError: not a number with MB, GB or TB.
    """
    number, unit = memory[:-2], memory[-2:]
    if unit not in MB_PER_UNIT:
        raise ValueError(f"memory must end in MB, GB or TB: {memory!r}")
    return int(float(number) * MB_PER_UNIT[unit])


def launch(module: str) -> str:
    """The beginning of a GPU rule's command: one process a GPU by torchrun, plain python where there is <= 1.

    The rule's `resources` hold the number twice: `gpu` is what is asked of the cluster, which a profile may replace
    by `gres`, and `processes` is what the program runs. The choice is made in the job, so that a rule's command is the
    same text for 8 GPUs and for none: how a job is launched never reruns it.
    """
    return f"python -m scripts.lib.launch --gpus {{resources.processes}} {module}"


def options(*kinds: str) -> Callable[..., str]:
    """Params function: `--KIND PATH …` for each of the job's inputs of these names that is there.

    For inputs that some jobs of a rule have and others have not.
    """

    def words(wildcards: Any, input: Any) -> str:
        found = []
        for kind in kinds:
            given = input.get(kind) or []
            paths = [given] if isinstance(given, str) else list(given)
            if paths:
                found.append(f"--{kind.replace('_', '-')} {' '.join(map(shlex.quote, paths))}")
        return " ".join(found)

    return words
