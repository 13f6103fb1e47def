"""`repricer state skip-expired`: go on without records that a source had lost before they were read.

Nobody can bring them back here, and nobody but a person can say that the state may go without them. What is skipped
is said, record by record; everything else stays as it is.
"""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

import confluent_kafka as ck
import numpy as np
from msgspec.structs import replace

from pricing_core.state import ROW
from schemas.binary import BinaryArray
from schemas.topics import CHANGELOG, HOT_SOURCES
from streams.changelog import ShardRecord, decode_shard_record, encode_shard_record
from streams.errors import BrokerUnreachable, CutFailed
from streams.log_reader import Cancelled, Offsets
from streams.output import OutputBatch
from streams.settings import Settings
from streams.state.old_shard import shard_records
from streams.state.sole_membership import sole_membership, transactional_id
from streams.transaction import Cut, ShardRows, TransactionWriter
from streams.transport.partition import Partition

TRANSACTION_TIMEOUT_S = 60.0


class Skipped(NamedTuple):
    """Records of a source that the state will never have heard of."""

    source: str
    partition: int
    first: int
    last: int


def skip_expired(settings: Settings) -> list[Skipped]:
    """Move every shard to the first record that each source still has, in one transaction.

    Raises:
        WorkersRunning: If the group has members.
        ShardLost: If a shard record cannot be read.
        BrokerUnreachable: If the broker fails us; nothing has changed.
    """
    try:
        with sole_membership(settings) as claim:
            records = {p: decode_shard_record(raw, p) for p, raw in shard_records(settings).items()}
            low = _starts(settings, records)
            skipped = [
                Skipped(name, p, applied, low[name, p] - 1)
                for p, record in records.items()
                for name, applied in record.applied.items()
                if applied < low[name, p]
            ]
            if skipped:
                with closing(_writer(settings)) as writer:
                    writer.commit(Cut(claim, *_moved(settings, records, low)))
            return skipped
    except (ck.KafkaException, Cancelled, CutFailed) as error:
        raise BrokerUnreachable(f"nothing was skipped: {error}") from error


def _starts(settings: Settings, records: dict[int, ShardRecord]) -> dict[tuple[str, int], int]:
    """First offset of every source, 0 where compaction has removed what nobody needs."""
    names = {topic.full_name(settings.topic_prefix): topic for topic in HOT_SOURCES}
    found = Offsets(settings.consumer_config()).start([Partition(name, p) for name in names for p in records])
    return {
        (names[tp.topic].name, tp.partition): first if names[tp.topic].cleanup == "delete" else 0
        for tp, first in found.items()
    }


def _moved(
    settings: Settings, records: dict[int, ShardRecord], low: dict[tuple[str, int], int]
) -> tuple[list[ShardRows], list[OutputBatch], dict[Partition, int]]:
    shards, offsets = [], {}
    for p, record in records.items():
        applied = {name: max(offset, low[name, p]) for name, offset in record.applied.items()}
        moved = replace(record, applied=applied, transactional_id=transactional_id(settings))
        shards.append(ShardRows(p, encode_shard_record(moved), BinaryArray.of([]), np.zeros(0, ROW)))
        for topic in HOT_SOURCES:
            offsets[Partition(topic.full_name(settings.topic_prefix), p)] = applied.get(topic.name, 0)
    return shards, [], offsets


def _writer(settings: Settings) -> TransactionWriter:
    return TransactionWriter(
        settings.producer_config(),
        transactional_id=transactional_id(settings),
        changelog=CHANGELOG.full_name(settings.topic_prefix),
        transaction_timeout_s=TRANSACTION_TIMEOUT_S,
    )
