"""The changelog: what a shard's rows and its record look like in Kafka.

A row's key is the offer key and its value the bytes of one state row (`pricing_core.state.ROW`, versioned). The
shard record has the key `SHARD_KEY`; it is written first in every cut, and it is the truth about where the shard
stands: the group's offsets, in the same transaction, serve fencing and lag tools.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pricing_core.state import ROW, FormatError
from schemas.binary import BinaryArray, Int64
from streams.alarms.book import AlarmBook
from streams.breaker.state import BreakerState
from streams.errors import ShardLost

SHARD_KEY = b"\0shard"
"""No offer key begins with NUL."""

FORMAT = 3
"""Of the shard record. 2: with the identities of the topics; 3: with alarms and breaker."""
READABLE = frozenset({1, 2, FORMAT})
"""A former format is read; the next cut writes today's."""


REBUILD = "stop all workers and run `repricer state rebuild`: it makes the state again from the source topics"
"""The cure where a shard cannot be read."""


class ShardRecord(msgspec.Struct, frozen=True):
    """Where a shard stands after a cut."""

    format: int
    transactional_id: str
    """Of the producer that wrote it: who takes over ends what that one left open."""
    generation: int
    applied: dict[str, int]
    """Next offset to read of every source topic, at this partition."""
    seen: dict[str, int]
    """Highest event time seen of every source topic; ms."""
    now: int
    """The shard's event time; ms. It never goes back."""
    sequence: int
    """Number of the last decision."""
    written_at: int
    """Wall clock; ms."""
    topic_ids: dict[str, str] = {}
    """What the broker calls the sources and the changelog: a topic that is created anew gets another id.

    Without those of a broker that gives none (the embedded one).
    """
    refused: dict[str, list[tuple[int, int]]] = {}
    """Offsets that were refused within the duplicate window, by source topic: first one, and how many from there on."""
    alarms: AlarmBook = msgspec.field(default_factory=AlarmBook)
    breaker: BreakerState = msgspec.field(default_factory=BreakerState)


class LastCut(NamedTuple):
    """What the last committed cut of a shard has put at the end of its changelog."""

    record: bytes
    """The shard record, as written."""
    rows: int
    """Rows behind it."""


_decoder = msgspec.json.Decoder(ShardRecord)
encode_shard_record = msgspec.json.Encoder().encode


def decode_shard_record(raw: bytes, partition: int) -> ShardRecord:
    """Read a shard record.

    Raises:
        ShardLost: If it was written by another version of the format, or is damaged.
    """
    try:
        record = _decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise ShardLost(f"the shard record of partition {partition} is damaged ({error}); {REBUILD}") from error
    if record.format not in READABLE:
        raise ShardLost(
            f"the shard record of partition {partition} has format {record.format}, this program reads "
            f"{sorted(READABLE)}; {REBUILD}"
        )
    return record


def shard_rows(keys: BinaryArray) -> Int64:
    """Which of the keys of a page of the changelog are those of shard records; in order."""
    alike = np.flatnonzero(keys.length == len(SHARD_KEY))
    alike = alike[keys.data[keys.start[alike]] == SHARD_KEY[0]]
    return np.array([row for row in alike.tolist() if keys[row] == SHARD_KEY], np.int64)


def state_rows(values: BinaryArray) -> NDArray[np.void]:
    """State rows out of the values of changelog records: not copied if they lie one after the other.

    Raises:
        FormatError: If one has not the size of a row.
    """
    size = ROW.itemsize
    if (values.length != size).any():
        raise FormatError(f"a row of the changelog has not {size} bytes: another format, or damaged")
    if not len(values):
        return np.empty(0, ROW)
    first = int(values.start[0])
    if (values.start == first + size * np.arange(len(values))).all():
        return values.data[first : first + size * len(values)].view(ROW)
    return sliding_window_view(values.data, size)[values.start].reshape(-1).view(ROW)
