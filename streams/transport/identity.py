"""Who we are in the consumer group, as the broker must hear it inside a transaction (KIP-447)."""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """Membership at the moment when partitions were assigned; never read live afterwards.

    The broker *accepts* generation -1 with an empty member, which is what aiokafka resets to when it loses its
    membership: a commit with that identity would not be fenced. Such a claim cannot be made.

    Raises:
        ValueError: If the generation is negative or the member id empty.
    """

    group: str
    generation: int
    member: str
    partitions: frozenset[int]

    def __post_init__(self) -> None:
        if self.generation < 0 or not self.member:
            raise ValueError(f"not a member of group {self.group!r}: generation {self.generation}, {self.member!r}")

    def group_metadata(self) -> bytes:
        """Return the bytes that librdkafka reads as consumer group metadata.

        The layout is that of ``rd_kafka_consumer_group_metadata_write``: magic, generation (int32, little-endian),
        group, NUL, member, NUL, and 1 for "no static instance id".
        """
        head = b"CGMDv2:" + struct.pack("<i", self.generation)
        return head + self.group.encode() + b"\0" + self.member.encode() + b"\0\x01"
