"""A finished run as a Workflow Run RO-Crate (profile Provenance Run Crate 0.5, on RO-Crate 1.1).

How the run maps to the profile: the Snakefile is the main workflow, each rule is a step (HowToStep) that runs
a tool (SoftwareApplication, one for each set of code digests), each job is a CreateAction of its tool and
a ControlAction of its step, the whole run is a CreateAction of the workflow, and Snakemake organises it.

A file that is not embedded has an `@id` beginning with `#`: RO-Crate reads such a file as described, not as
part of the payload, so that the crate is valid without it.
"""

from __future__ import annotations

import json
import mimetypes
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.model import ComputationalWorkflow, ContextEntity, Entity, File
from rocrate.rocrate import ROCrate

from scripts.commands.job_records import Job, RunLog
from scripts.commands.run_files import RunFile, hash_file, is_local
from scripts.lib.joblog import JobLog, read_job_log

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
# Terms that RO-Crate 1.1 lacks; written out, so that nobody has to fetch a second context.
TERMS = {
    "sha256": "https://w3id.org/ro/terms/workflow-run#sha256",
    "environment": "https://w3id.org/ro/terms/workflow-run#environment",
}
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
COMPLETED = "http://schema.org/CompletedActionStatus"
FAILED = "http://schema.org/FailedActionStatus"

WORKFLOW_FOLDERS = ("rules", "scripts", "envs", "config", "profiles", "report", "resources")
WORKFLOW_FILES = ("README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "pyproject.toml", "Makefile")
MEDIA_TYPES = {
    "Snakefile": "text/x-python",
    "Makefile": "text/plain",
    "LICENSE": "text/plain",
    ".parquet": "application/vnd.apache.parquet",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".smk": "text/x-python",
    ".py": "text/x-python",
    ".yaml": "application/yaml",
    ".csv": "text/csv",
    ".safetensors": "application/x-safetensors",
}


@dataclass(frozen=True)
class Run:
    """All that a crate tells: `files` and `problems` by recorded path, `embed` is a limit in bytes."""

    directory: Path
    snakefile: Path
    commit: str | None
    log: RunLog
    jobs: list[Job]
    files: dict[str, RunFile]
    problems: dict[str, str]
    embed: float

    @property
    def root(self) -> Path:
        """Folder of the workflow, to which the paths of its code are relative."""
        return self.snakefile.parent


def build_crate(run: Run) -> ROCrate:
    """The crate, ready to be written."""
    return _Builder(run).build()


def iso(instant: datetime) -> str:
    """UTC to the millisecond, in the one form of ISO 8601 that the profile recommends."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def _one_or_many(values: Iterable[Any]) -> Any:
    """RO-Crate 1.1 wants a single value bare, not in a list."""
    found = list(values)
    return found[0] if len(found) == 1 else found


def _absolute(path: Path) -> Path:
    """Without `..`, yet with links kept: an output that is a link stays where the run has it."""
    return Path(os.path.abspath(path))


def _media_type(path: str) -> str:
    name = Path(path)
    return MEDIA_TYPES.get(name.suffix or name.name) or mimetypes.guess_type(path)[0] or "application/octet-stream"


class _Builder:
    """Fills one crate; each method adds what it names and returns it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.crate = ROCrate(gen_preview=True, version="1.1")
        self.crate.metadata.extra_terms.update(TERMS)
        self.logs = {job.key: self._job_log(job) for job in run.jobs}
        self.sources: dict[str, Path] = {}  # crate path -> the file that lies there
        self.made = {path for job in run.jobs for path in job.outputs}
        self.seen = {path: checksum for job in run.jobs for path, checksum in job.checksums.items()}
        self.tools: dict[str, dict[str, Entity]] = {}  # rule -> crate id -> tool
        self.steps: dict[str, Entity] = {}  # by rule

    def build(self) -> ROCrate:
        workflow = self._workflow()
        for path in sorted(self._workflow_files()):
            self._workflow_file(path)
        actions = [self._job(job) for job in self.run.jobs]
        controls = [self._control(job, action) for job, action in zip(self.run.jobs, actions, strict=True)]
        workflow["hasPart"] = _one_or_many(tool for tools in self.tools.values() for tool in tools.values())
        workflow["step"] = _one_or_many(self.steps.values())
        whole = self._whole_run(workflow)
        self._root([whole, *actions, self._organised(controls, whole)])
        return self.crate

    def _add(self, name: str, kind: str, /, **properties: Any) -> Entity:
        """A contextual entity, made at its first use only."""
        identifier = f"#{quote(name)}"
        given = {key: value for key, value in properties.items() if value not in (None, [])}
        return self.crate.get(identifier) or self.crate.add(
            ContextEntity(self.crate, identifier, properties={"@type": kind, **given})
        )

    # The workflow and its files

    def _workflow(self) -> Entity:
        source = self.run.snakefile
        properties = self._file_properties(source.name, source.stat().st_size, hash_file(source))
        workflow = self.crate.add_workflow(
            source, source.name, main=True, lang="snakemake", lang_version=self.run.log.snakemake,
            properties={**properties, "conformsTo": {"@id": BIOSCHEMAS}}, cls=_Workflow,
        )  # fmt: skip
        self.sources[source.name] = source
        if self.run.commit:
            workflow["version"] = self.run.commit
        workflow["url"] = self._repository() or {"@id": source.name}
        return workflow

    def _repository(self) -> str | None:
        citation = self.run.root / "CITATION.cff"
        text = citation.read_text(encoding="utf-8") if citation.is_file() else ""
        match = re.search(r"^repository-code:\s*[\"']?([^\"'\s]+)", text, re.MULTILINE)
        return match[1] if match else None

    def _workflow_files(self) -> set[Path]:
        """The workflow's own files, and those that a rule named as its code, wherever they lie."""
        root = self.run.root
        named = {root / path for job in self.run.jobs for path, _ in job.code}
        folders = (Path(at, name) for folder in WORKFLOW_FOLDERS for at, _, names in os.walk(root / folder)
                   for name in names if "__pycache__" not in at)  # fmt: skip
        found = {*named, *folders, *(root / name for name in WORKFLOW_FILES)}
        return {path for path in found if path.is_file() and not path.name.startswith(".")}

    def _workflow_file(self, path: Path) -> Entity:
        name = path.relative_to(self.run.root).as_posix()
        properties = self._file_properties(name, path.stat().st_size, hash_file(path))
        if name == "README.md":
            properties["about"] = {"@id": "./"}
        self.sources[name] = path
        return self.crate.add_file(path, name, properties=properties)

    def _file_properties(self, path: str, size: int, digest: str) -> dict[str, Any]:
        problem = self.run.problems.get(path)
        return {
            "name": path,
            "contentSize": str(size),
            "sha256": digest,
            "encodingFormat": _media_type(path),
            **({"description": problem} if problem else {}),
        }

    # The files of the run

    def _file(self, path: str) -> Entity:
        if not is_local(path):
            return self._add(f"remote/{path}", "CreativeWork", name=path)
        file = self.run.files[path]
        if not file.present:
            return self._absent(path)
        return self._dataset(file) if file.parts is not None else self._present(file, path in self.made)

    def _present(self, file: RunFile, made: bool) -> Entity:
        """A file that is there; it is embedded if a job of the run made it and it is small enough.

        Inputs from outside are only described: their licence may forbid handing them on.
        """
        source = _absolute(self.run.directory / file.path)
        if source.is_relative_to(self.run.root) and self.sources.get(name := self._below_root(source)) == source:
            return self.crate.get(quote(name))
        properties = self._file_properties(file.path, file.size, file.sha256)
        small = self.run.embed > 0 and file.size <= self.run.embed
        if made and small and source.is_relative_to(self.run.directory):
            return self._embedded(source, properties)
        return self._add(f"file/{file.path}", "File", **properties)

    def _below_root(self, source: Path) -> str:
        return source.relative_to(self.run.root).as_posix()

    def _embedded(self, source: Path, properties: dict[str, Any]) -> Entity:
        name = source.relative_to(self.run.directory).as_posix()
        if self.sources.get(name, source) != source:  # the workflow has a file of that name
            name = f"run/{name}"
        if name not in self.sources:
            self.sources[name] = source
            return self.crate.add_file(source, name, properties=properties)
        return self.crate.get(quote(name))

    def _dataset(self, file: RunFile) -> Entity:
        parts = [self._present(part, file.path in self.made) for part in file.parts or ()]
        return self._add(
            f"file/{file.path.rstrip('/')}/", "Dataset",
            name=file.path, hasPart=_one_or_many(parts), description=self.run.problems.get(file.path),
        )  # fmt: skip

    def _absent(self, path: str) -> Entity:
        """A file that is gone; a job that read it may have left its sha256."""
        problem = self.run.problems.get(path, "no longer there: removed after the jobs that read it")
        return self._add(
            f"file/{path}", "File",
            name=path, description=problem, sha256=self.seen.get(path), encodingFormat=_media_type(path),
        )  # fmt: skip

    # Jobs

    def _job_log(self, job: Job) -> JobLog | None:
        return next((log for path in job.logs if (log := read_job_log(self.run.directory / path))), None)

    def _job(self, job: Job) -> Entity:
        log = self.logs[job.key]
        return self._add(
            f"job/{job.rule}/{job.key}", "CreateAction",
            name=f"{job.rule}: {min(job.outputs)}",
            description=job.command or f"A job of rule {job.rule}",
            instrument=self._tool(job),
            object=_one_or_many([*map(self._file, job.inputs), *map(self._settings, job.settings)]),
            result=_one_or_many(map(self._file, job.outputs)),
            startTime=iso(log.start if log else job.start),
            endTime=iso(log.end if log and log.end else job.end),
            environment=_one_or_many(self._environment(log)),
            agent=self._user(),
            **self._status(job),
        )  # fmt: skip

    def _status(self, job: Job) -> dict[str, str]:
        """Completed; failed if outputs are missing and the log says so; open if they just are missing."""
        log = self.logs[job.key]
        if not any(self._is_lost(path) for path in job.outputs):
            return {"actionStatus": COMPLETED}
        return {"actionStatus": FAILED, "error": log.last} if log and log.failed else {}

    def _is_lost(self, path: str) -> bool:
        return path in self.run.problems and path in self.run.files and not self.run.files[path].present

    def _environment(self, log: JobLog | None) -> list[Entity]:
        """Where the job ran; a plain shell rule leaves no such line, so its host is unknown."""
        values = {"HOSTNAME": log.host if log else "unknown"}
        if log:
            values |= {"SLURM_JOB_ID": log.slurm_job or "", "PYTHON_VERSION": log.python}
            values["OMP_NUM_THREADS"] = str(log.threads)
        return [self._variable(name, value) for name, value in values.items() if value]

    def _variable(self, name: str, value: str) -> Entity:
        return self._add(f"environment/{name}/{value}", "PropertyValue", name=name, value=value)

    def _settings(self, text: str) -> Entity:
        key = sha256(text.encode()).hexdigest()[:12]
        return self._add(f"settings/{key}", "PropertyValue", name="settings", value=text)

    def _tool(self, job: Job) -> Entity:
        """The rule with the code that this job ran: jobs of one rule may have run different code."""
        version = sha256(json.dumps([job.code, job.shell]).encode()).hexdigest()[:12]
        tool = self._add(
            f"tool/{job.rule}/{version}", "SoftwareApplication",
            name=job.rule, softwareVersion=version, url={"@id": self._program(job)},
            identifier=_one_or_many(self._code_digest(path, digest) for path, digest in job.code),
        )  # fmt: skip
        return self.tools.setdefault(job.rule, {}).setdefault(tool.id, tool)

    def _program(self, job: Job) -> str:
        """The program that a job ran, or the Snakefile for plain shell commands."""
        match = re.search(r"-m (scripts(?:\.\w+)+)", job.command)
        path = f"{match[1].replace('.', '/')}.py" if match else ""
        return path if path in self.sources else self.run.snakefile.name

    def _code_digest(self, path: str, digest: str) -> Entity:
        return self._add(f"code/{path}/{digest}", "PropertyValue", propertyID="code digest", name=path, value=digest)

    def _step(self, rule: str) -> Entity:
        if rule not in self.steps:
            self.steps[rule] = self._add(
                f"step/{rule}", "HowToStep",
                name=rule, position=str(len(self.steps) + 1),
                workExample=_one_or_many(self.tools[rule].values()),
            )  # fmt: skip
        return self.steps[rule]

    def _control(self, job: Job, action: Entity) -> Entity:
        status = {key: value for key, value in self._status(job).items() if key == "actionStatus"}
        return self._add(
            f"control/{job.rule}/{job.key}", "ControlAction",
            name=f"Snakemake ran {job.rule}", instrument=self._step(job.rule), object=action, **status,
        )  # fmt: skip

    # The run as a whole

    @cached_property
    def _span(self) -> dict[str, str]:
        logs = [log for log in self.logs.values() if log]
        starts = [job.start for job in self.run.jobs] + [log.start for log in logs]
        ends = [job.end for job in self.run.jobs] + [log.end for log in logs if log.end]
        return {"startTime": iso(min(starts)), "endTime": iso(max(ends))}

    def _user(self) -> Entity | None:
        user = self.run.log.user
        return self._add(f"user/{user}", "Person", name=user) if user else None

    def _whole_run(self, workflow: Entity) -> Entity:
        read = {path for job in self.run.jobs for path in job.inputs}
        host = self.run.log.host or "unknown"
        version = self.run.log.snakemake or "of unknown version"
        return self._add(
            "run", "CreateAction",
            name="Workflow run",
            description=f"{len(self.run.jobs)} jobs, run by Snakemake {version}",
            instrument=workflow,
            object=_one_or_many([*map(self._file, sorted(read - self.made)), *self._configs()]),
            result=_one_or_many(map(self._file, sorted(self.made - read))),
            environment=self._variable("HOSTNAME", host),
            agent=self._user(),
            actionStatus=COMPLETED,
            **self._span,
        )  # fmt: skip

    def _configs(self) -> list[Entity]:
        """The config files that Snakemake read; always embedded, being what a reader looks for first."""
        found = [_absolute(path) for path in self.run.log.configs if path.is_file()]
        return [self._config(path) for path in dict.fromkeys(found)]

    def _config(self, path: Path) -> Entity:
        inside = path.is_relative_to(self.run.root)
        name = self._below_root(path) if inside else f"run/config/{path.name}"
        if name not in self.sources:
            self.sources[name] = path
            properties = self._file_properties(name, path.stat().st_size, hash_file(path))
            return self.crate.add_file(path, name, properties=properties)
        return self.crate.get(quote(name))

    def _organised(self, controls: list[Entity], whole: Entity) -> Entity:
        version = self.run.log.snakemake or "unknown"
        engine = self._add(
            "snakemake", "SoftwareApplication",
            name="Snakemake", softwareVersion=version, url="https://snakemake.github.io",
        )  # fmt: skip
        return self._add(
            "engine-run", "OrganizeAction",
            name=f"Run of Snakemake {version}",
            instrument=engine, object=_one_or_many(controls), result=whole,
            actionStatus=COMPLETED, **self._span,
        )  # fmt: skip

    def _root(self, actions: list[Entity]) -> None:
        root = self.crate.root_dataset
        day = self._span["endTime"][:10]
        root["name"] = f"Tidemill run of {day}"
        root["description"] = f"Inputs, outputs, code and settings of the {len(self.run.jobs)} jobs of a Tidemill run"
        root["datePublished"] = iso(datetime.now(UTC))
        root["license"] = self._license()
        root["conformsTo"] = [self._profile(uri, name) for uri, name in PROFILES.items()]
        root["mentions"] = actions

    def _profile(self, uri: str, name: str) -> Entity:
        version = uri.rsplit("/", 1)[1]
        properties = {"@type": "CreativeWork", "name": name, "version": version}
        return self.crate.add(ContextEntity(self.crate, uri, properties=properties))

    def _license(self) -> Entity:
        """The workflow's licence; the data stay under the terms of those who provide them."""
        path = self.run.root / "LICENSE"
        text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        name = text.splitlines()[0].strip() if text else "No licence stated"
        note = "Licence of the workflow; input data stay under their providers' terms"
        return self._add("license", "CreativeWork", name=name, description=note)


class _Workflow(ComputationalWorkflow):  # type: ignore[misc]  # rocrate has no types
    """A workflow that lists its steps has to be a HowTo as well."""

    TYPES = [*ComputationalWorkflow.TYPES, "HowTo"]


def embedded_files(crate: ROCrate) -> list[File]:
    """The data entities that a crate carries, its own metadata and preview left out."""
    return [entity for entity in crate.data_entities if isinstance(entity, File)]
