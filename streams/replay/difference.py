"""Two records of one decision: where they part first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from pricing_core.features import FEATURES, MOVES_BP

_FIRST = ("features", "candidates")
"""What the rest of a decision follows from is looked at before the rest."""
_MISSING = object()


class Difference(NamedTuple):
    """A decision that did not come out as it was recorded."""

    decision_id: str
    field: str
    """First one that differs; of a list, the name of the feature or the move in basis points."""
    recorded: Any
    again: Any


def first_difference(decision_id: str, recorded: bytes, again: bytes) -> Difference | None:
    """Compare two records; None if they are the same, byte for byte."""
    if recorded == again:
        return None
    ours, theirs = _loaded(recorded), orjson.loads(again)
    if ours is None:
        return Difference(decision_id, "record", "unreadable", None)
    names = [*_FIRST, *(name for name in theirs if name not in _FIRST)]
    for name in names:
        for field, one, other in _leaves(name, ours.get(name, _MISSING), theirs[name]):
            if one is _MISSING or type(one) is not type(other) or one != other:
                return Difference(decision_id, field, None if one is _MISSING else one, other)
    return Difference(decision_id, "record", "other bytes for the same values", None)


def _loaded(raw: bytes) -> dict[str, Any] | None:
    try:
        loaded = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return loaded if isinstance(loaded, dict) else None


def _leaves(name: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Pairs of values that stand at the same place."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for inner in other:
            yield from _leaves(f"{name}.{inner}", one[inner], other[inner])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        names = _names(name, len(other))
        yield from ((f"{name}.{inner}", a, b) for inner, a, b in zip(names, one, other, strict=True))
    else:
        yield name, one, other


def _names(name: str, count: int) -> list[str]:
    if name == "features":
        return [feature.name for feature in FEATURES]
    return [f"{move:+d}bp" for move in MOVES_BP] if count == len(MOVES_BP) else [str(place) for place in range(count)]
