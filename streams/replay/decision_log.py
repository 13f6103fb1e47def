"""Finding audit records in ``price-decisions``: by id, by offer, by time.

Within a partition the numbers of decisions and their event times ascend with the offset. So the place of a decision
is found by halving the partition, and not by reading a month of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from schemas.decisions import PriceDecided
from schemas.timestamps import parse_ms
from schemas.topics import PRICE_DECISIONS, offer_key
from streams.errors import InputRefused
from streams.log_reader import Offsets, read_ranges
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.state.old_shard import DEADLINE_S, deadline
from streams.topic_presence import require_present
from streams.transport.partition import Partition

STRETCH = 20_000
"""Records that are read at once rather than halved."""


class Found(NamedTuple):
    """An audit record, and where it is."""

    partition: int
    offset: int
    raw: bytes
    record: PriceDecided

    @property
    def now(self) -> int:
        """Event time of the decision; ms."""
        return parse_ms(self.record.decided_at)

    @property
    def sequence(self) -> int:
        """Number of the decision in its partition."""
        return int(self.record.decision_id.rsplit("-", 1)[1])

    @property
    def key(self) -> bytes:
        """Of the offer."""
        return offer_key(self.record.channel, self.record.sku)

    @property
    def place(self) -> str:
        """Coordinates of the record."""
        return f"{PRICE_DECISIONS.name}/{self.partition}/{self.offset}"


class DecisionLog:
    """Reads ``price-decisions`` as it stands now.

    Raises:
        TopicMismatch: If the topic is missing.
    """

    def __init__(self, settings: Settings) -> None:
        self._config = settings.consumer_config()
        self.partitions = require_present(settings, (PRICE_DECISIONS,))
        self._name = PRICE_DECISIONS.full_name(settings.topic_prefix)
        tps = [Partition(self._name, p) for p in range(self.partitions)]
        offsets = Offsets(self._config)
        starts, ends = offsets.start(tps), offsets.end(tps, committed=True)
        self._ranges = {tp.partition: (starts[tp], ends[tp]) for tp in tps}
        self._decoder = msgspec.json.Decoder(PriceDecided)

    def by_id(self, decision_id: str) -> Found:
        """Find one decision.

        Raises:
            InputRefused: If there is none of this id.
        """
        partition, sequence = self._parsed(decision_id)
        start = self._first_offset(partition, lambda found: found.sequence >= sequence)
        for found in self._read(partition, start, self._ranges[partition][1]):
            if found.sequence >= sequence:
                if found.record.decision_id == decision_id:
                    return found
                break
        raise InputRefused(f"there is no decision {decision_id}: it was never made, or its record has expired")

    def last(self, offer: str) -> Found:
        """Find the last decision about an offer, ``channel:sku``.

        Raises:
            InputRefused: If there is none.
        """
        key = offer.encode("ascii", "replace")
        partition = partition_of(key, self.partitions)
        found = self._last_before(partition, self._ranges[partition][1], key)
        if found is None:
            raise InputRefused(f"there is no decision about {offer!r}; offers are written channel:sku")
        return found

    def previous(self, found: Found) -> Found | None:
        """Find the decision about the same offer before this one, if the topic still has it."""
        return self._last_before(found.partition, found.offset, found.key)

    def between(self, start_ms: int, stop_ms: int) -> Iterator[Found]:
        """Yield the decisions whose event time is in ``[start_ms, stop_ms]``, one partition after another."""
        for partition in self._ranges:
            start = self._first_offset(partition, lambda found: found.now >= start_ms)
            for found in self._read(partition, start, self._ranges[partition][1]):
                if found.now > stop_ms:
                    break
                if found.now >= start_ms:
                    yield found

    def _parsed(self, decision_id: str) -> tuple[int, int]:
        partition, _, sequence = decision_id.partition("-")
        if not (partition.isdecimal() and sequence.isdecimal() and int(partition) in self._ranges):
            raise InputRefused(f"{decision_id!r} is no decision id; they look like 3-1042: partition and number")
        return int(partition), int(sequence)

    def _first_offset(self, partition: int, is_behind: Callable[[Found], bool]) -> int:
        """An offset at most `STRETCH` before the first decision of which this holds; all later ones are like it."""
        low, high = self._ranges[partition]
        while high - low > STRETCH:
            middle = (low + high) // 2
            found = next(self._read(partition, middle, high), None)
            if found is None or is_behind(found):
                high = middle
            else:
                low = found.offset + 1
        return low

    def _last_before(self, partition: int, stop: int, key: bytes) -> Found | None:
        """Read backwards, each time twice as far."""
        first, reach = self._ranges[partition][0], STRETCH
        while stop > first:
            start, last = max(first, stop - reach), None
            for found in self._read(partition, start, stop):
                last = found if found.key == key else last
            if last is not None:
                return last
            stop, reach = start, 2 * reach
        return None

    def _read(self, partition: int, start: int, stop: int) -> Iterator[Found]:
        ranges = {Partition(self._name, partition): (start, stop)}
        for _, records in read_ranges(self._config, ranges, cancelled=deadline(DEADLINE_S)):
            for offset, _, value in records:
                raw = value or b""
                yield Found(partition, offset, raw, self._decoder.decode(raw))
