"""Build the report of the last run with `snakemake --report`, unless it is newer than everything it shows."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from scripts.lib.outputs import flush, replace, temporary_path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("results", ".snakemake/metadata")
MADE_AFTER = ("report.html", "report.zip", "crate.zip")


def main() -> NoReturn:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m scripts.commands.report", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="report to write, .html or .zip")
    parser.add_argument("snakemake", nargs="*", metavar="OPTION", help="options of the run, such as --profile local")
    options = parser.parse_args()
    if up_to_date(options.output):
        print(f"{options.output} is up to date")
        sys.exit(0)
    sys.exit(build(options.output, options.snakemake))


def up_to_date(report: Path) -> bool:
    """Whether no result, record or part of the report is younger than the report."""
    if not report.is_file():
        return False
    files = [Path(folder, name) for top in SOURCES for folder, _, names in os.walk(top) for name in names]
    files += [path for path in (ROOT / "report").iterdir() if path.is_file()]
    made = report.stat().st_mtime
    return all(path.stat().st_mtime <= made for path in files if path.name not in MADE_AFTER and path.exists())


def build(report: Path, options: list[str]) -> int:
    """Run Snakemake; the report gets its name when it is whole. Returns Snakemake's exit code."""
    temporary = temporary_path(report).resolve()
    temporary.parent.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).parent / "snakemake"), *options]
    command += ["--directory", os.getcwd(), "--report", str(temporary)]
    # from the workflow's folder: profiles, and the config files that they name, are looked up there
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
