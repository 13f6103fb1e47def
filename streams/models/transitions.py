"""The fields of ``transitions`` that the gate asks for: decisions joined with what followed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from schemas.timestamps import parse_ms
from schemas.topics import DAY_MS, TRANSITIONS
from streams.operate.reading import read_topic
from streams.settings import Settings


class Happened(msgspec.Struct, frozen=True, gc=False):
    """Within the interval of a decision; amounts are minor units."""

    units: int = 0
    revenue: int = 0
    units_cancelled: int = 0
    amount_cancelled: int = 0
    units_returned: int = 0
    amount_returned: int = 0
    impressions: int = 0


class Followed(msgspec.Struct, frozen=True, gc=False):
    """A decision and what followed. Other fields of the record are left out."""

    decision_id: str
    sku: str
    channel: str
    decided_at: str
    outcome: str
    reason: str
    run_mode: str
    starts_at: str | None
    ends_at: str | None
    acknowledgement: str
    censored: bool
    incomplete: bool
    features: list[float | None] | None
    prices: list[int] | None
    legal: list[bool] | None
    chosen: int | None
    action: int | None
    propensity: float | None
    epsilon: float | None
    profit_slope: float | None
    profit_offset: float | None
    happened: Happened
    inputs: bytes | None = None
    q: list[float | None] | None = None
    currency: str | None = None
    model: str = ""
    """Label of the one that decided."""

    @property
    def offer(self) -> str:
        """Its key."""
        return f"{self.channel}:{self.sku}"

    @property
    def days(self) -> float:
        """Length of the interval; 0 where there is none."""
        if self.starts_at is None or self.ends_at is None:
            return 0.0
        return max(parse_ms(self.ends_at) - parse_ms(self.starts_at), 0) / DAY_MS

    @property
    def sold(self) -> int:
        """Pieces that stayed sold."""
        return self.happened.units - self.happened.units_cancelled - self.happened.units_returned

    @property
    def profit(self) -> float:
        """What they left; minor units, or revenue where that is the goal."""
        said = self.happened
        amount = said.revenue - said.amount_cancelled - said.amount_returned
        return (self.profit_slope or 0.0) * amount - (self.profit_offset or 0.0) * self.sold


class FollowedDecisions:
    """Decisions of a time with what followed, one after the other as they are read. To be gone through once."""

    def __init__(self, settings: Settings, *, since_ms: int, until_ms: int) -> None:
        """Of which decisions: event time, ms, both included."""
        self._settings, self._since, self._until = settings, since_ms, until_ms
        self.unreadable = 0
        """Records that are no such thing, so far."""

    def __iter__(self) -> Iterator[Followed]:
        """Read.

        Raises:
            TopicMismatch: The topic is missing.
            BrokerUnreachable: No broker answered, or it stopped in the middle.
        """
        decode = msgspec.json.Decoder(Followed).decode
        for _, _, value in read_topic(self._settings, TRANSITIONS):
            try:
                followed = decode(value or b"")
                is_meant = self._since <= parse_ms(followed.decided_at) <= self._until
            except (msgspec.MsgspecError, ValueError):  # the latter: no time, or no text
                self.unreadable += 1
                continue
            if is_meant:
                yield followed
