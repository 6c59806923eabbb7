"""Compiled functions (numba), kept on the disk so that only the first run pays for compiling.

    @kernel
    def total(values): ...

They lie in a folder of the user's cache, never beside the sources: an installation may be read-only. The folder bears
a digest of all kernels of the line (`scripts.LINE` with the packages in it) and of what they import from it, since
numba itself looks only at the file of the outermost function and would go on using an old helper or constant out of
another file.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numpy.typing import NDArray

Array = NDArray[Any]
"""An array in the signature of a kernel; its docstring says of what."""

LINE_DEPTH = 2  # dots in the name of a module of a line, such as scripts.orderbook.parse_book; rooms add to them

IMPORT = re.compile(rb"^from ([\w.]+) import", re.MULTILINE)

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function at its first call, without Python objects; integers wrap around as in C.

    Kernels only borrow arrays: counting references to them took four fifths of the time of short functions. So a kernel
    cannot make an array; it writes into those of its caller, and returns numbers.
    """
    return _compiled(function, inline=False)


def inlined(function: Function) -> Function:
    """A kernel that becomes part of each kernel that calls it.

    For short helpers: an array is handed over as seven numbers, which can cost more than what is done with it.
    """
    return _compiled(function, inline=True)


def _compiled(function: Function, inline: bool) -> Function:
    depth = function.__module__.count(".")
    package = Path(function.__code__.co_filename).parents[max(depth - LINE_DEPTH, 0)]
    numba.config.CACHE_DIR = str(_folder(package))
    # numba has no public name for what _nrt=False does; it refuses options that it does not know, so it cannot get lost
    compile_ = numba.njit(cache=True, error_model="numpy", _nrt=False, forceinline=inline)
    compiled: Function = compile_(function)
    return compiled


@cache
def _folder(package: Path) -> Path:
    """Where the kernels of a package lie; a temporary folder where the user has no cache."""
    name = f"kernels/{_digest(package)}"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for base in (Path(home, "tidemill"), Path(tempfile.gettempdir(), f"tidemill-{os.getuid()}")):
        folder = base / name
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise OSError(f"no folder for compiled kernels: neither {home} nor {tempfile.gettempdir()} can be written")


def _digest(package: Path) -> str:
    """16 hex digits over the sources that decide what the kernels compute."""
    digest = hashlib.sha256()
    for path, content in sorted(_sources(package).items()):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + content)
    return digest.hexdigest()[:16]


def _sources(package: Path) -> dict[Path, bytes]:
    """Files that hold kernels, and those of the package that they import, with their contents.

    A kernel keeps the constants that it was compiled with, wherever they stand.
    """
    contents = {path: path.read_bytes() for path in package.rglob("*.py")}
    waiting = [path for path, content in contents.items() if b"@kernel" in content or b"@inlined" in content]
    found: dict[Path, bytes] = {}
    while waiting:
        path = waiting.pop()
        if path in contents and path not in found:
            found[path] = contents[path]
            waiting += [_source(package, name.decode()) for name in IMPORT.findall(contents[path])]
    return found


def _source(package: Path, module: str) -> Path:
    """Where a module lies if it is one of the package."""
    _, _, inside = f".{module}.".partition(f".{package.name}.")
    return package.joinpath(*inside.split(".")[:-1]).with_suffix(".py")
