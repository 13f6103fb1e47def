"""A Kafka broker inside this process: librdkafka's mock cluster, which the confluent-kafka wheel contains.

For the demo and the default tests, where neither Java nor Docker has to be there. Other processes of this
machine connect to its address (loopback, a port that the system chooses). What it cannot do:

- nothing is on disk: all records are gone when its process ends;
- every topic has 4 partitions, and asking for a topic creates it; there is no admin API;
- a partition keeps 4-5 MB, then the oldest records are dropped without a word; nothing is compacted;
- records of aborted transactions stay visible to ``read_committed`` consumers;
- offsets that a transaction commits are accepted and not stored (the shard record alone serves);
- no TLS, no login, one node.

So it is never proof of recovery; `tests/integration` runs on a real Kafka.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from confluent_kafka import Producer

from schemas.topics import TOPICS

PARTITIONS = 4
"""Partitions of every topic; librdkafka fixes it."""

CLUSTER_ID = "mockCluster"
"""How the cluster id of such a broker begins."""

_TIMEOUT_S = 10.0


class EmbeddedBroker:
    """A broker that lives as long as this object, or until `close`; also a context manager.

    Attributes:
        bootstrap_servers: its address.
    """

    def __init__(self, topic_prefix: str | None = "repricer") -> None:
        """Start it with our topics under ``topic_prefix``; None creates none."""
        self._cluster: Producer | None = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._cluster.list_topics(timeout=_TIMEOUT_S).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        if topic_prefix is not None:
            self.create_topics(topic.full_name(topic_prefix) for topic in TOPICS)

    def create_topics(self, names: Iterable[str]) -> None:
        """Create topics of `PARTITIONS` partitions."""
        if self._cluster is None:
            raise RuntimeError("the broker is closed")
        create_by_asking(self._cluster, names)

    def close(self) -> None:
        """End it; all records are gone."""
        self._cluster = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def is_embedded(cluster_id: str | None) -> bool:
    """Whether a cluster with this id is an embedded broker."""
    return cluster_id is not None and cluster_id.startswith(CLUSTER_ID)


def create_by_asking(client: Any, names: Iterable[str]) -> None:
    """Create topics on an embedded broker by asking it about them, with any of librdkafka's clients."""
    for name in names:
        client.list_topics(name, timeout=_TIMEOUT_S)
