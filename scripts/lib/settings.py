"""Typed settings: the base model of every stage, one-line errors, and the table that `--help` prints.

A stage's model stands in `scripts/LINE/settings.py`, a docstring under each field giving its meaning and unit.
Modules named `settings` only declare: their values reach a program through the validated slice in `params`, so
they do not count in the digest of a program (scripts/lib/code.py) and a new field reruns just its own stage.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from scripts.lib.errors import InputError


class Settings(BaseModel):
    """Base of all settings: unknown keys and wrong types are errors, nothing is converted silently."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=80)]
"""Of what users define and files are named after: feeds, backtests, prices."""
DAY = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
"""Pattern of a day, ISO 8601."""


class Launch(Settings):
    """How a GPU rule is launched. Numbers feed `resources` only: changing them reruns nothing."""

    env: Literal["train", "transformer-engine"]
    """Environment in envs/: transformer-engine adds FP8."""
    gpu: int = Field(ge=0, le=1_024)
    """GPUs on one node; 0 runs on CPU."""
    cpus: int = Field(ge=1, le=1_024)
    """CPU threads."""
    mem: str = Field(pattern=r"^[1-9][0-9]{0,5}(MB|GB|TB)$")
    """Memory, such as 64GB."""
    runtime: str = Field(pattern=r"^[1-9][0-9]{0,3}(m|h|d)$")
    """Time limit, such as 30m, 12h or 2d."""


Model = TypeVar("Model", bound=Settings)

BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}


def validate(model: type[Model], values: object, where: str) -> Model:
    """Validate a mapping.

    Args:
        model: the settings class.
        values: the mapping as read from YAML or JSON.
        where: what is named in front of the key, such as "config".

    Raises:
        InputError: one line with the first offending key, its value and what is expected there.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error)}") from None


def validate_json(model: type[Model], text: str, where: str) -> Model:
    """As `validate`, for JSON text."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """One line for the first error; says how many more there are."""
    errors = error.errors(include_url=False)
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return explain_one(errors[0]).replace("\n", " ") + more


def explain_one(detail: ErrorDetails) -> str:
    key = ".".join(str(part) for part in detail["loc"]) or "settings"
    value, kind = detail["input"], detail["type"]
    if kind == "extra_forbidden":
        return f"{key}: unknown key"
    if kind == "missing":
        return f"{key}: missing"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if kind == "value_error":  # our own checks name what is wrong; the value may be a whole block
        return f"{key}: {message}" if detail["loc"] else message
    return f"{key}: {message}, not {value!r}{_text_hint(kind, value)}"


def _text_hint(kind: str, value: object) -> str:
    """Numbers and texts that were mixed up: YAML 1.1 reads 1e-4 as text, Snakemake's --config all inside of braces."""
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return f' (that is a number: put it in quotes, "{value}")'
    if kind not in ("float_type", "int_type") or not isinstance(value, str):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    mantissa, exponent_mark, exponent = value.lower().partition("e")
    if not exponent_mark:
        return " (that is text: write it without quotes, and in a --configfile rather than inside of --config)"
    if kind == "int_type":
        return f" (YAML reads {value} as text; write {number:.0f})" if number.is_integer() else ""
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    exponent = exponent if exponent[:1] in ("+", "-") else f"+{exponent}"
    return f" (YAML reads {value} as text; write {mantissa}e{exponent})"


def describe(model: type[BaseModel], prefix: str = "") -> list[tuple[str, str]]:
    """Rows (key, text) for `--help`: type, bounds, default, then the field's docstring with its unit."""
    rows: list[tuple[str, str]] = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            rows += describe(annotation, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"
        facts = [type_name(annotation), *_bounds(field.metadata), default]
        rows.append((f"{prefix}{name}", f"{', '.join(facts)}. {' '.join((field.description or '').split())}"))
    return rows


def type_name(annotation: Any) -> str:
    """A type as users write it: `Literal["a", "b"]` is "a | b"."""
    if annotation is type(None):
        return "null"
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return " ".join([type_name(inner), *_bounds(metadata)])
    arguments = get_args(annotation)
    if not arguments:
        name = str(annotation.__name__)
        return {"str": "text", "bool": "true | false"}.get(name, name)
    origin = get_origin(annotation)
    if origin in (list, dict, tuple):
        return f"{origin.__name__} of {', '.join(type_name(argument) for argument in arguments)}"
    return " | ".join(type_name(item) if isinstance(item, type) or get_args(item) else str(item) for item in arguments)


def _bounds(metadata: list[Any]) -> list[str]:
    facts = [fact for item in metadata for fact in (item.metadata if isinstance(item, FieldInfo) else [item])]
    return [
        f"{sign} {getattr(item, key)}"
        for item in facts
        for key, sign in BOUNDS.items()
        if getattr(item, key, None) is not None
    ]
