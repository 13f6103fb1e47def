"""`repricer bench learn`: how fast we learn, beside Stable-Baselines3's DQN on the same market.

Both have the same market of the bar, the same hidden layers, the same batch, and one update for four steps of a market.
We play many markets at once, in one compiled loop. The rival runs twice: as shipped, with one market, which is what
`ratio_sb3` compares with; and with as many markets side by side as we have, which spares it most of the calls.

`transitions_per_s` is what `repricer learner` takes of a log: records decoded, shown to the network as they were when
it decided, and an update of 256 for 64 of them. The rival has no such thing; a step of its market is a transition, too.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pricing_core.learning import deep_q
from pricing_core.learning.deep_q import Learner, Recipe
from pricing_core.simulator.bar.finite import TUNING, Finite
from pricing_core.simulator.episodes import Episodes
from streams.bench.learn_log import LogLearner
from streams.bench.machine import machine, versions
from streams.bench.rival_processes import FOLDER, answer
from streams.bench.rounds import spread

STOCK = 20
PART = 80
"""Steps of our loop between two looks at the clock."""
STEPS_AN_UPDATE = 4
PROGRAM = FOLDER / "sb3_dqn.py"
DEADLINE_S = 600.0
RECIPE = Recipe(
    markets=64,
    steps=100_000,
    updates=64 // STEPS_AN_UPDATE,
    batch=32,
    width=64,
    learning_rate=1e-4,
    discount=0.99,
    horizon=1,
    capacity=15_625,
    warm_up=10,
    target_every=156,
    epsilon=0.05,
)
"""Stable-Baselines3's defaults, where it has the same setting: its memory of a million, its target network's pace."""
RIVALS = {"sb3": 1, "sb3_side_by_side": RECIPE.markets}
"""Markets by the name of the figures."""
FIGURES = ("env_steps_per_s", "gradient_steps_per_s")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    seconds: float
    """Of one turn of ours."""
    rounds: int
    rival_steps: int
    """Steps of one market in one turn of the rival's."""
    rival_python: Path | None
    """Python that has Stable-Baselines3; None leaves it out."""


def measure(plan: Plan) -> dict[str, Any]:
    """Measure; returns an object for the README and for ``--json``.

    Raises:
        NotReady: The rival failed.
    """
    episodes = Episodes(Finite(stock=STOCK, ranges=TUNING))
    learner, _ = deep_q.advance(episodes, RECIPE, deep_q.start(episodes, RECIPE, seed=0), PART)
    log = LogLearner.ready()
    rounds, used = [], versions()
    for _ in range(plan.rounds):
        learner, figures = _turn(episodes, learner, plan.seconds)
        figures["transitions_per_s"] = log.transitions_per_s(plan.seconds)
        if plan.rival_python is not None:
            for rival, markets in RIVALS.items():
                theirs, made_of = _rival(plan.rival_python, rival, markets, plan.rival_steps)
                figures |= theirs
                used |= made_of
        rounds.append(figures)
    result: dict[str, Any] = {name: round(statistics.median(one[name] for one in rounds)) for name in rounds[0]}
    for rival in RIVALS if plan.rival_python else ():
        ratios = [one["env_steps_per_s"] / one[f"{rival}_env_steps_per_s"] for one in rounds]
        result |= spread(f"ratio_{rival}", ratios, digits=1)
        ratios = [one["transitions_per_s"] / one[f"{rival}_env_steps_per_s"] for one in rounds]
        result |= spread(f"transitions_ratio_{rival}", ratios, digits=1)
    setting = {"markets": RECIPE.markets, "batch": RECIPE.batch, "hidden": [RECIPE.width, RECIPE.width]}
    return result | setting | {"rounds": plan.rounds, "machine": machine(), "versions": used}


def _turn(episodes: Episodes, learner: Learner, seconds: float) -> tuple[Learner, dict[str, float]]:
    """Learn for some seconds. The steps between two seasons do not count: nothing is sold in them."""
    parts, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        learner, _ = deep_q.advance(episodes, RECIPE, learner, PART)
        learner.step.block_until_ready()
        parts += 1
    steps = parts * PART
    periods = episodes.market.periods
    return learner, {
        "env_steps_per_s": steps * RECIPE.markets * periods / (periods + 1) / took,
        "gradient_steps_per_s": steps * RECIPE.updates / took,
    }


def _rival(python: Path, name: str, markets: int, steps: int) -> tuple[dict[str, float], dict[str, str]]:
    """Run the rival; returns its figures and the versions of what it is made of."""
    arguments = (STOCK, markets, steps * min(markets, 4), RECIPE.batch, RECIPE.width)
    said = answer(name, python, PROGRAM, arguments, deadline_s=DEADLINE_S)
    return {f"{name}_{figure}": said[figure] for figure in FIGURES}, said["versions"]
