"""AdamW, with its state made beforehand."""

from __future__ import annotations

from typing import Any

import torch

from scripts.lib.training.settings import TrainingSettings


def trainable(model: Any) -> list[Any]:
    """The parameters that are learnt."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def make_optimizer(model: Any, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019); vectors (biases, norms) decay not.

    Gradients and state are allocated at once: a step either finds the memory it needs or fails before it has
    changed a weight, so that it can be repeated.
    """
    parameters = trainable(model)
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    on_gpu = any(parameter.is_cuda for parameter in parameters)
    optimizer = torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2), eps=settings.epsilon, fused=on_gpu, foreach=False,
    )  # fmt: skip
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
        optimizer.state[parameter] = {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device if on_gpu else "cpu"),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a state; which of AdamW's implementations runs is this device's choice and not that of the file."""
    for mine, theirs in zip(optimizer.param_groups, state["param_groups"], strict=True):
        theirs |= {key: mine[key] for key in ("fused", "foreach")}
    optimizer.load_state_dict(state)
