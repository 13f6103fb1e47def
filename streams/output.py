"""What a cut publishes: records of one topic partition, as columns. The mirror of `RecordBatch`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from schemas.binary import BinaryArray


@dataclass(frozen=True, slots=True, eq=False)
class OutputBatch:
    """n records to be published, in order."""

    topic: str
    partition: int
    keys: BinaryArray
    """[n]."""
    values: BinaryArray
    """[n] a null is a tombstone."""
    ids: BinaryArray | None = None
    """[n] CloudEvents ``ce_id`` of each; None for records without headers."""
    headers: Sequence[tuple[str, bytes]] = ()
    """The other headers, which all of them share."""

    @classmethod
    def of(cls, topic: str, partition: int, records: Iterable[tuple[bytes | None, bytes | None]]) -> Self:
        """Copy keys and values that were made one by one."""
        keys, values = BinaryArray.columns(records)
        return cls(topic, partition, keys, values)

    def __len__(self) -> int:
        return len(self.keys)
