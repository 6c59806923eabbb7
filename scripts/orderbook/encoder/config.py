"""Shapes of the encoder, by name, and the description that lies beside its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from scripts.lib.errors import InputError
from scripts.lib.settings import Settings, validate_json

FP8_MULTIPLE = 16  # Transformer Engine's FP8 products need dimensions that are multiples of this
EXPANSION = 4  # width of a feed-forward layer over the width of the model

SizeName = Literal["toy", "small", "base", "deep_narrow", "shallow_wide", "large"]


@dataclass(frozen=True)
class Shape:
    """Width of the model, transformer layers, attention heads."""

    width: int
    layers: int
    heads: int


# Parameters with 96 features in brackets. The three in the middle cost about the same and differ in shape.
SIZES: dict[SizeName, Shape] = {
    "toy": Shape(64, 2, 4),  # 0.14 M, for tests and the demo
    "small": Shape(128, 4, 4),  # 0.87 M
    "base": Shape(384, 7, 6),  # 12.6 M
    "deep_narrow": Shape(256, 16, 8),  # 12.8 M
    "shallow_wide": Shape(512, 4, 8),  # 12.9 M
    "large": Shape(768, 12, 12),  # 85.4 M
}


class EncoderConfig(Settings):
    """What an encoder is built from; `encoder.json` beside its weights."""

    features: int = Field(ge=FP8_MULTIPLE, multiple_of=FP8_MULTIPLE)
    """Features of a state: 4 times the levels."""
    length: int = Field(ge=2, le=65_536)
    """States of a window at most."""
    width: int = Field(ge=FP8_MULTIPLE, multiple_of=FP8_MULTIPLE)
    """Numbers by which the encoder describes a state."""
    layers: int = Field(ge=1, le=1_000)
    """Transformer layers."""
    heads: int = Field(ge=1, le=1_024)
    """Attention heads of a layer; each has width / heads dimensions."""
    fill: Literal["neighbours", "token"] = "neighbours"
    """What stands in place of an unknown entry. neighbours: the last and the next known value of its feature, and the
    model says what to take of each and what to add; token: a learned value a feature, and the model says all."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of a layer's output that is dropped while training."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"heads: {self.heads} heads do not divide a width of {self.width} into even parts")
        return self


def config_of(
    size: SizeName, features: int, length: int, fill: Literal["neighbours", "token"], dropout: float
) -> EncoderConfig:
    """The description of an encoder of a named size."""
    shape = SIZES[size]
    return EncoderConfig(
        features=features, length=length, width=shape.width, layers=shape.layers, heads=shape.heads,
        fill=fill, dropout=dropout,
    )  # fmt: skip


def write_config(path: Path, config: EncoderConfig) -> None:
    """Write encoder.json."""
    path.write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_config(path: Path) -> EncoderConfig:
    """Read encoder.json.

    Raises:
        InputError: no such file, or not one of pretrain_encoder.
    """
    try:
        return validate_json(EncoderConfig, path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not an encoder's description ({error})") from None
