"""The yardsticks of latency: consume → produce, each record as it is; with or without a transaction for each batch.

Run as a process of its own: ``python -m streams.bench.echo plain|transactional``. Reads the load's topics from where
they end, writes to `TOPIC`, says ``ready`` on stdout and goes on until SIGTERM; the batch in hand is finished first. A
transaction left open would hide from the next reader what comes behind it, for as long as the broker lets it be.
"""

from __future__ import annotations

import gc
import sys
import threading

import confluent_kafka as ck

from streams.bench.load import SHARES
from streams.bench.progress import ends_of
from streams.settings import Settings, load_settings
from streams.stop_signal import stop_signal

TOPIC = "echo"
BATCH = 5_000
TIMEOUT_S = 10.0
WAIT_S = 0.1


def serve(settings: Settings, stopping: threading.Event, *, transactional: bool) -> None:
    """Echo until ``stopping`` is set, to the end of a batch."""
    consumer = ck.Consumer({**settings.consumer_config(), "group.id": f"{settings.group}-echo"})
    config = {**settings.producer_config(), "linger.ms": 0}
    if transactional:  # as our own cuts: see streams.transaction
        config |= {"transactional.id": f"{settings.group}-echo", "retry.backoff.ms": 2, "retry.backoff.max.ms": 20}
    producer = ck.Producer(config)
    if transactional:
        producer.init_transactions(TIMEOUT_S)
    consumer.assign([ck.TopicPartition(*tp, offset) for tp, offset in ends_of(settings, SHARES).items()])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    gc.freeze()
    echo = _transaction if transactional else _produce
    target = f"{settings.topic_prefix}.{TOPIC}"
    while not stopping.is_set():
        first = consumer.poll(WAIT_S)  # returns with the first record: consume(n) would wait for n
        if first is not None:
            echo(consumer, producer, target, [first, *consumer.consume(BATCH, 0)])
    producer.flush(TIMEOUT_S)


def _transaction(consumer: ck.Consumer, producer: ck.Producer, target: str, messages: list[ck.Message]) -> None:
    producer.begin_transaction()
    _produce(consumer, producer, target, messages)
    positions = consumer.position(consumer.assignment())
    known = [tp for tp in positions if tp.offset >= 0]
    producer.send_offsets_to_transaction(known, consumer.consumer_group_metadata(), TIMEOUT_S)
    producer.commit_transaction(TIMEOUT_S)


def _produce(_: ck.Consumer, producer: ck.Producer, target: str, messages: list[ck.Message]) -> None:
    for message in messages:
        producer.produce(target, message.value(), message.key(), message.partition() or 0)
    producer.poll(0)


if __name__ == "__main__":
    with stop_signal() as stopped:
        serve(load_settings(), stopped, transactional=sys.argv[1] == "transactional")
