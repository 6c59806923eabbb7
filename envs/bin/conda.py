"""Stand-in for conda on machines without one, so that `conda:` environments are real everywhere.

It answers the calls that Snakemake makes (info, --version, config --get, env create, clean) and builds a virtual
environment from the pip section of an environment file. A real conda on the PATH is always preferred
(rules/common.smk appends this directory, never prepends it).

An environment is built once per user, in $XDG_CACHE_HOME/tidemill/envs/<digest of the pins>, under a file lock;
the prefix that Snakemake asks for becomes a link to it. So clones share environments, and an interrupted build,
which leaves no done mark, is thrown away by the next one. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ENVS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ENVS.parent))
from scripts.lib.envfile import EnvFile, EnvFileError, read_env  # noqa: E402  (needs the line above)

VERSION = "24.7.1"  # the oldest conda that Snakemake accepts
DONE = ".tidemill-done"  # written last: an environment without it is half-built
PIP_TO_UV = {  # uv reads none of pip's settings, and a site's package index stands there
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
}


class BuildError(Exception):
    """An environment that cannot be built; the message is what the user reads."""


def say(message: str) -> None:
    print(f"envs: {message}", file=sys.stderr, flush=True)


def cache_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tidemill" / "envs"


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock on `path`; say so when another process holds it (the kernel frees it on any death)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise BuildError(f"cannot write the environment cache {path.parent}: {error.strerror}") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that builds {what}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def find_python(version: str) -> str:
    """Path of a CPython of this minor version, such as "3.11"."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        return os.path.realpath(sys.executable)
    found = shutil.which(f"python{version}")
    if not found:
        raise BuildError(f"python{version} is not on the PATH (install it, or use a real conda)")
    return run([found, "-c", "import os, sys; print(os.path.realpath(sys.executable))"]).strip()


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a command and return its stdout; BuildError carries its stderr."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise BuildError((done.stderr or done.stdout).strip() or f"{shlex.join(command)} failed")
    return done.stdout


def installer_environment(uv: Path) -> dict[str, str]:
    """The process environment with pip's settings (files and variables) handed over to uv; UV_* set by hand win."""
    environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    settings: dict[str, str] = {}
    listing = run([str(uv.with_name("python")), "-m", "pip", "config", "list"], environment)
    for line in sorted(listing.splitlines(), reverse=True):  # variables (":env:") sort before files: last, they win
        scope, _, value = line.partition("=")
        section, _, key = scope.rpartition(".")
        if section in ("global", "install", ":env:") and key in PIP_TO_UV:
            settings[PIP_TO_UV[key]] = value.strip("'\"")
    environment = settings | environment
    # pip takes the best version over all indexes; uv stops at the first index that knows the name
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    environment.setdefault("UV_LINK_MODE", "hardlink")
    environment.setdefault("UV_NO_PROGRESS", "1")
    environment.setdefault("UV_COMPILE_BYTECODE", "1")  # once here, not in every first job on a shared file system
    return environment


def find_uv(python: str) -> Path:
    """uv in the version that envs/workflow.yaml pins, installed once beside the environments."""
    pin = next((pin for pin in read_env(ENVS / "workflow.yaml").pip if pin.startswith("uv==")), None)
    if pin is None:
        raise BuildError("envs/workflow.yaml pins no uv")
    home = cache_root() / f"{pin.replace('==', '-')}-python{platform.python_version()}"
    with locked(home.with_suffix(".lock"), pin):
        if not (home / DONE).exists():
            shutil.rmtree(home, ignore_errors=True)
            run([python, "-m", "venv", str(home)])
            run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", pin])
            (home / DONE).touch()
    return home / "bin" / "uv"


def build(target: Path, env: EnvFile, python: str) -> None:
    """Build the environment in its final place (a virtual environment cannot be moved) and mark it done."""
    uv = find_uv(python)
    environment = installer_environment(uv)
    pins = target.with_suffix(".pins")
    pins.write_text("\n".join(env.pip) + "\n", encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    try:
        run([str(uv), "venv", "--quiet", "--python", python, str(target)], environment)
        command = [str(uv), "pip", "install", "--quiet", "--python", str(target / "bin" / "python")]
        run([*command, "--requirement", str(pins)], environment)
    except BaseException:  # Ctrl-C too: leave nothing half-built
        shutil.rmtree(target, ignore_errors=True)
        raise
    finally:
        pins.unlink(missing_ok=True)
    (target / DONE).write_text("\n".join(env.pip) + "\n", encoding="utf-8")


def merge(files: list[Path]) -> EnvFile:
    """Union of several files' pins (`make test` runs in workflow + data + test); two versions of one name clash."""
    envs = [read_env(file) for file in files]
    pythons = sorted({env.python for env in envs})
    pins = sorted({pin for env in envs for pin in env.pip})
    names = [re.split(r"\[|==", pin)[0].lower() for pin in pins]
    clashes = sorted({name for name in names if names.count(name) > 1})
    if len(pythons) > 1 or clashes:
        raise BuildError(f"{' + '.join(map(str, files))}: different pins of {', '.join(clashes) or 'python'}")
    return EnvFile(pythons[0], tuple(sorted({entry for env in envs for entry in env.conda})), tuple(pins))


def create(files: list[Path], prefix: Path) -> None:
    """`conda env create`: build what is not built yet, then make `prefix` a link to it."""
    env = merge(files)
    if env.conda:
        raise BuildError(f"{files[0]}: '{env.conda[0]}' is no pip package: a real conda is needed for it")
    python = find_python(env.python)
    key = hashlib.sha256(f"{env.digest} {python} {platform.machine()} {platform.libc_ver()}".encode()).hexdigest()
    target = cache_root() / key[:16]
    name = "+".join(file.stem for file in files)
    with locked(target.with_suffix(".lock"), name):
        if not (target / DONE).exists():
            say(f"building {name} ({len(env.pip)} pinned packages) in {target}")
            build(target, env, python)
    link(prefix, target)


def link(prefix: Path, target: Path) -> None:
    """Make `prefix` a link to `target` in one step, replacing an older link or an environment that was a folder."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    if prefix.is_dir() and not prefix.is_symlink():
        if any(prefix.iterdir()) and not (prefix / "pyvenv.cfg").exists():
            raise BuildError(f"{prefix} exists and is not an environment: not touched")
        shutil.rmtree(prefix)
    temporary = prefix.with_name(f".{prefix.name}.{os.getpid()}")
    temporary.symlink_to(target)
    temporary.replace(prefix)


def info() -> dict[str, str]:
    """What Snakemake reads of `conda info --json`; it activates environments with <conda_prefix>/bin/activate."""
    return {
        "conda_prefix": str(ENVS),
        "conda_version": VERSION,
        "platform": "linux-64",
        "root_prefix": str(ENVS),
    }


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="conda", description=__doc__.partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"conda {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info").add_argument("--json", action="store_true")
    config = commands.add_parser("config")
    config.add_argument("--get", choices=["channel_priority"], required=True)
    config.add_argument("--json", action="store_true")
    clean = commands.add_parser("clean")
    for flags in (("-y", "--yes"), ("--tarballs",), ("--all",)):
        clean.add_argument(*flags, action="store_true")
    env = commands.add_parser("env").add_subparsers(dest="action", required=True).add_parser("create")
    env.add_argument("--file", type=Path, action="append", required=True, help="environment file; several are merged")
    env.add_argument("--prefix", type=Path, required=True, help="where the link to the built environment goes")
    for flag in ("--quiet", "--yes", "--no-default-packages"):
        env.add_argument(flag, action="store_true")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    if options.command == "info":
        print(json.dumps(info()))
    elif options.command == "config":
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif options.command == "env":
        try:
            create(options.file, options.prefix.absolute())
        except (BuildError, EnvFileError, OSError) as error:
            name = " + ".join(str(file) for file in options.file)
            say(f"{name} could not be built, nothing was left behind:\n{error}")
            return 1
    return 0  # clean: the cache is shared, nothing of it is Snakemake's to remove


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
