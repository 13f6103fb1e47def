"""A state belongs to the topics that it came from and to the offsets of its own cuts; anything else is refused."""

import confluent_kafka as ck
import pytest

from schemas.topics import CHANGELOG, HOT_SOURCES, ORDERS
from streams.errors import GroupReset, ShardLost, TopicRecreated, WorkersRunning
from streams.state.align import align
from streams.topic_admin import TopicAdmin
from tests.integration.cuts import cut, membership, publish, read, recreate, shop, topic_ids, writer

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka):
    return shop(kafka, 10)


def test_a_source_that_was_created_anew_is_refused_by_name_though_its_offsets_fit(settings):
    with membership(settings) as claim:
        writer(settings).commit(cut(settings, claim, applied=7))
    assert read(settings)[0].applied[ORDERS.name] == 7
    recreate(settings, ORDERS)
    publish(settings, 10)
    with pytest.raises(TopicRecreated, match=r"^orders: deleted and created anew .* `repricer state rebuild`"):
        read(settings)


def test_a_changelog_that_was_created_anew_is_refused(settings):
    with membership(settings) as claim:
        writer(settings).commit(cut(settings, claim, applied=7))
    recreate(settings, CHANGELOG)
    with pytest.raises(ShardLost, match="the changelog has no shard record"):
        read(settings)


def test_a_shard_record_of_the_former_format_is_read_and_the_topics_there_are_its_own_from_then_on(settings):
    with membership(settings) as claim:
        writer(settings).commit(cut(settings, claim, applied=7, record_format=1))
    shard = read(settings)[0]
    assert (shard.applied[ORDERS.name], shard.record.topic_ids) == (7, {})
    assert shard.topic_ids == topic_ids(settings.bootstrap_servers, settings.topic_prefix)
    assert shard.topic_ids.keys() == {topic.name for topic in (*HOT_SOURCES, CHANGELOG)}


def test_after_a_reset_of_the_group_align_sets_it_back_to_where_the_state_stands(settings):
    with membership(settings) as claim:
        writer(settings).commit(cut(settings, claim, applied=7))
    admin = TopicAdmin(settings).client
    position = ck.TopicPartition(ORDERS.full_name(settings.topic_prefix), 0, 3)
    reset = ck.ConsumerGroupTopicPartitions(settings.group, [position])
    admin.alter_consumer_group_offsets([reset])[settings.group].result(20)
    with pytest.raises(GroupReset, match=r"offset is 3, the shard record says 7.*`repricer state align`"):
        read(settings)
    with membership(settings), pytest.raises(WorkersRunning):
        align(settings)
    assert align(settings) == 1
    assert read(settings)[0].applied[ORDERS.name] == 7
