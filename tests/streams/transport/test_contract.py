"""One test for each private name of Faust and aiokafka that the hybrid transport relies on.

They fail when an upgrade changes what we hook into, with the name in the test's title.
"""

import inspect
from pathlib import Path

import aiokafka
import confluent_kafka as ck
import faust
import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.app.base import App
from faust.streams import Stream
from faust.tables.recovery import Recovery
from faust.transport import consumer as base
from faust.transport import drivers
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as stock

from streams.transport.hybrid import HybridConsumer, HybridTransport
from streams.transport.identity import Claim


def source(thing):
    return inspect.getsource(thing)


def test_transport_alias_makes_the_url_scheme_known():
    assert drivers.by_url("hybrid+kafka://127.0.0.1:9092") is HybridTransport


def test_on_first_start_does_nothing_but_make_folders():
    assert source(App.on_first_start).count("self.") == 1
    assert "self._create_directories()" in source(App.on_first_start)


def test_transport_builds_the_consumer_named_by_its_class_attribute():
    assert HybridTransport.Consumer is HybridConsumer
    assert "self.Consumer(" in source(stock.base.Transport.create_consumer)


def test_new_consumer_thread_is_where_the_control_plane_thread_is_made():
    assert "self._thread = self._new_consumer_thread()" in source(base.ThreadDelegateConsumer.__init__)


def test_thread_on_partitions_assigned_runs_in_the_coordinators_thread_with_its_generation():
    listener = source(stock.ConsumerRebalanceListener.on_partitions_assigned)
    assert "_coordinator.generation" in listener
    assert "self._thread.on_partitions_assigned(" in listener


def test_consumer_on_partitions_assigned_is_called_in_the_main_thread():
    assert "self.on_partitions_assigned" in source(base.ThreadDelegateConsumer.threadsafe_partitions_assigned)


def test_coordinator_has_generation_and_member_id():
    names = source(GroupCoordinator.__init__)
    assert "self.generation =" in names
    assert "self.member_id =" in names


def test_ensure_consumer_returns_the_aiokafka_consumer_which_can_pause():
    assert "return self._consumer" in source(stock.AIOKafkaConsumerThread._ensure_consumer)
    assert "partitions" in inspect.signature(aiokafka.AIOKafkaConsumer.pause).parameters
    assert callable(stock.ensure_aiokafka_TP)


@pytest.mark.parametrize("hook", [App._on_partitions_revoked, App._stop_consumer])
def test_wait_empty_is_called_before_partitions_are_given_up(hook):
    text = source(hook)
    assert text.index("stop_flow") < text.index("flow_control.clear") < text.index("_consumer_wait_empty")
    assert "await consumer.wait_empty()" in source(App._consumer_wait_empty)


def test_a_topic_without_acks_never_enters_the_commit_bookkeeping():
    """All ways in ask: the consumer's, and the two stream iterators' own copies of it."""
    assert "if channel.acks:\n                        self._acking_topics.add(topic)" in source(Conductor)
    accelerated = Path(faust.__file__).parent / "_cython" / "streams.pyx"
    for text in (source(base.Consumer.ack), source(Stream), accelerated.read_text("utf-8")):
        assert text.count("acked_index.add(offset)") <= text.count("acks_enabled_for(message.topic)")


def test_commit_is_where_every_offset_of_faust_goes_out():
    assert "did_commit = await self._commit(committable_offsets)" in source(base.Consumer._commit_offsets)
    assert "def _commit" in source(base.ThreadDelegateConsumer)


def test_drain_messages_is_run_by_the_fetcher_which_has_a_stopped_event():
    assert "consumer._drain_messages(self)" in source(base.Fetcher)
    assert "fetcher)._stopped.is_set" in source(base.Consumer._drain_messages)


def test_flow_active_and_suspend_flow_say_whether_to_deliver():
    stop = source(base.Consumer.stop_flow)
    assert "self.flow_active = False" in stop
    assert "self.suspend_flow.set()" in stop
    assert "consumer.resume_flow()" in source(Recovery) or "app.flow_control.resume()" in source(Recovery)


def test_callback_takes_one_message():
    assert "callback(message), self.suspend_flow.wait()" in source(base.Consumer._drain_messages)


def test_verify_event_path_is_the_livelock_detectors_question_about_one_partition():
    assert "self.verify_event_path(now, tp)" in source(base.Consumer.verify_all_partitions_active)


def test_topic_takes_a_schema_that_need_not_decode():
    assert "schema" in inspect.signature(faust.App.topic).parameters


def test_a_claim_is_read_from_what_librdkafka_itself_writes():
    consumer = ck.Consumer({"group.id": "g", "bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    theirs = bytes(consumer.consumer_group_metadata())
    consumer.close()
    member = theirs.replace(b"\xff\xff\xff\xff", b"\7\0\0\0").replace(b"g\0\0", b"g\0member\0")
    assert Claim.from_metadata(member, frozenset({1})) == Claim("g", 7, "member", frozenset({1}))


@pytest.mark.parametrize(("generation", "member"), [(-1, ""), (-1, "m"), (3, "")])
def test_an_identity_that_the_broker_would_not_fence_cannot_be_made(generation, member):
    with pytest.raises(ValueError, match="not a member"):
        Claim("g", generation, member, frozenset())
