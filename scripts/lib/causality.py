"""Look-ahead: rebuild a line's artifacts from inputs that are changed after a moment, and see what changed before it.

Nothing that is stamped up to a cut may depend on what came after it: not a feature, a scaler, a window, a token, a
prediction, nor which rows there are (the universe). A profit curve does not show this: a normalisation over all data
looks innocent there. How far back a change reaches names the culprit: only the row at the cut is a label taken for a
feature, a few rows a centred window, all rows a fit over the whole sample.

What counts as equal: the same bits. All NaN are one value; 0.0 and −0.0 are two, since what makes a zero's sign depend
on later data is a dependence too. Where one table holds integers and the other floats, both are compared as floats.
Rows are matched by stamp and keys (of equal ones by their order), never by their place.

Stamps are integers, ns UTC. A date stands for its end, the last nanosecond of the day.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from scripts.lib.errors import InputError
from scripts.lib.progress import Progress

Array = np.ndarray[Any, Any]

DAY_NS = 86_400_000_000_000
ROWS = "rows"
"""Stands for a column where a row itself came or went."""
ALL = "all"
FEWEST = 3
"""Stamps that a change must go back before "to the very first" says more than their number."""
WINDOW = 20
"""Stamps up to which a change is read as a window."""
PASS, FAIL, NOT_CHECKED = "pass", "fail", "not checked"


class Table(NamedTuple):
    """An artifact's rows as columns, each of length n."""

    stamps: Array  # (n,) int64: when a row counts as known
    keys: Mapping[str, Array]  # what tells rows of one stamp apart, such as the asset
    values: Mapping[str, Array]  # (n,) or (n, …): what may not depend on what came later
    members: bool = True  # whether it counts which rows there are; False: only what those hold that are in both
    fitted: bool = False  # whether it is a document, such as a scaler: one row, fitted on what came before its stamp


@dataclass(frozen=True)
class Artifact:
    """Something that a line makes; `read` fetches it, so that only the pair being compared is in memory."""

    name: str
    read: Callable[[], Table]


class Cut(NamedTuple):
    """A moment: inputs after it are changed, what is stamped up to it is compared."""

    instant: int  # ns UTC
    name: str  # as people read it


class Pipeline(Protocol):
    """What a line brings: how to change its raw inputs, and how to make its artifacts of them."""

    def perturb(self, folder: Path, cut: Cut, seed: int) -> int:
        """Write the raw inputs to `folder`, everything after the cut changed; the number of changed rows or lines."""

    def build(self, inputs: Path | None, folder: Path, cut: Cut | None) -> Iterable[Artifact]:
        """Make the artifacts, upstream ones first.

        Args:
            inputs: folder of changed inputs; None: the line's own.
            folder: where to write.
            cut: what is compared ends here. An artifact that is left out counts as equal, so only those may be that
                hold nothing up to the cut, or cannot have changed.
        """


@dataclass(frozen=True)
class Offence:
    """What depends on what came later."""

    artifact: str
    column: str
    key: str
    """The row's keys, as text; empty where it has none."""
    at: str
    """The first stamp that changed."""
    cut: str
    """After which the inputs were changed."""
    reach_back: int | str
    """Stamps of the artifact after the first that changed, up to the cut: 0 is the last one alone. "all": the change
    goes back to the very first."""
    reads: str
    """What such a reach usually is."""

    def line(self) -> str:
        """The offence in one line."""
        what = f"{self.column} of {self.key}" if self.key else self.column
        return f"{self.artifact}: {what} at {self.at} depends on what came after {self.cut} (reaches back" \
               f" {self.reach_back}: {self.reads})"  # fmt: skip


@dataclass
class Seen:
    """How far an artifact was tried."""

    compared: int = 0
    """Rows up to a cut that were compared, of the cut with most of them."""
    responds: bool = False
    """Whether a row after a cut changed: what does not, cannot show a dependence."""


@dataclass
class Verdict:
    """causality.json."""

    cuts: list[Cut]
    artifacts: dict[str, Seen]
    offences: list[Offence] = field(default_factory=list)
    reason: str | None = None
    """Why nothing was checked."""

    @property
    def status(self) -> str:
        if self.offences:
            return FAIL
        return NOT_CHECKED if self.reason else PASS

    def write(self, path: Path) -> None:
        """Write the report; the first offence is that of the artifact that lies most upstream."""
        report = {
            "status": self.status,
            "reason": self.reason,
            "cuts": [cut.name for cut in self.cuts],
            "artifacts": [{"name": name, **vars(seen)} for name, seen in self.artifacts.items()],
            "offences": [vars(offence) for offence in self.offences],
        }
        path.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def not_checked(reason: str) -> Verdict:
    """The verdict where the inputs cannot be changed or rebuilt."""
    return Verdict([], {}, [], reason)


def check(
    pipeline: Pipeline, choose_cuts: Callable[[Sequence[Artifact]], list[Cut]], seed: int, folder: Path
) -> Verdict:
    """Judge a line.

    Args:
        pipeline: of the line.
        choose_cuts: cuts by the artifacts of the unchanged inputs. Stamps of what is judged make the sharpest cuts: a
            label taken for a feature shows only where the cut lies between a row and the next bar.
        seed: of the perturbations.
        folder: for what is rebuilt; what is no longer needed is removed.

    Raises:
        InputError: two builds of the same inputs differ, or a perturbation changes nothing: the check could not fail.
    """
    before = {artifact.name: artifact for artifact in pipeline.build(None, folder / "before", None)}
    require_determinism(before, pipeline.build(None, folder / "again", None))
    remove(folder / "again")
    cuts = choose_cuts(list(before.values()))
    verdict = Verdict(cuts, {name: Seen() for name in before})
    with Progress("causality", len(cuts), "cuts") as progress:
        for number, cut in enumerate(cuts):
            inputs = folder / f"inputs-{number}"
            inputs.mkdir(parents=True)
            if not pipeline.perturb(inputs, cut, seed + number):
                raise InputError(f"causality: no input after {cut.name} could be changed: the check could not fail")
            with told_by(cut):
                after = pipeline.build(inputs, folder / f"after-{number}", cut)
                verdict.offences += judge(before, after, cut, verdict.artifacts)
            for done in (inputs, folder / f"after-{number}"):
                remove(done)
            progress.advance()
    order = list(before)
    verdict.offences.sort(key=lambda offence: (order.index(offence.artifact), offence.at))
    verdict.reason = why_not_checked(verdict)
    return verdict


@contextmanager
def told_by(cut: Cut) -> Iterator[None]:
    """Says of an error that it came of changed inputs."""
    try:
        yield
    except InputError as error:
        raise InputError(f"causality: with the inputs after {cut.name} changed: {error}") from None


def require_determinism(before: Mapping[str, Artifact], again: Iterable[Artifact]) -> None:
    """Raises: InputError: an artifact is another one when it is built of the same inputs once more."""
    for artifact in again:
        first = first_difference(before[artifact.name].read(), artifact.read())
        if first:
            raise InputError(
                f"causality: {artifact.name} is not deterministic: built of the same inputs twice, {first.column} at"
                f" {stamp_text(first.stamp)} differs"
            )


def judge(
    before: Mapping[str, Artifact], after: Iterable[Artifact], cut: Cut, seen: Mapping[str, Seen]
) -> list[Offence]:
    """What depends on what came after the cut, at most one offence an artifact; `seen` is brought up to date."""
    offences = []
    for artifact in after:
        tables = before[artifact.name].read(), artifact.read()
        known = [up_to(table, cut.instant) for table in tables]
        later = [after_cut(table, cut.instant) for table in tables]
        noted = seen[artifact.name]
        noted.compared = max(noted.compared, len(known[0].stamps))
        noted.responds = noted.responds or first_difference(*later) is not None
        if first := first_difference(*known):
            reach = reach_back(known, first)
            offences.append(
                Offence(artifact.name, first.column, first.key, stamp_text(first.stamp), cut.name, reach,
                        reading(reach, first.column, known[0].fitted))
            )  # fmt: skip
    return offences


def why_not_checked(verdict: Verdict) -> str | None:
    """Why the cuts say nothing; None if they do."""
    if not verdict.cuts:
        return "there is no moment to cut at: nothing is stamped before the last of the inputs"
    if not any(seen.compared for seen in verdict.artifacts.values()):
        return "nothing is stamped up to a cut"
    if not verdict.offences and not any(seen.responds for seen in verdict.artifacts.values()):
        return (
            "nothing changed when the inputs did, not even after the cuts: the artifacts are not made of these inputs"
        )
    return None


# ------------------------------------------------------------------------------------------------- comparing two tables


class Difference(NamedTuple):
    """The first row, in order of stamps, that two tables do not share."""

    stamp: int
    column: str
    key: str


def up_to(table: Table, instant: int) -> Table:
    return _chosen(table, table.stamps <= instant)


def after_cut(table: Table, instant: int) -> Table:
    return _chosen(table, table.stamps > instant)


def _chosen(table: Table, rows: Array) -> Table:
    keys = {name: column[rows] for name, column in table.keys.items()}
    values = {name: column[rows] for name, column in table.values.items()}
    return table._replace(stamps=table.stamps[rows], keys=keys, values=values)


def first_difference(before: Table, after: Table) -> Difference | None:
    """The earliest difference: of one stamp that of the first column, and last a row that is missing or was added."""
    names = identities(before, after)
    found: list[Difference] = []
    _, places, others = np.intersect1d(*names, assume_unique=True, return_indices=True)
    for name in {**before.values, **after.values}:
        if name in before.values and name in after.values:
            differs = ~same_bits(before.values[name][places], after.values[name][others])
        else:  # a column that comes and goes
            differs = np.ones(len(places), bool)
        found += _first(before, places[differs], name)
    if before.members:
        for table, gone in zip((before, after), _alone(*names), strict=True):
            found += _first(table, gone, ROWS)
    return min(found, key=lambda difference: difference.stamp, default=None)


def _alone(before: Array, after: Array) -> tuple[Array, Array]:
    """Places of the rows that only one of the tables has."""
    return np.flatnonzero(~np.isin(before, after)), np.flatnonzero(~np.isin(after, before))


def _first(table: Table, places: Array, column: str) -> list[Difference]:
    """The earliest of these rows, if there is one."""
    if not len(places):
        return []
    row = places[np.argmin(table.stamps[places])]
    key = ", ".join(f"{name} {values[row]}" for name, values in table.keys.items())
    return [Difference(int(table.stamps[row]), column, key)]


def identities(before: Table, after: Table) -> tuple[Array, Array]:
    """Numbers of the rows of both tables, equal for equal stamp, keys and, among equal ones, order."""
    count = len(before.stamps)
    codes = np.unique(np.concatenate([before.stamps, after.stamps]), return_inverse=True)[1]
    for name, column in before.keys.items():
        joined = np.concatenate([column.astype(str), after.keys[name].astype(str)])
        place = np.unique(joined, return_inverse=True)[1]
        codes = np.unique(codes * (place.max(initial=0) + 1) + place, return_inverse=True)[1]
    repeated = np.concatenate([_repetitions(codes[:count]), _repetitions(codes[count:])])
    found = codes * (repeated.max(initial=0) + 1) + repeated
    return found[:count], found[count:]


def _repetitions(codes: Array) -> Array:
    """How many equal ones stand before each."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(codes) else ordered
    repeated = np.empty_like(codes)
    repeated[order] = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    return repeated


def same_bits(before: Array, after: Array) -> Array:
    """(n,) bool: whether rows are equal, as the head of this module says."""
    equal: Array
    if before.dtype.kind in "biuf" and after.dtype.kind in "biuf":
        kind = np.result_type(before, after)
        pair = [np.ascontiguousarray(values, kind) for values in (before, after)]
        equal = _same_numbers(*pair)
    elif before.dtype.kind in "mM" and before.dtype == after.dtype:
        equal = before.view(np.int64) == after.view(np.int64)
    else:
        equal = np.asarray(texts(before) == texts(after))
    return np.asarray(equal.all(axis=tuple(range(1, equal.ndim))))


def _same_numbers(before: Array, after: Array) -> Array:
    if before.dtype.kind != "f":
        return np.asarray(before == after)
    bits = np.dtype(f"u{before.itemsize}")
    equal: Array = (before.view(bits) == after.view(bits)) | (np.isnan(before) & np.isnan(after))
    return equal


def texts(values: Array) -> Array:
    """As text; what is missing (None, NaN) is empty."""
    flat = ["" if value is None or value != value else str(value) for value in values.ravel().tolist()]
    return np.array(flat, dtype=str).reshape(values.shape)


def reach_back(tables: Sequence[Table], first: Difference) -> int | str:
    """How many stamps of the artifact follow the first that changed, up to the cut; ALL if that one is the very first.

    The very first of a column is where it has its first number: a warm-up holds nothing that could change.
    """
    if tables[0].fitted:
        return ALL
    stamps = np.unique(np.concatenate([table.stamps for table in tables]))
    reach = int((stamps > first.stamp).sum())
    begin = min((_begin(table, first.column) for table in tables), default=first.stamp)
    return ALL if reach >= FEWEST and first.stamp <= begin else reach


def _begin(table: Table, column: str) -> int:
    """The first stamp at which a column holds something."""
    values = table.values.get(column)
    stamps = table.stamps
    if values is not None and values.dtype.kind == "f":
        stamps = stamps[~np.isnan(values).reshape(len(values), -1).all(axis=1)]
    return int(stamps.min()) if len(stamps) else np.iinfo(np.int64).max


def reading(reach: int | str, column: str, fitted: bool) -> str:
    """What a change that goes so far back usually comes from."""
    if fitted:
        return "fitted on data after its end"
    chosen = "rows chosen by what came later" if column == ROWS else ""
    if reach == ALL:
        return chosen or "normalisation, selection or another fit over all data"
    if reach == 0:
        return chosen or "same-bar label: the last row uses what follows it"
    ahead = int(reach) + 1
    if ahead > WINDOW:
        return chosen or "a fit over much of the data, or a long label"
    window = f"a centred window of about {2 * ahead + 1}, or a label over {ahead}"
    return f"{chosen}, {ahead} stamps ahead" if chosen else f"{ahead} stamps ahead: {window}"


# ------------------------------------------------------------------------------------------------------------ artifacts


def document(name: str, stamp: int, content: Mapping[str, Any]) -> Artifact:
    """A document such as a scaler, fitted on what came up to its stamp: its numbers and texts by their paths in it."""
    values = {path: np.array([value]) for path, value in flattened(content)}
    return Artifact(name, lambda: Table(np.array([stamp]), {}, values, fitted=True))


def flattened(content: Any, path: str = "") -> list[tuple[str, Any]]:
    """(path, value) of all that JSON holds, such as ("mean[0]", 1.5)."""
    if isinstance(content, Mapping):
        return [
            pair for key, value in content.items() for pair in flattened(value, f"{path}.{key}" if path else str(key))
        ]
    if isinstance(content, list | tuple):
        return [pair for place, value in enumerate(content) for pair in flattened(value, f"{path}[{place}]")]
    return [(path, content)]


def evenly(moments: Array, count: int) -> Array:
    """At most `count` of the moments, evenly spaced, neither the first nor the last where others are left."""
    places = np.linspace(0, len(moments) - 1, count + 2)[1:-1].round().astype(int)
    return moments[np.unique(places)] if len(moments) else moments


def stamp_text(stamp: int) -> str:
    """A stamp as people read it: a date where it is the end of a day, else an instant."""
    if (stamp + 1) % DAY_NS == 0:
        return str(np.datetime64(stamp, "ns").astype("datetime64[D]"))
    return f"{np.datetime64(stamp, 'ns')}Z"


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
