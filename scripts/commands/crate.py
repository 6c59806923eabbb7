"""`make crate`: writes the provenance of the finished run in this directory as a Workflow Run RO-Crate.

The zip holds ro-crate-metadata.json, an HTML preview, the workflow's files, the config files of the run and
its outputs up to --embed-mb; larger outputs, and inputs that no job made, are listed with sha256 and size
only. For each job it tells rule, code digests, settings, inputs, outputs, times, host and status. Told are
all jobs with a record in the working directory, also those of an earlier run that still stand.

A crate vouches for what it lists. So it is refused, with exit code 2, where the run is unfinished, an output
is missing or has changed since its job finished, an input has changed since a job read it, or the code has
been edited since it ran. --allow-changed writes it nonetheless and says so at each of these entries; an
unfinished run it refuses too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rocrate.rocrate import ROCrate

from scripts.commands.crate_graph import Run, build_crate, embedded_files
from scripts.commands.job_records import RunLog, read_jobs, read_run_log
from scripts.commands.run_files import find_problems, read_files
from scripts.lib.errors import InputError
from scripts.lib.job import Parser
from scripts.lib.joblog import set_up_logging
from scripts.lib.outputs import atomic
from scripts.lib.progress import quantity

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1e6  # bytes


def main(arguments: list[str] | None = None) -> int:
    """Write the crate; returns the exit code."""
    options = _parser().parse_args(arguments)
    set_up_logging()
    try:
        print(write_crate(options))
    except InputError as error:
        print(f"crate: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m scripts.commands.crate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--directory", type=Path, default=Path(), help="working directory of the run (default: .)")
    parser.add_argument(
        "--output", type=Path, metavar="ZIP", help="the crate to write (default: DIRECTORY/results/crate.zip)"
    )
    parser.add_argument(
        "--embed-mb", type=_megabytes, default=5.0, metavar="MB",
        help="embed outputs up to this size, in MB of 10^6 bytes (default: 5; 0: none)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-changed",
        action="store_true",
        help="list what is missing or has changed as such, do not refuse",
    )
    return parser


def _megabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size of 0 MB or more")
    return value


def write_crate(options: argparse.Namespace) -> str:
    """Build and write the crate; returns the line that sums it up.

    Raises InputError as told in the module's docstring.
    """
    run = collect(options.directory.resolve(), options.embed_mb * MEGABYTE)
    if run.problems and not options.allow_changed:
        raise InputError(_refusal(run.problems))
    crate = build_crate(run)
    output = options.output or options.directory / "results" / "crate.zip"
    try:
        with atomic({"crate": output}) as temporary:
            crate.write_zip(temporary["crate"])
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror}") from None
    return _summary(output, run, crate)


def collect(directory: Path, embed: float) -> Run:
    """Read the records and the files of the run; `embed` is in bytes."""
    jobs = read_jobs(directory)
    log = read_run_log(directory)
    snakefile = _snakefile(log)
    files = read_files(jobs, directory)
    problems = find_problems(jobs, files, log.removed, snakefile.parent)
    return Run(directory, snakefile, git_commit(snakefile), log, jobs, files, problems, embed)


def _snakefile(log: RunLog) -> Path:
    """The Snakefile that ran; this workflow's where that has moved (its code is compared) or no log tells."""
    recorded = log.snakefile and log.snakefile.resolve()
    path = recorded if recorded and recorded.is_file() else ROOT / "Snakefile"
    if not path.is_file():
        raise InputError(f"{recorded or path}: the Snakefile of the run is not there any more")
    return path


def _refusal(problems: dict[str, str]) -> str:
    path, problem = next(iter(problems.items()))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{path}: {problem}{more}; run snakemake again, or list it as such with --allow-changed"


def git_commit(snakefile: Path) -> str | None:
    """Commit that holds the Snakefile, marked if tracked files differ from it; None without a repository."""
    if _git(snakefile.parent, "ls-files", "--error-unmatch", snakefile.name) is None:
        return None
    commit = _git(snakefile.parent, "rev-parse", "HEAD")
    changed = _git(snakefile.parent, "status", "--porcelain", "--untracked-files=no")
    return f"{commit} with uncommitted changes" if commit and changed else commit


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command; None if it failed, or git is not installed."""
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _summary(output: Path, run: Run, crate: ROCrate) -> str:
    described = sum(len(file.parts or ()) or 1 for file in run.files.values())
    flagged = f", {len(run.problems)} flagged as changed or missing" if run.problems else ""
    return (
        f"{output}: {len(run.jobs)} jobs, {described} files of the run described, "
        f"{len(embedded_files(crate))} files embedded{flagged}, {quantity(output.stat().st_size, 'B')}"
    )


if __name__ == "__main__":
    sys.exit(main())
