"""Decisions as records: price changes, audit records, dead letters."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import orjson

from pricing_core.decisions import CHANGED, HELD, OUTCOMES, Decisions, Resends
from pricing_core.engine import PricingEngine
from pricing_core.rules import CODES, RULES
from schemas.binary import BinaryArray
from schemas.cloud_events import DEAD_LETTERED, PRICE_CHANGED, PRICE_DECIDED, EventType
from schemas.codec import Reject, encode
from schemas.columns import NONE
from schemas.currencies import ALPHA_CODES
from schemas.dead_letter import MAX_KEPT_BYTES, DeadLettered
from schemas.timestamps import format_ms
from schemas.topics import DEAD_LETTERS, PRICE_CHANGES, PRICE_DECISIONS
from streams.metrics import (
    ACKNOWLEDGEMENT_ALARMS,
    DECISIONS,
    HOLDS,
    RESENDS,
    Metrics,
)
from streams.metrics import (
    DEAD_LETTERS as DEAD_LETTERS_TOTAL,
)
from streams.metrics import (
    PRICE_CHANGES as PRICE_CHANGES_TOTAL,
)
from streams.output import OutputBatch
from streams.settings import Settings
from streams.shard import Shard
from streams.transport.record_batch import RecordBatch

Records = list[tuple[bytes, bytes, bytes]]
"""Key, value and ``ce_id`` of each."""


class Emitter:
    """Turns what the engine decided into records for the open cut."""

    def __init__(self, settings: Settings, engine: PricingEngine, metrics: Metrics) -> None:
        prefix = settings.topic_prefix
        self._prefix = f"{prefix}."
        topics = {PRICE_CHANGED: PRICE_CHANGES, PRICE_DECIDED: PRICE_DECISIONS, DEAD_LETTERED: DEAD_LETTERS}
        self._topics = {kind: topic.full_name(prefix) for kind, topic in topics.items()}
        self._source = f"/{settings.group}"
        self._lifetime_ms = settings.change_lifetime_s * 1000
        self._engine = engine
        self._model = f"{engine.model.name}/{engine.model.version}@{engine.model.sha256[:12]}"
        self._metrics = metrics

    def decisions(self, shard: Shard, decisions: Decisions, wall: int) -> list[OutputBatch]:
        """One audit record for each decision, and one price change for each that changes a price."""
        if not len(decisions):
            return []
        self._count(decisions)
        audit = list(self._audit_records(shard, decisions))
        ids = [record["decision_id"].encode() for record in audit]
        values = [orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY) for record in audit]
        records = list(zip(decisions.keys.present(), values, ids, strict=True))
        outputs = [self._batch(PRICE_DECIDED, records, shard.partition, wall)]
        changed = np.flatnonzero(decisions.outcome == CHANGED).tolist()
        keys = decisions.keys.take(np.array(changed, np.int64)).present()
        return outputs + self._changes_of(shard, keys, [audit[i] for i in changed], wall)

    def _count(self, decisions: Decisions) -> None:
        """Count by outcome and reason, once for all decisions of a step: a labelled counter costs 8 µs."""
        outcomes = decisions.outcome.tolist()
        self._metrics.add_each(DECISIONS, Counter(map(OUTCOMES.__getitem__, outcomes)))
        reasons = list(zip(outcomes, decisions.reasons, strict=True))
        self._metrics.add_each(HOLDS, Counter(code for outcome, code in reasons if outcome == HELD))
        self._metrics.add_each(PRICE_CHANGES_TOTAL, Counter(code for outcome, code in reasons if outcome == CHANGED))

    def _times(self, wall: int) -> dict[str, str]:
        """From when until when a price change is good: by the wall clock, as the catalog's own clock goes."""
        return {"valid_from": format_ms(wall), "expires_at": format_ms(wall + self._lifetime_ms)}

    def resends(self, shard: Shard, wall: int) -> list[OutputBatch]:
        """The same price change again for every offer whose answer is overdue; an alarm where that did not help."""
        resends: Resends = self._engine.overdue_acknowledgements(shard.partition, shard.now)
        self._metrics.add(RESENDS, len(resends))
        self._metrics.add(ACKNOWLEDGEMENT_ALARMS, resends.alarms)
        return self._changes_of(shard, resends.keys.present(), list(self._resend_records(shard, resends)), wall)

    def dead_letters(self, batch: RecordBatch, rejects: Iterable[Reject], wall: int) -> list[OutputBatch]:
        """One dead letter for each refused record of a batch."""
        letters = [self._dead_letter(batch, reject, wall) for reject in rejects]
        if not letters:
            return []
        records = [(place, letter, place) for place, letter in letters]
        return [self._batch(DEAD_LETTERED, records, batch.partition, wall)]

    def _batch(self, kind: EventType, records: Records, partition: int, wall: int) -> OutputBatch:
        keys, values, ids = map(BinaryArray.of, zip(*records, strict=True))
        headers = kind.shared_headers(source=self._source, time_ms=wall)
        return OutputBatch(self._topics[kind], partition, keys, values, ids, headers)

    def _changes_of(
        self, shard: Shard, keys: list[bytes], records: list[dict[str, Any]], wall: int
    ) -> list[OutputBatch]:
        if not records:
            return []
        times = self._times(wall)
        values = [orjson.dumps({name: record[name] for name in CHANGE_FIELDS} | times) for record in records]
        ids = [record["decision_id"].encode() for record in records]
        return [self._batch(PRICE_CHANGED, list(zip(keys, values, ids, strict=True)), shard.partition, wall)]

    def _audit_records(self, shard: Shard, d: Decisions) -> Iterator[dict[str, Any]]:
        """`PriceDecided` as dictionaries. What all records of a step share is encoded once."""
        applied = orjson.Fragment(orjson.dumps(shard.applied))
        decided_at = format_ms(d.now)
        model = self._model
        offers = [key.decode().split(":", 1) for key in d.keys.present()]
        prices, versions, policies = d.price.tolist(), d.version.tolist(), d.policy_version.tolist()
        previous, currencies, chosen = d.previous_price.tolist(), d.currency.tolist(), d.chosen.tolist()
        lower, upper, limits, values = d.lower.tolist(), d.upper.tolist(), d.limit.tolist(), d.value.tolist()
        outcomes, sequences, propensity = d.outcome.tolist(), d.sequence.tolist(), d.propensity.tolist()
        masked = _RULE_NAMES[d.masked].tolist()
        considered = d.considered.tolist()
        codes = d.reasons
        for i, (channel, sku) in enumerate(offers):
            yield {
                "decision_id": f"{shard.partition}-{sequences[i]}",
                "sku": sku,
                "channel": channel,
                "outcome": OUTCOMES[outcomes[i]],
                "reason": codes[i],
                "decided_at": decided_at,
                "price": _optional(prices[i]),
                "previous_price": _optional(previous[i]),
                "currency": ALPHA_CODES.get(currencies[i]),
                "version": _optional(versions[i]),
                "policy_version": _optional(policies[i]),
                "run_mode": shard.run_mode,
                "model": model,
                "features": d.features[i] if considered[i] else None,
                "candidates": {"prices": d.prices[i], "q": d.q[i], "masked": masked[i]} if considered[i] else None,
                "chosen": _optional(chosen[i]),
                "propensity": propensity[i] if chosen[i] != NONE else None,
                "lower_bound": _optional(lower[i]),
                "upper_bound": _optional(upper[i]),
                "verdict": {"code": codes[i], "limit": _optional(limits[i]), "value": _optional(values[i])},
                "applied": applied,
            }

    def _resend_records(self, shard: Shard, r: Resends) -> Iterator[dict[str, Any]]:
        """`PriceChanged` as dictionaries, as they were but for the times."""
        for i, key in enumerate(r.keys.present()):
            channel, sku = key.decode().split(":", 1)
            yield {
                "decision_id": f"{shard.partition}-{r.sequence[i]}",
                "sku": sku,
                "channel": channel,
                "version": int(r.version[i]),
                "price": int(r.price[i]),
                "previous_price": int(r.previous_price[i]),
                "currency": ALPHA_CODES.get(int(r.currency[i])),
                "policy_version": int(r.policy_version[i]),
                "reason": CODES[int(r.code[i])],
            }

    def _dead_letter(self, batch: RecordBatch, reject: Reject, wall: int) -> tuple[bytes, bytes]:
        """Where the record was, and the letter."""
        self._metrics.add(DEAD_LETTERS_TOTAL, 1, batch.topic.removeprefix(self._prefix), reject.reason)
        key, value = batch.keys[reject.index], batch.values[reject.index]
        offset = int(batch.offsets[reject.index])
        letter = DeadLettered(
            topic=batch.topic,
            partition=batch.partition,
            offset=offset,
            reason=reject.reason,
            detail=reject.detail,
            key=None if key is None else key[:MAX_KEPT_BYTES],  # a letter that is too large would fail every cut
            value=None if value is None else value[:MAX_KEPT_BYTES],
            length=0 if value is None else len(value),
            sha256=hashlib.sha256(value or b"").hexdigest(),
            rejected_at=format_ms(wall),
        )
        return f"{batch.topic}/{batch.partition}/{offset}".encode(), encode(letter)


CHANGE_FIELDS = (
    "decision_id",
    "sku",
    "channel",
    "version",
    "price",
    "previous_price",
    "currency",
    "policy_version",
    "reason",
)


_RULE_NAMES = np.array([None, *RULES[1:]], object)
"""Of each value of `Decisions.masked`; null where a candidate is legal."""


def _optional(value: int) -> int | None:
    return None if value == NONE else value
