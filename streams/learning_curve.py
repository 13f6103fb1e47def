"""How learning went, as a PNG: one plot below the other, over the same updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

WIDTH_IN, HEIGHT_IN = 8.0, 2.6
"""Of one plot."""
SMOOTHED_OVER = 0.05
"""Share of the points that the thick line is the mean of."""


def training_bar(console: Console) -> Progress:
    """Show how far training has come, and when it will end."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=console)


def save_curves(
    path: Path, title: str, at: Sequence[int], curves: Mapping[str, Sequence[float]], console: Console
) -> None:
    """Draw curves; without matplotlib say how to get them.

    Args:
        path: Of the PNG.
        title: Above all.
        at: Update at which each point was taken, ascending.
        curves: What the axis says → the points.
        console: For the note.
    """
    if find_spec("matplotlib") is None:
        console.print(f"no {path.name}: plots need matplotlib, pip install 'repricer[plots]'", markup=False)
        return
    from matplotlib.figure import Figure  # noqa: PLC0415  # an extra

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN * len(curves)), layout="constrained")
    figure.suptitle(title)
    for axes, (name, points) in zip(np.ravel(figure.subplots(len(curves), sharex=True)), curves.items(), strict=True):
        axes.plot(at, points, color="C0", alpha=0.3, linewidth=0.8)
        window = max(1, round(SMOOTHED_OVER * len(points)))
        mean = np.convolve(points, np.ones(window) / window, mode="valid")
        axes.plot(at[window - 1 :], mean, color="C0", linewidth=1.8)
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
    axes.set_xlabel("update")
    figure.savefig(path, dpi=120)
