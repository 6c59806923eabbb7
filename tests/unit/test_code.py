"""Digests of programs, and the import rules that they rest on."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment

SOURCES = sorted((ROOT / "scripts").rglob("*.py"))
SHARED = {"commands", "lib"}
LINES = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_dir() and path.name not in SHARED)
LINES = [name for name in LINES if not name.startswith((".", "_"))]

TOY = '''\
"""A program."""

from scripts.toy.helper import double


# a comment
def work(x, y=2, *, name="a"):
    """Do the work."""
    values = [x, y, 0xFF, 1_000, -1.5]
    if not (x and y):
        return f"{name!r:>{y}}"
    return double(values[0] + y)
'''
REFORMATTED = """\
from scripts.toy.helper import (
    double,
)
def work(
    x,
    y=2,
    *,
    name='a',
):
    values = [
        x,
        y,
        255,
        1000,
        (-1.5),
    ]
    if not (
        x
        and y
    ):
        return (f'{name!r:>{y}}')

    return double((values[0]) + y)  # done
"""
HELPER = '''\
"""A helper."""


def double(x):
    """Twice as much."""
    return 2 * x
'''


class Scratch:
    """A copy of scripts/ and envs/ with a line `toy` of our own, whose digests are computed in a fresh process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("scripts", "envs"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.write("__init__", "")
        self.write("program", TOY)
        self.write("helper", HELPER)

    def write(self, module: str, text: str) -> Path:
        path = self.root / "scripts" / "toy" / f"{module}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, module: str, env: str = "data", python: str = sys.executable) -> subprocess.CompletedProcess[str]:
        program = f"import json; from scripts.lib.code import code; print(json.dumps(code({module!r}, env={env!r})))"
        return subprocess.run(
            [python, "-S", "-c", program],
            cwd=self.root, env=clean_environment(PYTHONPATH=str(self.root)), capture_output=True, text=True,
        )  # fmt: skip

    def code(self, module: str = "scripts.toy.program", env: str = "data", python: str = sys.executable) -> list[str]:
        done = self.run(module, env, python)
        assert done.returncode == 0, done.stderr
        return [str(line) for line in json.loads(done.stdout)]

    def files(self, module: str = "scripts.toy.program") -> list[str]:
        return [line.split()[0] for line in self.code(module)]


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def changed(before: list[str], after: list[str]) -> list[str]:
    return sorted({line.split()[0] for line in set(before) ^ set(after)})


def test_program_helper_and_env_are_listed(scratch: Scratch) -> None:
    assert scratch.files() == ["scripts/toy/helper.py", "scripts/toy/program.py", "envs/data.yaml"]
    assert all(re.fullmatch(r"\S+ [0-9a-f]{16}", line) for line in scratch.code())


def test_touching_and_reformatting_change_nothing(scratch: Scratch) -> None:
    before = scratch.code()
    os.utime(scratch.write("helper", HELPER), (0, 0))
    assert scratch.code() == before
    scratch.write("program", REFORMATTED)
    assert scratch.code() == before


def test_real_programs_survive_reformatting_by_ruff(scratch: Scratch) -> None:
    program = "scripts.orderbook.parse_book"
    before = scratch.code(program)
    files = [scratch.root / name for name in scratch.files(program) if name.endswith(".py")]
    texts = [path.read_text() for path in files]
    ruff = [str(Path(sys.executable).with_name("ruff")), "format", "--isolated", "--no-cache", "--line-length=60"]
    style = ["--config", "format.quote-style='single'", "--config", "format.skip-magic-trailing-comma=true"]
    subprocess.run([*ruff, *style, *map(str, files)], check=True, capture_output=True)
    assert sum(path.read_text() != text for path, text in zip(files, texts, strict=True)) > 3
    assert scratch.code(program) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1_000", "1_001"),
        ("1_000", "1_000.0"),
        ("x and y", "x or y"),
        ("+ y", "- y"),
        ("y=2", "y=3"),
        ("y=2", "y"),
        ("!r", "!s"),
        ("def work", "@staticmethod\ndef work"),
        ('    """Do the work."""\n', '    "Do the work.", None\n'),
    ],
    ids=["constant", "type", "boolean", "operator", "default", "no default", "conversion", "decorator", "no docstring"],
)
def test_changed_meaning_changes_only_the_line_of_its_file(scratch: Scratch, old: str, new: str) -> None:
    before = scratch.code()
    scratch.write("program", TOY.replace(old, new))
    assert changed(before, scratch.code()) == ["scripts/toy/program.py"]


def test_changed_helper_names_the_helper(scratch: Scratch) -> None:
    before = scratch.code()
    scratch.write("helper", HELPER.replace("2 * x", "x + x"))
    assert changed(before, scratch.code()) == ["scripts/toy/helper.py"]


@pytest.mark.parametrize(
    "text",
    [
        "import scripts.toy.middle",
        "import os, scripts.toy.middle as m",
        "from scripts.toy import middle",
        "from scripts.toy import helper as h, middle",
        "from scripts.toy.middle import f",
        "def f():\n    from scripts.toy.middle import f",
        "class A:\n    def f(self):\n        import scripts.toy.middle",
        "try:\n    import fast\nexcept ImportError:\n    import scripts.toy.middle as fast",
    ],
)
def test_imports_are_followed_wherever_and_however_written(scratch: Scratch, text: str) -> None:
    scratch.write("program", text + "\n")
    scratch.write("middle", "def f():\n    import scripts.toy.far\n")
    scratch.write("far", "X = 1\n")
    assert {"scripts/toy/middle.py", "scripts/toy/far.py"} <= set(scratch.files())


def test_import_cycles_end(scratch: Scratch) -> None:
    scratch.write("helper", "import scripts.toy.program\n")
    assert scratch.files()[:2] == ["scripts/toy/helper.py", "scripts/toy/program.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X = 1\nfrom .other import f\n", "helper.py:2: relative import"),
        ("from . import other\n", "helper.py:1: relative import"),
        ("import importlib\n\nimportlib.import_module('x')\n", "helper.py:3: dynamic import"),
        ("def f():\n    return __import__('x')\n", "helper.py:2: dynamic import"),
    ],
)
def test_imports_that_cannot_be_followed_raise_with_file_and_line(scratch: Scratch, text: str, message: str) -> None:
    scratch.write("helper", text)
    done = scratch.run("scripts.toy.program")
    assert done.returncode != 0
    assert f"SyntaxError: scripts/toy/{message}" in done.stderr


def test_missing_module_is_an_error(scratch: Scratch) -> None:
    assert "FileNotFoundError: no module scripts.toy.gone" in scratch.run("scripts.toy.gone").stderr
    scratch.write("program", "import scripts.toy.gone\n")
    assert "FileNotFoundError: no module scripts.toy.gone" in scratch.run("scripts.toy.program").stderr


def test_settings_modules_do_not_count(scratch: Scratch) -> None:
    scratch.write("program", "from scripts.toy.settings import Toy\n")
    scratch.write("settings", "Toy = 1\n")
    assert scratch.files() == ["scripts/toy/program.py", "envs/data.yaml"]


def test_only_pins_of_the_env_count(scratch: Scratch) -> None:
    before = scratch.code()
    env = scratch.root / "envs" / "data.yaml"
    text = env.read_text()
    env.write_text(f"# a comment\n{text}# another\n")
    assert scratch.code() == before
    pin = re.search(r"numpy==\S+", text)
    assert pin
    env.write_text(text.replace(pin[0], "numpy==1.0.0"))
    assert changed(before, scratch.code()) == ["envs/data.yaml"]


def interpreter(version: str) -> str:
    """Another Python, from the PATH or from pyenv (whose shims on the PATH may lead nowhere)."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}*/bin/python{version}"))]
    for python in filter(None, found):
        if subprocess.run([str(python), "-c", ""], capture_output=True).returncode == 0:
            return str(python)
    pytest.skip(f"no Python {version} on this machine")


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_digests_are_equal_on_other_pythons(scratch: Scratch, version: str) -> None:
    python = interpreter(version)
    imports = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES if path.stem != "__init__"]
    scratch.write("program", "".join(f"import {name}\n" for name in [*imports, "scripts.toy.hard"]))
    scratch.write(
        "hard",
        "async def f(x: int, /, *a, k=None, **b):\n    pass\n"
        + "x = f'a{1:{2}.{3}}b' 'c' f'{x=}{x!r:>10}{{}}' u'u', rb'\\x00'\n"
        + "y = 1e400, 1j, ..., -0.0, 0.1, 10**20, '\N{SNOWMAN}\U0001fae8', {**x, 'a': 1}, lambda: (yield)\n"
        + "match x:\n    case {'a': [1, *_], **r} if r:\n        pass\n"
        + "try:\n    pass\nexcept* ValueError as e:\n    pass\nwith (a as b, c):\n    del b[1:2, ...]\n",
    )
    assert scratch.code(python=python) == scratch.code()


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Names that a file imports (for `from a import b`: a.b), each with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def test_no_source_hides_its_imports() -> None:
    assert len(SOURCES) > 20
    hidden = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in SOURCES
        for name, line in imported(path)
        if name.endswith(".*")
        or name.split(".")[0] in ("runpy", "imp")
        or (name.split(".")[0] == "importlib" and not name.startswith(("importlib.metadata", "importlib.resources")))
    ]
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("__import__", "exec", "eval")
    ]
    assert hidden + calls == []


@pytest.mark.parametrize("package", [*LINES, "lib"])
def test_lines_import_lib_but_never_one_another(package: str) -> None:
    allowed = (f"scripts.{package}.", "scripts.lib.")
    strangers = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / "scripts" / package).rglob("*.py"))
        for name, line in imported(path)
        if name.startswith("scripts") and not name.startswith(allowed)
    ]
    assert strangers == []


@pytest.mark.parametrize("package", [*LINES, "lib"])
def test_rooms_of_a_line_import_one_another_in_one_direction(package: str) -> None:
    """A room is a package of a line, or one of the modules beside them."""
    rooms: dict[str, set[str]] = {}
    for path in sorted((ROOT / "scripts" / package).rglob("*.py")):
        room = path.relative_to(ROOT).with_suffix("").parts[2]
        names = [name.split(".") for name, _ in imported(path) if name.startswith(f"scripts.{package}.")]
        rooms.setdefault(room, set()).update({name[2] for name in names} - {room})
    TopologicalSorter(rooms).prepare()  # CycleError names the rooms


def test_packages_run_no_code_of_their_own() -> None:
    assert [path for path in SOURCES if path.name == "__init__.py" and path.stat().st_size] == []
    folders = {path.parent for path in SOURCES}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_what_the_snakefile_imports_is_light(tmp_path: Path) -> None:
    """Every cluster job parses the Snakefile again. Stand-ins are put on the path, so that an import would succeed."""
    heavy = ["torch", "numpy", "pandas", "polars", "pyarrow", "matplotlib", "transformers"]
    for name in heavy:
        (tmp_path / f"{name}.py").touch()
    text = "".join(path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "rules").rglob("*.smk")])
    modules = set(re.findall(r"^(?:from|import) (scripts\.\S+)", text, flags=re.MULTILINE))
    assert {"scripts.config", "scripts.lib.rule", "scripts.lib.code"} <= modules
    program = "".join(f"import {name}\n" for name in sorted(modules))
    environment = clean_environment(PYTHONPATH=f"{tmp_path}:{ROOT}")
    done = subprocess.run(
        [sys.executable, "-c", f"{program}import sys\nprint(*sys.modules)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "pydantic" in loaded
    assert loaded.isdisjoint(heavy)
