"""The agent's policy: what the encoder sees of the book, the account, then small networks for policy and value.

Frozen encoder: it does not change, so each decision row's view is computed once (`book_vectors`), and the policy is
given vectors. Trained encoder: the policy is given windows and encodes them itself. Equal weights give equal actions
either way.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from gymnasium import spaces
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from scripts.lib.errors import InputError
from scripts.lib.progress import Progress
from scripts.lib.settings import Settings, validate_json
from scripts.lib.training.checkpoint import sha256
from scripts.orderbook.encoder.model import Encoder, load_encoder
from scripts.orderbook.trading.env import ACCOUNT, Observation, Vectors, View, Windows, observation_space
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.windows.inputs import Scaling, load_scaling

WINDOWS_AT_ONCE = 64
SMALLEST_SPREAD = 1e-6
SHARED = ("pi_features_extractor", "vf_features_extractor")
"""Names under which stable-baselines3 lists the one features extractor a second and third time."""


class AgentDescription(Settings):
    """agent.json beside a policy's weights: what the policy is built from, and what it was trained for."""

    encoder: Literal["frozen", "trained"]
    """Who encodes the book: see above."""
    hidden: list[int]
    """Widths of the hidden layers."""
    length: int = Field(ge=2)
    """States of a window."""
    features: int = Field(ge=1)
    """Features of a state."""
    width: int = Field(ge=1)
    """Numbers by which the encoder describes a state."""
    reward_bps: float = Field(gt=0)
    """What counts as a reward of 1, basis points of the largest position's notional."""
    seed: int
    """Seed of the training."""
    decisions: int
    """Decisions that it learned from."""
    trading: TradingRules
    """Costs, latency and inventory that it was trained with."""
    made_with: dict[str, str]
    """sha256 of the encoder's weights and of the scaling through which it saw the book, and of the windows that say
    which states it was trained on."""


class BookExtractor(BaseFeaturesExtractor):  # type: ignore[misc]
    """The encoder's view of the latest state, each number standardised, and the account's numbers.

    Args:
        space: of the observations.
        width: numbers by which the encoder describes a state.
        encoder: where the observations are windows; it is copied and trained. None: they are its vectors already.
    """

    def __init__(self, space: spaces.Dict, width: int, encoder: Encoder | None) -> None:
        super().__init__(space, width + ACCOUNT)
        self.encoder = deepcopy(encoder).requires_grad_(True) if encoder else None
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def standardise(self, vectors: np.ndarray) -> None:
        """Take mean and spread from vectors of the training states (n, width). The encoder's last layer makes each
        vector unit-sized, but what tells one book from another is a small part of that."""
        self.mean.copy_(torch.from_numpy(vectors.mean(axis=0)))
        self.spread.copy_(torch.from_numpy(vectors.std(axis=0)).clamp(min=SMALLEST_SPREAD))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """(batch, width + 3)."""
        book = observations["book"]
        if self.encoder is not None:
            book = self.encoder.encode(book)[:, -1]
        return torch.cat([(book - self.mean) / self.spread, observations["account"]], dim=1)


def policy_options(hidden: list[int], width: int, encoder: Encoder | None) -> dict[str, object]:
    """Arguments of the policy beside its spaces; `encoder` where it is trained."""
    return {
        "net_arch": {"pi": hidden, "vf": hidden},
        "features_extractor_class": BookExtractor,
        "features_extractor_kwargs": {"width": width, "encoder": encoder},
    }


def restore_encoder(policy: nn.Module, encoder: Encoder | None) -> None:
    """Give a new policy its pretrained encoder back: stable-baselines3 initialises all linear layers once more."""
    if encoder is not None:
        policy.features_extractor.encoder.load_state_dict(encoder.state_dict())


def read_encoder(weights: Path, config: Path, scaling: Path) -> tuple[Encoder, Scaling]:
    """The encoder and the scaling of the features that it reads.

    Raises:
        InputError: one of the files is not what it should be, or they do not fit each other.
    """
    encoder, scales = load_encoder(weights, config), load_scaling(scaling)
    if encoder.config.features != len(scales.features):
        raise InputError(f"{config}: reads {encoder.config.features} features, {scaling} has {len(scales.features)}")
    if encoder.config.length != scales.length:
        raise InputError(f"{config}: reads windows of {encoder.config.length} states, {scaling} is of {scales.length}")
    return encoder, scales


def book_vectors(encoder: Encoder, features: np.ndarray, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """The encoder's view of the latest state of the windows that end at `rows`: (rows, width) float32."""
    length = encoder.config.length
    windows = sliding_window_view(features, length, axis=0)  # (n - length + 1, features, length), no copy
    encoder = encoder.to(device)
    vectors = np.empty((len(rows), encoder.config.width), dtype=np.float32)
    with torch.inference_mode(), Progress("encode", len(rows), "windows") as progress:
        for start in range(0, len(rows), WINDOWS_AT_ONCE):
            chosen = rows[start : start + WINDOWS_AT_ONCE]
            batch = windows[chosen - length + 1].transpose(0, 2, 1)
            seen = encoder.encode(torch.from_numpy(np.ascontiguousarray(batch)).to(device))[:, -1]
            vectors[start : start + len(chosen)] = seen.cpu().numpy()
            progress.advance(len(chosen))
    return vectors


def view_of(
    mode: Literal["frozen", "trained"], encoder: Encoder, features: np.ndarray, rows: list[range], device: torch.device
) -> tuple[View, np.ndarray]:
    """How the book looks to the policy, and the encoder's vectors of the decision rows (n, width)."""
    flat = np.concatenate([np.array(found) for found in rows])
    vectors = book_vectors(encoder, features, flat, device)
    return (Vectors(flat, vectors) if mode == "frozen" else Windows(features, encoder.config.length)), vectors


def save_agent(policy: nn.Module, description: AgentDescription, weights: Path, text: Path) -> None:
    """Write weights (safetensors, without pickle) and agent.json."""
    save_file(own_weights(policy), str(weights))
    text.write_text(description.model_dump_json(indent=2) + "\n", encoding="utf-8")


def prefix_of(name: str) -> str:
    """What makes a second name of a shared tensor: pi_features_extractor is features_extractor."""
    return name[:3] if name.startswith(SHARED) else ""


def own_weights(policy: nn.Module) -> dict[str, Tensor]:
    """The policy's tensors on the CPU, sorted; what policy and value share stands there once."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in policy.state_dict().items()}
    return {name: tensors[name] for name in sorted(tensors) if not name.startswith(SHARED)}


def read_description(path: Path) -> AgentDescription:
    """Read agent.json.

    Raises:
        InputError: not one of train_agent.
    """
    try:
        return validate_json(AgentDescription, path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not an agent of train_agent ({error})") from None


def digests(encoder: Path, scaling: Path, windows: Path) -> dict[str, str]:
    """What `made_with` holds for these files."""
    return {"encoder": sha256(encoder), "scaling": sha256(scaling), "windows": sha256(windows)}


def load_policy(weights: Path, description: AgentDescription, encoder: Encoder) -> MultiInputActorCriticPolicy:
    """A trained policy on CPU.

    Raises:
        InputError: the weights are not those of the description and the encoder.
    """
    given = (encoder.config.length, encoder.config.features, encoder.config.width)
    wanted = (description.length, description.features, description.width)
    if given != wanted:
        raise InputError(f"{weights}: trained with an encoder of length, features, width {wanted}, not {given}")
    trained = encoder if description.encoder == "trained" else None
    shape = (description.length, description.features) if trained else (description.width,)
    policy = MultiInputActorCriticPolicy(
        observation_space(Shape(shape)),
        spaces.Discrete(2 * description.trading.max_position + 1),
        lambda _: 0.0,
        **policy_options(description.hidden, description.width, trained),
    )
    try:
        found = load_file(str(weights))
        policy.load_state_dict({name: found[name.removeprefix(prefix_of(name))] for name in policy.state_dict()})
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise InputError(f"{weights}: not the weights of its agent ({' '.join(str(error).split())})") from None
    policy.set_training_mode(False)
    return policy


class Shape:
    """A view that is only asked for its shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def at(self, row: int) -> np.ndarray:
        raise NotImplementedError


def decider(policy: MultiInputActorCriticPolicy) -> Callable[[Observation], np.ndarray]:
    """Probabilities of the actions (actions,) for one observation."""

    def probabilities(observation: Observation) -> np.ndarray:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(values[None]) for name, values in observation.items()}
            found: np.ndarray = policy.get_distribution(tensors).distribution.probs[0].numpy()
        return found

    return probabilities
