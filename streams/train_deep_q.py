"""`repricer train-deep-q`: learn one row of the bar by plain deep Q-learning, in parts, and go on where one stopped."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pricing_core.evaluation.deep_q import RECIPE
from pricing_core.learning import checkpoint, deep_q
from pricing_core.simulator.bar.interface import Market
from pricing_core.simulator.bar.rows import Split, rows
from pricing_core.simulator.episodes import Episodes
from streams.errors import ConfigurationError

PART = 2_000


def train_deep_q(path: Path, *, row: str, seed: int) -> Path:
    """Learn on the tuning markets of a row, and write the whole learner after every 2,000 steps.

    Args:
        path: The checkpoint; if it is there, learning goes on from it.
        row: Name of the row, of independent offers.
        seed: The same seed gives the same bytes on one backend, stopped in between or not.

    Returns:
        Path of the checkpoint; `evaluation.deep_q.restored` makes a policy of it.

    Raises:
        ConfigurationError: There is no such row, its offers come in families, or the checkpoint is another's.
    """
    try:
        episodes = Episodes(_market(row))
        learner = deep_q.start(episodes, RECIPE, seed)
        if path.exists():
            learner = checkpoint.from_bytes(path.read_bytes(), learner)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("compiling", total=RECIPE.steps, completed=int(learner.step))

        def report(step: deep_q.Progress) -> None:
            earned = step.reward * episodes.market.periods
            bar.update(task, completed=step.step, description=f"earns {earned:.3f}, exploring")

        while int(learner.step) < RECIPE.steps:
            learner = deep_q.learn(episodes, RECIPE, learner, steps=PART, part=PART, report=report)
            unfinished = path.with_suffix(".unfinished")
            unfinished.write_bytes(checkpoint.to_bytes(learner))
            unfinished.replace(path)
    return path


def _market(row: str) -> Market:
    markets = {market.name: market for market in rows(Split.TUNING)}
    if row not in markets:
        raise ValueError(f"row: expected one of {', '.join(markets)}, got {row}")
    return markets[row]
