"""The files of a finished run as they lie on the disk now, and what no longer agrees with the records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from scripts.commands.job_records import Job
from scripts.lib.code import digest as code_digest
from scripts.lib.envfile import EnvFileError, read_env
from scripts.lib.errors import InputError
from scripts.lib.progress import Progress

BLOCK = 1 << 20  # bytes hashed between two looks at the clock
DIRECTORY_MARK = ".snakemake_timestamp"  # carries the time of a directory output
CLOCK = 1e-3  # s; Snakemake stores times as floats, which are exact to less than 1 us


@dataclass(frozen=True)
class RunFile:
    """A file or directory of the run; a directory has `parts`, and neither size nor digest.

    `size` is in bytes; `mtimes` (s since the epoch) are all that Snakemake may have noted: those of a link
    and of its target; `newest` is the latest time of the file or, for a directory, of anything in it.
    """

    path: str
    present: bool
    size: int = 0
    sha256: str = ""
    mtimes: tuple[float, ...] = ()
    newest: float = 0.0
    parts: tuple[RunFile, ...] | None = None


def is_local(path: str) -> bool:
    """Whether a recorded path names a file: an input may also be a URL, `<pipe>` or `<service>`."""
    return "://" not in path and not path.startswith("<")


def read_files(jobs: Iterable[Job], directory: Path) -> dict[str, RunFile]:
    """All local inputs and outputs of the jobs, each read and hashed once."""
    paths = sorted({path for job in jobs for path in (*job.inputs, *job.outputs) if is_local(path)})
    total = sum(_size(directory / path) for path in paths)
    with Progress("hash", total, "B") as progress:
        return {path: _read(path, directory, progress) for path in paths}


def _size(path: Path) -> int:
    files = _files_below(path) if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.exists())


def _files_below(folder: Path) -> list[Path]:
    """Files of a directory output, without Snakemake's own mark."""
    found = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return sorted(path for path in found if path.name != DIRECTORY_MARK)


def _read(path: str, directory: Path, progress: Progress) -> RunFile:
    file = directory / path
    try:
        if not file.exists():
            return RunFile(path, present=False)
        return _read_directory(path, directory, progress) if file.is_dir() else _read_file(path, file, progress)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None


def _read_file(path: str, file: Path, progress: Progress) -> RunFile:
    mtimes = (file.lstat().st_mtime, file.stat().st_mtime)
    return RunFile(path, True, file.stat().st_size, hash_file(file, progress), mtimes, max(mtimes))


def _read_directory(path: str, directory: Path, progress: Progress) -> RunFile:
    folder = directory / path
    below = [Path(path, file.relative_to(folder)) for file in _files_below(folder)]
    parts = tuple(_read_file(part.as_posix(), directory / part, progress) for part in below)
    mark = folder / DIRECTORY_MARK
    mtime = (mark if mark.exists() else folder).stat().st_mtime
    return RunFile(path, True, mtimes=(mtime,), newest=max([mtime, *(p.newest for p in parts)]), parts=parts)


def hash_file(path: Path, progress: Progress | None = None) -> str:
    """sha256 of a file in hex, read in blocks."""
    state = sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            state.update(block)
            if progress:
                progress.advance(len(block))
    return state.hexdigest()


def find_problems(jobs: list[Job], files: dict[str, RunFile], removed: frozenset[str], root: Path) -> dict[str, str]:
    """What disagrees with the records: path -> what is wrong, for outputs, inputs and the workflow's code.

    No problem is a missing output that Snakemake removed as temporary or that another job has read: such
    intermediates may go, and Snakemake too holds the run for complete without them. Nor is one that was
    touched, as long as a job that read it recorded the same sha256.
    """
    seen = _checksums_seen(jobs)
    problems: dict[str, str] = {}
    for path, problem in _all_problems(jobs, files, seen, removed, root):
        problems.setdefault(path, problem)
    return problems


def _all_problems(
    jobs: list[Job],
    files: dict[str, RunFile],
    seen: dict[str, set[str]],
    removed: frozenset[str],
    root: Path,
) -> Iterator[tuple[str, str]]:
    for job in jobs:
        for path, mtime in job.outputs.items():
            if not is_local(path):
                continue
            if files[path].present and _changed(files[path], mtime, seen.get(path, set())):
                yield path, f"changed since rule {job.rule} made it"
            elif not files[path].present and path not in seen and path not in removed:
                yield path, f"missing, though rule {job.rule} made it (or failed to)"
    made = {path for job in jobs for path in job.outputs}
    for job in jobs:
        yield from _input_problems(job, files, made)
        yield from _code_problems(job, root)


def _checksums_seen(jobs: list[Job]) -> dict[str, set[str]]:
    """Each path that a job has read, with the checksums that its readers recorded (none above 1 MB)."""
    seen: dict[str, set[str]] = {}
    for job in jobs:
        for path in job.inputs:
            seen.setdefault(path, set()).update({job.checksums[path]} if path in job.checksums else ())
    return seen


def _changed(file: RunFile, recorded: float, checksums: set[str]) -> bool:
    if file.parts is not None and file.newest > recorded + CLOCK:
        return True
    same_time = any(abs(mtime - recorded) <= CLOCK for mtime in file.mtimes)
    return not same_time and file.sha256 not in checksums


def _input_problems(job: Job, files: dict[str, RunFile], made: set[str]) -> Iterator[tuple[str, str]]:
    for path in filter(is_local, job.inputs):
        file = files[path]
        checksum = job.checksums.get(path)
        if not file.present and path not in made:
            yield path, f"missing, though rule {job.rule} read it"
        elif file.present and checksum and checksum != file.sha256:
            yield path, f"changed since rule {job.rule} read it"
        elif file.present and not checksum and file.newest > job.end.timestamp() + CLOCK:
            yield path, f"newer than what rule {job.rule} made of it"


def _code_problems(job: Job, root: Path) -> Iterator[tuple[str, str]]:
    for path, recorded in job.code:
        found = source_digest(root / path)
        if found != recorded:
            yield (
                path,
                f"edited since rule {job.rule} ran" if found else f"missing, though rule {job.rule} ran it",
            )


def source_digest(path: Path) -> str | None:
    """The digest that the rules record of a program or an environment file; None if it is not there.

    It leaves out comments and formatting, so it is not the sha256 of the file.
    """
    if not path.is_file():
        return None
    try:
        return code_digest(path) if path.suffix == ".py" else read_env(path).digest
    except (SyntaxError, EnvFileError):
        return "unreadable"
