"""How far the worker has come, as the broker knows it: what is committed. The worker itself is asked nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import confluent_kafka as ck

from schemas.topics import CHANGELOG, Topic
from streams.bench.under_test import DEADLINE_S
from streams.changelog import decode_shard_record, shard_rows
from streams.errors import NotReady
from streams.log_reader import Offsets, read_ranges
from streams.settings import Settings
from streams.topic_admin import settled
from streams.transport.partition import Partition

POLL_S = 0.02
REQUEST_TIMEOUT_S = 10.0


class Sample(NamedTuple):
    """What was committed at a time."""

    at: float
    """`time.perf_counter`."""
    committed: int


class Progress:
    """Offsets of a group on some topics. Also a context manager."""

    def __init__(self, settings: Settings, topics: Iterable[Topic]) -> None:
        self._tps = [
            Partition(t.full_name(settings.topic_prefix), p) for t in topics for p in range(settings.partitions)
        ]
        self._consumer = ck.Consumer(settings.consumer_config())
        self._offsets = Offsets(settings.consumer_config())

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def positions(self) -> dict[Partition, int]:
        """Next offset of every partition: where the group goes on."""
        asked = [ck.TopicPartition(*tp) for tp in self._tps]
        # a fresh broker is still choosing the group's coordinator
        answer = settled(lambda: self._consumer.committed(asked, timeout=REQUEST_TIMEOUT_S))
        return {Partition(tp.topic, tp.partition): max(tp.offset, 0) for tp in answer}

    def committed(self) -> int:
        """Return how many records the group has committed."""
        return sum(self.positions().values())

    def end(self) -> int:
        """Return how many records there are."""
        return sum(self._offsets.end(self._tps, committed=True).values())

    def watch(self, alive: Callable[[], None]) -> list[Sample]:
        """Watch from the first commit after now until all records that there are now are committed.

        Args:
            alive: Raises if nothing more is to be expected.

        Raises:
            NotReady: It took too long.
        """
        end, samples = self.end(), [Sample(time.perf_counter(), self.committed())]
        deadline = time.monotonic() + DEADLINE_S
        while samples[-1].committed < end:
            time.sleep(POLL_S)
            committed = self.committed()
            if committed > samples[-1].committed:
                samples.append(Sample(time.perf_counter(), committed))
            alive()
            if time.monotonic() > deadline:
                raise NotReady(f"{end - committed} records were not committed within {DEADLINE_S:.0f} s")
        return samples[1:]


def ends_of(settings: Settings, topics: Iterable[Topic]) -> dict[Partition, int]:
    """Return where topics end: of what is committed."""
    tps = [Partition(t.full_name(settings.topic_prefix), p) for t in topics for p in range(settings.partitions)]
    return Offsets(settings.consumer_config()).end(tps, committed=True)


def cut_times(settings: Settings, since: dict[Partition, int]) -> list[int]:
    """When the cuts of one shard were made, ms: its shard records say so.

    Args:
        settings: Of the worker.
        since: Where its changelog ended before (`changelog_end`).
    """
    ((tp, start),) = since.items()
    stop = changelog_end(settings)[tp]
    pages = read_ranges(settings.consumer_config(), {tp: (start, stop)}, cancelled=lambda: False)
    raw = [value for _, page in pages for value in page.values.take(shard_rows(page.keys))]
    return [decode_shard_record(value or b"", tp.partition).written_at for value in raw]


def changelog_end(settings: Settings) -> dict[Partition, int]:
    """Return the end of the changelog of shard 0."""
    return {tp: end for tp, end in ends_of(settings, [CHANGELOG]).items() if tp.partition == 0}
