"""The whole configuration: every line's settings in one model, checked before any job starts.

python -m scripts.config --schema config/schema.json     write the JSON schema (editors complete and check with it)
python -m scripts.config config/demo.yaml mine.yaml      check files on top of config/config.yaml
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import Field

from scripts.backtest import runs
from scripts.backtest.settings import BacktestLineConfig
from scripts.gates.settings import GatesConfig, check_subjects
from scripts.lib.conda import provide_conda
from scripts.lib.errors import InputError
from scripts.lib.settings import Settings, validate
from scripts.orderbook.feeds import check_files
from scripts.orderbook.settings import OrderbookConfig
from scripts.preflight.settings import PreflightConfig

ROOT = Path(__file__).resolve().parents[1]
AGENTS = "orderbook-"  # the accounts of the feeds' agents are called so and by their feed


class SiteConfig(Settings):
    """The `site:` block: limits of the machines, which scheduling respects and results do not depend on."""

    memory_gb: int = Field(ge=1)
    """Memory up to which a retry after out-of-memory grows, GB: that of the largest CPU node."""


class Config(Settings):
    """config/config.yaml with its overlays."""

    site: SiteConfig
    """Limits of the machines."""
    orderbook: OrderbookConfig
    """Raw order-book feeds to book states."""
    backtest: BacktestLineConfig
    """Predictions to accounts, verdicts and pages."""
    gates: GatesConfig
    """What has to be shown before something is promoted."""
    preflight: PreflightConfig
    """Checks of GPU nodes before long work."""


def load(config: Mapping[str, Any], look_for_files: bool = True) -> Config:
    """Validate a merged configuration.

    Args:
        config: as merged from its files.
        look_for_files: whether the captures of active feeds have to be there now; a cluster job need not ask again.

    Raises:
        InputError: one line naming the first bad key, or an active feed's missing file.
    """
    loaded = validate(Config, dict(config), "config")
    for name in loaded.backtest.backtests:
        if name.startswith(AGENTS):
            raise InputError(f"config: backtest.backtests.{name}: {AGENTS}… are the names of the feeds' agents")
    check_subjects(loaded.gates, subjects_of(loaded))
    if look_for_files:
        check_files(loaded.orderbook)
        runs.check_files(loaded.backtest)
    return loaded


def subjects_of(config: Config) -> dict[str, dict[str, set[str]]]:
    """By line and stage what its gate may judge, active or not."""
    feeds = set(config.orderbook.books)
    accounts = {f"{AGENTS}{feed}" for feed in feeds}
    return {"orderbook": {"encoder": feeds}, "backtest": {"backtest": accounts | set(config.backtest.backtests)}}


def load_or_exit(config: Mapping[str, Any], look_for_files: bool = True) -> Config:
    """As `load`, for the Snakefile, which also needs a conda: what is wrong is one line on stderr and exit code 2."""
    try:
        provide_conda()
        return load(config, look_for_files)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def schema() -> str:
    """JSON schema of the configuration."""
    generated = Config.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **generated}, indent=2) + "\n"


def merge(base: dict[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `overlay` over `base` as Snakemake does: mappings are merged, everything else is replaced."""
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value
    return base


def read_files(paths: list[Path]) -> dict[str, Any]:
    """config/config.yaml with the given files laid over it, in order."""
    import yaml  # in the workflow's environment only; stages never read YAML

    merged: dict[str, Any] = {}
    for path in [ROOT / "config" / "config.yaml", *paths]:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: {' '.join(str(error).split())}") from None
        if not isinstance(values, dict):
            raise InputError(f"{path}: holds no keys, but a {type(values).__name__}")
        merge(merged, values)
    return merged


def main() -> NoReturn:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m scripts.config", description="Check the configuration.")
    parser.add_argument("files", nargs="*", type=Path, help="YAML files laid over config/config.yaml, in order")
    parser.add_argument("--schema", type=Path, metavar="FILE", help="write the JSON schema there instead")
    parser.add_argument("--quiet", action="store_true", help="say nothing if all is well")
    options = parser.parse_args()
    if options.schema:
        options.schema.write_text(schema(), encoding="utf-8")
        sys.exit(0)
    try:
        load(read_files(options.files))
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if not options.quiet:
        print("config: ok")
    sys.exit(0)


if __name__ == "__main__":
    main()
