"""Audit records as decisions to be joined, and what has closed as records of ``transitions``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pricing_core.features import HOLD
from pricing_core.recorded import Recorded, RecordedError
from schemas.decisions import PriceDecided
from schemas.timestamps import format_ms
from schemas.transitions import Next, TransitionClosed
from streams.errors import TopicRecreated
from streams.outcomes.decided import SOURCES, Closed, Decision
from streams.outcomes.facts import Stock
from streams.replay.decision_log import Found


class _Said(NamedTuple):
    """An audit record, and what its packed inputs say."""

    record: PriceDecided
    profit_slope: float | None
    profit_offset: float | None


def decisions(founds: Sequence[Found], applied: Mapping[str, int]) -> list[Decision]:
    """Read audit records of one partition.

    Args:
        founds: In the order of their offsets.
        applied: Next offset of each source at the decision before.

    Raises:
        TopicRecreated: Offsets of a source go backwards.
    """
    made = []
    for found, recorded in zip(founds, _recorded(founds), strict=True):
        record = found.record
        now = {name: record.applied.get(name, applied[name]) for name in SOURCES}
        backwards = [name for name in SOURCES if now[name] < applied[name]]
        if backwards:
            name = backwards[0]
            raise TopicRecreated(
                f"decision {record.decision_id} had read {name} up to {now[name]}, an earlier one up to "
                f"{applied[name]}: the topic was created anew. Delete the group of the outcomes and the topic "
                "transitions, and start again"
            )
        applied = now
        changed = record.outcome == "changed"
        made.append(
            Decision(
                offer=found.key,
                place=found.offset,
                at=found.now,
                applied=now,
                had_choice=record.candidates is not None,
                version=record.version if changed else None,
                price=record.price if changed else record.previous_price,
                stock=None if recorded is None else _stock(recorded),
                answered=(0, 0) if recorded is None else _answered(recorded),
                said=_said(record, recorded),
            )
        )
    return made


def transition(closed: Closed) -> TransitionClosed:
    """Write down a decision and what followed."""
    said: _Said = closed.decision.said
    record, candidates = said.record, said.record.candidates
    return TransitionClosed(
        decision_id=record.decision_id,
        sku=record.sku,
        channel=record.channel,
        decided_at=record.decided_at,
        outcome=record.outcome,
        reason=record.reason,
        model=record.model,
        rules=record.rules,
        run_mode=record.run_mode,
        policy_version=record.policy_version,
        currency=record.currency,
        starts_at=None if closed.start is None else format_ms(closed.start),
        ends_at=None if closed.end is None else format_ms(closed.end),
        ended_by=closed.ended_by,
        acknowledgement=closed.acknowledgement,
        censored=closed.censored,
        truncated=closed.ended_by == "window",
        incomplete=closed.incomplete,
        price=closed.price,
        previous_price=record.previous_price,
        features=record.features,
        prices=None if candidates is None else candidates.prices,
        legal=_legal(record),
        q=None if candidates is None else candidates.q,
        chosen=record.chosen,
        action=_action(record),
        propensity=record.propensity,
        epsilon=record.epsilon,
        profit_slope=said.profit_slope,
        profit_offset=said.profit_offset,
        stock_start=closed.stock_start,
        stock_end=closed.stock_end,
        happened=closed.happened,
        next=None if closed.next is None else _next(closed.next),
        inputs=None if candidates is None else record.inputs,
    )


def _next(decision: Decision) -> Next:
    record: PriceDecided = decision.said.record
    return Next(record.decision_id, record.features, _legal(record), record.inputs)


def _legal(record: PriceDecided) -> list[bool] | None:
    return None if record.candidates is None else [rule is None for rule in record.candidates.masked]


def _action(record: PriceDecided) -> int | None:
    """Candidate that came of the decision: a guard, a breaker or a person may have held what the model chose."""
    if record.candidates is None:
        return None
    return record.chosen if record.outcome == "changed" else HOLD


def _recorded(founds: Sequence[Found]) -> Iterable[Recorded | None]:
    """What the packed inputs say, one for each; None where they cannot be read."""
    try:
        whole = Recorded.unpacked(found.record.inputs or b"" for found in founds)
    except RecordedError:
        return [_recorded_one(found) for found in founds]
    return [whole.at(place) for place in range(len(whole))]


def _recorded_one(found: Found) -> Recorded | None:
    try:
        return Recorded.unpacked([found.record.inputs or b""])
    except RecordedError:
        return None


def _stock(recorded: Recorded) -> Stock | None:
    row = recorded.rows[0]
    return Stock(int(row["stock_at"]), int(row["on_hand"])) if row["on_hand"] >= 0 else None


def _answered(recorded: Recorded) -> tuple[int, int]:
    row = recorded.rows[0]
    return int(row["price_version"]), int(row["price_at"])


def _said(record: PriceDecided, recorded: Recorded | None) -> _Said:
    if recorded is None or not recorded.policies["present"][0]:
        return _Said(record, None, None)
    policy = recorded.policies[0]
    return _Said(record, float(policy["profit_slope"]), float(policy["profit_offset"]))
