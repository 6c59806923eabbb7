"""Digests of programs, for the `params:` of their rules: what makes Snakemake rerun a job when code has changed.

`code("scripts.orderbook.parse_book", env="data")` lists one string per source file that the program imports,
directly or not, and one for the pins of its environment. Snakemake records them with the output and reruns the job
when one differs; the reason that it prints then names the file. Comments, docstrings, formatting, and a file's
modification time do not count. Standard library only: every cluster job evaluates this again.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from scripts.lib.envfile import read_env

ROOT = Path(__file__).resolve().parents[2]
IGNORED_FIELDS = {"kind", "type_comment", "type_ignores", "ctx"}


@cache
def code(module: str, env: str) -> tuple[str, ...]:
    """Strings "path digest" for all that decides what a program computes.

    Args:
        module: the program, such as "scripts.orderbook.parse_book".
        env: its environment file in `envs/`, without suffix.

    Raises:
        FileNotFoundError: the module or environment file does not exist.
        SyntaxError: a source file cannot be parsed, or uses a relative or dynamic import.
    """
    files = [f"{_shown(path)} {digest(path)}" for path in sorted(closure(module))]
    return (*files, f"envs/{env}.yaml {read_env(ROOT / 'envs' / f'{env}.yaml').digest}")


def closure(module: str) -> set[Path]:
    """Source files of a module and of every `scripts.*` module it imports, settings modules left out.

    A settings module only declares the fields of a slice that `params` holds whole (scripts/lib/settings.py).
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = source(waiting.pop())
        if path not in found and path.stem != "settings":
            found.add(path)
            waiting += imports(path)
    return found


def source(module: str) -> Path:
    """File of a module: "scripts.lib.job" is scripts/lib/job.py, a package is its __init__.py."""
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"no module {module} below {ROOT}")


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Names of the `scripts.*` modules that a file imports anywhere, also inside functions."""
    names: list[str] = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise SyntaxError(f"{_shown(path)}:{node.lineno}: relative import; write it absolute")
            names += [_module_of(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Call) and _called(node) in ("__import__", "import_module"):
            raise SyntaxError(f"{_shown(path)}:{node.lineno}: dynamic import; the digest could not follow it")
    return tuple(sorted({name for name in names if name == "scripts" or name.startswith("scripts.")}))


def _module_of(package: str, name: str) -> str:
    """`from scripts.lib import job` imports a module, `from scripts.lib.job import run` a name out of one."""
    full = f"{package}.{name}"
    base = ROOT.joinpath(*full.split("."))
    return full if base.with_suffix(".py").is_file() or (base / "__init__.py").is_file() else package


def _called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


@cache
def digest(path: Path) -> str:
    """16 hex digits over the syntax tree of a file, equal on Python 3.11 to 3.13."""
    return hashlib.sha256("\n".join(_lines(_tree(path))).encode()).hexdigest()[:16]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=_shown(path))


def _lines(tree: ast.AST) -> list[str]:
    """Flatten a syntax tree to lines; our own walk, since `ast.dump` prints differently from version to version.

    Empty fields are left out (newer versions add fields), and so are strings that stand alone: docstrings, and
    the texts under the fields of a class.
    """
    lines: list[str] = []
    _append(tree, lines)
    return lines


def _append(node: object, lines: list[str]) -> None:
    """Add the lines of a node; appending to one list is much faster than nested generators."""
    if isinstance(node, ast.AST):
        lines.append(f"({type(node).__name__}")
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(node, ast.JoinedStr):  # early releases of 3.12 add empty texts: f"{x:{width}}"
                value = [part for part in node.values if getattr(part, "value", None) != ""]
            if name not in IGNORED_FIELDS and value is not None and value != []:
                lines.append(f".{name}")
                _append(value, lines)
        lines.append(")")
    elif isinstance(node, list):
        for item in node:
            if not _is_text(item):
                _append(item, lines)
    else:
        lines.append(f"{type(node).__name__} {node!a}")  # what repr escapes grows with each version's Unicode tables


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
