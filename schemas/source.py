"""What must be known of a source topic to decode it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import msgspec

from schemas.columns import Bool, Columns
from schemas.dead_letter import Reason
from schemas.fields import Choices, Fields, Layout

C = TypeVar("C", bound=Columns)


@dataclass(frozen=True, slots=True)
class Check(Generic[C]):
    """A rule on columns: which rows it refuses, and what to say about one of them."""

    reason: Reason
    refuses: Callable[[C], Bool]
    detail: Callable[[C, int], str]


@dataclass(frozen=True)
class Source(Generic[C]):
    """What is particular to one source topic."""

    type: type[msgspec.Struct]
    time: str
    """Field that holds the event time."""
    choices: Choices
    """Codes of the fields that are one of a few texts."""
    to_columns: Callable[[Columns, Fields], C]
    checks: tuple[Check[C], ...] = ()
    may_be_null: bool = False
    """Whether a null value means something: that what its key names is removed."""

    @cached_property
    def layout(self) -> Layout:
        """Where the fields of a record are when it is decoded."""
        return Layout.of(self.type, self.choices)

    @property
    def keyed(self) -> bool:
        """Whether the record's key must be the offer key of its value."""
        return "sku" in self.type.__struct_fields__

    @property
    def has_event_id(self) -> bool:
        """Whether its records can be recognised when they are sent again."""
        return "event_id" in self.type.__struct_fields__
