"""`repricer train-deep-q`: learn rows of the bar by plain deep Q-learning, in parts, and go on where one stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from pricing_core.evaluation.deep_q import RECIPE
from pricing_core.learning import checkpoint, deep_q
from pricing_core.simulator.bar.interface import Market
from pricing_core.simulator.bar.rows import Split, rows
from pricing_core.simulator.episodes import Episodes
from streams.errors import ConfigurationError
from streams.learning_curve import save_curves, training_bar

PART = 2_000
"""Steps between two checkpoints."""
REPORTED = 200
"""Steps between two points of the learning curve."""


def path_of(folder: Path, row: str) -> Path:
    """Give the checkpoint of a row."""
    return folder / f"{row}.safetensors"


def train_deep_q(folder: Path, *, names: Sequence[str], seed: int) -> list[Path]:
    """Learn on the tuning markets of rows, and write the whole learner of each after every 2,000 steps.

    Args:
        folder: Of the checkpoints; where there is one, learning goes on from it.
        names: Of the rows, all of independent offers; without any, all such rows.
        seed: The same seed gives the same bytes on one backend, stopped in between or not.

    Returns:
        The checkpoints; `evaluation.deep_q.restored` makes a policy of each.

    Raises:
        ConfigurationError: There is no such row, its offers come in families, or a checkpoint is another's.
    """
    known = {market.name: market for market in rows(Split.TUNING)}
    independent = [name for name, market in known.items() if market.family == 1]
    for name in names:
        if name not in independent:
            raise ConfigurationError(f"row {name}: expected one of {', '.join(independent)}")
    folder.mkdir(parents=True, exist_ok=True)
    with training_bar(Console(stderr=True)) as bar:
        return [_train(path_of(folder, name), known[name], seed, bar) for name in names or independent]


def _train(path: Path, market: Market, seed: int, bar: Progress) -> Path:
    episodes = Episodes(market)
    learner = deep_q.start(episodes, RECIPE, seed)
    if path.exists():
        try:
            learner = checkpoint.from_bytes(path.read_bytes(), learner)
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}") from error
    task = bar.add_task(f"{market.name}: compiling", total=RECIPE.steps, completed=int(learner.step))
    steps: list[deep_q.Progress] = []

    def report(step: deep_q.Progress) -> None:
        steps.append(step)
        earned = step.reward * market.periods
        bar.update(task, completed=step.step, description=f"{market.name}: earns {earned:.3f}, exploring")

    while int(learner.step) < RECIPE.steps:
        learner = deep_q.learn(episodes, RECIPE, learner, steps=PART, part=REPORTED, report=report)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(checkpoint.to_bytes(learner))
        unfinished.replace(path)
    if steps:
        curves = {"loss": [s.loss for s in steps], "reward of a season": [s.reward * market.periods for s in steps]}
        title = f"deep Q-learning, {market.name}, seed {seed}"
        save_curves(path.with_suffix(".png"), title, [s.step for s in steps], curves, bar.console)
    return path
