"""An independent checker of what must always hold (I1 to I6 of the design): the raw topics against one another.

It shares no code with the worker but names: topics, settings, the partitioner. Its own reading, decoding, totals,
duplicates and rules are written a second time, so that a fault of the worker's is not believed because it is made
twice. It may run beside working workers; what is compared ends at the last cut that it has seen.
"""

from __future__ import annotations

import contextlib

from streams.errors import PromiseBroken
from streams.settings import Settings
from streams.verify import order, placement, policies, published, state
from streams.verify.facts import read_facts
from streams.verify.kafka_log import KafkaLog
from streams.verify.log import Log
from streams.verify.report import Check, Report

__all__ = ["Report", "require_clean", "verify", "verify_log"]

CHECKS = (state.checks, placement.checks, published.checks, policies.checks, order.checks)


def verify(settings: Settings) -> Report:
    """Check the topics of a Kafka.

    Raises:
        TopicMismatch: If one is missing.
        BrokerUnreachable: If they cannot be read.
    """
    with contextlib.closing(KafkaLog(settings)) as log:
        return verify_log(log, settings)


def verify_log(log: Log, settings: Settings) -> Report:
    """Check a log, wherever it is."""
    facts = read_facts(log, settings)
    if facts.changelog.unreadable_cuts:  # up to where to compare is not known: all else would be noise
        found: tuple[Check, ...] = (published.readable(facts),)
    else:
        found = tuple(check for checks in CHECKS for check in checks(facts))
    return Report(found, {p: facts.changelog.applied(p) for p in range(facts.partitions)})


def require_clean(report: Report) -> None:
    """Refuse a report with violations.

    Raises:
        PromiseBroken: If there are any.
    """
    if not report.clean:
        raise PromiseBroken(
            f"{', '.join(report.violated)} violated. Halt price changes (`repricer control halt`), keep the topics, "
            "and look at the coordinates above."
        )
