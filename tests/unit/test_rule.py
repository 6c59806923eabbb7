"""What rules are written with: settings slices, growing memory, launching."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

import pytest
from pydantic import Field
from snakemake.iocontainers import Wildcards  # type: ignore[import-untyped]

from scripts.lib.rule import growing_to, launch, megabytes, settings_of
from scripts.lib.settings import Settings


class Stage(Settings):
    """One stage."""

    depth: int = 24
    """Levels."""
    title: str = "it's {x} $HOME\nä"
    """Title."""


class Book(Settings):
    """One feed."""

    venue: str
    """Venue."""
    launch: Stage = Stage()
    """A block."""


class Line(Settings):
    """A line."""

    parse: Stage = Stage()
    """Parse."""
    books: dict[str, Book] = Field(default={"demo": Book(venue="usdm"), "own": Book(venue="spot")})
    """Feeds."""


class Whole(Settings):
    """The config."""

    orderbook: Line = Line()
    """Order books."""


def wildcards(**names: str) -> Any:
    return Wildcards(fromdict=names)


@pytest.mark.parametrize(("book", "venue"), [("demo", "usdm"), ("own", "spot")])
def test_slice_holds_its_block_and_the_keys_asked_for(book: str, venue: str) -> None:
    ask = settings_of(Whole())("orderbook.parse", venue="orderbook.books.{book}.venue")
    values = json.loads(ask(wildcards(book=book, part="1")))
    assert values == {"depth": 24, "title": "it's {x} $HOME\nä", "venue": venue}


def test_slice_may_be_chosen_by_a_wildcard_and_hold_blocks() -> None:
    ask = settings_of(Whole())("orderbook.books.{book}", depth="orderbook.parse")
    values = json.loads(ask(wildcards(book="own")))
    assert values["venue"] == "spot"
    assert values["launch"]["depth"] == values["depth"]["depth"] == 24


def test_settings_of_other_stages_do_not_show() -> None:
    def ask(config: Whole) -> str:
        return settings_of(config)("orderbook.parse")(wildcards())

    other = Whole(orderbook=Line(books={"demo": Book(venue="changed")}))
    deeper = Whole(orderbook=Line(parse=Stage(depth=7)))
    assert ask(other) == ask(Whole())
    assert ask(deeper) != ask(Whole())


def test_slice_is_the_same_text_whatever_the_order_of_keys() -> None:
    ask = settings_of(Whole())
    one = ask("orderbook.parse", a="orderbook.parse.depth", b="orderbook.parse.title")
    other = ask("orderbook.parse", b="orderbook.parse.title", a="orderbook.parse.depth")
    assert one(wildcards()) == other(wildcards())


def test_slice_passes_the_shell_unchanged() -> None:
    text = settings_of(Whole())("orderbook.parse")(wildcards())
    done = subprocess.run(f"printf %s {shlex.quote(text)}", shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == text


def test_unknown_block_is_an_error() -> None:
    with pytest.raises(AttributeError, match="prase"):
        settings_of(Whole())("orderbook.prase")(wildcards())
    with pytest.raises(KeyError, match="gone"):
        settings_of(Whole())("orderbook.books.{book}")(wildcards(book="gone"))


@pytest.mark.parametrize(
    ("memory", "limit", "attempts"),
    [
        ("4GB", 900, ["4000MB", "8000MB", "12000MB"]),
        ("500MB", 900, ["500MB", "1000MB", "1500MB"]),
        ("4GB", 8, ["4000MB", "8000MB", "8000MB"]),
        ("4GB", 6, ["4000MB", "6000MB", "6000MB"]),
        ("4GB", 2, ["4000MB", "4000MB", "4000MB"]),
    ],
)
def test_memory_grows_with_attempts_up_to_the_limit(memory: str, limit: int, attempts: list[str]) -> None:
    grown = growing_to(limit)(memory)
    assert [grown(wildcards(), attempt=attempt) for attempt in (1, 2, 3)] == attempts


@pytest.mark.parametrize(("memory", "expected"), [("4GB", 4000), ("512MB", 512), ("1.5TB", 1_500_000), ("0.5GB", 500)])
def test_memory_units_are_thousands(memory: str, expected: int) -> None:
    assert megabytes(memory) == expected


@pytest.mark.parametrize("memory", ["4", "4G", "4GiB", "GB", "", "4gb", "fourGB"])
def test_unreadable_memory_is_an_error_when_the_rule_is_read(memory: str) -> None:
    with pytest.raises(ValueError, match=r"memory must end in|could not convert"):
        growing_to(8)(memory)


def test_command_is_the_same_text_for_any_number_of_gpus() -> None:
    text = launch("scripts.line.train")
    assert text == "python -m scripts.lib.launch --gpus {resources.processes} scripts.line.train"
