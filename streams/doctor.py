"""`repricer doctor`: what is right and what is wrong, from the broker to the model, each fault with its cure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec
from msgspec import MsgspecError

from schemas.timestamps import parse_ms
from schemas.topics import HOT_SOURCES, Topic
from streams.breaker.report import standing, summaries
from streams.errors import RepricerError
from streams.models.serving import last_decided
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.topic_admin import REQUEST_TIMEOUT_S, TopicAdmin, settled, summarise

SAMPLED_KEYS = 400
"""Records of one topic whose key is looked at, the newest of all its partitions together."""

SAMPLE_TIMEOUT_S = 3.0

FOLLOW_WITHIN_MS = 60_000
"""Workers follow within seconds what is made live."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table. ``unknown`` is nothing wrong: there was nothing to look at."""

    area: str
    state: Literal["ok", "wrong", "unknown"]
    found: str
    fix: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything; findings come as they are made. A check that fails is a finding, not the end."""
    yield from _examine_cluster(settings)
    yield from _guarded("device", _examine_device)
    yield from _guarded("model", lambda: _examine_model(settings))


def _examine_cluster(settings: Settings) -> Iterator[Finding]:
    try:
        admin = TopicAdmin(settings)
    except RepricerError as error:
        yield Finding("broker", "wrong", str(error))
        return
    yield _broker(settings, admin)
    yield from _guarded("topics", lambda: _examine_topics(admin))
    yield from _guarded("partitioner", lambda: _examine_placement(settings, admin))
    yield from _guarded("group", lambda: _examine_group(settings, admin))
    yield from _guarded("breaker", lambda: _examine_breaker(settings))
    yield from _guarded("live model", lambda: _examine_live_model(settings))


def _guarded(area: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except (RepricerError, KafkaException, ImportError, OSError, ValueError, RuntimeError, MsgspecError) as error:
        yield Finding(area, "wrong", f"{type(error).__name__}: {error}")


def _broker(settings: Settings, admin: TopicAdmin) -> Finding:
    began = time.perf_counter()
    cluster = admin.cluster()
    took_ms = (time.perf_counter() - began) * 1000
    kind = "the embedded broker" if admin.embedded else f"Kafka, {len(cluster.brokers)} broker(s)"
    return Finding("broker", "ok", f"{kind} at {settings.bootstrap_servers} answers in {took_ms:.1f} ms")


def _examine_topics(admin: TopicAdmin) -> Iterator[Finding]:
    states = admin.states()
    faults = admin.differences()
    for line in summarise(faults):
        found, _, cure = line.partition("; ")
        yield Finding("topics", "wrong", found, cure)
    if not faults:
        what = "names and partitions" if admin.embedded else "partitions, replicas, cleanup, retention, message size"
        yield Finding("topics", "ok", f"{len(states)} topics as they must be ({what})")


def _examine_placement(settings: Settings, admin: TopicAdmin) -> Iterator[Finding]:
    topics = {topic.full_name(settings.topic_prefix): topic for topic in HOT_SOURCES if topic.key == "offer"}
    present = admin.cluster().topics
    consumer = Consumer({**settings.consumer_config(), "log_level": 0, "isolation.level": "read_uncommitted"})
    try:
        for name in topics:
            if name in present:
                yield _placement(consumer, admin, name, len(present[name].partitions))
    finally:
        consumer.close()


def _placement(consumer: Any, admin: TopicAdmin, name: str, partitions: int) -> Finding:
    keys = _sample(consumer, admin, name, partitions)
    strays = [(key, found) for key, found in keys if partition_of(key, partitions) != found]
    if not keys:
        return Finding("partitioner", "unknown", f"{name}: no record with a key yet")
    if not strays:
        return Finding("partitioner", "ok", f"{name}: {len(keys)} keys, all where Java's clients put them")
    key, found = strays[0]
    return Finding(
        "partitioner",
        "wrong",
        f"{name}: {len(strays)} of {len(keys)} keys on another partition than Java's clients choose, "
        f"e.g. {key!r} on {found} instead of {partition_of(key, partitions)}",
        "set partitioner=murmur2_random in its producer (librdkafka's default differs)",
    )


def _sample(consumer: Any, admin: TopicAdmin, name: str, partitions: int) -> list[tuple[bytes, int]]:
    """Distinct keys of the newest records, with the partition they lie on."""
    each = max(1, SAMPLED_KEYS // partitions)
    ends = admin.offsets([TopicPartition(name, p) for p in range(partitions)], OffsetSpec.latest())
    starts = {p: max(0, end - each) for (_, p), end in ends.items() if end > 0}
    consumer.assign([TopicPartition(name, p, start) for p, start in starts.items()])
    wanted = sum(ends[name, p] - start for p, start in starts.items())
    keys: set[tuple[bytes, int]] = set()
    deadline = time.monotonic() + SAMPLE_TIMEOUT_S
    read = 0
    # compacted topics and aborted transactions leave fewer records than offsets: the deadline ends those
    while read < wanted and time.monotonic() < deadline:
        records = [record for record in consumer.consume(wanted - read, 0.2) if record.error() is None]
        read += len(records)
        keys.update((record.key(), record.partition()) for record in records if record.key())
    return sorted(keys)


def _examine_group(settings: Settings, admin: TopicAdmin) -> Iterator[Finding]:
    if admin.embedded:
        yield Finding("group", "unknown", "the embedded broker keeps no offsets of transactions")
        return
    present = admin.cluster().topics
    sources = [topic for topic in HOT_SOURCES if topic.full_name(settings.topic_prefix) in present]
    wanted = [
        TopicPartition(topic.full_name(settings.topic_prefix), p)
        for topic in sources
        for p in present[topic.full_name(settings.topic_prefix)].partitions
    ]
    if not wanted:
        return
    consumer = Consumer({**settings.consumer_config(), "log_level": 0})
    try:
        found = settled(lambda: consumer.committed(wanted, timeout=REQUEST_TIMEOUT_S))
        committed = {(p.topic, p.partition): p.offset for p in found}
    finally:
        consumer.close()
    yield from _positions(settings, admin, wanted, committed, sources)


def _positions(
    settings: Settings,
    admin: TopicAdmin,
    wanted: list[TopicPartition],
    committed: dict[tuple[str, int], int],
    sources: list[Topic],
) -> Iterator[Finding]:
    """Compare the group's next offsets with what the log still holds."""
    known = {place: offset for place, offset in committed.items() if offset >= 0}
    if not known:
        yield Finding("group", "unknown", f"group {settings.group} has no offsets: no worker has run yet")
        return
    first = admin.offsets(wanted, OffsetSpec.earliest())
    end = admin.offsets(wanted, OffsetSpec.latest())
    kept = {topic.full_name(settings.topic_prefix) for topic in sources if topic.cleanup == "delete"}
    expired = [place for place, offset in known.items() if place[0] in kept and offset < first[place]]
    beyond = [place for place, offset in known.items() if offset > end[place]]
    for place, what in [*((p, "expired unread") for p in expired), *((p, "never existed") for p in beyond)]:
        found = f"{place[0]}[{place[1]}]: next is {known[place]}, the log holds {first[place]} to {end[place]}: {what}"
        yield Finding("group", "wrong", found, "a worker will refuse: raise the retention, or restore the topic")
    if not expired and not beyond:
        lag = sum(end[place] - offset for place, offset in known.items())
        yield Finding("group", "ok", f"group {settings.group}: {lag} records behind on {len(known)} partitions")


def _examine_breaker(settings: Settings) -> Iterator[Finding]:
    found = summaries(settings)
    lines = list(standing(found))
    for line in lines:
        yield Finding("breaker", "wrong", line, "`repricer alarms --severity critical`; then `repricer control resume`")
    if not found:
        yield Finding("breaker", "unknown", "no shard has said anything yet")
    elif not lines:
        yield Finding("breaker", "ok", f"{len(found)} shards, none of them stands")


def _examine_live_model(settings: Settings) -> Iterator[Finding]:
    """Look at what is live, and whether all shards decide by it."""
    from pricing_core.model_file import label_of  # noqa: PLC0415  # imports flax
    from streams.models.read import read_one  # noqa: PLC0415
    from streams.serving_model import load_serving_model  # noqa: PLC0415

    live = read_one(settings, settings.model_name).live
    decided = last_decided(settings)
    if live is None:
        label, since_ms, how = load_serving_model(settings).label, 0, "the workers' own: none was promoted"
    else:
        label = load_serving_model(settings).label
        if live.version is not None and live.sha256 is not None:
            label = label_of(live.name, live.version, live.sha256)
        since_ms, how = parse_ms(live.at), f"live since {live.at} by {live.by}: {live.why}"
    said = f"{label}, {how}"
    behind = [
        f"shard {shard} by {one.model}"
        for shard, one in sorted(decided.items())
        if one.at_ms > since_ms + FOLLOW_WITHIN_MS and one.model != label
    ]
    since = [one for one in decided.values() if one.at_ms > since_ms]
    if behind:
        cure = "see that worker's log for `model_refused` and its settings; or `repricer models rollback`"
        yield Finding("live model", "wrong", f"{said}; other models decide: {', '.join(behind)}", cure)
    elif since:
        yield Finding("live model", "ok", f"{said}; {len(since)} of {len(decided)} shards have decided by it")
    else:
        yield Finding("live model", "unknown", f"{said}; no shard has decided since")


def _examine_device() -> Iterator[Finding]:
    import jax  # noqa: PLC0415  # half a second that the checks of the broker need not wait for

    device = jax.devices()[0]
    total = float(jax.jit(lambda x: (x * x).sum())(jax.numpy.arange(4.0)))
    if total != 14.0:
        yield Finding("device", "wrong", f"{device.device_kind} computes {total} for 0+1+4+9", "reinstall jax")
        return
    yield Finding(
        "device", "ok", f"jax {jax.__version__} compiles and runs on {device.platform} ({device.device_kind})"
    )


def _examine_model(settings: Settings) -> Iterator[Finding]:
    from streams.serving_model import load_serving_model  # noqa: PLC0415  # imports flax

    model = load_serving_model(settings)
    yield Finding("model", "ok", f"{model.name} {model.version}, SHA-256 {model.sha256[:12]}… verified")
