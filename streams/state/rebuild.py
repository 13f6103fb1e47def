"""`repricer state rebuild`: make the state again from the sources, and go on with what was decided.

For rows or shard records that are damaged or of another format, and for sources that were created anew. Totals,
times and sums come from the sources, up to where the shard stood. Versions, decision numbers, pending changes and
price windows come from the old rows; of those that cannot be read, from price-decisions.

Each shard is written in transactions of `ROWS_AT_ONCE` rows, its shard record last; until then the record has
format 0, which no worker takes over. So a rebuild that is cut short is noticed, and running it again does it all
again. Nobody sees a half of it but who reads the changelog.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import confluent_kafka as ck
import numpy as np
from msgspec.structs import replace

from pricing_core.engine import PricingEngine
from pricing_core.state import ROW, Rows
from schemas.binary import BinaryArray
from schemas.timestamps import parse_ms
from schemas.topics import CHANGELOG, HOT_SOURCES, PRICING_CONTROL, TICKS
from streams import topic_admin
from streams.alarms.book import AlarmBook
from streams.breaker.report import summaries
from streams.breaker.state import BreakerState, Stop
from streams.changelog import FORMAT, ShardRecord, encode_shard_record
from streams.clock import wall_ms
from streams.errors import BrokerUnreachable, CutFailed, ShardLost
from streams.keeping import identities
from streams.log_reader import Cancelled, Offsets
from streams.output import OutputBatch
from streams.serving_model import load_serving_model
from streams.settings import Settings
from streams.state.decided import Decided, blank, read_decided, require_known, with_decisions
from streams.state.old_shard import OldShard, read_old_shard
from streams.state.replay import REPLAYED, Replay, Replayed
from streams.state.sole_membership import sole_membership, transactional_id
from streams.transaction import Cut, ShardRows, TransactionWriter
from streams.transport.identity import Claim
from streams.transport.partition import Partition

ROWS_AT_ONCE = 20_000
TRANSACTION_TIMEOUT_S = 60.0
UNFINISHED = 0
"""Format of the record of a shard whose rebuild is not complete."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of one shard."""

    partition: int
    offers: int
    lost_rows: int
    """Rows that could not be read."""


def rebuild(settings: Settings) -> Iterator[Rebuilt]:
    """Rebuild every shard that has a state, one after another.

    Raises:
        WorkersRunning: If the group has members.
        ShardLost: If a source has lost records that the state was made of; nothing has changed.
        BrokerUnreachable: If the broker fails us; run it again.
    """
    topic_admin.require(settings)
    try:
        with sole_membership(settings) as claim:
            work = _Rebuild(settings, claim)
            with closing(work.writer):
                yield from work.run()
    except (ck.KafkaException, Cancelled, CutFailed) as error:
        raise BrokerUnreachable(f"the rebuild is not complete, run it again: {error}") from error


class _Rebuild:
    def __init__(self, settings: Settings, claim: Claim) -> None:
        self._settings = settings
        self._claim = claim
        self._changelog = CHANGELOG.full_name(settings.topic_prefix)
        self._offsets = Offsets(settings.consumer_config())
        self._ids = identities(self._offsets, settings.topic_prefix)
        engine = PricingEngine(load_serving_model(settings), capacity=settings.max_offers, seed=settings.seed)
        self._replay = Replay(settings, engine, self._offsets)
        self._transactional_id = transactional_id(settings)
        self.writer = TransactionWriter(
            settings.producer_config(),
            transactional_id=self._transactional_id,
            changelog=self._changelog,
            transaction_timeout_s=TRANSACTION_TIMEOUT_S,
        )

    def run(self) -> Iterator[Rebuilt]:
        _require_retained(self._settings, self._offsets)
        for partition in range(self._settings.partitions):
            old = read_old_shard(self._settings, self._offsets, partition)
            if not old.is_empty:
                yield self._rebuild(old)

    def _rebuild(self, old: OldShard) -> Rebuilt:
        applied = self._positions(old)
        replayed = self._replay.run(old.partition, applied)
        decided = read_decided(self._settings, self._offsets, old.partition, old.rows.keys())
        lost = {*replayed.keys, *old.lost} - old.rows.keys()
        require_known(self._settings, old.partition, decided, lost=lost, record=old.record)
        rows = _join(replayed, old, decided)
        self._write(old, rows, self._record(old, applied, replayed, decided))
        return Rebuilt(old.partition, len(rows), len(lost))

    def _positions(self, old: OldShard) -> dict[str, int]:
        """Where the shard stood; in a source that was created anew, at the beginning."""
        known = {} if old.record is None else old.record.topic_ids
        is_new = {name for name, found in self._ids.items() if known.get(name, found) != found}
        return {name: 0 if name in is_new else offset for name, offset in old.applied.items()}

    def _record(self, old: OldShard, applied: dict[str, int], replayed: Replayed, decided: Decided) -> ShardRecord:
        before = old.record
        return ShardRecord(
            format=FORMAT,
            transactional_id=self._transactional_id,
            generation=self._claim.generation,
            applied=applied,
            seen=replayed.seen if before is None else before.seen | replayed.seen,
            now=max(replayed.now, decided.now) if before is None else before.now,
            sequence=max(decided.sequence, 0 if before is None else before.sequence),
            written_at=wall_ms(),
            topic_ids=self._ids,
            refused=replayed.refused,
            alarms=AlarmBook() if before is None else before.alarms,
            breaker=self._breaker(old.partition) if before is None else before.breaker,
        )

    def _breaker(self, partition: int) -> BreakerState:
        """Of a shard whose record cannot be read: if it stood, its summary says so, and it stands on."""
        tp = Partition(PRICING_CONTROL.full_name(self._settings.topic_prefix), partition)
        said = next((s.stopped for s in summaries(self._settings) if s.shard == partition), None)
        if said is None:
            return BreakerState()
        heard = self._offsets.end([tp], committed=True)[tp] - 1
        return BreakerState(stop=Stop(said.code, said.limit, said.value, said.source, parse_ms(said.at), heard))

    def _write(self, old: OldShard, rows: dict[bytes, Rows], record: ShardRecord) -> None:
        p, keys = old.partition, list(rows)
        gone = (old.rows.keys() | old.lost) - rows.keys()
        tombstones = [OutputBatch.of(self._changelog, p, [(key, None) for key in gone])]
        names = {topic.name: topic.full_name(self._settings.topic_prefix) for topic in HOT_SOURCES}
        offsets = {Partition(names[name], p): offset for name, offset in record.applied.items()}
        unfinished = encode_shard_record(replace(record, format=UNFINISHED))
        for start in range(0, len(keys), ROWS_AT_ONCE):
            some = keys[start : start + ROWS_AT_ONCE]
            part = ShardRows(p, unfinished, BinaryArray.of(some), np.concatenate([rows[key] for key in some]))
            self.writer.commit(Cut(self._claim, [part], [], offsets))
        whole = ShardRows(p, encode_shard_record(record), BinaryArray.of([]), np.zeros(0, ROW))
        self.writer.commit(Cut(self._claim, [whole], tombstones, offsets))


def _join(replayed: Replayed, old: OldShard, decided: Decided) -> dict[bytes, Rows]:
    """Rows as the sources say, with what was decided. Offers of which no source knows keep that alone."""
    rows = {key: replayed.rows[i : i + 1] for i, key in enumerate(replayed.keys)}
    for key, row in (decided.rows | old.rows).items():
        if key in rows or row["last_decided_at"][0]:
            rows[key] = with_decisions(rows.get(key, blank()), row)
    return rows


def _require_retained(settings: Settings, offsets: Offsets) -> None:
    """Refuse if a source no longer begins where it began.

    Raises:
        ShardLost: Naming every partition of every source that has lost something, and how much.
    """
    needed = [topic for topic in REPLAYED if topic.cleanup == "delete" and topic is not TICKS]  # those tell the time
    topics = [topic.full_name(settings.topic_prefix) for topic in needed]
    low = offsets.start([Partition(name, p) for name in topics for p in range(settings.partitions)])
    lost = [f"{tp.topic}[{tp.partition}]: records 0 to {first - 1}" for tp, first in low.items() if first > 0]
    if lost:
        raise ShardLost(
            "the state cannot be made again from the sources; these records have expired:\n  "
            + "\n  ".join(lost)
            + "\nRestore them, or the changelog, from a copy; or begin anew under another REPRICER_TOPIC_PREFIX."
        )
