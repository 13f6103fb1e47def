"""What the worker's model earns as it decides, and its parts alone, in the simulated shops that it is made for.

The rows of the bar are played by the planner alone. The network values moves from a last price, by features of the
worker's rolling sums; a row has neither, and its price lists, logs and guesses at demand are nothing that the network
was trained on. Here all is as in the worker: features, candidates, gate.
"""

from __future__ import annotations

from typing import NamedTuple

from pricing_core.evaluation import policies
from pricing_core.evaluation.score import shares
from pricing_core.evaluation.standing import Mean, mean
from pricing_core.model_file import Model
from streams.train import HELD_OUT

SHOPS = {"quick": 256, "full": 1024}
"""Of each suite."""
PARTS = ("planner_alone", "network_alone", "system")


class Shops(NamedTuple):
    """The model, played. Shares of the optimum after ten days."""

    model: str
    n: int
    """Shops."""
    shares: dict[str, Mean]
    """Of `PARTS` and of holding the price."""
    correction: Mean
    """System less planner alone, shop by shop: what the network adds, or costs."""


def play_shops(model: Model, *, n: int, seed: int) -> Shops:
    """Let the model and its parts decide in the same shops, with the same luck; no model was trained in these.

    Args:
        model: Of the worker.
        n: Shops, 2 or more.
        seed: Of shops and luck.
    """
    parts = (policies.planner, policies.network(model.params), policies.model(model.params, model.epsilon))
    played = shares(dict(zip(PARTS, parts, strict=True)), seed=seed + HELD_OUT, shops=n)
    played.pop("optimum")
    return Shops(
        model=model.label,
        n=n,
        shares={name: mean(values, seed=seed) for name, values in played.items()},
        correction=mean(played["system"] - played["planner_alone"], seed=seed),
    )
