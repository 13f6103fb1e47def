"""The group's only member: a command that rewrites what workers own keeps them out by the broker's own means.

Our assignor is not the workers': the broker lets nobody in who cannot agree with those who are there. So we cannot
join while a worker runs, a worker cannot join while we are in, and should we lose the group all the same, our
transactions carry a generation that the broker refuses.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, MemberDescription

from schemas.topics import ORDERS
from streams.errors import WorkersRunning
from streams.settings import Settings
from streams.topic_admin import settled
from streams.transport.identity import Claim

JOIN_TIMEOUT_S = 20.0
REQUEST_TIMEOUT_S = 10.0
POLL_S = 0.1
_NOT_AGREED = frozenset({ck.KafkaError.INCONSISTENT_GROUP_PROTOCOL})


@contextlib.contextmanager
def sole_membership(settings: Settings) -> Iterator[Claim]:
    """Join the group alone, with every partition; leave it at the end.

    Raises:
        WorkersRunning: If others are in the group, or the broker does not let us in.
    """
    _require_nobody(settings)
    consumer = ck.Consumer(
        {
            **settings.consumer_config(),
            "session.timeout.ms": int(settings.session_timeout_s * 1000),
            "heartbeat.interval.ms": int(settings.heartbeat_interval_s * 1000),
            "max.poll.interval.ms": 86_400_000,  # the work is done between two polls
            "log_level": 0,  # we say it in one line
        }
    )
    try:
        consumer.subscribe([ORDERS.full_name(settings.topic_prefix)])
        _wait_for_all(consumer, settings)
        everything = frozenset(range(settings.partitions))
        yield Claim.from_metadata(bytes(consumer.consumer_group_metadata()), everything)
    finally:
        consumer.close()


def transactional_id(settings: Settings) -> str:
    """Of the commands on the state: the next run ends what the last one left open."""
    return f"{settings.group}-state"


def _require_nobody(settings: Settings) -> None:
    """Wait for as long as a worker that was killed, or that has refused to go on, counts as a member."""
    admin = AdminClient(settings.client_config())
    admin.list_topics(timeout=REQUEST_TIMEOUT_S)
    deadline = time.monotonic() + settings.session_timeout_s + 2
    while members := settled(lambda: _members(admin, settings.group)):
        if time.monotonic() > deadline:
            names = ", ".join(sorted(f"{member.client_id} on {member.host}" for member in members))
            raise WorkersRunning(f"group {settings.group!r} has members ({names}); stop every worker first")
        time.sleep(POLL_S)


def _members(admin: AdminClient, group: str) -> list[MemberDescription]:
    future = admin.describe_consumer_groups([group], request_timeout=REQUEST_TIMEOUT_S)[group]
    return list(future.result(REQUEST_TIMEOUT_S).members)


def _wait_for_all(consumer: ck.Consumer, settings: Settings) -> None:
    deadline, why = time.monotonic() + JOIN_TIMEOUT_S, "no partitions in time"
    while len(consumer.assignment()) < settings.partitions:
        message = consumer.poll(POLL_S)
        error = None if message is None else message.error()
        if error is not None and error.code() in _NOT_AGREED:
            why, deadline = "workers are in it", 0.0
        if time.monotonic() > deadline:
            raise WorkersRunning(f"the broker does not let us into group {settings.group!r}: {why}; stop every worker")
    consumer.pause(consumer.assignment())
