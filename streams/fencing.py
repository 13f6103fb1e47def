"""End the transaction that a dead owner left open, so that its shards can be taken over at once.

Until such a transaction times out at the broker (10 s and more), readers of committed records stop in front of it.
Its transactional id stands in the shard record at the changelog's tail; a short-lived producer with that id makes
the broker abort it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import confluent_kafka as ck
import structlog

from streams.changelog import decode_shard_record, shard_rows
from streams.log_reader import Offsets, read_ranges
from streams.transport.partition import Partition
from streams.transport.raw_producer import Producer

log = structlog.get_logger(__name__)

TAIL_RECORDS = 12_000
"""How far back the last shard record is looked for: more than two cuts' worth of rows."""
TAIL_TIMEOUT_S = 3.0
INIT_TIMEOUT_S = 5.0


class Fencer:
    """Ends open transactions of former owners, each once in a takeover."""

    def __init__(
        self,
        consumer_config: Mapping[str, Any],
        producer_config: Mapping[str, Any],
        *,
        changelog: str,
        transactional_id: str,
    ) -> None:
        self._consumer_config = consumer_config
        self._producer_config = producer_config
        self._changelog = changelog
        self._ended = {transactional_id}  # our own ends when our producer starts

    def end_open_transactions(self, partitions: Iterable[int]) -> None:
        """Abort what stands open in these partitions of the changelog.

        Only where the last stable offset is below the high watermark: a slow read is not an open transaction, and
        live workers would fence each other.
        """
        tps = [Partition(self._changelog, p) for p in partitions]
        offsets = Offsets(self._consumer_config)
        stable, high = offsets.end(tps, committed=True), offsets.end(tps, committed=False)
        stuck = [tp for tp in tps if stable[tp] < high[tp]]
        for transactional_id in self._last_writers(stuck, offsets.start(stuck), high) - self._ended:
            self._end(transactional_id)

    def _last_writers(
        self, tps: list[Partition], low: Mapping[Partition, int], high: Mapping[Partition, int]
    ) -> set[str]:
        ranges = {tp: (max(low[tp], high[tp] - TAIL_RECORDS), high[tp]) for tp in tps}
        deadline = time.monotonic() + TAIL_TIMEOUT_S
        writers: dict[Partition, str] = {}
        for tp, records in read_ranges(
            self._consumer_config, ranges, cancelled=lambda: time.monotonic() > deadline, committed=False
        ):
            for value in records.values.take(shard_rows(records.keys)).present():
                writers[tp] = decode_shard_record(value, tp.partition).transactional_id
        return set(writers.values())

    def _end(self, transactional_id: str) -> None:
        """Run InitProducerId to completion: cut short, it had sometimes not been sent at all.

        The producer is dropped at once: one that lives on repeats the request later and fences a live worker.
        """
        started = time.monotonic()
        config = {**self._producer_config, "transactional.id": transactional_id, "retry.backoff.ms": 2}
        try:
            with closing(Producer(config)) as producer:
                producer.init_transactions(INIT_TIMEOUT_S)
        except ck.KafkaException as error:
            log.warning("fencing_failed", transactional_id=transactional_id, error=str(error))
            return
        self._ended.add(transactional_id)
        log.info("fenced", transactional_id=transactional_id, seconds=round(time.monotonic() - started, 3))
