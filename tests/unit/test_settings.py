"""One-line errors and the help table of typed settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

import pytest
import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

import scripts.config
from scripts.config import Config
from scripts.lib.errors import InputError
from scripts.lib.settings import Settings, describe, type_name, validate, validate_json


class Inner(Settings):
    """A nested block."""

    rate: float = Field(0.25, gt=0, lt=1)
    """Learning rate, 1/step."""


class Toy(Settings):
    """A stage."""

    inner: Inner = Inner()
    """Nested."""
    steps: int = Field(3, ge=1, le=9)
    """Number of steps
    in all."""
    mode: Literal["fast", "slow"] = "fast"
    """How."""
    names: list[Annotated[str, Field(min_length=2)]] = Field(default=["ab"], min_length=1)
    """Names."""
    shares: dict[str, float] = {}
    """Shares by name."""
    active: bool = True
    """Whether."""
    symbol: str | None = None
    """Symbol; null: any."""

    @model_validator(mode="after")
    def _mode_fits(self) -> Toy:
        if self.mode == "slow" and self.steps > 5:
            raise ValueError("mode: slow needs\nat most 5 steps")
        return self


class Required(Settings):
    """A stage with a key that has no default."""

    path: str
    """Path."""


def message(model: type[Settings], values: object) -> str:
    with pytest.raises(InputError) as error:
        validate(model, values, "config")
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stepz: 1", "config: stepz: unknown key"),
        ("inner: {rat: 0.1}", "config: inner.rat: unknown key"),
        ('"a\\nb": 1', "config: a b: unknown key"),
        ("steps: many", "config: steps: input should be a valid integer, not 'many'"),
        ("steps: '3'", "config: steps: input should be a valid integer, not '3' (that is text: write it without quo"),
        ("steps: true", "config: steps: input should be a valid integer, not True"),
        ("steps: null", "config: steps: input should be a valid integer, not None"),
        ("steps: 2.0", "config: steps: input should be a valid integer, not 2.0"),
        ("steps: 0", "config: steps: input should be greater than or equal to 1, not 0"),
        ("steps: 10", "config: steps: input should be less than or equal to 9, not 10"),
        ("steps: 1e0", "config: steps: input should be a valid integer, not '1e0' (YAML reads 1e0 as text; write 1)"),
        ("inner: {rate: 0.0}", "config: inner.rate: input should be greater than 0, not 0.0"),
        ("inner: {rate: 1.0}", "config: inner.rate: input should be less than 1, not 1.0"),
        ("inner: {rate: .nan}", "config: inner.rate: input should be a finite number, not nan"),
        ("inner: {rate: 1e-4}", "config: inner.rate: input should be a valid number, not '1e-4' (YAML reads 1e-4 as t"),
        ("inner: 3", "config: inner: input should be a valid dictionary or instance of Inner, not 3"),
        ("mode: medium", "config: mode: input should be 'fast' or 'slow', not 'medium'"),
        ("names: [ab, 3]", "config: names.1: input should be a valid string, not 3"),
        ("names: [ab, cd, x]", "config: names.2: string should have at least 2 characters, not 'x'"),
        ("names: []", "config: names: list should have at least 1 item after validation, not 0, not []"),
        ("names: ab", "config: names: input should be a valid list, not 'ab'"),
        ("shares: {a: x}", "config: shares.a: input should be a valid number, not 'x'"),
        ("active: 1", "config: active: input should be a valid boolean, not 1"),
        ('active: "yes"', "config: active: input should be a valid boolean, not 'yes'"),
        ("symbol: 5", "config: symbol: input should be a valid string, not 5"),
        ("steps: [1,\n  2]", "config: steps: input should be a valid integer, not [1, 2]"),
        ('steps: "a\\nb"', "config: steps: input should be a valid integer, not 'a\\nb'"),
        ("{mode: slow, steps: 6}", "config: mode: slow needs at most 5 steps"),
        ("[1]", "config: settings: input should be a valid dictionary or instance of Toy, not [1]"),
        ("", "config: settings: input should be a valid dictionary or instance of Toy, not None"),
    ],
)
def test_error_is_one_line_with_key_value_and_expectation(text: str, expected: str) -> None:
    assert message(Toy, yaml.safe_load(text)).startswith(expected)


def test_missing_key_is_named() -> None:
    assert message(Required, {}) == "config: path: missing"


def test_further_errors_are_counted() -> None:
    assert message(Toy, {"steps": 0, "mode": "x", "bad": 1}).endswith("(and 2 more)")


@pytest.mark.parametrize("text", ["1e-4", "1e5", "2.5e-3", "1E6", "3e+2"])
def test_hint_for_exponents_is_what_yaml_reads_as_the_same_number(text: str) -> None:
    value = yaml.safe_load(text)
    if isinstance(value, float):
        return
    hint = message(Inner, {"rate": value}).partition("write ")[2].rstrip(")")
    assert yaml.safe_load(hint) == float(text)


def test_json_text_follows_the_same_rules() -> None:
    assert validate_json(Toy, '{"steps": 4, "inner": {"rate": 0.5}}', "settings").inner.rate == 0.5
    for text, expected in [
        ('{"steps": "4"}', "settings: steps: input should be a valid integer, not '4'"),
        ('{"bad": 1}', "settings: bad: unknown key"),
        ('{"steps": 4', "settings: settings: invalid JSON"),
        ('{"inner": {"rate": NaN}}', "settings: inner.rate: input should be a finite number"),
    ]:
        with pytest.raises(InputError) as error:
            validate_json(Toy, text, "settings")
        assert str(error.value).startswith(expected)
        assert "\n" not in str(error.value)


def test_settings_survive_json() -> None:
    toy = Toy(steps=4, shares={"a": 0.1}, symbol="Ä {x} $HOME 'q'")
    assert validate_json(Toy, json.dumps(toy.model_dump(mode="json")), "settings") == toy


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Toy(), "steps", 5)  # noqa: B010  (mypy forbids the plain assignment, too)


def test_description_lists_every_key_with_type_bounds_default_and_meaning() -> None:
    assert describe(Toy) == [
        ("inner.rate", "float, > 0, < 1, default 0.25. Learning rate, 1/step."),
        ("steps", "int, >= 1, <= 9, default 3. Number of steps in all."),
        ("mode", "fast | slow, default 'fast'. How."),
        ("names", "list of text length >= 2, length >= 1, default ['ab']. Names."),
        ("shares", "dict of text, float, default {}. Shares by name."),
        ("active", "true | false, default True. Whether."),
        ("symbol", "text | null, default None. Symbol; null: any."),
    ]
    assert describe(Required) == [("path", "text, required. Path.")]


def test_types_read_as_users_write_them() -> None:
    assert type_name(Literal[1, 2]) == "1 | 2"
    assert type_name(list[dict[str, int]]) == "list of dict of text, int"
    assert type_name(int | None) == "int | null"


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and all models that its fields hold, through lists, mappings and unions."""
    yield model
    waiting: list[Any] = [field.annotation for field in model.model_fields.values()]
    while waiting:
        annotation = waiting.pop()
        waiting += get_args(annotation)
        if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, BaseModel):
            yield from models(annotation)


def declared(model: type[Settings]) -> Iterator[type[Settings]]:
    """All subclasses in the repository, those that only a program uses (not the config) included."""
    for child in model.__subclasses__():
        if child.__module__.startswith("scripts."):
            yield child
            yield from declared(child)


def test_every_field_of_every_settings_model_says_what_it_means() -> None:
    known = {*models(Config), *declared(Settings)}
    assert {scripts.config.SiteConfig.__name__, "Feed", "Launch", "ParseSettings"} <= {
        model.__name__ for model in known
    }
    silent = [
        f"{model.__name__}.{key}" for model in known for key, f in model.model_fields.items() if not f.description
    ]
    assert silent == []
    assert [model.__name__ for model in known if not model.__doc__] == []


def test_every_settings_model_is_strict_about_unknown_keys_and_types() -> None:
    known = {*models(Config), *declared(Settings)}
    loose = [m.__name__ for m in known if not (m.model_config["extra"] == "forbid" and m.model_config["strict"])]
    assert loose == []
