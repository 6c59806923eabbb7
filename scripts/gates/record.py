"""What was promoted, and in which order: folders that are never changed, and a record that only grows.

    PROMOTED/DIGEST/                                 the files, read-only, with manifest.json
    PROMOTED/record/STAGE/SUBJECT/000001.json        what was promoted first, 000002.json what came after it, …

The last promoted one is that of the highest number. An entry gets its name by a hard link, which fails where the name
is taken: of two jobs at the same time one takes the next number, also on a network file system.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from scripts.gates.artifacts import digests
from scripts.gates.checks import Baseline
from scripts.gates.verdict import Verdict, write_json
from scripts.lib.errors import InputError
from scripts.lib.outputs import flush, flush_folder, remove, sweep, temporary_path
from scripts.lib.settings import Settings, validate_json

MANIFEST = "manifest.json"
FILE_MODE = 0o444


class Manifest(Settings):
    """What was promoted."""

    line: str
    """Such as orderbook."""
    stage: str
    """Such as encoder."""
    subject: str
    """Such as the feed's name."""
    digest: str
    """Name of the folder."""
    promoted_at: datetime
    """UTC."""
    files: dict[str, str]
    """sha256 by name."""
    metrics: dict[str, Any]
    """The figures that were judged."""
    verdict: Verdict
    """By which it was promoted."""


class Entry(Manifest):
    """A line of the record."""

    sequence: int
    """Number in the record of this stage and subject, from 1."""


def entries(promoted: Path, stage: str, subject: str) -> list[Entry]:
    """All promotions of a subject, the first one first.

    Raises:
        InputError: an entry cannot be read, or is not of this subject.
    """
    folder = record_folder(promoted, stage, subject)
    found = [read_entry(path) for path in folder.glob("[0-9]*.json")]
    for entry in found:
        if (entry.stage, entry.subject) != (stage, subject):
            raise InputError(f"{folder}: an entry of {entry.stage} {entry.subject} stands there")
    return sorted(found, key=lambda entry: entry.sequence)


def record_folder(promoted: Path, stage: str, subject: str) -> Path:
    return promoted / "record" / stage / subject


def read_entry(path: Path) -> Entry:
    """Raises: InputError: not an entry of the record."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    return validate_json(Entry, text, f"{path}: not an entry of promote")


def baseline_for(promoted: Path | None, stage: str, subject: str, digest: str) -> Baseline | None:
    """What was promoted last before this one: judged again, it is not compared with itself."""
    found = [entry for entry in entries(promoted, stage, subject) if entry.digest != digest] if promoted else []
    return Baseline(found[-1].digest, found[-1].metrics) if found else None


def store(promoted: Path, manifest: Manifest, files: dict[str, Path]) -> Path:
    """Copy files into the folder of their digest, all or none; one that is there already stays as it is.

    Raises:
        InputError: a copy is not what was judged, what stands there was changed, or nothing can be written there.
    """
    target = promoted / manifest.digest
    temporary = temporary_path(target)
    try:
        promoted.mkdir(parents=True, exist_ok=True)
        sweep(temporary)
        if not target.exists():
            _copy(temporary, manifest, files)
            if _take_name(temporary, target):
                return target
    except OSError as error:
        raise InputError(f"{promoted}: cannot write there: {error.strerror or error}") from None
    finally:
        remove(temporary)
    _verify(target, manifest)
    return target


def _copy(folder: Path, manifest: Manifest, files: dict[str, Path]) -> None:
    """Copies with a manifest, flushed to the disk; compared after copying, since a file may change while it is read."""
    copies = {name: folder / name for name in files}
    for name, path in files.items():
        copies[name].parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copies[name])
    refuse_changed(files, digests(copies), manifest.files)
    write_json(folder / MANIFEST, manifest)
    for path in (*copies.values(), folder / MANIFEST):
        path.chmod(FILE_MODE)
    flush(folder)


def _take_name(temporary: Path, target: Path) -> bool:
    """Rename; False where another job was faster: a folder with files in it is never replaced."""
    try:
        temporary.rename(target)
    except OSError:
        if target.exists():
            return False
        raise
    flush_folder(target.parent)
    return True


def _verify(target: Path, manifest: Manifest) -> None:
    """Raises: InputError: the promoted files are no longer those that were promoted."""
    copies = {name: target / name for name in manifest.files}
    missing = next((path for path in copies.values() if not path.is_file()), None)
    if missing:
        raise InputError(f"{missing}: of what was promoted it is missing; remove {target} to promote it anew")
    changed = next((name for name, found in digests(copies).items() if found != manifest.files[name]), None)
    if changed:
        raise InputError(f"{copies[changed]}: changed since it was promoted; remove {target} to promote it anew")


def refuse_changed(paths: dict[str, Path], found: dict[str, str], judged: dict[str, str]) -> None:
    """Raises: InputError: these are not the files that were judged."""
    if found.keys() != judged.keys():
        raise InputError(f"--artifacts: {', '.join(sorted(found))}; judged were {', '.join(sorted(judged))}")
    for name, sha256 in found.items():
        if sha256 != judged[name]:
            raise InputError(f"{paths[name]}: not the file that was judged (sha256 {sha256[:16]}…); judge it again")


def enter(promoted: Path, manifest: Manifest) -> Entry:
    """Put an entry into the record, unless the last one says the same; the entry that stands there now.

    Raises:
        InputError: the record cannot be written.
    """
    folder = record_folder(promoted, manifest.stage, manifest.subject)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(_unnamed(folder))
        while True:
            found = entries(promoted, manifest.stage, manifest.subject)
            if found and _says(found[-1]) == _says(manifest):
                return found[-1]
            entry = Entry(**dict(manifest), sequence=found[-1].sequence + 1 if found else 1)
            if _link(folder / f"{entry.sequence:06d}.json", entry):
                return entry
    except OSError as error:
        raise InputError(f"{folder}: the record cannot be written: {error.strerror or error}") from None


def _says(manifest: Manifest) -> tuple[object, ...]:
    return manifest.digest, manifest.verdict.judged.metrics.sha256, manifest.verdict.status


def _unnamed(folder: Path) -> Path:
    """Where an entry stands until it has its number."""
    return temporary_path(folder / "entry.json")


def _link(path: Path, entry: Entry) -> bool:
    """Write an entry whole and give it its name; False where the name is taken."""
    temporary = _unnamed(path.parent)
    try:
        write_json(temporary, entry)
        temporary.chmod(FILE_MODE)
        flush(temporary)
        os.link(temporary, path)
        flush_folder(path.parent)
    except FileExistsError:
        return False
    finally:
        remove(temporary)
    return True
