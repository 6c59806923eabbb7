"""Whether predictions made of daily prices depend on prices that came after them."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from scripts.backtest.prices.changes import change_after
from scripts.backtest.prices.panel import Array, opening_times
from scripts.backtest.prices.reader import read_panel
from scripts.backtest.prices.settings import CausalitySettings
from scripts.backtest.prices.tables import names, read_table
from scripts.backtest.trading.predictions import known_at
from scripts.lib import job
from scripts.lib.causality import Artifact, Cut, Table, check, evenly
from scripts.lib.errors import InputError
from scripts.lib.joblog import log

PREDICTIONS, PRICES = "predictions", "prices"


def main(
    prices: job.InputFile,
    command: str,
    report: job.OutputFile,
    settings: CausalitySettings,
    splits: job.InputFile | None = None,
    dividends: job.InputFile | None = None,
) -> None:
    """Whether predictions made of daily prices depend on prices that came after them.

    The command makes them once more from prices that are changed after a date, at several dates: every prediction known
    up to then, and which there are, must be the same bit by bit. A date as known_at means after that date's close; an
    instant is compared up to the opening of the first changed session. The report is written whatever it says;
    require_causality refuses one that fails.

    Args:
        prices: raw prices, CSV or Parquet with date, asset, open, high, low, close, volume
        command: what makes predictions, with {prices} and {predictions} where their paths go, and {splits} and
            {dividends} where it reads these; it is run without a shell
        report: JSON with status, cuts, and the first date that depends on what came later
        settings: number of cuts, seed
        splits: CSV with date, asset, ratio, given to the command as {splits}
        dividends: CSV with date, asset, amount, given to the command as {dividends}
    """
    beside = {name: path for name, path in (("splits", splits), ("dividends", dividends)) if path}
    panel, _ = read_panel(prices, settings.calendar)
    pipeline = DailySignal(command, {PRICES: prices, **beside}, settings)
    opens = opening_times(panel)
    with tempfile.TemporaryDirectory(dir=report.parent, prefix=".causality-") as folder:
        verdict = check(
            pipeline,
            lambda artifacts: cuts_of(artifacts, panel.sessions, opens, settings.cuts),
            settings.seed,
            Path(folder),
        )
    verdict.write(report)
    told = verdict.offences[0].line() if verdict.offences else verdict.reason
    log.info("%s at %d cuts%s", verdict.status, len(verdict.cuts), f": {told}" if told else "")


class DailySignal:
    """Predictions that a command makes of daily prices: a pipeline of scripts/lib/causality.py."""

    def __init__(self, command: str, inputs: Mapping[str, Path], settings: CausalitySettings) -> None:
        self._words = words_of(command, [*inputs, PREDICTIONS])
        self._inputs, self._settings = inputs, settings

    def perturb(self, folder: Path, cut: Cut, seed: int) -> int:
        """Write the prices, and what is beside them, with the rows after the cut's date changed."""
        random, day = np.random.default_rng(seed), np.datetime64(cut.name, "D")
        return sum(
            change_after(path, folder / changed_name(name, path), day, random, sessions=name == PRICES)
            for name, path in self._inputs.items()
        )

    def build(self, inputs: Path | None, folder: Path, cut: Cut | None) -> Iterable[Artifact]:
        """Run the command."""
        folder.mkdir(parents=True)
        target = folder / f"{PREDICTIONS}.{self._settings.format}"
        paths = {name: inputs / changed_name(name, path) if inputs else path for name, path in self._inputs.items()}
        run_command(self._words, paths | {PREDICTIONS: target})
        yield Artifact(PREDICTIONS, lambda: read_artifact(target))


def changed_name(name: str, path: Path) -> str:
    """Name of an input's changed copy: files of different folders may have the same one."""
    return f"{name}{path.suffix}"


def words_of(command: str, given: Sequence[str]) -> list[str]:
    """The command as words.

    Raises:
        InputError: it cannot be split, or does not name a file that it is given.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--command: {str(error).lower()}: {command}") from None
    for name in given:
        if not any(f"{{{name}}}" in word for word in words):
            raise InputError(f"--command: no {{{name}}} in it: {command}")
    return words


def run_command(words: Sequence[str], paths: Mapping[str, Path]) -> None:
    """Run a command with paths filled in.

    Raises:
        InputError: it cannot be started, fails, or writes no predictions; with the last line of what it told.
    """
    filled = [_filled(word, paths) for word in words]
    try:
        done = subprocess.run(filled, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise InputError(f"--command: {filled[0]}: {error.strerror}") from None
    if done.returncode:
        told = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()] or ["it told nothing"]
        raise InputError(f"--command: exit code {done.returncode}: {told[-1].strip()}")
    if not paths[PREDICTIONS].exists():
        raise InputError(f"--command: ended without writing {{{PREDICTIONS}}}, {paths[PREDICTIONS].name}")


def _filled(word: str, paths: Mapping[str, Path]) -> str:
    for name, path in paths.items():
        word = word.replace(f"{{{name}}}", str(path.resolve()))
    return word


def read_artifact(path: Path) -> Table:
    """Predictions with their stamps; every column beside known_at and asset counts. A row without any number says
    nothing, so it counts as none."""
    table = read_table(path, ["known_at", "asset"])
    said = table.drop(columns=["known_at", "asset", "horizon"], errors="ignore").select_dtypes("number")
    table = table[said.notna().any(axis=1) | (said.shape[1] == 0)].reset_index(drop=True)
    stamps, _ = known_at(path, table["known_at"])
    values = {name: table[name].to_numpy() for name in table.columns if name not in ("known_at", "asset")}
    assets = names(path, table).to_numpy(str)
    return Table(stamps.astype(np.int64), {"asset": assets}, values)


def cuts_of(artifacts: Sequence[Artifact], sessions: Array, opens: Array, count: int) -> list[Cut]:
    """Cuts right after predictions were made, where a label taken for a feature shows.

    Prices stay as they are up to the last session that had opened by then; what is known before the next one opens is
    compared.
    """
    stamps = np.unique(artifacts[0].read().stamps)
    places = np.unique(np.searchsorted(opens.astype("datetime64[ns]").astype(np.int64), stamps, side="right") - 1)
    places = evenly(places[(places >= 0) & (places < len(sessions) - 1)], count)
    return [Cut(int(opens[place + 1].astype("datetime64[ns]").astype(np.int64)), str(sessions[place]))
            for place in places]  # fmt: skip


if __name__ == "__main__":
    job.run(main)
