"""Programs that read, work and write in one Kafka transaction: a failed transaction ends a life, and another begins."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from threading import Event
from typing import Protocol

import confluent_kafka as ck
import structlog

from streams.errors import BrokerUnreachable

AGAIN_S = 1.0
"""After a failed transaction."""
MAX_FAILURES = 10
"""Transactions that fail one after the other: then it is not the broker's weather."""

log = structlog.get_logger(__name__)


class Life(Protocol):
    """Of a consumer and its transactional producer."""

    def step(self) -> int:
        """Do what has come; returns how much was done and committed.

        Raises:
            confluent_kafka.KafkaException: The transaction failed; nothing of it is to be seen.
        """

    def close(self) -> None:
        """Leave the group."""


def live_until(stopping: Event, begin: Callable[[], Life]) -> int:
    """Step through one life after the other.

    Args:
        stopping: Ends it.
        begin: Begins a life, where the last one has committed.

    Returns:
        How much was done.

    Raises:
        BrokerUnreachable: Transactions go on failing.
    """
    in_all = failures = 0
    while not stopping.is_set():
        try:
            with contextlib.closing(begin()) as life:
                while not stopping.is_set():
                    done = life.step()
                    in_all += done
                    failures = 0 if done else failures  # to have joined the group is no success
        except ck.KafkaException as error:
            failures += 1
            if failures == MAX_FAILURES:
                raise BrokerUnreachable(f"{failures} transactions failed one after the other: {error}") from error
            log.warning("transaction failed", error=str(error), again_in_s=AGAIN_S)
            stopping.wait(AGAIN_S)
    return in_all
