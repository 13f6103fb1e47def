"""`repricer train`: make the Q-function again from a seed, score it beside simple rules, write it with its manifest."""

from __future__ import annotations

from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table

from pricing_core.evaluation import policies
from pricing_core.evaluation.score import Score, score
from pricing_core.learning.training import EPSILON, PRESETS, train
from pricing_core.learning.training import Progress as Step
from pricing_core.model_file import Training, save_model
from pricing_core.q_function import Params
from streams.learning_curve import save_curves, training_bar

HELD_OUT = 1_000_003
"""Added to the seed: the markets that score a model are others than those that trained it."""


def train_model(directory: Path, *, name: str, version: int, preset: str, seed: int, shops: int) -> Path:
    """Train, score on held-out markets, and save.

    Args:
        directory: Where ``NAME.safetensors``, ``NAME.json`` and the learning curve ``NAME.png`` are written.
        name: Name of the model.
        version: A new number for new weights.
        preset: One of `PRESETS`.
        seed: The same seed gives the same weights on one backend.
        shops: Markets to score on; 0 leaves the score out.

    Returns:
        Path of the weights.
    """
    console = Console(stderr=True)
    params, steps = _train(preset, seed, console)
    scores = _score(params, seed + HELD_OUT, shops) if shops else {}
    if scores:
        console.print(_table(scores))
    origin = Training(
        preset=preset,
        seed=seed,
        backend=jax.default_backend(),
        jax=jax.__version__,
        score={policy: measures._asdict() for policy, measures in scores.items()},
    )
    weights = save_model(directory, params, name=name, version=version, epsilon=EPSILON, training=origin)
    curves = {"loss": [s.loss for s in steps], "share of the optimum missed": [s.regret for s in steps]}
    title = f"{name}/{version}: preset {preset}, seed {seed}"
    save_curves(weights.with_suffix(".png"), title, [s.update for s in steps], curves, console)
    return weights


def _train(preset: str, seed: int, console: Console) -> tuple[Params, list[Step]]:
    steps: list[Step] = []
    with training_bar(console) as bar:
        task = bar.add_task("compiling", total=PRESETS[preset].updates)

        def report(step: Step) -> None:
            steps.append(step)
            bar.update(task, completed=step.update, description=f"missing {step.regret:.2%} of the optimum")

        return train(PRESETS[preset], seed, report), steps


def _score(params: Params, seed: int, shops: int) -> dict[str, Score]:
    candidates = {
        "model": policies.model(params, EPSILON),
        "planner": policies.planner,
        "network": policies.network(params),
        "best_mark_up": policies.best_mark_up,
        "match_cheapest": policies.match_cheapest,
        "cost_plus": policies.cost_plus,
    }
    return score(candidates, seed=seed, shops=shops)


def _table(scores: dict[str, Score]) -> Table:
    table = Table("policy", "share of the optimum's profit", "at the start", "gain over hold")
    for policy, measures in sorted(scores.items(), key=lambda entry: -entry[1].share):
        table.add_row(
            policy,
            f"{measures.share:.1%} ± {measures.interval:.1%}",
            f"{measures.early_share:.1%}",
            f"{measures.over_hold:+.1%} ± {measures.over_hold_interval:.1%}",
        )
    return table
