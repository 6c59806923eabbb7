"""What a user's mistake does: one line that names it, exit code 2, nothing started."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import snakemake


def dry_run(clone: Path, overlay: str, profile: str = "slurm") -> tuple[int, list[str]]:
    """Exit code and the lines that are about the config."""
    (clone / "mine.yaml").write_text(overlay)
    done = snakemake("--profile", profile, "-n", "--configfile", "mine.yaml", cwd=clone)
    lines = [line for line in done.stderr.splitlines() if "profile" not in line and "Config file" not in line]
    return done.returncode, lines


@pytest.mark.parametrize(
    ("overlay", "key"),
    [
        ("orderbok: {}", "orderbok"),
        ("orderbook: {parse: {dept: 3}}", "orderbook.parse.dept"),
        ("orderbook: {parse: {depth: many}}", "orderbook.parse.depth"),
        ("orderbook: {parse: {depth: 0}}", "orderbook.parse.depth"),
        ("orderbook: {parse: {depth: 2.5}}", "orderbook.parse.depth"),
        ("orderbook: {simulate: {tick: 1e-4}}", "orderbook.simulate.tick"),
        ("orderbook: {feeds: [nowhere]}", "nowhere"),
        ("orderbook: {feeds: simulated}", "orderbook.feeds"),
        ("orderbook: {books: {x: {venue: nyse, parts: [a]}}}", "orderbook.books.x.venue"),
        ("orderbook: {books: {x: {venue: binance-spot, parts: [a], raw: 7}}}", "orderbook.books.x.raw"),
        ("orderbook: {feeds: [x], books: {x: {venue: binance-spot, raw: 'no/{part}.gz', parts: [a]}}}", "no/a.gz"),
        ("preflight: {launch: {node: {mem: lots}}}", "preflight.launch.node.mem"),
        ("site: null", "site"),
    ],
)
def test_a_bad_key_is_one_line_before_any_job(clone: Path, overlay: str, key: str) -> None:
    code, lines = dry_run(clone, overlay)
    assert code == 2
    assert len(lines) == 1, lines
    assert key in lines[0]
    assert not (clone / "results").exists()


def test_a_number_in_the_trap_form_is_explained(clone: Path) -> None:
    _, lines = dry_run(clone, "orderbook: {simulate: {tick: 1e-4}}")
    assert "1.0e-4" in lines[0]


def test_a_bad_raw_file_fails_its_job_with_the_line_on_the_terminal(clone: Path) -> None:
    (clone / "mine.gz").write_bytes(b"this is no gzip file\n")
    overlay = "orderbook: {feeds: [mine], books: {mine: {venue: binance-usdm, raw: mine.gz, parts: [a]}}}"
    (clone / "mine.yaml").write_text(overlay)
    done = snakemake(
        "--profile", "local", "--configfile", "config/demo.yaml", "mine.yaml", "--", "orderbook", cwd=clone
    )
    assert done.returncode == 1
    said = [line for line in (done.stdout + done.stderr).splitlines() if re.search(r"Z ERROR ", line)]
    assert said, done.stdout + done.stderr
    assert "mine.gz" in said[0]
    assert not list(clone.glob("results/orderbook/**/*.parquet"))
    assert not list(clone.glob("results/**/.*partial*"))
