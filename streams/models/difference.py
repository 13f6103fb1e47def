"""What distinguishes two models: weights, scores, and how they decide the golden batch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import numpy as np

from pricing_core.golden import GoldenBatch, differing
from pricing_core.model_file import Model


@dataclass(frozen=True, slots=True)
class Difference:
    """Of a second model from a first."""

    labels: tuple[str, str]
    golden_decisions: int
    differing_decisions: int
    higher: int
    """Golden decisions in which the second's price is higher."""
    lower: int
    weights: dict[str, tuple[float, float]]
    """Layer and parameter → Euclidean distance, and length of the first's."""
    epsilon: tuple[float, float]
    scores: dict[str, dict[str, dict[str, float]]]
    """Label → policy → measure → value."""

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


def difference(first: Model, second: Model, golden: GoldenBatch) -> Difference:
    """Compare two models of one format: both were verified against this program's.

    Raises:
        ModelUnfit: One of them cannot decide.
    """
    one, other = golden.judge(first), golden.judge(second)
    return Difference(
        labels=(first.label, second.label),
        golden_decisions=len(one),
        differing_decisions=differing(one, other),
        higher=int((other.price > one.price).sum()),
        lower=int((other.price < one.price).sum()),
        weights={
            f"{layer}.{name}": _distance(leaf, second.params[layer][name])
            for layer, leaves in first.params.items()
            for name, leaf in leaves.items()
        },
        epsilon=(first.epsilon, second.epsilon),
        scores={model.label: msgspec.to_builtins(model.manifest.training.score) for model in (first, second)},
    )


def _distance(one: Any, other: Any) -> tuple[float, float]:
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return float(np.linalg.norm(a - b)), float(np.linalg.norm(a))
