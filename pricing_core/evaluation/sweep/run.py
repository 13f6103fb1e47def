"""The sweep itself: draw, decide, check."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from pricing_core import offers as offer_views
from pricing_core.deciding import decide
from pricing_core.decisions import HELD
from pricing_core.evaluation.sweep.check import faults
from pricing_core.evaluation.sweep.models import wild
from pricing_core.evaluation.sweep.states import draw
from pricing_core.policy_table import SIBLINGS, PolicyTable
from pricing_core.run_modes import OfferModes

CHUNK = 10_000
SHOWN = 10


@dataclass(slots=True)
class Swept:
    """What became of the states."""

    states: int = 0
    out_of_bounds: int = 0
    """Moved prices that break a rule."""
    nonfinite_in: int = 0
    """States about which the model said something that is not finite."""
    held: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    """How often which rule was broken."""
    reasons: Counter[str] = field(default_factory=Counter)
    """How often which reason decided."""
    examples: list[str] = field(default_factory=list)


def sweep(states: int, seed: int) -> Swept:
    """Decide random states; the same seed draws the same ones."""
    swept = Swept()
    for number, start in enumerate(range(0, states, CHUNK)):
        _chunk(swept, np.random.default_rng((seed, number)), min(CHUNK, states - start))
    return swept


def _chunk(swept: Swept, rng: np.random.Generator, n: int) -> None:
    drawn, table, slots = draw(rng, n), PolicyTable(n), np.arange(n)
    table.put(slots, drawn.policies)
    offers = offer_views.view(drawn.state, table, slots, drawn.now, OfferModes(drawn.mode, drawn.mode))
    for name, known in zip(SIBLINGS, drawn.siblings, strict=True):
        offers.policy[name] = np.where(offers.policy["family"] != 0, known, 0)
    chance = rng.random(n).astype(np.float32)
    decisions = decide(offers, drawn.policies.keys, 1 + slots, chance, wild(rng))
    swept.states += n
    swept.held += int((decisions.outcome == HELD).sum())
    swept.nonfinite_in += int((~np.isfinite(decisions.q)).any(axis=1).sum())
    swept.reasons.update(decisions.reasons)
    for row, rule in faults(drawn, decisions):
        swept.out_of_bounds += 1
        swept.broken[rule] += 1
        if len(swept.examples) < SHOWN:
            swept.examples.append(f"{decisions.previous_price[row]} to {decisions.price[row]} breaks {rule}")
