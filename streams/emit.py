"""Decisions as records: price changes, audit records, dead letters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import orjson

from pricing_core.commands import PROPOSAL_LIFETIME_MS
from pricing_core.decisions import CHANGED, HELD, OUTCOMES, PROPOSED, DecidedTogether, Decisions, Resends
from pricing_core.engine import Moment, PricingEngine
from pricing_core.rules import CODES, VERSION
from schemas.binary import BinaryArray
from schemas.cloud_events import DEAD_LETTERED, PRICE_CHANGED, PRICE_DECIDED, EventType
from schemas.codec import Reject, encode
from schemas.columns import NONE, Int64
from schemas.dead_letter import MAX_KEPT_BYTES, DeadLettered
from schemas.offer_keys import channels_and_skus
from schemas.timestamps import format_ms
from schemas.topics import DEAD_LETTERS, PRICE_CHANGES, PRICE_DECISIONS
from streams.alarms.book import example, note_holds, note_loops
from streams.decision_records import AUDIT_COLUMNS, CHANGE_COLUMNS, DECISION_ID, WRITERS
from streams.metrics import (
    ACKNOWLEDGEMENT_ALARMS,
    DECISIONS,
    DEMAND_CHANGES,
    HOLDS,
    RESENDS,
    RUNG_MOVES,
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

Columns = dict[str, Any]
"""Of records, by name: arrays [n], or [n, width]."""


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
        self._metrics = metrics

    def decisions(
        self, decided: DecidedTogether, shards: Mapping[int, Shard], wall: int
    ) -> dict[int, list[OutputBatch]]:
        """One audit record for each decision, and one price change for each that changes a price; by partition."""
        decisions, sizes = decided.decisions, decided.sizes
        if not len(decisions):
            return {}
        self._count(decisions)
        books = {partition: shards[partition].alarms for partition in decided.rows}
        note_holds(decisions, decided.rows, books)
        note_loops(decisions, decided.rows, books)
        columns = _columns(decisions, AUDIT_COLUMNS) | {
            "is_chosen": decisions.chosen != NONE,
            "is_proposed": decisions.outcome == PROPOSED,
            "inputs": decisions.recorded.packed(),
        }
        moments = {partition: int(decisions.now[rows.start]) for partition, rows in decided.rows.items()}
        shared = [self._audit_shared(shards[partition], now) for partition, now in moments.items()]
        outputs = {batch.partition: [batch] for batch in self._batches(PRICE_DECIDED, sizes, columns, shared, wall)}
        changed = np.flatnonzero(decisions.outcome == CHANGED)
        sizes = {partition: _between(changed, rows) for partition, rows in decided.rows.items()}
        for batch in self._changes(sizes, _rows(_columns(decisions, CHANGE_COLUMNS), changed), wall):
            outputs[batch.partition].append(batch)
        return outputs

    def _audit_shared(self, shard: Shard, now: int) -> dict[str, bytes]:
        model = self._engine.model
        return {
            "decided_at": _quoted(format_ms(now)),
            "model": _quoted(model.label),
            "applied": orjson.dumps(shard.applied),
            "rules": orjson.dumps(VERSION),
            "proposal_expires_at": _quoted(format_ms(now + PROPOSAL_LIFETIME_MS)),
            "epsilon": orjson.dumps(model.epsilon),
        }

    def _count(self, decisions: Decisions) -> None:
        """Count by outcome and reason, once for all decisions of a step: a labelled counter costs 8 µs."""
        cells = len(OUTCOMES) * len(CODES)
        counted = np.bincount(decisions.outcome * len(CODES) + decisions.code, minlength=cells).reshape(-1, len(CODES))
        self._metrics.add_each(DECISIONS, _named(OUTCOMES, counted.sum(axis=1)))
        self._metrics.add_each(HOLDS, _named(CODES, counted[HELD]))
        self._metrics.add_each(PRICE_CHANGES_TOTAL, _named(CODES, counted[CHANGED]))
        moved = np.where(decisions.considered, decisions.rung - decisions.rows["rung"], 0)
        moves = {"up": int((moved > 0).sum()), "down": int((moved < 0).sum())}
        self._metrics.add_each(RUNG_MOVES, {direction: count for direction, count in moves.items() if count})
        self._metrics.add(DEMAND_CHANGES, int(decisions.demand.sum()))

    def resends(self, shard: Shard, wall: int) -> list[OutputBatch]:
        """The same price change again for every offer whose answer is overdue; an alarm where that did not help."""
        resends: Resends = self._engine.overdue_acknowledgements(
            shard.partition, Moment(shard.now, shard.modes_in_force)
        )
        self._metrics.add(RESENDS, len(resends))
        self._metrics.add(ACKNOWLEDGEMENT_ALARMS, len(resends.given_up))
        if len(resends.given_up):
            shard.alarms.note("acknowledgement_overdue", len(resends.given_up), example(resends.given_up[0]))
        return self._changes({shard.partition: len(resends)}, _columns(resends, CHANGE_COLUMNS), wall)

    def dead_letters(self, batch: RecordBatch, rejects: Iterable[Reject], wall: int) -> list[OutputBatch]:
        """One dead letter for each refused record of a batch."""
        letters = [self._dead_letter(batch, reject, wall) for reject in rejects]
        if not letters:
            return []
        places, values = BinaryArray.columns(letters)
        headers = DEAD_LETTERED.shared_headers(source=self._source, time_ms=wall)
        return [OutputBatch(self._topics[DEAD_LETTERED], batch.partition, places, values, places, headers)]

    def _changes(self, sizes: Mapping[int, int], columns: Columns, wall: int) -> list[OutputBatch]:
        """Price changes: good from now on for a while, by the wall clock, as the catalog's own clock goes."""
        times = {"valid_from": format_ms(wall), "expires_at": format_ms(wall + self._lifetime_ms)}
        shared = {name: _quoted(time) for name, time in times.items()}
        return self._batches(PRICE_CHANGED, sizes, columns, [shared] * len(sizes), wall)

    def _batches(
        self,
        kind: EventType,
        sizes: Mapping[int, int],
        columns: Columns,
        shared: Sequence[Mapping[str, bytes]],
        wall: int,
    ) -> list[OutputBatch]:
        """Records of one kind, one batch for each partition that has any.

        Args:
            kind: Of the records.
            sizes: How many each partition has; they lie behind one another in the columns.
            columns: Of the records.
            shared: What the records of each partition share.
            wall: Wall clock, ms.
        """
        keys, counts = columns["keys"], list(sizes.values())
        if not len(keys):
            return []
        channels, skus = channels_and_skus(keys)
        prefixes = [b"%d-" % partition for partition in sizes]
        ids = DECISION_ID.groups({"sequence": columns["sequence"]}, [{"prefix": p} for p in prefixes], counts)
        values = WRITERS[kind].groups(
            {**columns, "channel": channels, "sku": skus},
            [{**own, "prefix": b'"' + prefix, "quote": b'"'} for own, prefix in zip(shared, prefixes, strict=True)],
            counts,
        )
        topic, headers = self._topics[kind], kind.shared_headers(source=self._source, time_ms=wall)
        places = zip(sizes, accumulate(counts), counts, strict=True)
        parts = [(partition, slice(end - size, end)) for partition, end, size in places if size]
        return [OutputBatch(topic, p, keys.take(at), values.take(at), ids.take(at), headers) for p, at in parts]

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


def _columns(found: Decisions | Resends, names: Iterable[str]) -> Columns:
    return {name: getattr(found, name) for name in names}


def _between(ascending: Int64, rows: slice) -> int:
    """How many of the numbers lie in a range."""
    first, end = np.searchsorted(ascending, [rows.start, rows.stop])
    return int(end - first)


def _rows(columns: Columns, rows: Int64) -> Columns:
    keys = columns["keys"].take(rows)
    return {name: keys if name == "keys" else column[rows] for name, column in columns.items()}


def _named(names: Sequence[str], counts: Int64) -> dict[str, int]:
    return {name: count for name, count in zip(names, counts.tolist(), strict=True) if count}


def _quoted(text: str) -> bytes:
    return orjson.dumps(text)
