"""The order-book line from raw captures to the agents' predictions, as a pipeline of scripts/lib/causality.py.

    states, features   a row counts as known when its message arrived
    scaling, edges     and which training windows there are: known at the end of the training states
    windows            of validation and test: known when their last state is
    predictions        at known_at, of the agents as they are trained

Everything is made by the line's own programs, with its settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.lib.causality import Artifact, Cut, Table, document, evenly, stamp_text
from scripts.lib.splits import NAMES, cut_places
from scripts.orderbook import balance_windows, extract_features, parse_book
from scripts.orderbook.agent.policy import digests, read_description, read_encoder
from scripts.orderbook.agent.settings import EvaluateAgentSettings
from scripts.orderbook.book.settings import ParseSettings
from scripts.orderbook.causality.raw_changes import Changes, change_capture
from scripts.orderbook.causality.settings import BookCausalitySettings
from scripts.orderbook.evaluate_agent import check_inputs, check_rules, trade, write_predictions
from scripts.orderbook.windows.inputs import load_scaling

TRAIN = NAMES[0]
EVERY_STATE = 1_000_000_000
SHIFTS = (5, 50)  # ticks


@dataclass(frozen=True)
class Trained:
    """What stays as it is: how the windows were split and scaled, the encoder and the agents."""

    windows: Path
    scaling: Path
    encoder: Path
    encoder_config: Path
    policies: list[Path]
    agents: list[Path]


class BookLine:
    """The line of one feed.

    Args:
        parts: names of the parts with their raw files, in time order.
        trained: checkpoints.
        asset: what is traded.
        settings: of all stages.
    """

    def __init__(
        self, parts: dict[str, list[Path]], trained: Trained, asset: str, settings: BookCausalitySettings
    ) -> None:
        self._parts, self._trained, self._asset, self._settings = parts, trained, asset, settings
        self._before: dict[str, Path] = {}  # states of the parts, from unchanged captures
        self._begins: list[int] = []  # of each part, when its first state was known
        self._first_prediction: dict[str, int] = {}

    def perturb(self, folder: Path, cut: Cut, seed: int) -> int:
        """Write the captures of the parts that reach beyond the cut."""
        random = np.random.default_rng(seed)
        tick = Decimal(repr(load_scaling(self._trained.scaling).tick))
        ticks = 0 if self._settings.parse.crossed == "resync" else int(random.integers(*SHIFTS))  # else segments end
        changes = Changes(random, tick * ticks * int(random.choice([-1, 1])))
        changed = 0
        for part in list(self._parts)[self._place(cut) :]:
            for number, path in enumerate(self._parts[part]):
                target = changed_path(folder, part, number)
                target.parent.mkdir(parents=True, exist_ok=True)
                changed += change_capture(path, target, self._settings.venue, cut.instant, changes)
        return changed

    def build(self, inputs: Path | None, folder: Path, cut: Cut | None) -> Iterator[Artifact]:
        """Run the programs, but for what cannot have changed or is known after the cut only."""
        states = self._parse(inputs, folder, cut)
        for part, path in states.items():
            if cut is None or part == list(self._parts)[self._place(cut)]:
                yield Artifact(f"states {part}", messages_of(path))
                yield Artifact(f"features {part}", messages_of(self._extract(part, path, folder)))
        if cut is None:
            self._begins = [first_time(path) for path in states.values()]
            self._before = self._before or states
        end = train_end(list(states.values()), self._settings)
        if cut is None or cut.instant >= end:
            yield from self._windows(list(states.values()), folder, end)
        for split in self._settings.evaluate.splits:
            if cut is None or cut.instant >= self._first_prediction[split]:
                table = predictions_of(self._predict(list(states.values()), folder, split))
                self._first_prediction.setdefault(split, int(table().stamps.min()))
                yield Artifact(f"predictions {split}", table)

    def cuts(self, artifacts: Sequence[Artifact]) -> list[Cut]:
        """Within each split, at decisions of the agents: in training, where they have none to show, at states."""
        end = train_end(list(self._before.values()), self._settings)
        times = np.concatenate([known_times(path) for path in self._before.values()])
        found = [times[times <= end]]
        found += [artifact.read().stamps for artifact in artifacts if artifact.name.startswith("predictions ")]
        instants = np.concatenate([evenly(np.unique(stamps), self._settings.cuts) for stamps in found])
        return [Cut(int(instant), stamp_text(int(instant))) for instant in instants]

    def _place(self, cut: Cut) -> int:
        """The part in which the cut lies."""
        return max(int(np.searchsorted(self._begins, cut.instant, side="right")) - 1, 0)

    def _parse(self, inputs: Path | None, folder: Path, cut: Cut | None) -> dict[str, Path]:
        """States of all parts; those before the cut's are there already."""
        names, first = list(self._parts), 0 if cut is None else self._place(cut)
        states = {part: self._before[part] for part in names[:first]}
        book = carried(self._before[names[first - 1]]) if first and self._settings.chained else None
        for part in names[first:]:
            raw = [
                changed_path(inputs, part, number) if inputs else path for number, path in enumerate(self._parts[part])
            ]
            target = placed(folder, "states", f"{part}.parquet")
            out = carried(target) if self._settings.chained else None
            parse_book.main(raw, target, target.with_suffix(".json"), self._parse_settings(), book, out)
            states[part], book = target, out
        return states

    def _parse_settings(self) -> ParseSettings:
        chosen = self._settings
        return ParseSettings(venue=chosen.venue, symbol=chosen.symbol, **dict(chosen.parse))

    def _extract(self, part: str, states: Path, folder: Path) -> Path:
        target = placed(folder, "features", f"{part}.parquet")
        extract_features.main(states, target, self._settings.features)
        return target

    def _windows(self, states: list[Path], folder: Path, end: int) -> Iterator[Artifact]:
        """Windows, scaling and the edges of the conditions; no more windows are drawn than are looked at."""
        chosen = self._settings
        most = {
            name: min(getattr(chosen.balance, name), chosen.windows)
            for name in ("max_train_windows", "max_evaluation_windows")
        }
        names = {split: f"{split}.npy" for split in NAMES}
        names |= {"windows": "windows.parquet", "scaling": "scaling.json", "conditions": "conditions.csv"}
        files = {name: placed(folder, "windows", file) for name, file in names.items()}
        summary, plot = (placed(folder, "windows", name) for name in ("conditions.json", "conditions.svg"))
        balance_windows.main(
            states=states, **files, summary=summary, plot=plot, title=self._asset,
            settings=chosen.balance.model_copy(update=most),
        )  # fmt: skip
        yield document("scaling", end, json.loads(files["scaling"].read_text(encoding="utf-8")))
        found = json.loads(summary.read_text(encoding="utf-8"))
        yield document("edges of the conditions", end, {"tick": found["tick"], "edges": found["edges"]})
        for split in NAMES:
            yield Artifact(f"windows {split}", windows_of(files[split], files["windows"], split, states, end))

    def _predict(self, states: list[Path], folder: Path, split: str) -> Path:
        """Predictions of the agents in a split. All its states are taken: which ones `max_states` leaves out depends on
        how many come later."""
        chosen, files = self._settings, self._trained
        options: dict[str, Any] = dict(chosen.evaluate) | {"max_states": EVERY_STATE}
        settings = EvaluateAgentSettings(**options, known_levels=chosen.balance.known_levels, trading=chosen.trading)
        model, scales = read_encoder(files.encoder, files.encoder_config, files.scaling)
        agents = [read_description(path) for path in files.agents]
        check_rules(files.agents, agents, settings)
        check_inputs(files.agents, agents, digests(files.encoder, files.scaling, files.windows))
        found = trade(split, states, files.windows, model, scales, files.policies, agents, settings)
        target = placed(folder, "agent", f"{split}.parquet")
        write_predictions(target, [found], self._asset, chosen.trading.decision_every)
        return target


# ---------------------------------------------------------------------------------------------------- files to tables


def changed_path(folder: Path, part: str, number: int) -> Path:
    """Where a changed capture lies."""
    return folder / part / f"{number}.gz"


def placed(folder: Path, kind: str, name: str) -> Path:
    (folder / kind).mkdir(parents=True, exist_ok=True)
    return folder / kind / name


def carried(states: Path) -> Path:
    """The book that a part leaves to the next one, beside its states."""
    return states.with_suffix(".npz")


def known_times(states: Path) -> np.ndarray:
    """(n,) int64 ns: when each state's message arrived."""
    times: np.ndarray = pq.read_table(states, columns=["local_time"])["local_time"].to_numpy()
    return times


def first_time(states: Path) -> int:
    return int(known_times(states).min())


def train_end(states: list[Path], settings: BookCausalitySettings) -> int:
    """When the last training state was known."""
    times = np.concatenate([known_times(path) for path in states])
    first, _ = cut_places(len(times), settings.balance.train_share, settings.balance.validation_share)
    return int(times[:first].max())


def messages_of(path: Path) -> Any:
    """Reader of a file of states or features."""

    def read() -> Table:
        columns = columns_of(pq.read_table(path))
        return Table(columns.pop("local_time"), {}, columns)

    return read


def windows_of(array: Path, table: Path, split: str, states: list[Path], end: int) -> Any:
    """Reader of a split's windows. Of training the draw counts too; elsewhere it depends on how many windows there are,
    and what counts is what each holds."""

    def read() -> Table:
        found = pq.read_table(table)
        columns = columns_of(found.filter(pc.equal(found["split"], split)).sort_by("index").drop(["split", "index"]))
        length = np.load(array, mmap_mode="r").shape[1]
        times = {path.stem: known_times(path) for path in states}
        last = columns["start_row"] + length - 1
        stamps = np.array([times[part][row] for part, row in zip(columns["part"], last, strict=True)], np.int64)
        keys = {name: columns.pop(name) for name in ("part", "start_row")}
        if split == TRAIN:
            stamps = np.full(len(stamps), end)
        return Table(stamps, keys, {"window": np.load(array), **columns}, members=split == TRAIN, fitted=split == TRAIN)

    return read


def predictions_of(path: Path) -> Any:
    """Reader of predictions."""

    def read() -> Table:
        columns = columns_of(pq.read_table(path))
        return Table(columns.pop("known_at").astype(np.int64), {"asset": columns.pop("asset")}, columns)

    return read


def columns_of(table: pa.Table) -> dict[str, np.ndarray]:
    """Columns as arrays, texts as such."""
    found: Iterable[tuple[str, np.ndarray]] = ((name, table[name].to_numpy()) for name in table.column_names)
    return {name: values.astype(str) if values.dtype == object else values for name, values in found}
