"""The server that all other integration tests rely on."""

from __future__ import annotations

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

pytestmark = pytest.mark.kafka


def test_a_committed_transaction_survives_sigkill_of_the_broker(own_kafka):
    config = {"bootstrap.servers": own_kafka.bootstrap_servers, "log_level": 0}
    admin = AdminClient(config)  # a client without a name is destroyed before its answer comes
    admin.create_topics([NewTopic("t", num_partitions=1)])["t"].result(10)
    producer = Producer({**config, "transactional.id": "one"})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce("t", b"value")
    producer.commit_transaction(20)

    own_kafka.kill()
    own_kafka.start()

    consumer = Consumer({**config, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition("t", 0, OFFSET_BEGINNING)])
    assert consumer.consume(1, 30)[0].value() == b"value"
    consumer.close()


def test_a_topic_that_nobody_created_stays_unknown(kafka):
    metadata = AdminClient({"bootstrap.servers": kafka}).list_topics("never-created", timeout=10)
    assert metadata.topics["never-created"].error is not None
