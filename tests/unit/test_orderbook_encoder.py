"""The encoder: what it fills in, what it sees, its two builds, and its files."""

from __future__ import annotations

import builtins
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scripts.lib.errors import InputError
from scripts.lib.settings import validate
from scripts.orderbook.encoder.config import (
    FP8_MULTIPLE,
    SIZES,
    EncoderConfig,
    SizeName,
    config_of,
    read_config,
    write_config,
)
from scripts.orderbook.encoder.fp8 import BLOCK_NAMES, EngineBlock, engine_encoder, plain_twin
from scripts.orderbook.encoder.model import (
    Block,
    Encoder,
    attend,
    load_encoder,
    neighbours_of,
    new_encoder,
    parameter_count,
    rotary_tables,
    save_weights,
    training_flops,
)
from tests.conftest import ROOT
from tests.unit.encoder_doubles import install_engine

NAN = float("nan")


def tiny(fill: str = "neighbours", **changes: Any) -> EncoderConfig:
    values = {"features": 16, "length": 32, "width": 32, "layers": 2, "heads": 2, "fill": fill} | changes
    return validate(EncoderConfig, values, "test")


def trained(config: EncoderConfig, seed: int = 3) -> Encoder:
    """An encoder whose every weight matters: the head is not at its initial 0."""
    encoder = new_encoder(config, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    encoder.eval()
    return encoder


def windows(batch: int = 3, time: int = 32, features: int = 16, hidden: float = 0.3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(batch, time, features, generator=generator)
    return torch.where(torch.rand(x.shape, generator=generator) < hidden, NAN, x)


@pytest.mark.parametrize("size", SIZES)
def test_named_sizes_fit_fp8_and_have_the_documented_parameters(size: SizeName) -> None:
    config = config_of(size, 96, 256, "neighbours", 0.0)
    assert config.width % FP8_MULTIPLE == 0
    assert (config.width // config.heads) % FP8_MULTIPLE == 0
    lines = (ROOT / "scripts" / "orderbook" / "encoder" / "config.py").read_text().splitlines()
    line = next(line for line in lines if f'"{size}":' in line)
    documented = float(line.split("#")[1].split("M")[0])
    assert parameter_count(Encoder(config)) / 1e6 == pytest.approx(documented, rel=0.02)


def test_the_three_middle_sizes_cost_the_same() -> None:
    configs = [config_of(size, 96, 256, "neighbours", 0.0) for size in ("base", "deep_narrow", "shallow_wide")]
    counts, flops = [parameter_count(Encoder(c)) for c in configs], [training_flops(c) for c in configs]
    assert max(counts) / min(counts) < 1.05
    assert max(flops) / min(flops) < 1.1


@pytest.mark.parametrize("fill", ["neighbours", "token"])
def test_flops_are_those_that_torch_counts(fill: str) -> None:
    """Oracle: PyTorch's own counter, which sees every matrix product; the input takes a gradient as all others do."""
    config = tiny(fill, length=48, layers=3)
    inputs = torch.randn(1, 48, 16, requires_grad=True)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        new_encoder(config, 0)(inputs).sum().backward()
    assert counter.get_total_flops() == training_flops(config)


def slow_neighbours(column: list[float]) -> tuple[list[float], list[float]]:
    """Oracle: look left and right of each entry."""
    before, after = [], []
    for index in range(len(column)):
        left = next((column[i] for i in range(index, -1, -1) if not math.isnan(column[i])), None)
        right = next((column[i] for i in range(index, len(column)) if not math.isnan(column[i])), None)
        before.append(left if left is not None else right if right is not None else 0.0)
        after.append(right if right is not None else left if left is not None else 0.0)
    return before, after


@pytest.mark.parametrize("hidden", [0.0, 0.1, 0.5, 0.97, 1.0])
def test_neighbours_are_those_that_a_search_finds(hidden: float) -> None:
    x = windows(2, 20, 5, hidden)
    before, after = neighbours_of(x, torch.isnan(x))
    for window in range(2):
        for feature in range(5):
            left, right = slow_neighbours(x[window, :, feature].tolist())
            assert before[window, :, feature].tolist() == left
            assert after[window, :, feature].tolist() == right


def test_a_new_encoder_of_neighbours_copies_the_last_known_value() -> None:
    x = windows()
    before, _ = neighbours_of(x, torch.isnan(x))
    assert torch.equal(new_encoder(tiny(), 0)(x), before)


@pytest.mark.parametrize("fill", ["neighbours", "token"])
def test_what_is_hidden_changes_nothing_and_what_is_known_does(fill: str) -> None:
    """The value under a mask cannot leak: NaN is all that the encoder gets; every known entry can matter."""
    encoder, x = trained(tiny(fill)), windows()
    x[0, 5, 3] = 1.0
    y = encoder(x)
    assert torch.isfinite(y).all()
    assert encoder.encode(x).shape == (3, 32, 32)
    for time in (0, 4, 31):
        other = x.clone()
        other[0, time, 3] = 9.0
        assert not torch.equal(encoder(other)[0], y[0]), "attention reaches all states, before and after"
        assert torch.equal(encoder(other)[1:], y[1:]), "windows know nothing of one another"


def test_a_window_without_a_known_entry_is_finite() -> None:
    assert torch.isfinite(trained(tiny())(torch.full((1, 32, 16), NAN))).all()


def test_attention_sees_distances_and_not_positions() -> None:
    """Rotary positions: attention of states moved along the tables is the same (Su et al. 2021, section 3.2)."""
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(2, 10, 96, generator=generator)
    cosine, sine = rotary_tables(64, 16)
    here, there = attend(qkv, 2, cosine[:10], sine[:10]), attend(qkv, 2, cosine[37:47], sine[37:47])
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-5)
    flat = attend(qkv, 2, torch.ones(10, 16), torch.zeros(10, 16))
    assert not torch.allclose(here, flat, atol=1e-3)


def test_a_block_is_pytorch_s_own_pre_norm_layer() -> None:
    """Oracle: nn.TransformerEncoderLayer with the same weights, positions left out."""
    config = tiny()
    block = trained(config).blocks[0]
    oracle = nn.TransformerEncoderLayer(
        32, 2, 128, 0.0, activation=lambda x: nn.functional.gelu(x, approximate="tanh"), batch_first=True,
        norm_first=True,
    ).eval()  # fmt: skip
    names = {
        "self_attn.in_proj_weight": "qkv.weight", "self_attn.in_proj_bias": "qkv.bias",
        "self_attn.out_proj.weight": "project.weight", "self_attn.out_proj.bias": "project.bias",
        "linear1.weight": "expand.weight", "linear1.bias": "expand.bias", "linear2.weight": "contract.weight",
        "linear2.bias": "contract.bias", "norm1.weight": "attention_norm.weight", "norm1.bias": "attention_norm.bias",
        "norm2.weight": "feed_norm.weight", "norm2.bias": "feed_norm.bias",
    }  # fmt: skip
    weights = block.state_dict()
    oracle.load_state_dict({theirs: weights[ours] for theirs, ours in names.items()})
    hidden = torch.randn(2, 12, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        block(hidden, torch.ones(12, 16), torch.zeros(12, 16)), oracle(hidden), rtol=1e-5, atol=1e-5
    )


def test_initial_weights_come_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = new_encoder(tiny(), 5).state_dict()
    torch.manual_seed(2)
    two, other = new_encoder(tiny(), 5).state_dict(), new_encoder(tiny(), 6).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["embed.weight"], other["embed.weight"])


@pytest.mark.parametrize("fill", ["neighbours", "token"])
def test_the_two_builds_are_one_function(monkeypatch: pytest.MonkeyPatch, fill: str) -> None:
    install_engine(monkeypatch)
    plain = trained(tiny(fill))
    engine = engine_encoder(plain).eval()
    assert all(isinstance(block, EngineBlock) for block in engine.blocks)
    x = windows()
    torch.testing.assert_close(engine(x), plain(x), rtol=1e-5, atol=1e-5)
    twin = plain_twin(engine).eval()
    assert all(isinstance(block, Block) for block in twin.blocks)
    assert torch.equal(twin(x), plain(x)), "there and back, bit by bit"
    assert torch.equal(plain_twin(plain)(x), plain(x))


def test_a_transformer_engine_with_other_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install_engine(monkeypatch)
    engine: Any = sys.modules["transformer_engine.pytorch"]

    class Renamed(engine.LayerNormLinear):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.gamma = self._parameters.pop("layer_norm_weight")

    monkeypatch.setattr(engine, "LayerNormLinear", Renamed)
    with pytest.raises(RuntimeError, match=r"missing \['blocks.0.qkv.gamma'"):
        engine_encoder(new_encoder(tiny(), 0))


def test_the_map_names_every_weight_of_a_block_once() -> None:
    assert sorted(BLOCK_NAMES.values()) == sorted(Block(tiny()).state_dict())


def test_transformer_engine_is_imported_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def watched(name: str, *rest: Any) -> Any:
        assert not name.startswith("transformer_engine"), "imported without being asked for"
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", watched)
    plain_twin(new_encoder(tiny(), 0))


def test_an_encoder_comes_back_from_its_files(tmp_path: Path) -> None:
    encoder, x = trained(tiny()), windows()
    save_weights(tmp_path / "model.safetensors", encoder)
    write_config(tmp_path / "encoder.json", encoder.config)
    for loaded in (load_encoder(tmp_path), load_encoder(tmp_path / "model.safetensors", tmp_path / "encoder.json")):
        assert torch.equal(loaded(x), encoder(x))
        assert not loaded.training
        assert not any(parameter.requires_grad for parameter in loaded.parameters())
    first = (tmp_path / "model.safetensors").read_bytes()
    save_weights(tmp_path / "model.safetensors", encoder)
    assert (tmp_path / "model.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("encoder.json", None, "encoder.json: not an encoder's description"),
        ("encoder.json", b'{"features": 15}', "encoder.json: features"),
        ("encoder.json", b"{", "encoder.json: settings: invalid JSON"),
        ("model.safetensors", b"no weights", "model.safetensors: not the weights of an encoder"),
        ("model.safetensors", None, "model.safetensors: not the weights of an encoder"),
        ("other", b"", "model.safetensors: does not fit"),
    ],
)
def test_files_that_are_no_encoder_are_named(tmp_path: Path, name: str, content: bytes | None, named: str) -> None:
    save_weights(tmp_path / "model.safetensors", new_encoder(tiny(layers=1) if name == "other" else tiny(), 0))
    write_config(tmp_path / "encoder.json", tiny())
    if content is None:
        (tmp_path / name).unlink()
    elif name != "other":
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=named) as caught:
        load_encoder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [{"heads": 4}, {"length": 64}])
def test_a_description_that_fits_the_weights_but_is_not_theirs_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    assert not changes.items() <= tiny().model_dump().items()
    encoder = trained(tiny())
    Encoder(tiny(**changes)).load_state_dict(encoder.state_dict())  # nothing in the weights tells
    save_weights(tmp_path / "model.safetensors", encoder)
    write_config(tmp_path / "encoder.json", tiny(**changes))
    with pytest.raises(InputError, match=r"model.safetensors: does not fit .*encoder.json"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    "changes", [{"features": 20}, {"width": 24}, {"heads": 3}, {"heads": 32}, {"fill": "mean"}, {"layers": 0}]
)
def test_shapes_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        tiny(**changes)


def test_the_config_comes_back_from_its_file(tmp_path: Path) -> None:
    write_config(tmp_path / "encoder.json", tiny("token", dropout=0.1))
    assert read_config(tmp_path / "encoder.json") == tiny("token", dropout=0.1)


def test_the_loss_falls_below_copying_on_what_can_be_interpolated() -> None:
    """Straight lines with hidden runs: neither copying nor a constant is right, learning finds what lies between."""
    generator = np.random.default_rng(0)
    config = tiny()
    encoder = new_encoder(config, 0).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        slopes = torch.tensor(generator.normal(size=(8, 1, 16)), dtype=torch.float32)
        truth = slopes * torch.linspace(-1, 1, 32)[None, :, None]
        hidden = torch.tensor(generator.random((8, 32, 1)) < 0.25).expand(truth.shape)
        x = torch.where(hidden, NAN, truth)
        before, _ = neighbours_of(x, hidden)
        error, copy = (encoder(x) - truth)[hidden].square().mean(), (before - truth)[hidden].square().mean()
        losses.append((error / copy).item())
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    assert losses[0] == pytest.approx(1.0)
    assert np.mean(losses[-10:]) < 0.5
