"""PPO on the trading environment, with a state that can be saved between rollouts and gone on from bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from scripts.orderbook.agent.policy import policy_options, restore_encoder
from scripts.orderbook.agent.settings import AgentOptions
from scripts.orderbook.encoder.model import Encoder
from scripts.orderbook.trading.env import TradingEnv, View
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.trading.tape import Tape

LOGGED = {
    "entropy": "train/entropy_loss",
    "value_loss": "train/value_loss",
    "approx_kl": "train/approx_kl",
    "clipped_share": "train/clip_fraction",
    "explained_variance": "train/explained_variance",
    "learning_rate": "train/learning_rate",
}
"""Columns of the history that stable-baselines3 reports after each update; its entropy_loss is −entropy."""

History = list[dict[str, float]]


def make_environments(
    tape: Tape, view: View, rows: list[range], rules: TradingRules, settings: AgentOptions, reward_bps: float
) -> DummyVecEnv:
    """Copies of the market in this process; a step of them costs less than sending it to another process would."""

    def make() -> TradingEnv:
        return TradingEnv(tape, view, rows, rules, settings.episode, reward_bps)

    return DummyVecEnv([make] * settings.environments)


class Learner:
    """A policy that learns on environments, rollout by rollout.

    Args:
        environments: of `make_environments`.
        settings: of PPO.
        encoder: the pretrained encoder.
        vectors: its views of the training's decision rows (n, width), which standardise the policy's input.
        seed: of the policy's weights, its actions, the order of its batches, and the environments.
        device: where the policy learns.
    """

    def __init__(
        self, environments: DummyVecEnv, settings: AgentOptions, encoder: Encoder, vectors: np.ndarray, seed: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        self._settings, self._environments = settings, environments
        self._size = settings.environments * settings.rollout
        self.rollouts = -(-settings.decisions // self._size)
        trained = encoder.cpu() if settings.encoder == "trained" else None
        self.model = PPO(
            "MultiInputPolicy", environments, learning_rate=self._learning_rate, n_steps=settings.rollout,
            batch_size=settings.batch, n_epochs=settings.epochs, gamma=settings.gamma, gae_lambda=settings.gae_lambda,
            clip_range=settings.clip, ent_coef=settings.entropy, seed=seed, device=device,
            policy_kwargs=policy_options(settings.hidden, encoder.config.width, trained),
        )  # fmt: skip
        restore_encoder(self.model.policy, trained)
        self.model.policy.features_extractor.standardise(vectors)
        self.history: History = []

    @property
    def done(self) -> int:
        """Rollouts learned from."""
        return int(self.model.num_timesteps) // self._size

    @property
    def decisions(self) -> int:
        """Decisions learned from."""
        return int(self.model.num_timesteps)

    def learn(self, between: Callable[[int], None]) -> None:
        """Learn from all rollouts that are left.

        Args:
            between: called after each rollout has been learned from, with their number; saves, or raises to stop.
        """
        left = self.rollouts * self._size - self.model.num_timesteps
        if left <= 0:
            return
        watch = Watch(self, between)
        fresh = self.model.num_timesteps == 0
        self.model.learn(left, callback=watch, log_interval=None, reset_num_timesteps=fresh)
        watch.rollout_learned()

    def _learning_rate(self, left: float) -> float:
        """From the setting down to zero, `left` falling from 1 to 0 a rollout ahead of the update that uses it."""
        return self._settings.learning_rate * min(left + 1 / self.rollouts, 1.0)

    def weigh_costs(self) -> float:
        """Let the costs count as much as is due at this point of the training."""
        warm = self._settings.cost_warmup * self.rollouts
        weight = min(self.done / warm, 1.0) if warm else 1.0
        for env in self._environments.envs:
            env.cost_weight = weight
        return weight

    def save(self, folder: Path) -> None:
        """Write all that the rest of the training depends on, as it is between two rollouts."""
        tensors = {
            "policy": self.model.policy.state_dict(),
            "optimizer": self.model.policy.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        torch.save(tensors, folder / "tensors.pt")
        name, keys, *rest = cast(tuple[str, np.ndarray, int, int, float], np.random.get_state(legacy=True))
        state = {
            "num_timesteps": self.model.num_timesteps,
            "updates": self.model._n_updates,
            "episode_starts": [bool(start) for start in self.model._last_episode_starts],
            "environments": [env.state() for env in self._environments.envs],
            "numpy_random": [name, keys.tolist(), *rest],
            "history": self.history,
        }
        (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")

    def restore(self, folder: Path) -> None:
        """Become what `save` wrote."""
        model = self.model
        tensors = torch.load(folder / "tensors.pt", map_location=model.device, weights_only=True)
        state: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        model.policy.load_state_dict(tensors["policy"])
        model.policy.optimizer.load_state_dict(tensors["optimizer"])
        model.num_timesteps, model._n_updates = state["num_timesteps"], state["updates"]
        looks = [env.restore(saved) for env, saved in zip(self._environments.envs, state["environments"], strict=True)]
        model._last_obs = {key: np.stack([look[key] for look in looks]) for key in looks[0]}
        model._last_episode_starts = np.array(state["episode_starts"])
        self.history = state["history"]
        name, keys, *rest = state["numpy_random"]
        np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
        torch.set_rng_state(tensors["random"].cpu())
        if tensors["cuda_random"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([found.cpu() for found in tensors["cuda_random"]])


class Watch(BaseCallback):  # type: ignore[misc]
    """Keeps the history of a training and calls back between its rollouts.

    stable-baselines3 calls at the start and at the end of collecting; learning from a rollout lies between its end and
    the start of the next, so that a rollout is finished when the next one starts.
    """

    def __init__(self, learner: Learner, between: Callable[[int], None]) -> None:
        super().__init__()
        self._learner, self._between = learner, between
        self._row: dict[str, float] | None = None
        self._reward, self._steps, self._ends = 0.0, 0, [0.0][:0]
        self._weight = 0.0

    def _on_rollout_start(self) -> None:
        self.rollout_learned()
        self._weight = self._learner.weigh_costs()
        self._reward, self._steps, self._ends = 0.0, 0, []

    def _on_step(self) -> bool:
        self._reward += float(np.mean(self.locals["rewards"]))
        self._steps += 1
        ended = zip(self.locals["dones"], self.locals["infos"], strict=True)
        self._ends += [info["equity_bps"] for done, info in ended if done]
        return True

    def _on_rollout_end(self) -> None:
        self._row = {
            "decisions": float(self._learner.decisions),
            "cost_weight": self._weight,
            "mean_reward": self._reward / self._steps,
            "episodes": float(len(self._ends)),
            "mean_episode_bps": float(np.mean(self._ends)) if self._ends else float("nan"),
        }

    def rollout_learned(self) -> None:
        """Add a rollout's row to the history and call back; nothing where none was collected yet."""
        if self._row is None:
            return
        reported = self._learner.model.logger.name_to_value
        self._learner.history.append(self._row | {name: float(reported[key]) for name, key in LOGGED.items()})
        self._row = None
        self._between(self._learner.done)
