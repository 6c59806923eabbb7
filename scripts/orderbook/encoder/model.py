"""The encoder of order books: a transformer that reads a window of states and fills in what is unknown in it.

NaN marks what is unknown: an entry hidden by a mask while training, or one that the venue did not send. Layers are
"pre-norm" (Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture"), positions are rotary (Su et
al. 2021, "RoFormer"), so that attention sees how far apart two states are and not where the window begins.

The blocks exist twice, in plain PyTorch and in NVIDIA Transformer Engine (scripts/orderbook/encoder/fp8.py), with the
same weights under other names. What is saved is always the plain twin in float32: it needs no GPU, and it scripts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.errors import InputError
from scripts.orderbook.encoder.config import EXPANSION, EncoderConfig, read_config

INITIAL_SPREAD = 0.02  # standard deviation of initial weights, as in GPT-2
ROTARY_BASE = 10_000.0

DESCRIPTION = "encoder"  # name of the description within the file of the weights

BlockMaker = Callable[[EncoderConfig], nn.Module]


class Encoder(nn.Module):
    """Windows of scaled book states (batch, time, features), NaN where unknown.

    Args:
        config: its shape.
        block: makes a transformer layer; the plain one unless another backend is asked for.
    """

    def __init__(self, config: EncoderConfig, block: BlockMaker | None = None) -> None:
        super().__init__()
        self.config = config
        neighbours = config.fill == "neighbours"
        self.token = None if neighbours else nn.Parameter(torch.zeros(config.features))
        self.embed = nn.Linear((3 if neighbours else 2) * config.features, config.width)
        self.blocks = nn.ModuleList([(block or Block)(config) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, (3 if neighbours else 1) * config.features)
        cosine, sine = rotary_tables(config.length, config.width // config.heads)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The window (batch, time, features) with a value for every entry; only those of NaN entries are trained."""
        return self.reconstruct_and_encode(x)[0]

    def encode(self, x: Tensor) -> Tensor:
        """What the encoder knows of each state, having seen the whole window: (batch, time, width)."""
        return self._hidden(self._inputs(x)[0])

    def reconstruct_and_encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both of the above in one pass."""
        inputs, before, after = self._inputs(x)
        hidden = self._hidden(inputs)
        if self.token is not None:
            return self.head(hidden), hidden
        of_before, of_after, value = self.head(hidden).chunk(3, -1)
        return (1 + of_before) * before + of_after * after + value, hidden

    def _inputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is embedded, and the known values before and after each entry (of the fill "neighbours")."""
        unknown = torch.isnan(x)
        if self.token is not None:
            return torch.cat([torch.where(unknown, self.token, x), unknown.to(x.dtype)], -1), x, x
        before, after = neighbours_of(x, unknown)
        return torch.cat([before, after, unknown.to(x.dtype)], -1), before, after

    def _hidden(self, inputs: Tensor) -> Tensor:
        time = inputs.shape[1]
        cosine, sine = self.cosine[:time], self.sine[:time]
        hidden = self.embed(inputs)
        for block in self.blocks:
            hidden = block(hidden, cosine, sine)
        return self.norm(hidden)


class Block(nn.Module):
    """A transformer layer in plain PyTorch: attention, then a feed-forward network, each added to what came in."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, EXPANSION * width)
        self.contract = nn.Linear(EXPANSION * width, width)

    def forward(self, hidden: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """(batch, time, width) to the same."""
        mixed = self.project(attend(self.qkv(self.attention_norm(hidden)), self.heads, cosine, sine))
        hidden = hidden + functional.dropout(mixed, self.dropout, self.training)
        # the approximation that Transformer Engine's LayerNormMLP computes
        fed = self.contract(functional.gelu(self.expand(self.feed_norm(hidden)), approximate="tanh"))
        return hidden + functional.dropout(fed, self.dropout, self.training)


def attend(qkv: Tensor, heads: int, cosine: Tensor, sine: Tensor) -> Tensor:
    """Attention over all states of a window, in both directions.

    Args:
        qkv: queries, keys and values side by side, each all heads long (batch, time, 3 * width).
        heads: number of heads.
        cosine: of the rotary angles (time, width / heads).
        sine: of the same angles.
    """
    batch, time, triple = qkv.shape
    split = qkv.view(batch, time, 3, heads, triple // (3 * heads)).permute(2, 0, 3, 1, 4)
    query, key, value = split[0], split[1], split[2]
    cosine, sine = cosine.to(qkv.dtype), sine.to(qkv.dtype)
    mixed = functional.scaled_dot_product_attention(rotate(query, cosine, sine), rotate(key, cosine, sine), value)
    return mixed.transpose(1, 2).reshape(batch, time, triple // 3)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn pairs of dimensions (i, i + half) by an angle that grows with time: (…, time, dimension)."""
    first, second = x.chunk(2, -1)
    return x * cosine + torch.cat([-second, first], -1) * sine


def rotary_tables(length: int, dimension: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary angles, each (length, dimension): time * base^(-2 i / dimension)."""
    speed = ROTARY_BASE ** (-torch.arange(0, dimension, 2, dtype=torch.float64) / dimension)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * speed
    angle = torch.cat([angle, angle], -1)
    return angle.cos().float(), angle.sin().float()


def neighbours_of(x: Tensor, unknown: Tensor) -> tuple[Tensor, Tensor]:
    """The last known and the next known value of each entry's feature, the entry itself where it is known.

    Where there is none on one side the other side's stands for it, and 0, the mean of scaled features, where the
    feature is unknown in the whole window.

    Args:
        x: (batch, time, features), NaN where unknown.
        unknown: where that is.
    """
    time = x.shape[1]
    steps = (unknown == unknown).cumsum(1) - 1  # 0, 1, 2 …; arange would write this device into a traced module
    last = torch.where(unknown, -1, steps).cummax(1).values
    following = (time - 1) - torch.where(unknown, -1, (time - 1) - steps).flip(1).cummax(1).values.flip(1)
    has_last, has_following = last >= 0, following < time
    known = torch.where(unknown, 0.0, x)
    before = known.gather(1, torch.where(has_last, last, following.clamp(max=time - 1)))
    after = known.gather(1, torch.where(has_following, following, last.clamp(min=0)))
    return before, after


def new_encoder(config: EncoderConfig, seed: int) -> Encoder:
    """A plain encoder with initial weights that depend on the seed alone.

    The head begins at 0: the first reconstruction of the fill "neighbours" is the last known value, the baseline that
    the model has to beat.
    """
    encoder = Encoder(config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(encoder.named_parameters()):
        if parameter.dim() == 2:
            deep = name.endswith(("project.weight", "contract.weight"))
            spread = INITIAL_SPREAD / math.sqrt(2 * config.layers) if deep else INITIAL_SPREAD
            nn.init.normal_(parameter, 0.0, 0.0 if name == "head.weight" else spread, generator=generator)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    return encoder


def parameter_count(encoder: nn.Module) -> int:
    """Trained numbers."""
    return sum(parameter.numel() for parameter in encoder.parameters())


def training_flops(config: EncoderConfig) -> float:
    """Floating point operations of one window, forward and backward.

    2 a weight of the matrices and state, and 4 time^2 width a layer for attention's two products; backward is twice
    forward (Kaplan et al. 2020, "Scaling Laws for Neural Language Models", section 2.1).
    """
    inputs, outputs = (3, 3) if config.fill == "neighbours" else (2, 1)
    weights = (inputs + outputs) * config.features * config.width
    weights += config.layers * (4 + 2 * EXPANSION) * config.width**2
    attention = 4.0 * config.layers * config.length**2 * config.width
    return 3.0 * (2.0 * weights * config.length + attention)


def save_weights(path: Path, encoder: nn.Module) -> None:
    """Write the weights of a plain encoder as safetensors, float32, always the same bytes for the same weights.

    The description goes with them: another number of heads would fit the same weights and compute something else.
    """
    tensors = {name: value.detach().float().cpu().contiguous() for name, value in encoder.state_dict().items()}
    save_file(dict(sorted(tensors.items())), str(path), {DESCRIPTION: encoder.config.model_dump_json()})


def read_weights(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Weights by name and the description they were saved with, None where the file has none.

    Raises:
        InputError: not a file of weights.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
            return found, (file.metadata() or {}).get(DESCRIPTION)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not the weights of an encoder ({error})") from None


def load_encoder(weights: Path, config: Path | None = None) -> Encoder:
    """A pretrained encoder on CPU, ready for inference.

    Args:
        weights: model.safetensors, or the folder that holds it and encoder.json.
        config: encoder.json; not needed with a folder.

    Raises:
        InputError: the files are not those of one encoder.
    """
    if config is None:
        weights, config = weights / "model.safetensors", weights / "encoder.json"
    encoder = Encoder(read_config(config))
    tensors, described = read_weights(weights)
    if described != encoder.config.model_dump_json():
        raise InputError(f"{weights}: does not fit {config} (saved with the description {described})")
    try:
        encoder.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{weights}: does not fit {config} ({reason})") from None
    encoder.eval()
    encoder.requires_grad_(False)
    return encoder
