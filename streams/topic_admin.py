"""Topics on the broker: create what is missing, and say how what is there differs from `schemas.topics`.

Nothing that exists is ever changed: a difference is reported together with its cure. The worker runs `require`
before it subscribes, because Faust idles without an error on a missing topic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, NewTopic, OffsetSpec, TopicMetadata

from schemas.topics import TOPICS, Topic
from streams import embedded_broker
from streams.errors import BrokerUnreachable, ConfigurationError, TopicMismatch
from streams.settings import Settings

T = TypeVar("T")

REACH_TIMEOUT_S: Final = 5.0
REQUEST_TIMEOUT_S: Final = 15.0
SEGMENT_BYTES: Final = 64 * 1024 * 1024
"""Compaction works on whole segments; small ones keep a shard's rebuild short."""
LEAST_MESSAGE_BYTES: Final = 1_048_588
"""Kafka's default."""


MOVING: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
"""Answers that pass by themselves: a topic or a group is new, or its broker has just changed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a topic is not as it has to be."""

    topic: str
    what: Literal["missing", "partitions", "replication", "cleanup", "retention", "message size", "configuration"]
    found: str
    wanted: str
    fix: str

    def __str__(self) -> str:
        if self.what == "missing":
            return f"{self.topic}: missing; {self.fix}"
        return f"{self.topic}: {self.what} is {self.found}, must be {self.wanted}; {self.fix}"


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is: ``partitions`` is 0 if it does not exist, ``config`` None where no broker tells."""

    topic: Topic
    name: str
    partitions: int
    replicas: int
    config: Mapping[str, str] | None


class TopicAdmin:
    """Admin operations on one cluster.

    Raises:
        ConfigurationError: the client cannot be made from the settings (a TLS file, say).
        BrokerUnreachable: none answered within `REACH_TIMEOUT_S`, or all refused.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._faults: list[str] = []
        self._all_down = False
        try:
            # librdkafka logs every failed try; one line from us says the same
            config = {**settings.client_config(), "log_level": 0, "error_cb": self._remember}
            self.client = AdminClient(config)
        except KafkaException as error:
            raise ConfigurationError(f"cannot make a Kafka client: {error.args[0].str()}") from error
        self.embedded = embedded_broker.is_embedded(self.cluster().cluster_id)

    def cluster(self) -> ClusterMetadata:
        """Brokers and topics, asked for anew. Ends early when every broker has refused the connection."""
        self._all_down = False
        deadline = time.monotonic() + REACH_TIMEOUT_S
        while True:
            try:
                return self.client.list_topics(timeout=1.0)
            except KafkaException as error:
                self.client.poll(0)  # delivers what `_remember` gets
                if self._all_down or time.monotonic() > deadline:
                    raise BrokerUnreachable(self._unreachable(error.args[0].str())) from error

    def states(self) -> list[TopicState]:
        """All our topics as they are, in the order of `schemas.topics`."""
        found = self.cluster().topics
        names = [topic.full_name(self._settings.topic_prefix) for topic in TOPICS]
        configs = self._configs([name for name in names if name in found])
        return [
            TopicState(topic, name, *_shape(found.get(name)), configs.get(name))
            for topic, name in zip(TOPICS, names, strict=True)
        ]

    def apply(self) -> list[str]:
        """Create the missing topics and wait until they can be used.

        Returns:
            Names of the topics that were created.

        Raises:
            TopicMismatch: the broker refused.
        """
        missing = [state for state in self.states() if not state.partitions]
        names = [state.name for state in missing]
        if self.embedded:
            embedded_broker.create_by_asking(self.client, names)
        elif missing:
            self._create([_new_topic(state, self._settings) for state in missing])
        self._wait_until_usable(names)
        return names

    def differences(self) -> list[Difference]:
        """What is wrong with our topics; empty if nothing is."""
        return [fault for state in self.states() for fault in self._faults_of(state)]

    def offsets(self, places: list[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        """Offset at ``spec`` of every place, by topic and partition."""
        return settled(lambda: self._ask_offsets(places, spec))

    def _ask_offsets(self, places: list[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        futures = self.client.list_offsets(dict.fromkeys(places, spec), request_timeout=REQUEST_TIMEOUT_S)
        return {(p.topic, p.partition): future.result(REQUEST_TIMEOUT_S).offset for p, future in futures.items()}

    def _faults_of(self, state: TopicState) -> Iterator[Difference]:
        if not state.partitions:
            yield Difference(state.name, "missing", "absent", "there", "create with `repricer topics apply`")
            return
        yield from _shape_faults(state, self._settings, embedded=self.embedded)
        if not self.embedded:
            yield from _config_faults(state, self._settings)

    def _create(self, topics: list[NewTopic]) -> None:
        futures = self.client.create_topics(topics, operation_timeout=REQUEST_TIMEOUT_S)
        for name, future in futures.items():
            try:
                future.result(REQUEST_TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise TopicMismatch(f"cannot create {name}: {error.args[0].str()}") from error

    def _wait_until_usable(self, names: list[str]) -> None:
        """Creation is done at the controller first; a moment later the brokers know and lead the partitions."""
        deadline = time.monotonic() + REQUEST_TIMEOUT_S
        while absent := set(names) - set(topics := self.cluster().topics):
            if time.monotonic() > deadline:
                raise TopicMismatch(f"created, but not listed by the cluster: {', '.join(sorted(absent))}")
            time.sleep(0.05)
        places = [TopicPartition(name, partition) for name in names for partition in topics[name].partitions]
        if places:
            self.offsets(places, OffsetSpec.latest())

    def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        if self.embedded or not names:
            return {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        futures = self.client.describe_configs(resources, request_timeout=REQUEST_TIMEOUT_S)
        return {resource.name: _config(future) for resource, future in futures.items()}

    def _remember(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # the public name of this code
            self._all_down = True
        else:
            self._faults.append(error.str())

    def _unreachable(self, why: str) -> str:
        return (
            f"no Kafka broker answers at {self._settings.bootstrap_servers} ({(self._faults or [why])[0]}); "
            "start one (`repricer broker`, `docker compose up kafka`) or set REPRICER_BOOTSTRAP_SERVERS"
        )


def require(settings: Settings) -> int:
    """Refuse to go on unless every topic is as it has to be.

    Returns:
        Partitions of every topic.

    Raises:
        TopicMismatch: the list of differences, one a line.
        BrokerUnreachable: no broker answered.
    """
    faults = TopicAdmin(settings).differences()
    if faults:
        raise TopicMismatch("topics are not as they must be:\n" + "\n".join(f"  {line}" for line in summarise(faults)))
    return settings.partitions


def settled(ask: Callable[[], T]) -> T:
    """Ask until the answer is not one of `MOVING`, for `REQUEST_TIMEOUT_S` at most."""
    deadline = time.monotonic() + REQUEST_TIMEOUT_S
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in MOVING or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def summarise(faults: list[Difference]) -> list[str]:
    """One line for each kind of difference with one cure, naming all its topics."""
    kinds: dict[Difference, list[str]] = {}
    for fault in faults:
        kinds.setdefault(replace(fault, topic=""), []).append(fault.topic)
    return [str(replace(kind, topic=", ".join(names))) for kind, names in kinds.items()]


def _shape(metadata: TopicMetadata | None) -> tuple[int, int]:
    """Partitions, and the least number of replicas of any of them."""
    if metadata is None or metadata.error is not None:
        return 0, 0
    partitions = metadata.partitions.values()
    return len(partitions), min((len(partition.replicas) for partition in partitions), default=0)


def _config(future: Any) -> dict[str, str]:
    try:
        return {name: entry.value for name, entry in future.result(REQUEST_TIMEOUT_S).items()}
    except KafkaException as error:
        return {"unreadable": error.args[0].str()}


def _new_topic(state: TopicState, settings: Settings) -> NewTopic:
    config = {"cleanup.policy": state.topic.cleanup, "max.message.bytes": str(_message_bytes(settings))}
    if state.topic.retention_ms is not None:
        config["retention.ms"] = str(state.topic.retention_ms)
    if state.topic.cleanup == "compact":
        config |= {"segment.bytes": str(SEGMENT_BYTES), "min.cleanable.dirty.ratio": "0.1"}
    return NewTopic(state.name, settings.partitions, settings.replication_factor, config=config)


def _message_bytes(settings: Settings) -> int:
    """A record may be as large as we parse, and its batch has a header: twice that, or Kafka's default."""
    return max(LEAST_MESSAGE_BYTES, 2 * settings.max_record_bytes)


def _shape_faults(state: TopicState, settings: Settings, *, embedded: bool) -> Iterator[Difference]:
    if state.partitions != settings.partitions:
        cure = (
            f"the embedded broker always has {embedded_broker.PARTITIONS}: set REPRICER_PARTITIONS to that"
            if embedded
            else f"set REPRICER_PARTITIONS={state.partitions} if all topics have that many, else create it anew: "
            "growing would move keys to other partitions"
        )
        yield Difference(state.name, "partitions", str(state.partitions), str(settings.partitions), cure)
    if state.replicas < settings.replication_factor and not embedded:
        cure = "add replicas with kafka-reassign-partitions, or lower REPRICER_REPLICATION_FACTOR"
        yield Difference(
            state.name, "replication", str(state.replicas), f"at least {settings.replication_factor}", cure
        )


def _config_faults(state: TopicState, settings: Settings) -> Iterator[Difference]:
    config = state.config or {}
    if "unreadable" in config:
        cure = "allow DescribeConfigs on our topics to this user"
        yield Difference(state.name, "configuration", f"unreadable ({config['unreadable']})", "readable", cure)
        return
    if config["cleanup.policy"] != state.topic.cleanup:
        cure = _alter(state, settings, f"cleanup.policy={state.topic.cleanup}")
        yield Difference(state.name, "cleanup", config["cleanup.policy"], state.topic.cleanup, cure)
    retention, least = int(config["retention.ms"]), state.topic.retention_ms
    if least is not None and -1 < retention < least:
        cure = _alter(state, settings, f"retention.ms={least}")
        yield Difference(state.name, "retention", f"{retention} ms", f"at least {least} ms", cure)
    size = int(config["max.message.bytes"])
    if size < settings.max_record_bytes:
        cure = _alter(state, settings, f"max.message.bytes={_message_bytes(settings)}")
        yield Difference(state.name, "message size", f"{size} bytes", f"at least {settings.max_record_bytes}", cure)


def _alter(state: TopicState, settings: Settings, entry: str) -> str:
    return (
        f"run kafka-configs.sh --bootstrap-server {settings.bootstrap_servers} --alter "
        f"--topic {state.name} --add-config {entry}"
    )
