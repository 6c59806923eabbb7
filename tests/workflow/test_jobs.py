"""The frame in which every job's command runs, tried by a rule that is added to a clone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import snakemake


def run_rule(clone: Path, command: str, *arguments: str) -> tuple[int, Path]:
    """Add a rule `tried` with this shell command to a clone and run it; exit code and the output's path."""
    rule = f'\n\nrule tried:\n    output:\n        "tried.txt",\n    threads: 2\n    shell:\n        "{command}"\n'
    (clone / "Snakefile").write_text((clone / "Snakefile").read_text() + rule)
    done = snakemake("--profile", "local", *arguments, "--", "tried", cwd=clone)
    return done.returncode, clone / "tried.txt"


@pytest.mark.parametrize("command", ["false | cat > {output}", "echo $NOT_SET > {output}", "false; touch {output}"])
def test_commands_run_in_the_strict_mode_of_bash(clone: Path, command: str) -> None:
    code, output = run_rule(clone, command)
    assert code == 1
    assert not output.exists()


def test_programs_are_found_from_any_directory_and_threads_are_the_rule_s(clone: Path, tmp_path: Path) -> None:
    target = tmp_path / "a scratch directory"
    target.mkdir()
    code, _ = run_rule(
        clone, "python -c 'import scripts; print(scripts.__path__[0])' > {output}; echo $OMP_NUM_THREADS >> {output}",
        "--cores", "2", "--directory", str(target),
    )  # fmt: skip
    assert code == 0
    found, threads = (target / "tried.txt").read_text().split("\n")[:2]
    assert found == str(clone / "scripts")
    assert threads == "2"


def test_a_clone_whose_path_snakemake_would_not_quote_is_refused(clone: Path, tmp_path: Path) -> None:
    """Its `source .../envs/bin/activate` would fail, and jobs run in whatever Python comes first."""
    spaced = tmp_path / "my clone"
    clone.rename(spaced)
    done = snakemake("--profile", "local", "-n", cwd=spaced)
    assert done.returncode == 2
    assert "my clone: the workflow's path must hold no blanks" in done.stderr
