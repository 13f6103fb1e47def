"""`repricer state align`: somebody has reset the group; set its offsets back to where the state stands.

The shard record is the truth about a shard. To let the group's offsets decide instead would leave the state with
events twice, or without some; who wants the sources to be read again wants `repricer state rebuild`.
"""

from __future__ import annotations

from contextlib import closing

import confluent_kafka as ck

from schemas.topics import HOT_SOURCES
from streams.changelog import decode_shard_record
from streams.errors import BrokerUnreachable
from streams.log_reader import Cancelled
from streams.settings import Settings
from streams.state.old_shard import shard_records
from streams.state.sole_membership import sole_membership, transactional_id
from streams.transport.partition import Partition
from streams.transport.raw_producer import Producer

COMMIT_TIMEOUT_S = 30.0


def align(settings: Settings) -> int:
    """Write the positions of every shard record into the group, in one transaction.

    Returns:
        Number of shards that have a state.

    Raises:
        WorkersRunning: If the group has members.
        ShardLost: If a shard record cannot be read.
        BrokerUnreachable: If the broker fails us; nothing has changed.
    """
    try:
        with sole_membership(settings) as claim:
            positions = _positions(settings)
            config = {**settings.producer_config(), "transactional.id": transactional_id(settings)}
            with closing(Producer(config)) as producer:
                producer.init_transactions(COMMIT_TIMEOUT_S)
                producer.begin_transaction()
                producer.send_offsets_to_transaction(positions, claim, COMMIT_TIMEOUT_S)
                producer.commit_transaction(COMMIT_TIMEOUT_S)
            return len({tp.partition for tp in positions})
    except (ck.KafkaException, Cancelled) as error:
        raise BrokerUnreachable(f"the group's offsets were not set: {error}") from error


def _positions(settings: Settings) -> dict[Partition, int]:
    return {
        Partition(topic.full_name(settings.topic_prefix), p): decode_shard_record(raw, p).applied.get(topic.name, 0)
        for p, raw in shard_records(settings).items()
        for topic in HOT_SOURCES
    }
