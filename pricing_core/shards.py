"""What the engine keeps of a shard, and rows of several: what is computed once for all and given back to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from pricing_core.run_modes import ACTIVE, NOBODY, OfferModes, RunModes
from pricing_core.slots import Slots
from schemas.binary import BinaryArray
from schemas.columns import Int64

T = TypeVar("T", bound=np.generic)


class Moment(NamedTuple):
    """When a shard decides."""

    now: int
    """Event time, ms; it does not go back."""
    run_modes: RunModes = RunModes()
    """In force."""


@dataclass(slots=True)
class ShardRecord:
    """What there is only once for a shard."""

    sequence: int = 0
    """Of its last decision; 0 before the first."""
    now: int = 0
    """Event time of its last decisions, ms."""
    pending: set[int] = field(default_factory=set)
    """Rows whose change is not answered yet."""


class ShardRows:
    """n rows of the arena, some of each shard."""

    def __init__(self, slots: Mapping[int, Slots]) -> None:
        """Put the rows of each shard that has any behind those of the one before."""
        taken = {shard: rows for shard, rows in slots.items() if len(rows)}
        self.shards = list(taken)
        self.slots = np.concatenate(list(taken.values())) if taken else np.empty(0, np.int64)
        self._sizes = np.array([len(rows) for rows in taken.values()], np.int64)

    @classmethod
    def split(cls, slots: Slots, shards: Sequence[int], owner: NDArray[np.int32]) -> Self:
        """Sort rows by the shard that owns them, all of ``shards``."""
        if len(shards) == 1:
            return cls({shards[0]: slots})
        return cls({shard: slots[owner[slots] == shard] for shard in shards})

    def __len__(self) -> int:
        return len(self.slots)

    def parts(self) -> Iterator[tuple[int, slice]]:
        """Tell where each shard's rows are."""
        start = 0
        for shard, size in zip(self.shards, self._sizes.tolist(), strict=True):
            yield shard, slice(start, start + size)
            start += size

    def spread(self, of_each: NDArray[T]) -> NDArray[T]:
        """Repeat what each shard has for its rows, [shards] to [n]."""
        return np.repeat(of_each, self._sizes)

    def run_modes(self, moments: Mapping[int, Moment], keys: BinaryArray, categories: Int64) -> OfferModes:
        """Run mode of each row; keys and categories as `RunModes.of_offers` wants them."""
        found = OfferModes(np.full(len(self), ACTIVE, np.int8), np.full(len(self), NOBODY, np.int8))
        for shard, part in self.parts():
            moment = moments[shard]
            if moment.run_modes.restrain:  # mostly nothing does, and this is asked for every step
                modes = moment.run_modes.of_offers(keys.take(part), categories[part], moment.now)
                found.mode[part], found.scope[part] = modes
        return found

    def numbered(self, last: Int64) -> Int64:
        """Count each shard's rows on from its last number, [shards] to [n]."""
        starts = np.cumsum(self._sizes) - self._sizes
        numbers: Int64 = 1 + np.arange(len(self)) + self.spread(last - starts)
        return numbers
