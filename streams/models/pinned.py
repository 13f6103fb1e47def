"""A person's word that what is live stays live: `repricer promoter` then promotes nothing and rolls nothing back."""

from __future__ import annotations

from schemas.models import ModelPinned, pinned_key
from streams.models.acts import Act
from streams.settings import Settings


def pin(settings: Settings, name: str, by: str | None, why: str, *, pinned: bool) -> None:
    """Say whether what is live stays live until a person says otherwise.

    Raises:
        ConfigurationError: Nobody knows who you are.
        BrokerUnreachable: Nothing was said.
    """
    act = Act(settings, name, by, why)
    act.write((pinned_key(name), ModelPinned(name, pinned, act.by, why, act.at)))
