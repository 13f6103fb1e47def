"""Who we are in the consumer group, as the broker must hear it inside a transaction (KIP-447)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

MAGIC = b"CGMDv2:"


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

    @classmethod
    def from_metadata(cls, raw: bytes, partitions: frozenset[int]) -> Self:
        """Read what librdkafka's own consumer says about its membership."""
        group, member, _ = raw[len(MAGIC) + 4 :].split(b"\0", 2)
        (generation,) = struct.unpack_from("<i", raw, len(MAGIC))
        return cls(group.decode(), generation, member.decode(), partitions)
