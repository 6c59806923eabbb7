"""The encoder's blocks in NVIDIA Transformer Engine, for training in FP8, and how its weights map to the plain twin's.

Transformer Engine is imported when a block is built, so this module itself can be read anywhere. Names and layouts are
those of transformer-engine 2.20.2: `LayerNormLinear` has layer_norm_weight, layer_norm_bias, weight, bias; `Linear` has
weight, bias; `LayerNormMLP` has layer_norm_weight, layer_norm_bias, fc1_weight, fc1_bias, fc2_weight, fc2_bias. Weights
are (out, in) as in PyTorch, "gelu" is the tanh approximation. Embedding and head stay in the precision around them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.orderbook.encoder.config import EXPANSION, EncoderConfig
from scripts.orderbook.encoder.model import Encoder, attend

# names within a block: Transformer Engine's -> the plain twin's
BLOCK_NAMES = {
    "qkv.layer_norm_weight": "attention_norm.weight",
    "qkv.layer_norm_bias": "attention_norm.bias",
    "qkv.weight": "qkv.weight",
    "qkv.bias": "qkv.bias",
    "project.weight": "project.weight",
    "project.bias": "project.bias",
    "feed.layer_norm_weight": "feed_norm.weight",
    "feed.layer_norm_bias": "feed_norm.bias",
    "feed.fc1_weight": "expand.weight",
    "feed.fc1_bias": "expand.bias",
    "feed.fc2_weight": "contract.weight",
    "feed.fc2_bias": "contract.bias",
}
EXTRA_STATE = "_extra_state"  # scaling factors and amax histories of FP8; no weights


class EngineBlock(nn.Module):
    """A transformer layer of fused Transformer Engine modules; the same function as `Block`."""

    def __init__(self, config: EncoderConfig) -> None:
        import transformer_engine.pytorch as te  # needs CUDA, so only where FP8 was chosen

        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.qkv = te.LayerNormLinear(width, 3 * width, params_dtype=torch.float32)
        self.project = te.Linear(width, width, params_dtype=torch.float32)
        self.feed = te.LayerNormMLP(width, EXPANSION * width, activation="gelu", params_dtype=torch.float32)

    def forward(self, hidden: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """(batch, time, width) to the same."""
        mixed = self.project(attend(self.qkv(hidden), self.heads, cosine, sine))
        hidden = hidden + functional.dropout(mixed, self.dropout, self.training)
        return hidden + functional.dropout(self.feed(hidden), self.dropout, self.training)


def engine_encoder(plain: Encoder) -> Encoder:
    """The encoder with Transformer Engine's blocks and the weights of a plain one."""
    encoder = Encoder(plain.config, EngineBlock)
    state = to_engine(plain.state_dict())
    missing, unexpected = encoder.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith(EXTRA_STATE)]
    if missing or unexpected:
        raise RuntimeError(f"Transformer Engine names its weights otherwise: missing {missing}, unknown {unexpected}")
    return encoder


def plain_twin(encoder: Encoder) -> Encoder:
    """A plain encoder on CPU, float32, with the weights of any encoder."""
    twin = Encoder(encoder.config)
    state = to_plain(encoder.state_dict())
    twin.load_state_dict({name: value.detach().float().cpu() for name, value in state.items()})
    return twin


def to_plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the plain twin's names; those of a plain encoder come through as they are."""
    return _renamed({k: v for k, v in state.items() if not k.endswith(EXTRA_STATE)}, BLOCK_NAMES)


def to_engine(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a plain encoder under Transformer Engine's names."""
    return _renamed(state, {plain: engine for engine, plain in BLOCK_NAMES.items()})


def _renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        head, number, rest = [*name.split(".", 2), "", ""][:3]
        inner = names.get(rest, rest) if head == "blocks" else rest
        renamed[".".join(part for part in (head, number, inner) if part)] = value
    return renamed
