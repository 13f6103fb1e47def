"""What a consumer's poll brings: records, and news of the connection."""

from __future__ import annotations

from typing import Any

import confluent_kafka as ck
import structlog

from streams.errors import SourceUnreadable

PASSING = frozenset(
    (
        ck.KafkaError._PARTITION_EOF,  # noqa: SLF001  # the public names of these codes
        ck.KafkaError._TRANSPORT,  # noqa: SLF001
        ck.KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        ck.KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001
        ck.KafkaError._RESOLVE,  # noqa: SLF001
    )
)

log = structlog.get_logger(__name__)


def is_record(record: Any) -> bool:
    """Whether it is a record and not an event about the connection.

    Raises:
        SourceUnreadable: The trouble does not pass by itself.
    """
    error = record.error()
    if error is None:
        return True
    if error.fatal() or (not error.retriable() and error.code() not in PASSING):
        raise SourceUnreadable(f"cannot read {record.topic() or 'the source topics'}: {error.str()}")
    log.warning("broker trouble", error=error.str())
    return False
