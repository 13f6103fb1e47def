from __future__ import annotations

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.topics import TOPICS
from streams.embedded_broker import PARTITIONS, EmbeddedBroker, is_embedded


def test_it_has_our_topics_and_says_what_it_is():
    with EmbeddedBroker("shop") as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        cluster = admin.list_topics(timeout=10)

    assert {topic.full_name("shop") for topic in TOPICS} == set(cluster.topics)
    assert {len(topic.partitions) for topic in cluster.topics.values()} == {PARTITIONS}
    assert is_embedded(cluster.cluster_id)


def test_a_record_of_a_committed_transaction_is_read_back():
    with EmbeddedBroker(topic_prefix=None) as broker:
        broker.create_topics(["t"])
        servers = {"bootstrap.servers": broker.bootstrap_servers}
        producer = Producer({**servers, "transactional.id": "one"})
        producer.init_transactions(10)
        producer.begin_transaction()
        producer.produce("t", b"value", partition=2)
        producer.commit_transaction(10)

        consumer = Consumer({**servers, "group.id": "g", "isolation.level": "read_committed"})
        consumer.assign([TopicPartition("t", 2, 0)])
        assert [message.value() for message in consumer.consume(1, 10)] == [b"value"]
        consumer.close()
