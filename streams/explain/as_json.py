"""An explanation as one JSON object."""

from __future__ import annotations

from typing import Any

import msgspec

from pricing_core.explanation import Known
from streams.explain import telling
from streams.explain.explanation import Explanation


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Everything that is known about the decision; prices in minor units, ages in ms."""
    found, flip = explanation.found, explanation.flip
    record = msgspec.structs.asdict(found.record)
    for name in ("features", "candidates", "inputs", "verdict"):
        del record[name]
    return {
        **record,
        "place": found.place,
        "why": telling.reason(explanation),
        "verdict": msgspec.structs.asdict(found.record.verdict),
        "explored": explanation.was_explored,
        "previous_decision": None if explanation.previous is None else explanation.previous.record.decision_id,
        "causes": [
            {**cause._asdict(), "last": [record._asdict() for record in cause.last]} for cause in explanation.causes
        ],
        "features": [one._asdict() for one in explanation.features],
        "ages_ms": explanation.ages,
        "candidates": [one._asdict() for one in explanation.candidates],
        "inputs": [_known(one) for one in explanation.known],
        "flip": None if flip is None else _known(flip),
        "made_again": {"identical": explanation.is_reproduced, "obstacle": explanation.obstacle},
    }


def _known(known: Known) -> dict[str, Any]:
    return {**known._asdict(), "answer": None if known.answer is None else known.answer._asdict()}
