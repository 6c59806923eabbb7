"""What parsing this Snakefile costs, and what planning 1,000 jobs does.

    python -m tests.bench.parsing [--repeats 7]

Every cluster job parses the Snakefile again. Rivals: an empty Snakefile, and a bare workflow of as many jobs whose
rules have the same inputs, outputs, logs, benchmarks and resources, and nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import yaml

from tests.bench.timing import derived, in_turn, show
from tests.conftest import ROOT, SNAKEMAKE

PARTS = 250
BARE = """
PARTS = [str(i) for i in range({parts})]

rule all:
    input:
        expand("plots/{{part}}.svg", part=PARTS),
        "summary.csv",
        "statistics.csv",

rule simulate:
    output: "raw/{{part}}.gz"
    log: "logs/simulate/{{part}}.log"
    benchmark: "benchmarks/simulate/{{part}}.jsonl"
    resources: mem="2GB", runtime="2h"
    shell: "touch {{output}}"

rule parse:
    input: "raw/{{part}}.gz"
    output: states="states/{{part}}.parquet", quality="quality/{{part}}.json"
    log: "logs/parse/{{part}}.log"
    benchmark: "benchmarks/parse/{{part}}.jsonl"
    resources: mem="4GB", runtime="2h"
    shell: "touch {{output}}"

rule plot:
    input: "states/{{part}}.parquet"
    output: "plots/{{part}}.svg"
    log: "logs/plot/{{part}}.log"
    benchmark: "benchmarks/plot/{{part}}.jsonl"
    resources: mem="4GB", runtime="30m"
    shell: "touch {{output}}"

rule extract:
    input: "states/{{part}}.parquet"
    output: "features/{{part}}.parquet"
    log: "logs/extract/{{part}}.log"
    benchmark: "benchmarks/extract/{{part}}.jsonl"
    resources: mem="2GB", runtime="1h"
    shell: "touch {{output}}"

rule explore:
    input: expand("features/{{part}}.parquet", part=PARTS)
    output: "statistics.csv", expand("{{name}}.svg", name=["distributions", "autocorrelation", "regimes"])
    log: "logs/explore.log"
    benchmark: "benchmarks/explore.jsonl"
    resources: mem="4GB", runtime="30m"
    shell: "touch {{output}}"

rule summarise:
    input: expand("quality/{{part}}.json", part=PARTS)
    output: "summary.csv"
    log: "logs/summarise.log"
    benchmark: "benchmarks/summarise.jsonl"
    resources: mem="1GB", runtime="10m"
    shell: "touch {{output}}"
"""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.parsing", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="timed runs of each side")
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        empty, bare, ours = (Path(folder, name) for name in ("empty", "bare", "ours"))
        for path in (empty, bare, ours):
            path.mkdir()
        parse(empty, repeats)
        plan(bare, ours, repeats)


def parse(empty: Path, repeats: int) -> None:
    """Listing the rules of this workflow against those of an empty Snakefile."""
    (empty / "Snakefile").touch()
    listing = [str(SNAKEMAKE), "--list-rules"]
    pairs = in_turn((listing, ROOT), (listing, empty), repeats)
    show("an empty Snakefile", [rival for _, rival in pairs], "s")
    show("this Snakefile", [ours for ours, _ in pairs], "s")
    show("parsing costs, on top of the empty one", derived(pairs, lambda a, b: a - b), "s", "  limit 0.5 s")


def plan(bare: Path, ours: Path, repeats: int) -> None:
    """A dry run of the order-book line over many parts against the bare workflow of as many jobs."""
    (bare / "Snakefile").write_text(BARE.format(parts=PARTS))
    parts = [f"{20000101 + i}" for i in range(PARTS)]
    (ours / "parts.yaml").write_text(yaml.safe_dump({"orderbook": {"books": {"simulated": {"parts": parts}}}}))
    quiet = ["--dry-run", "--quiet", "all", "--cores", "2"]
    our_command = [str(SNAKEMAKE), *quiet, "--directory", str(ours), "--configfile", str(ours / "parts.yaml")]
    pairs = in_turn((our_command, ROOT), ([str(SNAKEMAKE), *quiet], bare), repeats)
    jobs = 4 * PARTS + 3  # with `all`; ours also counts the target `orderbook`
    show(f"dry run of a bare workflow of {jobs:,} jobs", [rival for _, rival in pairs], "s")
    show(f"dry run of this workflow with {jobs:,} jobs", [ours for ours, _ in pairs], "s")
    show("ratio", derived(pairs, lambda a, b: a / b), "", "  limit 1.5")


if __name__ == "__main__":
    main()
