"""The cut: everything that became true since the last one, in one Kafka transaction.

Outputs, state rows, dead letters and source offsets become visible together or not at all (KIP-447). The broker
fences: an old generation, an unknown member or a second producer with our transactional id cannot commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import confluent_kafka as ck
import numpy as np
import structlog
from numpy.typing import NDArray

from schemas.binary import BinaryArray
from streams.changelog import SHARD_KEY
from streams.errors import CutFailed
from streams.output import OutputBatch
from streams.transport.identity import Claim
from streams.transport.partition import Partition
from streams.transport.raw_producer import Producer

log = structlog.get_logger(__name__)

INIT_TIMEOUT_S = 30.0
SEND_OFFSETS_TIMEOUT_S = 10.0
COMMIT_TIMEOUT_S = 10.0
LARGEST_RECORD = 100_000_000
"""The topics' own limits decide, and the broker names the topic; a batch of several records ends at 1 MB."""
CURES = {
    ck.KafkaError.MSG_SIZE_TOO_LARGE: "raise the topic's max.message.bytes",
    ck.KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to write to the topic",
}
"""What a person can do about a record that cannot be delivered."""


@dataclass(frozen=True, slots=True)
class ShardRows:
    """The part of one shard: its record, and its dirty rows."""

    partition: int
    record: bytes
    keys: BinaryArray
    rows: NDArray[np.void]

    def batches(self, changelog: str) -> list[OutputBatch]:
        """As records: the shard's own comes first."""
        values = BinaryArray.slices(self.rows.view(np.uint8), self.rows.dtype.itemsize)
        record = OutputBatch.of(changelog, self.partition, [(SHARD_KEY, self.record)])
        return [record, OutputBatch(changelog, self.partition, self.keys, values)]


@dataclass(frozen=True, slots=True)
class Cut:
    """What goes into one transaction."""

    claim: Claim
    shards: list[ShardRows]
    outputs: list[OutputBatch]
    offsets: dict[Partition, int]

    @property
    def row_count(self) -> int:
        """State rows, without shard records."""
        return sum(len(shard.keys) for shard in self.shards)


class TransactionWriter:
    """Owns the transactional producer. Blocking: it runs in a thread of its own, one call at a time."""

    def __init__(
        self,
        producer_config: Mapping[str, Any],
        *,
        transactional_id: str,
        changelog: str,
        transaction_timeout_s: float,
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare; the broker is contacted by `open`.

        Args:
            producer_config: `Settings.producer_config`.
            transactional_id: Stable for this worker instance, so that a restart ends its own leftovers.
            changelog: Full name of the changelog topic.
            transaction_timeout_s: The broker aborts a transaction that is open for longer.
            at_point: Called with the name of each point of the protocol; fault tests stop the process there.
        """
        self._config = {
            **producer_config,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": int(transaction_timeout_s * 1000),
            "message.timeout.ms": int(transaction_timeout_s * 1000),
            "linger.ms": 0,
            "retry.backoff.ms": 2,  # librdkafka waits this long between the steps of a transaction: 100 costs 100 ms
            "retry.backoff.max.ms": 20,
            "batch.num.messages": 10_000,
            "queue.buffering.max.messages": 1_000_000,
            "message.max.bytes": LARGEST_RECORD,
        }
        self._changelog = changelog
        self._at_point = at_point
        self._producer: Producer | None = None
        self._undelivered = ""

    def open(self) -> None:
        """Make the producer, if there is none: this settles what became of our last transaction.

        Raises:
            confluent_kafka.KafkaException: If the broker does not answer.
        """
        if self._producer is None:
            started = time.monotonic()
            producer = Producer(self._config, on_undelivered=self._note_undelivered)
            producer.init_transactions(INIT_TIMEOUT_S)
            self._producer = producer
            log.info("producer_opened", seconds=round(time.monotonic() - started, 3))

    def commit(self, cut: Cut) -> None:
        """Write the cut.

        1. begin the transaction;
        2. the shard records, each before its rows: who takes over finds our transactional id there;
        3. the rows;
        4. the outputs;
        5. the source offsets, with the identity under which the partitions were assigned: here the broker fences;
        6. commit.

        Raises:
            CutFailed: If nothing of the cut is visible, or whether it is will be settled by the next `open`. Memory
                is ahead of the log then: the shards must be rebuilt.
        """
        self._undelivered = ""
        try:
            self.open()
            self._write(cut)
        except ck.KafkaException as error:
            self._discard()
            raise CutFailed(f"generation {cut.claim.generation}: {error}{self._undelivered}") from error

    def close(self) -> None:
        """Drop the producer."""
        self._discard()

    def _write(self, cut: Cut) -> None:
        producer = self._producer
        if producer is None:
            raise CutFailed("no producer")
        producer.begin_transaction()  # 1
        self._at_point("begun")
        for shard in cut.shards:
            for batch in shard.batches(self._changelog):  # 2, 3
                producer.produce(batch)
        for batch in cut.outputs:  # 4
            producer.produce(batch)
        self._at_point("produced")
        producer.send_offsets_to_transaction(cut.offsets, cut.claim, SEND_OFFSETS_TIMEOUT_S)  # 5
        self._at_point("offsets_added")
        self._commit(producer)  # 6
        self._at_point("committed")

    @staticmethod
    def _commit(producer: Producer) -> None:
        deadline = time.monotonic() + COMMIT_TIMEOUT_S
        while True:
            try:
                return producer.commit_transaction(COMMIT_TIMEOUT_S / 2)
            except ck.KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise

    def _note_undelivered(self, error: ck.KafkaError, topic: str) -> None:
        """Keep the first one: those that follow from it say nothing new."""
        if not self._undelivered:
            cure = CURES.get(error.code())
            self._undelivered = f"; undelivered to {topic}: {error.str()}" + (f" ({cure})" if cure else "")

    def _discard(self) -> None:
        """Drop the producer; the next one with the same transactional id aborts what this one left open.

        Also where the error says that an abort would do: after one, librdkafka's next transaction failed now and then
        with OUT_OF_ORDER_SEQUENCE_NUMBER. And fatal errors do not always say that they are.
        """
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()
