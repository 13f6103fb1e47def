"""Stable-Baselines3's DQN on the bar's markets. ``sb3_dqn.py STOCK MARKETS STEPS BATCH WIDTH``.

Settings are as shipped: a replay memory of a million, one update for four steps. With several markets side by side it
makes as many updates for each transition. PyTorch gets one thread, with which networks this small are faster.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import VecEnv

from pricing_core.simulator.bar.finite import TUNING, Finite
from pricing_core.simulator.vector_env import PricingVectorEnv

WARM_UP = 2_000
"""Transitions before the clock starts: more than the learner waits for its first update."""


class Markets(VecEnv):
    """Gymnasium's markets as Stable-Baselines3 wants them: a new season begins in the step that ends the old one."""

    def __init__(self, environment: PricingVectorEnv) -> None:
        self._environment = environment
        self._actions = np.zeros(environment.num_envs, np.int64)
        super().__init__(environment.num_envs, environment.single_observation_space, environment.single_action_space)

    def reset(self) -> np.ndarray[Any, Any]:
        """Begin."""
        return self._environment.reset(seed=0)[0]

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        """Take a step, and the one that begins the next season if need be."""
        seen, rewards, terminated, truncated, _ = self._environment.step(self._actions)
        over = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in over]
        if over.any():
            infos = [{"terminal_observation": last, "TimeLimit.truncated": False} for last in seen]
            seen = self._environment.step(self._actions)[0]
        return seen, rewards, over, infos

    def close(self) -> None:
        """Close."""
        self._environment.close()

    def get_attr(self, attr_name: str, _indices: Any = None) -> list[Any]:
        """Answer for each market."""
        return [getattr(self._environment, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, _indices: Any = None) -> None:
        """Refuse: there is nothing to set."""
        raise NotImplementedError

    def env_method(self, method_name: str, *_args: Any, **_kwargs: Any) -> list[Any]:
        """Refuse: there is nothing to call."""
        raise NotImplementedError

    def env_is_wrapped(self, _wrapper_class: Any, _indices: Any = None) -> list[bool]:
        """Nothing is."""
        return [False] * self.num_envs


def run(arguments: Sequence[int]) -> dict[str, Any]:
    """Learn, and say how fast."""
    stock, markets, steps, batch, width = arguments
    torch.set_num_threads(1)
    learner = DQN(
        "MlpPolicy",
        Markets(PricingVectorEnv(Finite(stock=stock, ranges=TUNING), markets)),
        batch_size=batch,
        gradient_steps=markets,
        policy_kwargs={"net_arch": [width, width]},
        seed=0,
        device="cpu",
    )
    learner.learn(WARM_UP)
    updates, transitions, began = learner._n_updates, learner.num_timesteps, time.perf_counter()  # noqa: SLF001
    learner.learn(steps, reset_num_timesteps=False)
    took = time.perf_counter() - began
    return {
        "env_steps_per_s": (learner.num_timesteps - transitions) / took,
        "gradient_steps_per_s": (learner._n_updates - updates) / took,  # noqa: SLF001
        "versions": {name: version(name) for name in ("stable-baselines3", "torch")},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run([int(argument) for argument in sys.argv[1:]])))
