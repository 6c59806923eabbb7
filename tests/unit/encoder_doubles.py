"""Stands in for Transformer Engine where there is no GPU: modules with its parameter names, computed by PyTorch."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional


class Linear(nn.Module):
    """`transformer_engine.pytorch.Linear`: weight (out, in), bias."""

    def __init__(self, in_features: int, out_features: int, params_dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features, dtype=params_dtype).normal_(0, 0.023))
        self.bias = nn.Parameter(torch.zeros(out_features, dtype=params_dtype))

    def get_extra_state(self) -> Tensor:
        return torch.empty(0, dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


class LayerNormLinear(Linear):
    """`transformer_engine.pytorch.LayerNormLinear`: layer_norm_weight and layer_norm_bias beside those of Linear."""

    def __init__(self, in_features: int, out_features: int, params_dtype: torch.dtype | None = None) -> None:
        super().__init__(in_features, out_features, params_dtype)
        self.layer_norm_weight = nn.Parameter(torch.ones(in_features, dtype=params_dtype))
        self.layer_norm_bias = nn.Parameter(torch.zeros(in_features, dtype=params_dtype))

    def forward(self, x: Tensor) -> Tensor:
        normed = functional.layer_norm(x, x.shape[-1:], self.layer_norm_weight, self.layer_norm_bias, 1e-5)
        return super().forward(normed)


class LayerNormMLP(nn.Module):
    """`transformer_engine.pytorch.LayerNormMLP` with the activation that its jit.py writes out."""

    def __init__(
        self, hidden_size: int, ffn_hidden_size: int, activation: str, params_dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        assert activation == "gelu"
        self.layer_norm_weight = nn.Parameter(torch.ones(hidden_size, dtype=params_dtype))
        self.layer_norm_bias = nn.Parameter(torch.zeros(hidden_size, dtype=params_dtype))
        self.fc1_weight = nn.Parameter(torch.empty(ffn_hidden_size, hidden_size, dtype=params_dtype).normal_(0, 0.023))
        self.fc1_bias = nn.Parameter(torch.zeros(ffn_hidden_size, dtype=params_dtype))
        self.fc2_weight = nn.Parameter(torch.empty(hidden_size, ffn_hidden_size, dtype=params_dtype).normal_(0, 0.023))
        self.fc2_bias = nn.Parameter(torch.zeros(hidden_size, dtype=params_dtype))

    def get_extra_state(self) -> Tensor:
        return torch.empty(0, dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        normed = functional.layer_norm(x, x.shape[-1:], self.layer_norm_weight, self.layer_norm_bias, 1e-5)
        inner = functional.linear(normed, self.fc1_weight, self.fc1_bias)
        inner = inner * 0.5 * (1.0 + torch.tanh(0.79788456 * inner * (1 + 0.044715 * inner * inner)))
        return functional.linear(inner, self.fc2_weight, self.fc2_bias)


def install_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `import transformer_engine.pytorch` find the doubles."""
    package, module = ModuleType("transformer_engine"), ModuleType("transformer_engine.pytorch")
    for double in (Linear, LayerNormLinear, LayerNormMLP):
        setattr(module, double.__name__, double)
    package.pytorch = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformer_engine", package)
    monkeypatch.setitem(sys.modules, "transformer_engine.pytorch", module)
