"""What is left of a shard: its record and rows as far as they can be read, and where it stood."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import confluent_kafka as ck
import msgspec
import numpy as np

from pricing_core.state import FORMAT as ROW_FORMAT
from pricing_core.state import ROW, Rows
from schemas.topics import CHANGELOG, HOT_SOURCES
from streams.changelog import FORMAT, SHARD_KEY, ShardRecord, shard_rows
from streams.errors import BrokerUnreachable
from streams.latest_values import LatestValues
from streams.log_reader import Offsets, read_ranges
from streams.settings import Settings
from streams.transport.partition import Partition

DEADLINE_S = 600.0
STABLE_S = 60.0
"""A dead worker's transaction ends by itself within its timeout; nobody needs its shard sooner here."""


@dataclass(slots=True)
class OldShard:
    """One shard as the changelog has it."""

    partition: int
    record: ShardRecord | None
    """None if there is none, or it cannot be read."""
    applied: dict[str, int]
    """Next offset of every source: as the record says, else as the group has it, which was written together."""
    rows: dict[bytes, Rows] = field(default_factory=dict)
    """Rows that can be read: arrays of one."""
    lost: frozenset[bytes] = frozenset()
    """Keys of the others."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing has ever been applied."""
        return self.record is None and not any(self.applied.values())


def read_old_shard(settings: Settings, offsets: Offsets, partition: int) -> OldShard:
    """Read a shard when no worker runs: offsets, high watermark, changelog, in this order."""
    config = settings.consumer_config()
    committed = _stable_offsets(settings, partition)
    tp = Partition(CHANGELOG.full_name(settings.topic_prefix), partition)
    high, low = offsets.end([tp], committed=False)[tp], offsets.start([tp])[tp]
    newest = LatestValues()
    for _, records in read_ranges(config, {tp: (low, high)}, cancelled=deadline(DEADLINE_S)):
        newest.update(records.keys, records.values)
    keys, found = newest.hand_over()
    values = dict(zip(keys.present(), found.present(), strict=True))
    record = _readable(values.pop(SHARD_KEY, b""))
    rows = {key: row for key, value in values.items() if (row := _row(value)) is not None}
    applied = {name: max(offset, 0) for name, offset in committed.items()}
    if record is not None:
        applied |= record.applied
    return OldShard(partition, record, applied, rows, frozenset(values.keys() - rows.keys()))


def deadline(seconds: float) -> Callable[[], bool]:
    """Something to ask whether it is too late."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def _stable_offsets(settings: Settings, partition: int) -> dict[str, int]:
    names = {topic.full_name(settings.topic_prefix): topic.name for topic in HOT_SOURCES}
    asked, too_late = [ck.TopicPartition(name, partition) for name in names], deadline(STABLE_S)
    consumer = ck.Consumer(settings.consumer_config())
    try:
        while not too_late():
            answer = consumer.committed(asked, timeout=STABLE_S)
            if all(tp.error is None for tp in answer):
                return {names[tp.topic]: tp.offset for tp in answer}
    finally:
        consumer.close()
    raise BrokerUnreachable(f"the group's offsets of partition {partition} are not settled within {STABLE_S:g} s")


def _readable(raw: bytes) -> ShardRecord | None:
    """A record of a format up to ours; 0 is that of a shard whose rebuild was cut short."""
    try:
        record = msgspec.json.decode(raw, type=ShardRecord)
    except msgspec.MsgspecError:
        return None
    return record if record.format <= FORMAT else None


def _row(value: bytes) -> Rows | None:
    if len(value) != ROW.itemsize:
        return None
    row: Rows = np.frombuffer(value, ROW)
    return row if row["format"][0] == ROW_FORMAT else None


def shard_records(settings: Settings) -> dict[int, bytes]:
    """Return the shard record of every partition that has one."""
    offsets, config = Offsets(settings.consumer_config()), settings.consumer_config()
    tps = [Partition(CHANGELOG.full_name(settings.topic_prefix), p) for p in range(settings.partitions)]
    low, high = offsets.start(tps), offsets.end(tps, committed=True)
    found: dict[int, bytes] = {}
    for tp, records in read_ranges(config, {tp: (low[tp], high[tp]) for tp in tps}, cancelled=deadline(DEADLINE_S)):
        for row in shard_rows(records.keys).tolist():
            found[tp.partition] = records.values[row] or b""
    return found
