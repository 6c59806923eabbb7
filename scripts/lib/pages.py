"""Pages that stand alone: one HTML file with its style, pictures and tables inside, without script and without request.

A template (Jinja2, every value escaped) extends a layout; both are inputs of the rule. Each number on a page comes from
`number`, which keeps all its digits beside what is shown: <data value="0.8123456">0.81</data>.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import DictLoader, Environment, StrictUndefined, TemplateError, TemplateSyntaxError
from markupsafe import Markup

from scripts.lib.errors import InputError

MEGABYTE = 1_000_000
SVG, CSV, JSON = "image/svg+xml", "text/csv;charset=utf-8", "application/json"
UNDEFINED = Markup('<span class="none" title="undefined, or too little data">–</span>')
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUS, NARROW_SPACE, NO_BREAK = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


class Download(NamedTuple):
    """A file that a page offers."""

    path: str  # as given: below results where a rule made it
    name: str
    href: str | None  # data URI; None: too large to be embedded


def render(template: Path, layout: Path, values: Mapping[str, object]) -> str:
    """Fill in a template that extends "layout".

    Raises:
        InputError: a template cannot be read, or names what there is not.
    """
    sources = {"page": template.read_text(encoding="utf-8"), "layout": layout.read_text(encoding="utf-8")}
    environment = Environment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "interval": interval, "date": short_date, "word": word}
    try:
        return environment.get_template("page").render(**values)
    except TemplateSyntaxError as error:
        path = layout if error.name == "layout" else template
        raise InputError(f"{path}: line {error.lineno}: {error.message}") from None
    except TemplateError as error:
        raise InputError(f"{template}: {error.message}") from None


def data_uri(content: bytes, kind: str) -> str:
    """A file as an address that holds it.

    Args:
        content: its bytes.
        kind: media type, such as image/svg+xml.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def download(path: Path, limit_mb: float) -> Download:
    """What a page offers of a CSV or JSON: the file itself up to a size, its path beyond that."""
    small = path.stat().st_size <= limit_mb * MEGABYTE
    kind = JSON if path.suffix == ".json" else CSV
    return Download(str(path), path.name, data_uri(path.read_bytes(), kind) if small else None)


def as_number(value: object) -> float | None:
    """A finite number out of a cell, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def number(value: object, kind: str = "ratio") -> Markup:
    """A number in its format, with all its digits in the attribute `value`."""
    found = as_number(value)
    if found is None:
        return UNDEFINED
    exact = value if isinstance(value, str | int) else repr(found)
    return Markup('<data value="{}">{}</data>').format(exact, written(found, kind))


def word(value: object, kind: str = "digits") -> Markup | str:
    """A number in its format, a text as it is, a truth value as yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) and as_number(value) is None else number(value, kind)


def interval(bounds: Sequence[object] | None, kind: str = "ratio") -> Markup:
    """[low, high] as "low to high"."""
    low, high = bounds if bounds is not None and len(bounds) == 2 else (None, None)
    if as_number(low) is None or as_number(high) is None:
        return UNDEFINED
    return Markup("{} to {}").format(number(low, kind), number(high, kind))


def written(value: float, kind: str = "ratio") -> str:
    """A number as text.

    Args:
        value: finite.
        kind: percent and share (fractions), ratio, probability, money, count, bps, digits (what a price needs),
            power (of ten).
    """
    return FORMATS[kind](value).replace("-", MINUS)


def _percent(value: float) -> str:
    """Two digits behind the point for what is small, none for what is large."""
    shown = 100 * value
    size = abs(shown)
    digits = 0 if size >= 1_000 else 1 if size >= 100 else 2
    text = f"{shown:.2g}" if 0 < size < 0.1 else f"{shown:,.{digits}f}"
    return f"{_plain_exponent(text)}{NARROW_SPACE}%"


def _plain_exponent(text: str) -> str:
    """1e-05 as 0.00001: pages know no exponents of small numbers."""
    return f"{float(text):.12f}".rstrip("0") if "e-" in text else text


def _digits(value: float) -> str:
    """Two digits behind the point for what is large, four significant ones for what is small."""
    return f"{value:,.2f}" if abs(value) >= 100 else _plain_exponent(f"{value:.4g}")


def _power(value: float) -> str:
    """4.6e-14 as 4.6 × 10⁻¹⁴."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(RAISED)}" if value else "0"


def _ratio(value: float) -> str:
    return f"{value:,.2f}" if value == 0 or abs(value) >= 0.1 else f"{value:.2g}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


FORMATS: dict[str, Callable[[float], str]] = {
    "percent": _percent,
    "share": lambda value: f"{100 * value:.1f}{NARROW_SPACE}%",
    "ratio": _ratio,
    "probability": lambda value: f"{value:.3f}",
    "money": lambda value: f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}",
    "count": _count,
    "bps": lambda value: f"{value:,.1f}{NARROW_SPACE}bp",
    "digits": _digits,
    "power": _power,
}


def short_date(text: object) -> str:
    """A date as it is; an instant to the second: 2024-01-01T00:00:01.250000000Z as 2024-01-01 00:00:01 UTC."""
    found = str(text)
    if "T" not in found:
        return found
    day, _, clock = found.removesuffix("Z").partition("T")
    clock = clock[:8]
    return day if clock in ("00:00:00", "") and not found.endswith("Z") else f"{day} {clock} UTC"
