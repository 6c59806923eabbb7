"""Reading of Snakemake's records, from records written out here; test_crate.py reads those of real runs."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from scripts.commands.job_records import read_jobs, read_run_log
from scripts.lib.errors import InputError

RECORD = {
    "rule": "parse_book",
    "input": ["raw/a.csv"],
    "log": ["logs/a.log"],
    "shellcmd": "python -m scripts.orderbook.parse_book",
    "params": [],
    "code": "python -m scripts.orderbook.parse_book",
    "record_format_version": 6,
    "job_hash": 1,
    "starttime": 100.25,
    "endtime": 101.5,
    "incomplete": False,
    "input_checksums": {"raw/a.csv": "sha256:ab12"},
}
HEAD = """
SNAKEMAKE
=========
  Host: head1
  User: ada
  Snakemake version: 9.27.1
  Snakefile: /repo/Snakefile
  Config file(s): [PosixPath('/repo/config/demo.yaml'), 'config/config.yaml']

"""


def write_record(directory: Path, output: str, **changes: Any) -> None:
    """A record as Snakemake writes it: names above 254 characters are cut into folders."""
    encoded = base64.urlsafe_b64encode(output.encode()).decode()
    cuts = [encoded[i : i + 254] for i in range(0, len(encoded), 254)]
    path = directory.joinpath(".snakemake/metadata", *(f"@{cut}" for cut in cuts[:-1]), cuts[-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(RECORD | changes))


def write_log(directory: Path, name: str, text: str) -> None:
    folder = directory / ".snakemake/log"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.snakemake.log").write_text(text)


def test_outputs_of_one_job_become_one_job(tmp_path: Path) -> None:
    write_record(tmp_path, "results/a.parquet", starttime=100.25, endtime=101.5)
    write_record(tmp_path, "results/a.json", starttime=100.2, endtime=102.0)
    (job,) = read_jobs(tmp_path)
    assert job.outputs == {"results/a.parquet": 101.5, "results/a.json": 102.0}
    assert (job.start.timestamp(), job.end.timestamp()) == (100.2, 102.0)
    assert job.checksums == {"raw/a.csv": "ab12"}


@pytest.mark.parametrize("changes", [{"job_hash": 2}, {"log": ["logs/b.log"]}, {"shellcmd": "true"}])
def test_records_that_differ_are_two_jobs(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_record(tmp_path, "results/a")
    write_record(tmp_path, "results/b", **changes)
    first, second = read_jobs(tmp_path)
    assert first.key != second.key


def test_jobs_come_by_start_time(tmp_path: Path) -> None:
    for output, start in (("results/a", 30.0), ("results/b", 10.0), ("results/c", 20.0)):
        write_record(tmp_path, output, starttime=start, job_hash=int(start))
    assert [min(job.outputs) for job in read_jobs(tmp_path)] == ["results/b", "results/c", "results/a"]


def test_long_names_are_put_together(tmp_path: Path) -> None:
    output = "results/" + "/".join(["very_long_folder_name"] * 30) + "/book.parquet"
    write_record(tmp_path, output)
    assert list(read_jobs(tmp_path)[0].outputs) == [output]


@pytest.mark.parametrize("wrap", [list, tuple])
def test_params_hold_code_and_settings(tmp_path: Path, wrap: type) -> None:
    settings = '{"depth": 5, "note": "it\'s {x} \\u00e9"}'
    code = ["scripts/orderbook/parse_book.py 3fa9", "envs/data.yaml 12ab"]
    for params in ([*code, settings], [wrap(code), settings]):
        write_record(tmp_path, "results/a", params=[repr(value) for value in [*params, 3, "plain text"]])
        (job,) = read_jobs(tmp_path)
        assert job.code == (("envs/data.yaml", "12ab"), ("scripts/orderbook/parse_book.py", "3fa9"))
        assert job.settings == (settings,)


def test_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished run here"):
        read_jobs(tmp_path)


def test_an_incomplete_job_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, "results/a")
    marks = tmp_path / ".snakemake/incomplete"
    marks.mkdir()
    (marks / base64.urlsafe_b64encode(b"results/b").decode()).write_text("{}")
    with pytest.raises(InputError, match="not finished: results/b is incomplete"):
        read_jobs(tmp_path)


@pytest.mark.parametrize("found", [5, 7, None])
def test_another_record_format_is_refused(tmp_path: Path, found: int | None) -> None:
    write_record(tmp_path, "results/a", record_format_version=found)
    with pytest.raises(InputError, match=f"results/a: record format {found}"):
        read_jobs(tmp_path)


def test_broken_records_are_named(tmp_path: Path) -> None:
    write_record(tmp_path, "results/a")
    next((tmp_path / ".snakemake/metadata").iterdir()).write_text('{"rule": ')
    with pytest.raises(InputError, match="record of results/a is not JSON"):
        read_jobs(tmp_path)


def test_records_in_a_database_are_refused(tmp_path: Path) -> None:
    (tmp_path / ".snakemake").mkdir()
    (tmp_path / ".snakemake/metadata.db").touch()
    with pytest.raises(InputError, match="database"):
        read_jobs(tmp_path)


def test_run_log_tells_version_user_and_config_files(tmp_path: Path) -> None:
    write_log(tmp_path, "1", HEAD + "Removing temporary output results/tmp.csv.\n3 of 3 steps (100%) done\n")
    write_log(tmp_path, "2", HEAD.replace("9.27.1", "9.28.0") + "Nothing to be done (all requested files ...).\n")
    log = read_run_log(tmp_path)
    assert (log.snakemake, log.user, log.host) == ("9.28.0", "ada", "head1")
    assert log.configs == (Path("/repo/config/demo.yaml"), tmp_path / "config/config.yaml")
    assert log.snakefile == Path("/repo/Snakefile")
    assert log.removed == {"results/tmp.csv"}


def test_quiet_runs_leave_the_head_to_an_earlier_log(tmp_path: Path) -> None:
    write_log(tmp_path, "1", HEAD)
    write_log(tmp_path, "2", "Building DAG of jobs...\n")
    assert read_run_log(tmp_path).snakemake == "9.27.1"


def test_no_log_is_no_error(tmp_path: Path) -> None:
    assert read_run_log(tmp_path).snakemake is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 of 6 steps (17%) done\n2 of 6 steps (33%) done\n", "stopped after 2 of 6 steps"),
        ("5 of 6 steps (83%) done\nExiting because a job execution failed.\n", "the last one failed"),
    ],
)
def test_a_run_that_did_not_reach_its_end_is_refused(tmp_path: Path, text: str, message: str) -> None:
    write_log(tmp_path, "1", HEAD + "6 of 6 steps (100%) done\n")
    write_log(tmp_path, "2", HEAD + text)
    with pytest.raises(InputError, match=message):
        read_run_log(tmp_path)
