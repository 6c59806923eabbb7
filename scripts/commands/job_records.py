"""What Snakemake recorded about a finished run: its jobs and the log of its head process.

Snakemake keeps one JSON record an output (not a job) in `.snakemake/metadata`, named by the base64 of
the output's path. It has no host, no status and no wildcards, and the record of a failed job looks like
that of a good one save that its outputs are gone. The log of each invocation lies in `.snakemake/log`.
"""

from __future__ import annotations

import ast
import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from scripts.lib.errors import InputError

RECORD_FORMAT = 6  # Snakemake 9.27; other formats may name the fields differently
CODE_PARAM = re.compile(r"(\S+\.\w+) ([0-9a-f]+)")
STEPS = re.compile(r"^(\d+) of (\d+) steps \(", re.MULTILINE)
REMOVED_TEMPORARY = re.compile(r"^Removing temporary output (.+)\.$", re.MULTILINE)
QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True)
class Job:
    """One finished job, put together from the records of all its outputs.

    `shell` is the rule's text, `command` what this job ran of it; `outputs` maps a path to its modification
    time when the job finished (s since the epoch); `checksums` maps an input to its sha256 as the job saw it
    (Snakemake takes it of files up to 1 MB); `code` holds (file, digest) pairs; `settings` are JSON texts;
    `start` and `end` are those of Snakemake's head.
    """

    rule: str
    shell: str
    command: str
    inputs: tuple[str, ...]
    logs: tuple[str, ...]
    code: tuple[tuple[str, str], ...]
    settings: tuple[str, ...]
    checksums: dict[str, str]
    start: datetime
    end: datetime
    outputs: dict[str, float]

    @property
    def key(self) -> str:
        """Twelve hex digits that name the job by its rule and outputs, equal in every crate of the run."""
        return sha256("\0".join([self.rule, *sorted(self.outputs)]).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class RunLog:
    """The head of the newest Snakemake log, and the temporary outputs that any invocation removed."""

    snakemake: str | None = None
    user: str | None = None
    host: str | None = None
    snakefile: Path | None = None
    configs: tuple[Path, ...] = ()
    removed: frozenset[str] = field(default_factory=frozenset)


def read_jobs(directory: Path) -> list[Job]:
    """All jobs with a record in the working directory, by start time.

    Raises InputError where there is no record, one is unreadable, or a job has not finished.
    """
    state = directory / ".snakemake"
    _refuse_unfinished(state)
    records = dict(_records(state / "metadata"))
    if not records:
        raise InputError(f"no finished run here: {state / 'metadata'} holds no job records")
    jobs = [_job(group) for group in _by_job(records)]
    return sorted(jobs, key=lambda job: (job.start, job.key))


def _refuse_unfinished(state: Path) -> None:
    if (state / "metadata.db").exists():
        raise InputError(f"{state / 'metadata.db'}: records in a database are not supported, only files")
    incomplete = [output for output, _ in _record_files(state / "incomplete")]
    if incomplete:
        more = f" and {len(incomplete) - 1} more" if len(incomplete) > 1 else ""
        raise InputError(f"the run is not finished: {incomplete[0]}{more} is incomplete")


def _record_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield _output_name(path.relative_to(folder)), path


def _output_name(record: Path) -> str:
    """The output of a record; a long name is cut into folders that begin with `@`."""
    encoded = "".join(part.removeprefix("@") for part in record.parts)
    try:
        return base64.urlsafe_b64decode(encoded).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InputError(f"{record}: not a Snakemake record name") from error


def _records(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for output, path in _record_files(folder):
        try:
            record = json.loads(path.read_bytes())
        except ValueError as error:
            raise InputError(f"{path}: the record of {output} is not JSON") from error
        found = record.get("record_format_version")
        if found != RECORD_FORMAT:
            raise InputError(f"{output}: record format {found}; this program reads {RECORD_FORMAT}")
        yield output, record


def _by_job(records: dict[str, dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    """Groups of records that one job wrote: equal in all but their times.

    job_hash alone would not do: it is a memory address, unique in one invocation only.
    """
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for output, record in records.items():
        shared = [record.get(name) for name in ("rule", "job_hash", "shellcmd", "params", "input", "log")]
        groups.setdefault(json.dumps(shared), {})[output] = record
    return list(groups.values())


def _job(group: dict[str, dict[str, Any]]) -> Job:
    record = next(iter(group.values()))
    params = list(_params(record["params"] or []))
    checksums = record["input_checksums"] or {}
    return Job(
        rule=record["rule"],
        shell=record["code"] or "",
        command=record["shellcmd"] or "",
        inputs=tuple(record["input"] or ()),
        logs=tuple(record["log"] or ()),
        code=tuple(sorted((match[1], match[2]) for text in params if (match := CODE_PARAM.fullmatch(text)))),
        settings=tuple(text for text in params if _is_settings(text)),
        checksums={path: _sha256_of(checksum) for path, checksum in checksums.items()},
        start=_instant(min(member["starttime"] for member in group.values())),
        end=_instant(max(member["endtime"] for member in group.values())),
        outputs={output: member["endtime"] for output, member in group.items()},
    )


def _params(recorded: list[str]) -> Iterator[str]:
    """The strings among a job's params, also those in a list; recorded as Python literals, unnamed."""
    for text in recorded:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            continue
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, str):
                yield item


def _is_settings(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def _sha256_of(checksum: str) -> str:
    return checksum.removeprefix("sha256:")


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def read_run_log(directory: Path) -> RunLog:
    """What the head's logs tell; an empty RunLog where they were deleted.

    Raises InputError where the newest invocation failed or stopped half-way.
    """
    texts = [path.read_text(errors="replace") for path in sorted((directory / ".snakemake/log").glob("*.log"))]
    if not texts:
        return RunLog()
    _refuse_stopped(texts[-1])
    return _run_log(texts, directory)


def _header(text: str, name: str) -> str:
    match = re.search(rf"^  {re.escape(name)}: (.*)$", text, re.MULTILINE)
    return match[1] if match else ""


def _refuse_stopped(text: str) -> None:
    if "Exiting because a job execution failed" in text:
        raise InputError("no finished run here: the last one failed; run snakemake to its end first")
    steps = STEPS.findall(text)
    done, total = steps[-1] if steps else ("0", "0")
    if done != total:
        stopped = f"the last one stopped after {done} of {total} steps"
        raise InputError(f"no finished run here: {stopped}; run snakemake to its end first")


def _run_log(texts: list[str], directory: Path) -> RunLog:
    # `--quiet progress` keeps the head out of the log; an earlier invocation then has to tell.
    newest = next((text for text in reversed(texts) if _header(text, "Snakefile")), "")
    snakefile = _header(newest, "Snakefile")
    return RunLog(
        snakemake=_header(newest, "Snakemake version") or None,
        user=_header(newest, "User") or None,
        host=_header(newest, "Host") or None,
        snakefile=Path(snakefile) if snakefile else None,
        configs=tuple(directory / name for name in QUOTED.findall(_header(newest, "Config file(s)"))),
        removed=frozenset(path for text in texts for path in REMOVED_TEMPORARY.findall(text)),
    )
