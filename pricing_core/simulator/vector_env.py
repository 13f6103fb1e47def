"""The markets of the bar as a gymnasium ``VectorEnv``, for learners that are not ours. Needs the extra ``gym``.

`episodes.Episodes` says what a step is; here its arrays become NumPy's and its keys gymnasium's seeds.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from pricing_core.simulator.bar.interface import Market
from pricing_core.simulator.episodes import Episodes, Season, Step

Observations = NDArray[np.float32]
Actions = NDArray[np.integer[Any]]


class PricingVectorEnv(VectorEnv[Observations, Actions, NDArray[Any]]):
    """N markets of a kind, side by side.

    Observations are float32 [N, O], of which `observation.OBSERVATIONS` tells the meaning. Actions are int [N],
    indices into the prices of the set, ascending. Rewards are float32 [N], in the unit that `Episodes` tells. A season
    with a deadline terminates; one without is truncated. The next step begins a new season in new markets and ignores
    its actions (``AutoresetMode.NEXT_STEP``). The infos hold ``profit``, float32 [N] in money, and ``action_mask``,
    int8 [N, A]: 1 where a price is above cost.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(self, market: Market, num_envs: int) -> None:
        """Say which markets.

        Args:
            market: The kind.
            num_envs: How many markets.

        Raises:
            ValueError: Offers of the kind come in families, or there are no markets.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1, got {num_envs}")
        episodes = Episodes(market)
        self.num_envs = num_envs
        self.single_observation_space = Box(-np.inf, np.inf, (episodes.observations,), np.float32)
        self.single_action_space = Discrete(episodes.actions())
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._reset = jax.jit(episodes.reset, static_argnums=1)
        self._step = jax.jit(episodes.step)
        self._season: Season | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin a season in new markets.

        Args:
            seed: The season is that of ``Episodes.reset(jax.random.key(seed), num_envs)``; None goes on with the
                random numbers of the last seed.
            options: None are known.

        Raises:
            ValueError: There are options: a market cannot be reset alone, for instance.
        """
        if options:
            raise ValueError(f"options: expected none, got {', '.join(options)}")
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        self._season, step = self._reset(jax.random.key(drawn), self.num_envs)
        shown: Step = jax.device_get(step)
        return np.array(shown.observation), _infos(shown)

    def step(self, actions: Actions) -> tuple[Observations, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Ask prices for a period.

        Raises:
            ResetNeeded: Before the first `reset`.
            InvalidAction: Not [N], or not an index of a price.
        """
        if self._season is None:
            raise ResetNeeded("call reset before step")
        taken = np.asarray(actions)
        if not self.action_space.contains(taken.astype(np.int64, casting="same_kind")):
            raise InvalidAction(f"actions: expected {self.num_envs} of {self.single_action_space}, got {actions}")
        self._season, step = self._step(self._season, taken.astype(np.int32))
        shown: Step = jax.device_get(step)
        seen, reward, terminated, truncated = (
            np.array(part) for part in (shown.observation, shown.reward, shown.terminated, shown.truncated)
        )
        return seen, reward, terminated, truncated, _infos(shown)


def _infos(shown: Step) -> dict[str, Any]:
    """As gymnasium wants them: beside each entry, which markets have it."""
    everywhere = np.ones(len(shown.profit), bool)
    return {
        "profit": np.array(shown.profit),
        "_profit": everywhere,
        "action_mask": shown.allowed.astype(np.int8),
        "_action_mask": everywhere,
    }
