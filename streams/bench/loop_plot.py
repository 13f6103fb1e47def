"""The course of `repricer bench loop` as a PNG."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

SMOOTHED_DAYS = 3
COLOURS = {"shipped": "C7", "learning": "C0"}
MARKS = {"promoted": ("^", "C2"), "refused": ("x", "C3"), "rolled back": ("v", "C1")}


def save_plot(path: Path, result: Mapping[str, Any]) -> None:
    """Draw what both arms earned by day, and what became of the candidates; without matplotlib say how to get it."""
    if find_spec("matplotlib") is None:
        sys.stderr.write(f"no {path.name}: plots need matplotlib, pip install 'repricer[plots]'\n")
        return
    from matplotlib.figure import Figure  # noqa: PLC0415  # an extra

    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    axes = figure.subplots()
    days = np.arange(1, result["days"] + 1)
    smooth = {}
    for name, shares in result["by_day"].items():
        smooth[name] = _smoothed(np.asarray(shares))
        axes.plot(days, shares, color=COLOURS[name], alpha=0.3, linewidth=0.8)
        axes.plot(days, smooth[name], color=COLOURS[name], linewidth=1.8, label=name)
    for what, (mark, colour) in MARKS.items():
        at = np.array([act["day"] for act in result["acts"] if act["what"] == what])
        if len(at):
            height = np.interp(at, days, smooth["learning"])
            axes.scatter(at, height, marker=mark, color=colour, zorder=3, label=f"{what} ({len(at)})")
    axes.axvline(result["change_day"], color="black", linestyle=":", linewidth=1.0, label="other shoppers come")
    axes.set(xlabel="simulated day", ylabel="profit, % of a clairvoyant's")
    axes.set_title(
        f"{result['offers']:,} offers, price sensitivity {result['price_sensitivity']:g} times that of the training"
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def _smoothed(values: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    window = np.ones(SMOOTHED_DAYS)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
