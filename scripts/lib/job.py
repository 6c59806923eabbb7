"""How every program runs: `job.run(main)` at the end of its module.

The command line comes from the typed signature of `main`, whose docstring gives the help texts:

    def main(states: InputFile, features: OutputFile, settings: FeatureSettings) -> None: ...

`run` is the one place that sets up logging, seeds, threads and atomic outputs, and that turns an error into the one
line that a user sees. Exit codes: 0 done, 1 a fault of ours or a check that failed, 2 bad input, 75 stopped with its
state saved (start it again to go on), 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import argparse
import gc
import inspect
import logging
import os
import random
import re
import signal
import sys
import textwrap
import time
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, Union, get_args, get_origin, get_type_hints

from scripts.lib.errors import EchoedError, InputError, Refusal, Stopped
from scripts.lib.joblog import log, log_done, log_start, set_up_logging
from scripts.lib.outputs import atomic
from scripts.lib.settings import Settings, describe, validate_json

InputFile = Annotated[Path, "input file"]
OutputFile = Annotated[Path, "output file"]
OutputDirectory = Annotated[Path, "output directory"]

KINDS = {"input file": "FILE", "output file": "FILE", "output directory": "FOLDER"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a program's `main`, as its command line sees it."""

    name: str
    type: type
    kind: str  # "input file", "output file", "output directory", "settings" or "value"
    many: bool
    required: bool
    default: Any
    help: str

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors and without guessing at abbreviated options."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (--help lists all options)", file=sys.stderr)
        sys.exit(2)


def run(main: Callable[..., None], arguments: list[str] | None = None) -> NoReturn:
    """Run a program from its command line and exit with its code."""
    gc.freeze()  # what was imported stays: looking through it for what is no longer used took a tenth of a start
    program = _program(main)
    parameters = read_signature(main)
    options = build_parser(program, main, parameters).parse_args(arguments)
    set_up_logging(options.debug, quiet=_rank() > 0)
    signal.signal(signal.SIGTERM, _terminate)
    started = time.monotonic()
    try:
        values = {parameter.name: _value(parameter, options) for parameter in parameters}
        threads = set_threads()
        log_start(program, threads)
        seed_everything(values.get("settings"))
        _call(main, parameters, values)
    except BaseException as error:  # noqa: BLE001  (the one place where every error becomes one line)
        sys.exit(_report(error, options.debug))
    log_done(time.monotonic() - started)
    sys.exit(0)


def read_signature(main: Callable[..., None]) -> list[Parameter]:
    """The parameters of a program, from the annotations and the `Args:` section of `main`."""
    hints = get_type_hints(main, include_extras=True)
    texts = _argument_texts(inspect.getdoc(main) or "")
    parameters = []
    for name, parameter in inspect.signature(main).parameters.items():
        inner, many = _unwrap(hints[name])
        kind = get_args(inner)[1] if get_origin(inner) is Annotated else "value"
        base = get_args(inner)[0] if get_origin(inner) is Annotated else inner
        if isinstance(base, type) and issubclass(base, Settings):
            kind = "settings"
        required = parameter.default is inspect.Parameter.empty
        default = None if required else parameter.default
        parameters.append(Parameter(name, base, kind, many, required, default, texts.get(name, "")))
    return parameters


def _unwrap(hint: Any) -> tuple[Any, bool]:
    """Take `X | None` and `list[X]` apart: (X, whether several are given)."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(item for item in get_args(hint) if item is not type(None))
    if get_origin(hint) is list:
        return get_args(hint)[0], True
    return hint, False


def _argument_texts(doc: str) -> dict[str, str]:
    section = doc.partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def build_parser(program: str, main: Callable[..., None], parameters: list[Parameter]) -> Parser:
    """The command line of a program; settings are documented key by key below the options."""
    doc = (inspect.getdoc(main) or "").partition("Args:\n")[0].strip()
    models = [parameter.type for parameter in parameters if parameter.kind == "settings"]
    parser = Parser(
        prog=f"python -m {program}",
        description=doc,
        epilog="\n".join(settings_help(model) for model in models),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for parameter in parameters:
        _add(parser, parameter)
    parser.add_argument("--debug", action="store_true", help="log more, and show the traceback of an error")
    return parser


def _add(parser: Parser, parameter: Parameter) -> None:
    if parameter.kind == "settings":
        text = parameter.help.replace("%", "%%") or "settings of this stage"
        parser.add_argument(
            parameter.flag, default="{}", metavar="JSON", help=f"{text}: JSON text, or a file that holds it"
        )
        return
    if parameter.type is bool:  # a switch, off unless it is given
        parser.add_argument(parameter.flag, action="store_true", help=parameter.help.replace("%", "%%"))
        return
    options: dict[str, Any] = {
        "type": parameter.type,
        "help": parameter.help.replace("%", "%%"),
        "metavar": KINDS.get(parameter.kind, parameter.type.__name__.upper()),
        "required": parameter.required,
        "default": parameter.default,
    }
    if parameter.many:
        options["nargs"] = "+"
    parser.add_argument(parameter.flag, **options)


def settings_help(model: type[Settings]) -> str:
    """The settings keys of a stage with type, bounds, default, meaning and unit."""
    lines = ["settings:"]
    for key, text in describe(model):
        lines += [f"  {key}", *textwrap.wrap(text, 96, initial_indent="      ", subsequent_indent="      ")]
    return "\n".join(lines)


def _value(parameter: Parameter, options: argparse.Namespace) -> Any:
    value = getattr(options, parameter.name)
    if parameter.kind == "settings":
        return validate_json(parameter.type, _json_text(value), "settings")
    if parameter.kind == "input file" and value is not None:
        for path in value if parameter.many else [value]:
            if not path.exists():
                raise InputError(f"{parameter.flag}: no such file: {path}")
    return value


def _json_text(value: str) -> str:
    """Settings given on the command line, or the content of the file named there."""
    if value.lstrip().startswith("{"):
        return value
    try:
        return Path(value).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"--settings: neither JSON nor a readable file: {value} ({error.strerror})") from None


def _call(main: Callable[..., None], parameters: list[Parameter], values: dict[str, Any]) -> None:
    """Call `main` with temporary paths for its outputs; under torchrun only the first rank's are kept."""
    outputs = {p.name: values[p.name] for p in parameters if p.kind.startswith("output") and values[p.name]}
    directories = frozenset(p.name for p in parameters if p.kind == "output directory")
    _check_paths(parameters, values)
    if _rank() > 0:
        main(**(values | dict.fromkeys(outputs)))
        return
    with atomic(outputs, directories) as temporary:
        main(**(values | temporary))


def _check_paths(parameters: list[Parameter], values: dict[str, Any]) -> None:
    """Raises: InputError: two outputs, or an output and an input, are one file."""
    taken: dict[Path, str] = {}
    for kind in ("input", "output"):
        for parameter in (p for p in parameters if p.kind.startswith(kind)):
            value = values[parameter.name]
            for path in value if isinstance(value, list) else [value] if value else []:
                where = Path(path).resolve()
                if kind == "output" and where in taken:
                    raise InputError(f"{parameter.flag}: {path} is {taken[where]} too")
                taken.setdefault(where, parameter.flag)


def seed_everything(settings: object) -> None:
    """Seed Python's, NumPy's and PyTorch's global generators where the stage's settings have a `seed`."""
    seed = getattr(settings, "seed", None)
    if seed is None:
        return
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed % 2**32)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def set_threads() -> int:
    """Let libraries use the rule's threads (Snakemake hands them over as OMP_NUM_THREADS), else all cores given."""
    threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    if pyarrow := sys.modules.get("pyarrow"):
        pyarrow.set_cpu_count(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    return threads


def _report(error: BaseException, debug: bool) -> int:
    """Log an error as one line and return the exit code."""
    if debug and not isinstance(error, SystemExit):
        traceback.print_exception(error)
    if isinstance(error, InputError):
        log.log(logging.DEBUG if isinstance(error, EchoedError) else logging.ERROR, "%s", _text(error))
        return 2
    if isinstance(error, Refusal):
        log.error("refused: %s", _text(error))
        return 1
    if isinstance(error, Stopped):
        log.log(logging.DEBUG if _rank() > 0 else logging.ERROR, "stopped: %s", _text(error))
        return 75
    if isinstance(error, KeyboardInterrupt):
        log.error("interrupted; nothing was written")
        return 130
    if isinstance(error, SystemExit):
        log.error("terminated; nothing was written")
        return error.code if isinstance(error.code, int) and error.code else 1
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    log.error("%s at %s (--debug shows the traceback)", _one_line(error), where)
    return 1


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {_text(error)}"


def _text(error: BaseException) -> str:
    return str(error).replace("\n", " ")


def _terminate(number: int, frame: object) -> NoReturn:
    """SIGTERM (scancel, a time limit) unwinds the program, so that temporary files are removed."""
    sys.exit(128 + number)


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _program(main: Callable[..., None]) -> str:
    """Name of the module that is run: `python -m` calls it __main__ and keeps its name in the spec."""
    spec = getattr(sys.modules[main.__module__], "__spec__", None)
    return spec.name if spec else main.__module__
