"""Commands of a person, on their way to the topic that the owners of the offers read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Literal
from uuid import uuid4

import msgspec

from schemas.binary import BinaryArray
from schemas.cloud_events import COMMAND_GIVEN
from schemas.codec import decoder_for, encode
from schemas.events import CommandGiven
from schemas.timestamps import format_ms
from schemas.topics import COMMANDS, offer_key
from streams.clock import wall_ms
from streams.errors import InputRefused
from streams.operate.reading import read_topic
from streams.operate.who import name_of
from streams.publish.convert import Records
from streams.publish.delivery import Delivery
from streams.settings import Settings
from streams.topic_presence import require_present

Verb = Literal["pause", "resume", "approve", "reject", "rollback"]


class Giver:
    """Makes the commands of one person at one moment."""

    def __init__(self, by: str | None, why: str) -> None:
        """Keep what all commands share.

        Raises:
            ConfigurationError: nobody knows who you are.
        """
        self._by, self._why, self._at = name_of(by), why, format_ms(wall_ms())
        self._moment = uuid4().hex

    def __call__(self, key: str, command: Verb, **fields: object) -> CommandGiven:
        """Make a command about an offer, ``channel:sku``.

        Its id is new: what was refused can be said again. A second one that finds nothing to do does nothing.

        Raises:
            InputRefused: that is no key of an offer, or a name or reason is too long or empty.
        """
        channel, colon, sku = key.partition(":")
        if not colon:
            raise InputRefused(f"{key!r} is no offer; offers are written channel:sku")
        event_id = f"{command}-{sha256(f'{self._moment}{key}'.encode()).hexdigest()[:32]}"
        said = {"channel": channel, "sku": sku, "by": self._by, "why": self._why, "at": self._at, **fields}
        try:
            return msgspec.convert({"event_id": event_id, "command": command, **said}, CommandGiven)
        except msgspec.ValidationError as error:
            raise InputRefused(f"a command about {key}: {error}") from error


def publish_commands(settings: Settings, commands: Sequence[CommandGiven]) -> int:
    """Publish commands, each where the owner of its offer reads it, and wait until the broker has all of them.

    Returns:
        How many there were.

    Raises:
        InputRefused: a worker would refuse one of them; none was published.
        BrokerUnreachable: no broker answered.
        TopicMismatch: the topic is missing.
        NotDelivered: not all were taken; say it again.
    """
    keys = [offer_key(one.channel, one.sku) for one in commands]
    values = [encode(one) for one in commands]
    now = wall_ms()
    decoded = decoder_for(COMMANDS)(BinaryArray.of(keys), BinaryArray.of(values), now)
    for reject in decoded.rejects:
        raise InputRefused(f"a command about {keys[reject.index].decode()}: {reject.reason}, {reject.detail}")
    require_present(settings, (COMMANDS,))
    delivery = Delivery(settings, COMMANDS.full_name(settings.topic_prefix), COMMAND_GIVEN, "/operator")
    ids, times = [one.event_id for one in commands], [now] * len(commands)
    delivery.send(Records(list(range(len(keys))), keys, values, ids, times, []))
    return delivery.finish()


def read_commands(settings: Settings) -> Iterator[CommandGiven]:
    """All commands that the topic still has, those of each offer in their order."""
    decode = msgspec.json.Decoder(CommandGiven).decode
    for _, _, value in read_topic(settings, COMMANDS):
        if value is not None:
            try:
                yield decode(value)
            except msgspec.MsgspecError:  # the worker has made a dead letter of it
                continue
