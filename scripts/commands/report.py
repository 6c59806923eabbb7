"""Build the report of the last run in this directory with `snakemake --report`, with the config files of that run."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from scripts.commands.job_records import read_run_log
from scripts.lib.errors import InputError
from scripts.lib.outputs import flush, replace, temporary_path

ROOT = Path(__file__).resolve().parents[2]
BASE = "config/config.yaml"  # the Snakefile names it itself
WORKFLOW = ("Snakefile", "rules", "report", "config", "scripts")
RUN = ("results", ".snakemake/metadata")
MADE_AFTER = ("report.html", "report.zip", "crate.zip")


def main() -> NoReturn:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m scripts.commands.report", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="report to write, .html or .zip")
    parser.add_argument("--if-older", action="store_true", help="only if it is older than what it shows")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="targets to show (default: all)")
    options = parser.parse_args()
    if options.if_older and up_to_date(options.output):
        print(f"{options.output} is up to date")
        sys.exit(0)
    try:
        sys.exit(build(options.output, config_files(Path.cwd()), options.targets))
    except InputError as error:
        print(f"report: {error}", file=sys.stderr)
        sys.exit(2)


def up_to_date(report: Path) -> bool:
    """Whether nothing of the run or of the workflow is younger than the report."""
    if not report.is_file():
        return False
    tops = [*RUN, *(str(ROOT / name) for name in WORKFLOW)]
    files = [Path(folder, name) for top in tops for folder, _, names in os.walk(top) for name in names]
    made = report.stat().st_mtime
    return all(path.stat().st_mtime <= made for path in files if path.name not in MADE_AFTER and path.exists())


def config_files(directory: Path) -> list[str]:
    """The config files that the last run laid over config/config.yaml, in order, as its log tells.

    Raises:
        InputError: there was no run, it did not end well, or a file is gone.
    """
    log = read_run_log(directory)
    if log.snakefile is None:
        raise InputError(f"no finished run in {directory}")
    files = [path for path in log.configs if path != log.snakefile.parent / BASE]
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: a config file of the last run is not there any more")
    return [str(path) for path in files]


def build(report: Path, configs: list[str], targets: list[str]) -> int:
    """Run Snakemake; the report gets its name when it is whole. Returns Snakemake's exit code."""
    temporary = temporary_path(report).resolve()
    temporary.parent.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).parent / "snakemake"), "--cores", "1", "--directory", os.getcwd()]
    command += ["--report", str(temporary), *(["--configfile", *configs] if configs else []), "--", *targets]
    # from the workflow's folder, where profiles are looked up
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        flush(temporary)
        replace(temporary, report)
    else:
        temporary.unlink(missing_ok=True)
        print(done.stdout + done.stderr, file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    main()
