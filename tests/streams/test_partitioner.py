from __future__ import annotations

import pytest
from confluent_kafka import Producer

from streams.embedded_broker import PARTITIONS, EmbeddedBroker
from streams.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # the vectors of Kafka's own UtilsTest, as unsigned integers
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_the_one_of_the_java_client(key, expected):
    assert murmur2(key) == expected & 0xFFFFFFFF


def test_keys_are_placed_where_librdkafka_places_them():
    # all lengths around the four-byte blocks, and bytes above 127, where signed arithmetic would go wrong
    keys = [bytes((7 * i + j) % 256 for j in range(1 + i % 23)) for i in range(1000)]
    placed = {}

    with EmbeddedBroker(topic_prefix=None) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "partitioner": "murmur2_random"})
        for key in keys:
            producer.produce("placement", key=key, on_delivery=lambda _, m: placed.update({m.key(): m.partition()}))
        assert producer.flush(20) == 0

    assert placed == {key: partition_of(key, PARTITIONS) for key in keys}
    assert set(placed.values()) == set(range(PARTITIONS))
