"""The provenance crate of a small real run, judged by roc-validator and by what the run left on the disk."""

from __future__ import annotations

import hashlib
import importlib.resources
import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache
import urllib3
from requests.adapters import BaseAdapter
from rocrate_validator.services import ValidationSettings, validate

REPO = Path(__file__).resolve().parents[2]
SETTINGS = '{"depth": 5, "note": "it\'s {x} $HOME"}'

SNAKEFILE = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(REPO)!r})
from scripts.lib.code import digest
from scripts.lib.envfile import read_env

configfile: "config/config.yaml"

def code():
    root = Path(workflow.basedir)
    program = root / "scripts/make_numbers.py"
    return (f"scripts/make_numbers.py {{digest(program)}}",
            f"envs/tiny.yaml {{read_env(root / 'envs/tiny.yaml').digest}}")

def settings(wildcards):
    return {SETTINGS!r}

rule all:
    input: "results/report.txt", "results/unread.txt"

rule make_numbers:
    output: numbers="results/{{part}}.csv", summary="results/{{part}}.json"
    log: "logs/make_numbers/{{part}}.log"
    params: *code(), settings=settings
    shell: "{sys.executable} {{workflow.basedir}}/scripts/make_numbers.py {{output}} > {{log}} 2>&1"

rule clean_text:
    input: "raw.txt"
    output: temp("results/clean.txt"), unread=temp("results/unread_too.txt")
    shell: "cp {{input}} {{output[0]}}; cp {{input}} {{output.unread}}"

rule train_models:
    input: "results/clean.txt", expand("results/{{part}}.csv", part=["a", "b"])
    output: models=directory("results/models"), big="results/big model.bin"
    shell: "mkdir -p {{output.models}}/deep; cp {{input[0]}} {{output.models}}/one; cp {{input[1]}}"
           " {{output.models}}/deep/two; head -c 2000000 /dev/zero > {{output.big:q}}"

rule write_report:
    input: rules.train_models.output, "results/a.json", "results/b.json"
    output: "results/report.txt", unread="results/unread.txt"
    shell: "cat results/a.json results/b.json > {{output[0]}}; echo note > {{output.unread}}"
"""
PROGRAM = f"""
import sys
sys.path.insert(0, {str(REPO)!r})
from scripts.lib.joblog import log_done, log_start, set_up_logging

set_up_logging()
log_start("scripts.make_numbers", 1)
for path in sys.argv[1:]:
    with open(path, "w") as stream:
        stream.write(path)
log_done(0.1)
"""
ENV = "channels: [conda-forge]\ndependencies:\n  - python =3.11\n  - pip\n  - pip:\n      - numpy==2.4.6\n"

# What roc-validator recommends and a workflow cannot know: an author with affiliation, a publisher, and
# absolute URIs for its rules.
UNKNOWABLE = ("`author`", "`publisher`", "SoftwareApplication id SHOULD be an absolute URI")


def write_workflow(root: Path) -> None:
    for name, text in {
        "Snakefile": SNAKEFILE,
        "scripts/make_numbers.py": PROGRAM,
        "envs/tiny.yaml": ENV,
        "config/config.yaml": "parts: [a, b]\n",
        "raw.txt": "raw\n",
        "README.md": "# Tiny\n",
        "LICENSE": "MIT License\n\nDo as you like.\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def commit(root: Path) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for command in (["init", "-q"], ["add", "Snakefile"], [*identity, "commit", "-q", "-m", "Tiny"]):
        subprocess.run(["git", "-C", root, *command], check=True)


def run_snakemake(root: Path, *arguments: str) -> None:
    """As a Slurm job on node7 would log it."""
    environment = os.environ | {"SLURMD_NODENAME": "node7", "SLURM_JOB_ID": "17"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody has touched; tests that change something clone it."""
    root = tmp_path_factory.mktemp("run")
    write_workflow(root)
    commit(root)
    run_snakemake(root)
    return root


@pytest.fixture
def clone(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, with the same file times, that knows itself as the place of the run."""
    copy = shutil.copytree(finished, tmp_path / "run")
    for log in (copy / ".snakemake/log").iterdir():
        log.write_text(log.read_text().replace(str(finished), str(copy)))
    return copy


def make_crate(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.commands.crate", "--embed-mb", "1", *arguments]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def crate(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crate") / "crate.zip"
    done = make_crate(finished, "--output", str(path))
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def graph(crate: Path) -> dict[str, dict[str, Any]]:
    return read_graph(crate)


def read_graph(crate: Path) -> dict[str, dict[str, Any]]:
    entities = json.loads(zipfile.ZipFile(crate).read("ro-crate-metadata.json"))["@graph"]
    by_id = {entity["@id"]: entity for entity in entities}
    assert len(by_id) == len(entities)
    return by_id


def follow(graph: dict[str, dict[str, Any]], entity: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The entities that a property refers to, one or many."""
    value = entity.get(name, [])
    return [graph[reference["@id"]] for reference in (value if isinstance(value, list) else [value])]


def jobs_of(graph: dict[str, dict[str, Any]], rule: str = "") -> list[dict[str, Any]]:
    return [entity for name, entity in graph.items() if name.startswith(f"#job/{rule}")]


# The validator without a network


class ContextServer(BaseAdapter):
    """Answers any request with the JSON-LD context of RO-Crate 1.1.

    The rocrate package carries that of 1.3, which has the same terms but for these four of Bioschemas.
    """

    def __init__(self) -> None:
        super().__init__()
        document = json.loads(importlib.resources.files("rocrate").joinpath("data/ro-crate.jsonld").read_text())
        for term in ("ComputationalWorkflow", "FormalParameter"):
            document["@context"][term] = f"https://bioschemas.org/{term}"
        for term in ("input", "output"):
            document["@context"][term] = f"https://bioschemas.org/ComputationalWorkflow#{term}"
        self.body = json.dumps(document).encode()

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url or "", request
        response.headers["Content-Type"] = "application/ld+json"
        response.raw = urllib3.HTTPResponse(io.BytesIO(self.body), response.headers, 200, preload_content=False)
        return response

    def close(self) -> None:
        pass


Validate = Callable[[Path, str], list[Any]]


@pytest.fixture(scope="module")
def issues(tmp_path_factory: pytest.TempPathFactory) -> Validate:
    """Issues that roc-validator finds in a crate; it reads its HTTP cache, filled here, and nowhere else."""
    cache = tmp_path_factory.mktemp("http") / "cache"
    with requests_cache.CachedSession(str(cache), backend="sqlite", expire_after=-1) as session:
        session.mount("https://w3id.org/", ContextServer())
        session.get("https://w3id.org/ro/crate/1.1/context")

    def find(crate: Path, severity: str) -> list[Any]:
        settings = ValidationSettings(
            rocrate_uri=str(crate), profile_identifier="provenance-run-crate",
            requirement_severity=severity, offline=True, cache_path=cache,
        )  # fmt: skip
        return list(validate(settings).get_issues())

    return find


def test_validator_accepts_the_crate(crate: Path, issues: Validate) -> None:
    assert [issue.message for issue in issues(crate, "REQUIRED")] == []


def test_validator_recommends_only_what_is_unknowable(crate: Path, issues: Validate) -> None:
    found = [issue.message for issue in issues(crate, "RECOMMENDED")]
    assert [message for message in found if not any(known in message for known in UNKNOWABLE)] == []


def rewrite(crate: Path, target: Path, edit: Callable[[dict[str, Any]], None], left_out: str = "") -> Path:
    """A copy of the crate with edited metadata, and one file left out."""
    with zipfile.ZipFile(crate) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            if name == "ro-crate-metadata.json":
                metadata = json.loads(content)
                edit({entity["@id"]: entity for entity in metadata["@graph"]})
                content = json.dumps(metadata).encode()
            if name != left_out:
                copy.writestr(name, content)
    return target


def drop(kind: str, name: str) -> Callable[[dict[str, Any]], None]:
    def edit(graph: dict[str, Any]) -> None:
        next(entity for entity in graph.values() if entity["@type"] == kind and name in entity).pop(name)

    return edit


@pytest.mark.parametrize(
    ("edit", "left_out", "message"),
    [
        (drop("CreateAction", "instrument"), "", "MUST have an instrument"),
        (drop("HowToStep", "workExample"), "", "workExample"),
        (drop("Dataset", "license"), "", "license"),
        (lambda graph: None, "results/a.csv", "does not include the Data Entity 'results/a.csv'"),
    ],
)
def test_validator_rejects_a_broken_crate(
    crate: Path,
    issues: Validate,
    tmp_path: Path,
    edit: Callable[[dict[str, Any]], None],
    left_out: str,
    message: str,
) -> None:
    broken = rewrite(crate, tmp_path / "broken.zip", edit, left_out)
    assert any(message in issue.message for issue in issues(broken, "REQUIRED"))


# What the crate tells


def test_every_job_appears_once(graph: dict[str, dict[str, Any]]) -> None:
    jobs = jobs_of(graph)
    rules = Counter(follow(graph, job, "instrument")[0]["name"] for job in jobs)
    assert rules == {"make_numbers": 2, "clean_text": 1, "train_models": 1, "write_report": 1}
    results = Counter(result["name"] for job in jobs for result in follow(graph, job, "result"))
    assert results == dict.fromkeys(
        [f"results/{part}.{suffix}" for part in "ab" for suffix in ("csv", "json")]
        + ["results/clean.txt", "results/unread_too.txt", "results/models", "results/big model.bin"]
        + ["results/report.txt", "results/unread.txt"],
        1,
    )
    controlled = [entity["object"]["@id"] for entity in graph.values() if entity["@type"] == "ControlAction"]
    assert sorted(controlled) == sorted(job["@id"] for job in jobs)


def test_jobs_tell_host_times_and_status_of_their_log(finished: Path, graph: dict[str, dict[str, Any]]) -> None:
    for job in jobs_of(graph, "make_numbers/"):
        lines = (finished / f"logs/make_numbers/{job['result'][0]['@id'][8]}.log").read_text().splitlines()
        assert job["startTime"].removesuffix("+00:00") + "Z" == lines[0].split()[0]
        assert job["endTime"].removesuffix("+00:00") + "Z" == lines[-1].split()[0]
        assert job["actionStatus"] == "http://schema.org/CompletedActionStatus"
        found = {entity["name"]: entity["value"] for entity in follow(graph, job, "environment")}
        assert found["HOSTNAME"] == "node7"
        assert found["SLURM_JOB_ID"] == "17"


def test_plain_shell_jobs_have_times_but_no_invented_host(graph: dict[str, dict[str, Any]]) -> None:
    (job,) = jobs_of(graph, "write_report/")
    assert [entity["value"] for entity in follow(graph, job, "environment")] == ["unknown"]
    assert job["startTime"] <= job["endTime"]


def test_jobs_tell_settings_inputs_and_code(finished: Path, graph: dict[str, dict[str, Any]]) -> None:
    for job in jobs_of(graph, "make_numbers/"):
        assert [entity["value"] for entity in follow(graph, job, "object")] == [SETTINGS]
        (tool,) = follow(graph, job, "instrument")
        digests = {entity["name"]: entity["value"] for entity in follow(graph, tool, "identifier")}
        assert set(digests) == {"scripts/make_numbers.py", "envs/tiny.yaml"}
        assert set(digests) <= set(graph)
    (job,) = jobs_of(graph, "train_models/")
    read = [entity["name"] for entity in follow(graph, job, "object")]
    assert sorted(read) == ["results/a.csv", "results/b.csv", "results/clean.txt"]


def test_the_run_tells_workflow_config_version_and_commit(finished: Path, graph: dict[str, dict[str, Any]]) -> None:
    (workflow,) = follow(graph, graph["./"], "mainEntity")
    head = subprocess.run(["git", "-C", finished, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert (workflow["@id"], workflow["version"]) == ("Snakefile", head.stdout.strip())
    assert {"config/config.yaml", "#file/raw.txt"} == {
        entity["@id"] for entity in follow(graph, graph["#run"], "object")
    }
    assert graph["#snakemake"]["softwareVersion"].startswith("9.")
    assert graph["#license"]["name"] == "MIT License"


def test_digests_and_contents_are_those_of_the_files(
    finished: Path, crate: Path, graph: dict[str, dict[str, Any]]
) -> None:
    archive = zipfile.ZipFile(crate)
    files = [entity for entity in graph.values() if "File" in entity["@type"]]
    present = [entity for entity in files if (finished / entity["name"]).is_file()]
    assert len(present) == len(files) - 2  # the temporary ones are gone
    for entity in present:
        content = (finished / entity["name"]).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert entity["contentSize"] == str(len(content))
        if not entity["@id"].startswith("#"):
            assert archive.read(entity["name"]) == content


def test_only_small_outputs_and_the_workflow_are_embedded(crate: Path) -> None:
    workflow = [
        "Snakefile",
        "README.md",
        "LICENSE",
        "config/config.yaml",
        "envs/tiny.yaml",
        "scripts/make_numbers.py",
    ]
    results = [
        "a.csv",
        "a.json",
        "b.csv",
        "b.json",
        "models/one",
        "models/deep/two",
        "report.txt",
        "unread.txt",
    ]
    metadata = ["ro-crate-metadata.json", "ro-crate-preview.html"]
    expected = [*workflow, *metadata, *(f"results/{name}" for name in results)]
    assert sorted(zipfile.ZipFile(crate).namelist()) == sorted(expected)


def test_removed_temporary_files_keep_the_digest_that_their_reader_saw(
    graph: dict[str, dict[str, Any]],
) -> None:
    gone = graph["#file/results/clean.txt"]
    assert gone["sha256"] == hashlib.sha256(b"raw\n").hexdigest()
    assert "no longer there" in gone["description"]
    assert "sha256" not in graph["#file/results/unread_too.txt"]


def test_directory_outputs_list_their_files(graph: dict[str, dict[str, Any]]) -> None:
    parts = follow(graph, graph["#file/results/models/"], "hasPart")
    assert [part["@id"] for part in parts] == ["results/models/deep/two", "results/models/one"]


# What it refuses


def append(path: Path, text: str) -> None:
    """Append to a file, later than its recorded time by more than the clocks' tolerance."""
    time.sleep(0.01)
    path.write_text(path.read_text() + text)


CHANGES = {
    "results/unread.txt": "changed since rule write_report made it",
    "results/a.csv": "changed since rule make_numbers made it",
    "results/models/one": "changed since rule train_models made it",
    "raw.txt": "changed since rule clean_text read it",
    "scripts/make_numbers.py": "edited since rule make_numbers ran",
}


@pytest.mark.parametrize("path", CHANGES)
def test_changed_files_are_refused_or_flagged(clone: Path, issues: Validate, path: str) -> None:
    source = clone / path
    append(source, "\nprint()\n" if path.endswith(".py") else "edited")
    refused = make_crate(clone)
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("crate:")]
    named = "results/models" if path.startswith("results/models") else path
    assert refused.returncode == 2
    assert line.startswith(f"crate: {named}: {CHANGES[path]}")
    assert not (clone / "results/crate.zip").exists()

    allowed = make_crate(clone, "--allow-changed")
    assert (allowed.returncode, "1 flagged" in allowed.stdout) == (0, True)
    written = clone / "results/crate.zip"
    graph = read_graph(written)
    (flagged,) = [entity for entity in graph.values() if entity.get("description") == CHANGES[path]]
    assert flagged["name"] == named
    (entry,) = [entity for entity in graph.values() if entity.get("name") == path and "sha256" in entity]
    assert entry["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert issues(written, "REQUIRED") == []


def test_missing_output_is_refused_or_flagged(clone: Path, issues: Validate) -> None:
    (clone / "results/unread.txt").unlink()
    refused = make_crate(clone)
    assert refused.returncode == 2
    assert "results/unread.txt: missing, though rule write_report made it" in refused.stderr
    assert make_crate(clone, "--allow-changed").returncode == 0
    graph = read_graph(clone / "results/crate.zip")
    assert "missing" in graph["#file/results/unread.txt"]["description"]
    assert "actionStatus" not in jobs_of(graph, "write_report/")[0]
    assert issues(clone / "results/crate.zip", "REQUIRED") == []


def test_intermediates_may_go_and_be_touched(clone: Path) -> None:
    (clone / "results/a.json").touch()
    (clone / "results/b.json").unlink()
    (clone / "scripts/make_numbers.py").write_text(PROGRAM + "# a comment is no change of the code\n")
    done = make_crate(clone)
    assert done.returncode == 0, done.stderr


def test_two_changes_are_counted(clone: Path) -> None:
    for name in ("results/unread.txt", "results/report.txt"):
        append(clone / name, "edited")
    assert "(and 1 more)" in make_crate(clone).stderr


def test_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    done = make_crate(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("crate: no finished run here")
    assert len(done.stderr.splitlines()) == 1


def test_failed_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text('rule fail_late:\n    output: "a"\n    shell: "touch a; false"\n')
    with pytest.raises(subprocess.CalledProcessError):
        run_snakemake(tmp_path)
    done = make_crate(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("crate: no finished run here: the last one failed")


# The command


def test_other_directory_and_summary(finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "crate.zip"
    done = make_crate(tmp_path, "--directory", str(finished), "--output", str(output), "--embed-mb", "0")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{output}: 5 jobs, 12 files of the run described, 6 files embedded, ")
    assert [path.name for path in output.parent.iterdir()] == ["crate.zip"]


def test_big_outputs_can_be_embedded(clone: Path, issues: Validate) -> None:
    done = make_crate(clone, "--embed-mb", "3")
    assert done.returncode == 0, done.stderr
    written = clone / "results/crate.zip"
    assert zipfile.ZipFile(written).getinfo("results/big model.bin").file_size == 2_000_000
    assert "results/big%20model.bin" in read_graph(written)
    assert issues(written, "REQUIRED") == []


@pytest.mark.parametrize("size", ["-1", "nan", "much"])
def test_bad_sizes_are_one_line(tmp_path: Path, size: str) -> None:
    done = make_crate(tmp_path, f"--embed-mb={size}")
    assert done.returncode == 2
    assert f"'{size}' is not a size" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unwritable_place_is_one_line(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = make_crate(finished, "--output", str(tmp_path / "file/crate.zip"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"crate: {tmp_path}/file: cannot write there: ")
