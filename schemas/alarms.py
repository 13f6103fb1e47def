"""What a person should look at: alarms, as events on a topic of their own."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.events import Timestamp

Severity = Literal["info", "warning", "critical"]
SEVERITIES = ("info", "warning", "critical")
"""The mildest first. Critical: price changes have stopped, until a person says otherwise."""


class AlarmRaised(msgspec.Struct, frozen=True, gc=False):
    """Something that a person should know. Topic ``alarms``, keyed by scope.

    A shard says the same thing once in a while only, with the number of times that it was seen since it said it last.
    """

    alarm_id: Annotated[str, Meta(description="Unique; numbered within the shard.")]
    severity: Severity
    code: Annotated[str, Meta(description="Stable: dashboards and pagers name it.")]
    scope: Annotated[str, Meta(description="What it is about: shard/3.")]
    cause: Annotated[str, Meta(description="What was seen, in words.")]
    values: Annotated[dict[str, int | str], Meta(description="The figures behind it, and an offer as an example.")]
    what_to_do: str
    count: Annotated[int, Meta(ge=1, description="Times seen since this code was raised last for this scope.")]
    at: Annotated[Timestamp, Meta(description="Wall clock of the worker.")]
    worker: Annotated[str, Meta(description="Instance that said it.")]
    shard: int
