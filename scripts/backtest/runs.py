"""The files and trials of the backtests: input functions of their rules.

A backtest is an entry of the config, or an account that another line ends in (`Accounts`): both go through the same
rules from the account on.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from scripts.backtest.prices.settings import PricesConfig
from scripts.backtest.settings import BacktestConfig, BacktestLineConfig
from scripts.backtest.sweep.settings import Value, changed
from scripts.backtest.sweep.trials import all_trials as trials_of_grid
from scripts.backtest.trading.settings import BacktestSettings, SignalSettings
from scripts.lib.errors import InputError
from scripts.lib.rule import options
from scripts.lib.settings import Settings, validate

PRICES = "results/prices/{prices}"
FOLDER = "results/backtest/{backtest}"
ACCOUNT = f"{FOLDER}/account"
OWN_FILES = ("path", "splits", "dividends", "delistings", "categories", "earlier")
SIMULATED = {
    "path": "prices.parquet", "splits": "splits.csv", "dividends": "dividends.csv", "delistings": "delistings.csv",
    "categories": "categories.csv",
}  # fmt: skip


class LineAccount(NamedTuple):
    """What another line ends in."""

    folder: str  # of equity.csv, trades.csv, benchmarks.csv, account.json, stress.csv
    causality: str  # report of the line's check
    category: str  # of the report
    subject: str  # of the category: what was traded


# what may be known of an account beside account.json
KNOWN = ("equity", "trades", "benchmarks", "stress", "positions", "figures", "coefficients", "causality", "sweep")
TABLES = ("metrics", "periods", "drawdowns", "contributions", "comparison")
SWEEP_PLOTS = ("heatmap", "logits", "fan")
Accounts = Mapping[str, LineAccount]
"""By the name of the backtest."""


class Trial(NamedTuple):
    """One job of a sweep."""

    name: str
    values: dict[str, Value]
    setting: int  # number of its values among the grid's
    seed: int
    fold: int


def files_of(backtest: BacktestLineConfig, name: str) -> dict[str, str]:
    """Paths of a backtest's prices and events: what is not there is left out."""
    entry = backtest.backtests[name]
    prices = backtest.prices[entry.prices]
    if prices.path is None:
        folder = PRICES.format(prices=entry.prices)
        return {key: f"{folder}/{file}" for key, file in SIMULATED.items()}
    return {key: getattr(prices, key) for key in OWN_FILES if getattr(prices, key)}


def market_files(backtest: BacktestLineConfig, *kinds: str) -> Callable[[Any], dict[str, str]]:
    """Input function: prices and those of the events that `kinds` names, for `unpack`."""

    def paths(wildcards: Any) -> dict[str, str]:
        found = files_of(backtest, wildcards.backtest) if wildcards.backtest in backtest.backtests else {}
        renamed = {"prices" if key == "path" else key: path for key, path in found.items()}
        return {key: path for key, path in renamed.items() if key == "prices" or key in kinds}

    return paths


def predictions_of(backtest: BacktestLineConfig) -> Callable[[Any], str]:
    """Input function: predictions of one's own or of a line, else those that compute_signal makes."""

    def path(wildcards: Any) -> str:
        entry = backtest.backtests.get(wildcards.backtest)
        made = f"{FOLDER}/predictions.parquet".format(backtest=wildcards.backtest)
        return (entry.predictions if entry else None) or made

    return path


def is_simulated(backtest: BacktestLineConfig, name: str) -> bool:
    """Whether a backtest's prices are simulated."""
    return backtest.prices[backtest.backtests[name].prices].path is None


def trials_of(entry: BacktestConfig) -> list[Trial]:
    """All jobs of a backtest's sweep."""
    if entry.sweep is None:
        return []
    sweep = entry.sweep
    listed = trials_of_grid(sweep.grid, sweep.seeds, sweep.folds)
    each = len(sweep.seeds) * sweep.folds
    return [Trial(t.name, t.values, place // each, t.seed, t.fold) for place, t in enumerate(listed)]


def trial_of(backtest: BacktestLineConfig, name: str, trial: str) -> Trial:
    """The trial with this name of a backtest's sweep."""
    return next(found for found in trials_of(backtest.backtests[name]) if found.name == trial)


def trial_settings(backtest: BacktestLineConfig) -> Callable[[Any], str]:
    """Params function: settings of run_backtest for a trial, as JSON."""

    def settings(wildcards: Any) -> str:
        entry = backtest.backtests[wildcards.backtest]
        trial = trial_of(backtest, wildcards.backtest, wildcards.trial)
        assert entry.sweep is not None
        drawn = {"universe_seed": trial.seed, "universe_share": entry.sweep.universe_share}
        own = {"folds": entry.sweep.folds, "fold": trial.fold, **drawn}
        values = with_values(entry.trade, trial.values, "trade.") | own
        return _json(validate(BacktestSettings, values, f"config: backtest.backtests.{wildcards.backtest}.sweep"))

    return settings


def trial_signal(backtest: BacktestLineConfig) -> Callable[[Any], str]:
    """Params function: settings of compute_signal for a setting of the grid, as JSON."""

    def settings(wildcards: Any) -> str:
        entry = backtest.backtests[wildcards.backtest]
        trial = next(found for found in trials_of(entry) if found.setting == int(wildcards.setting))
        assert entry.signal is not None
        values = with_values(entry.signal, trial.values, "signal.") | {
            "calendar": entry.trade.calendar,
            "index": entry.index,
        }
        return _json(validate(SignalSettings, values, f"config: backtest.backtests.{wildcards.backtest}.sweep"))

    return settings


def trial_predictions(backtest: BacktestLineConfig) -> Callable[[Any], str]:
    """Input function: predictions of a trial; those of the backtest where its grid changes nothing of the signal.

    Settings with the same signal share the predictions of the first of them.
    """

    def path(wildcards: Any) -> str:
        entry = backtest.backtests.get(wildcards.backtest)
        if entry is None or entry.sweep is None or not any(key.startswith("signal.") for key in entry.sweep.grid):
            return predictions_of(backtest)(wildcards)
        chosen = signal_values(trial_of(backtest, wildcards.backtest, wildcards.trial))
        first = next(trial for trial in trials_of(entry) if signal_values(trial) == chosen)
        return f"results/backtest/{wildcards.backtest}/sweep/signals/{first.setting:03d}.parquet"

    return path


def signal_values(trial: Trial) -> dict[str, Value]:
    """Values of a trial that change its predictions; trials that agree in them share these."""
    return {key: value for key, value in trial.values.items() if key.startswith("signal.")}


def sweep_equities(backtest: BacktestLineConfig) -> Callable[[Any], list[str]]:
    """Input function: equity of all trials of a backtest."""

    def paths(wildcards: Any) -> list[str]:
        entry = backtest.backtests.get(wildcards.backtest)
        folder = f"results/backtest/{wildcards.backtest}/sweep"
        return [f"{folder}/{trial.name}/equity.csv" for trial in (trials_of(entry) if entry else [])]

    return paths


def sweep_settings(backtest: BacktestLineConfig) -> Callable[[Any], str]:
    """Params function: settings of judge_sweep, as JSON."""

    def settings(wildcards: Any) -> str:
        entry = backtest.backtests[wildcards.backtest]
        assert entry.sweep is not None
        tried = {key: getattr(entry.sweep, key) for key in ("grid", "seeds", "folds")}
        chosen = {key: getattr(entry.trade, key) for key in ("draws", "confidence", "seed", "sessions_a_year")}
        return json.dumps(tried | chosen)  # the order of the grid's keys is the order of the trials

    return settings


def with_values(block: Settings, changes: dict[str, Value], prefix: str) -> dict[str, Any]:
    """A block's plain values with those of the dotted keys that begin with `prefix`."""
    values: dict[str, Any] = block.model_dump(mode="json")
    for key, value in changes.items():
        if key.startswith(prefix):
            values = changed(values, key.removeprefix(prefix), value)
    return values


def _json(settings: Settings) -> str:
    return json.dumps(settings.model_dump(mode="json"), sort_keys=True)


def signal_command(backtest: BacktestLineConfig) -> Callable[[Any], str]:
    """Params function: the command line that makes a backtest's predictions, for check_causality."""

    def command(wildcards: Any) -> str:
        entry = backtest.backtests[wildcards.backtest]
        assert entry.signal is not None
        if entry.signal.command:
            return entry.signal.command
        signal = SignalSettings(**entry.signal.model_dump(), calendar=entry.trade.calendar, index=entry.index)
        splits = "--splits {splits} " if "splits" in files_of(backtest, wildcards.backtest) else ""
        return (
            f"python -m scripts.backtest.compute_signal --prices {{prices}} {splits}--predictions {{predictions}}"
            f" --settings {shlex.quote(_json(signal))}"
        )

    return command


def simulated_flag(backtest: BacktestLineConfig) -> Callable[[Any], str]:
    """Params function: what tells run_backtest that its prices are simulated."""

    def flag(wildcards: Any) -> str:
        return "--simulated" if is_simulated(backtest, wildcards.backtest) else ""

    return flag


def line_options(backtest: BacktestLineConfig) -> Callable[[Any], str]:
    """Params function: `--index ASSET` where a backtest names one."""

    def words(wildcards: Any) -> str:
        index = backtest.backtests[wildcards.backtest].index
        return f"--index {shlex.quote(index)}" if index else ""

    return words


def category_of(accounts: Accounts) -> Callable[[Any], str]:
    """Category of the report: the line that the backtest ends."""
    return lambda wildcards: accounts[wildcards.backtest].category if wildcards.backtest in accounts else "Backtests"


def judged_files(backtest: BacktestLineConfig, accounts: Accounts) -> Callable[[Any], dict[str, Any]]:
    """Input function, for `unpack`: an account, another line's or one of ours, and what is known beside it."""

    def paths(wildcards: Any) -> dict[str, Any]:
        name = wildcards.backtest
        if name in accounts:
            return account_files(accounts[name].folder) | {"causality": accounts[name].causality}
        entry, made = backtest.backtests.get(name), FOLDER.format(backtest=name)
        found = account_files(f"{made}/account") | {
            "positions": f"{made}/account/positions.parquet",
            "figures": f"{made}/forecasts/figures.csv",
            "coefficients": f"{made}/forecasts/coefficients.csv",
        }
        if entry and entry.signal:
            found["causality"] = f"{made}/causality.json"
        if entry and entry.sweep:
            found["sweep"] = f"{made}/sweep/sweep.json"
        return found

    return paths


def account_files(folder: str) -> dict[str, str]:
    """Paths of an account's files in its folder, by what judge_backtest calls them."""
    return {
        "equity": f"{folder}/equity.csv", "trades": f"{folder}/trades.csv", "benchmarks": f"{folder}/benchmarks.csv",
        "account": f"{folder}/account.json", "stress": f"{folder}/stress.csv",
    }  # fmt: skip


def replay_files(backtest: BacktestLineConfig) -> Callable[[Any], dict[str, str]]:
    """Input function, for `unpack`: the replay of a backtest; another line's account has no bars to replay it on."""

    def paths(wildcards: Any) -> dict[str, str]:
        known = wildcards.backtest in backtest.backtests
        return {"replay": f"{ACCOUNT.format(backtest=wildcards.backtest)}/replay.json"} if known else {}

    return paths


def sweep_files(backtest: BacktestLineConfig) -> Callable[[Any], dict[str, str]]:
    """Input function, for `unpack`: plots and table of a backtest's sweep, if it has one."""

    def paths(wildcards: Any) -> dict[str, str]:
        entry = backtest.backtests.get(wildcards.backtest)
        folder = f"{FOLDER.format(backtest=wildcards.backtest)}/sweep"
        found = {name: f"{folder}/{name}.svg" for name in SWEEP_PLOTS} | {"sweep_table": f"{folder}/sweep.csv"}
        return found if entry and entry.sweep else {}

    return paths


def subject_of(accounts: Accounts) -> Callable[[Any], str]:
    """Subcategory of the report: the backtest, or what a line's account traded."""

    def subject(wildcards: Any) -> str:
        return accounts[wildcards.backtest].subject if wildcards.backtest in accounts else str(wildcards.backtest)

    return subject


def account_json(accounts: Accounts, name: str) -> str:
    """Description of an account, another line's or one of ours."""
    return f"{accounts[name].folder if name in accounts else ACCOUNT.format(backtest=name)}/account.json"


def causality_of(accounts: Accounts) -> Callable[[Any], str]:
    """Input function: report of the causality check."""

    def path(wildcards: Any) -> str:
        if wildcards.backtest in accounts:
            return accounts[wildcards.backtest].causality
        return f"{FOLDER.format(backtest=wildcards.backtest)}/causality.json"

    return path


def is_checked(backtest: BacktestLineConfig, name: str) -> bool:
    """Whether something can be checked for look-ahead: a file of predictions cannot be made again."""
    entry = backtest.backtests.get(name)
    return entry is None or entry.signal is not None


def causality_options(backtest: BacktestLineConfig) -> Callable[..., str]:
    """Params function: the prices, and the splits where the program reads them."""

    def words(wildcards: Any, input: Any) -> str:
        kinds = ("prices", "splits") if "{splits}" in signal_command(backtest)(wildcards) else ("prices",)
        return options(*kinds)(wildcards, input)

    return words


def all_trials(backtest: BacktestLineConfig) -> Callable[[Any], list[str]]:
    """Input function: accounts of all active backtests and sweeps on the same prices.

    The judge waits for them, so that the ledger that it reads does not depend on which jobs ended first.
    """

    def paths(wildcards: Any) -> list[str]:
        if wildcards.backtest not in backtest.backtests:
            return []
        prices = backtest.backtests[wildcards.backtest].prices
        shared = [name for name in backtest.active if backtest.backtests[name].prices == prices]
        found = [f"{ACCOUNT.format(backtest=name)}/equity.csv" for name in shared]
        for name in shared:
            for trial in trials_of(backtest.backtests[name]):
                found.append(f"results/backtest/{name}/sweep/{trial.name}/equity.csv")
        return found

    return paths


def check_files(backtest: BacktestLineConfig) -> None:
    """Look for the files that active backtests name; those under results/ are made by a rule.

    Raises:
        InputError: one line naming key and path of the first that is missing.
    """
    for name in backtest.active:
        entry = backtest.backtests[name]
        prices: PricesConfig = backtest.prices[entry.prices]
        named = {f"prices.{entry.prices}.{key}": getattr(prices, key) for key in OWN_FILES}
        named |= {f"backtests.{name}.{key}": getattr(entry, key) for key in ("predictions", "naive")}
        for key, path in named.items():
            if path and not path.startswith("results/") and not os.path.isfile(path):
                raise InputError(f"config: backtest.{key}: no such file: {path}")
