"""The README keeps in step with the workflow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT, snakemake

README = (ROOT / "README.md").read_text(encoding="utf-8")


TARGETS = ("all", "orderbook", "backtest", "gates", "preflight")
PRODUCTION_ONLY = ("promotions",)


def drawn_edges() -> set[tuple[str, str]]:
    blocks = re.findall(r"```mermaid\nflowchart LR\n(.*?)```", README, re.DOTALL)
    assert blocks
    return set(re.findall(r"^ +(\w+) --> (\w+)$", "".join(blocks), re.MULTILINE))


def real_edges(target: str) -> set[tuple[str, str]]:
    """Oracle: Snakemake's own graph of the rules."""
    done = snakemake("--profile", "local", "--forceall", "--rulegraph", "mermaid-js", "--", target)
    assert done.returncode == 0, done.stderr
    names = dict(re.findall(r"^\s*(id\d+)\[(\w+)\]", done.stdout, re.MULTILINE))
    edges = re.findall(r"^\s*(id\d+) --> (id\d+)$", done.stdout, re.MULTILINE)
    return {(names[source], names[target]) for source, target in edges}


def test_the_pictures_of_the_dag_are_the_dag() -> None:
    """Targets are left out: they only collect."""
    real = set().union(*(real_edges(target) for target in TARGETS))
    assert drawn_edges() == {(source, target) for source, target in real if target not in TARGETS}


@pytest.mark.parametrize("target", [*TARGETS, *PRODUCTION_ONLY])
def test_every_target_of_the_table_exists(target: str) -> None:
    assert f"| `{target}`" in README
    assert target in snakemake("--list-target-rules").stdout.split()


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_to_files_are_right() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert Path(ROOT, link).exists(), link
