"""A person stops or resumes price changes: one record to every partition of ``pricing-control``."""

from __future__ import annotations

import getpass
import time
from typing import Any, Literal

import msgspec
from confluent_kafka import KafkaError, Producer

from schemas.events import RunModeSet
from schemas.timestamps import format_ms
from schemas.topics import PRICING_CONTROL
from streams.errors import BrokerUnreachable, ConfigurationError
from streams.settings import Settings
from streams.topic_admin import require

KEY = b"*"
"""Scope of the mode: all offers. The topic is compacted, so each partition keeps the last mode."""

TIMEOUT_S = 15.0


def publish_run_mode(settings: Settings, mode: Literal["ACTIVE", "HALTED"], by: str | None, why: str) -> int:
    """Publish ``mode`` to every partition, and wait until all have it.

    Returns:
        Number of partitions.

    Raises:
        ConfigurationError: ``by`` or ``why`` is too long or empty, or nobody knows who you are.
        TopicMismatch: the topics are not as they must be.
        BrokerUnreachable: not every partition has acknowledged; say it again.
    """
    value = _encode(RunModeSet(mode=mode, by=by or _user_name(), why=why, at=format_ms(time.time_ns() // 10**6)))
    partitions = require(settings)
    producer = Producer({**settings.producer_config(), "log_level": 0, "message.timeout.ms": int(TIMEOUT_S * 1000)})
    failed: dict[int, str] = {}

    def on_delivery(error: KafkaError | None, record: Any) -> None:
        if error is not None:
            failed[record.partition()] = error.str()

    for partition in range(partitions):
        topic = PRICING_CONTROL.full_name(settings.topic_prefix)
        producer.produce(topic, value, KEY, partition=partition, on_delivery=on_delivery)
    if producer.flush(TIMEOUT_S + 5) or failed:
        raise BrokerUnreachable(f"{mode} may not have reached partitions {sorted(failed) or 'of a silent broker'}")
    return partitions


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container's user often has no name
        raise ConfigurationError("nobody knows who you are: give --by") from error


def _encode(event: RunModeSet) -> bytes:
    """As JSON, checked against the type's limits first: msgspec checks them only when it decodes."""
    value = msgspec.json.encode(event)
    try:
        msgspec.json.decode(value, type=RunModeSet)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"by or why: {error}") from error
    return value
