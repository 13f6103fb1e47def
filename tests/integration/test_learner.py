"""The learner on a real Kafka: killed ten times, it has used each transition once."""

import contextlib
import random
import signal
import time

import confluent_kafka as ck
import pytest

from pricing_core.model_file import load_model
from schemas.codec import encode
from schemas.topics import TRANSITIONS, offer_key
from streams.learner.rows import id_of, obstacle
from streams.learner.store import Store
from streams.models.read import read_one
from tests.integration.shop import new_settings
from tests.integration.worker_process import read_committed, running_program
from tests.streams.outcome_records import joined

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(580)]

PARTITIONS, KILLS = 2, 10


@pytest.fixture(scope="module")
def settings(kafka):
    learning = {"learner_capacity": 2048, "learner_candidate_every": 500, "learner_checkpoint_s": 0.4}
    return new_settings(kafka, partitions=PARTITIONS, http_port=0, **learning)


def publish(settings, transitions, repeated=()):
    producer = ck.Producer(settings.producer_config())
    for partition, one in (*transitions, *repeated):
        key = offer_key(one.channel, one.sku)
        producer.produce(TRANSITIONS.full_name(settings.topic_prefix), encode(one), key, partition)
    assert producer.flush(30) == 0


def wait_for_a_checkpoint(log):
    deadline = time.monotonic() + 90
    while '"event":"checkpoint"' not in (said := log.read_text("utf-8")):
        assert time.monotonic() < deadline, said[-4000:]
        time.sleep(0.05)


def test_transitions_used_are_transitions_produced_and_none_twice_after_ten_kills(settings, tmp_path):
    folder, chance = tmp_path / "learner", random.Random(5)
    made = [(shard, one) for shard in range(PARTITIONS) for one in joined(rounds=16, offers=60, shard=shard)]
    chance.shuffle(made)
    share = len(made) // (2 * KILLS + 1)
    command = ("learner", "--folder", folder)
    for kill in range(KILLS):
        log = tmp_path / f"{kill}.log"
        publish(settings, made[2 * kill * share : (2 * kill + 1) * share], repeated=made[:3] if kill else ())
        with running_program(settings, log, *command) as learner:
            wait_for_a_checkpoint(log)
            publish(settings, made[(2 * kill + 1) * share : 2 * (kill + 1) * share])
            time.sleep(chance.uniform(0.0, 0.9))
            learner.send_signal(signal.SIGKILL)
            learner.wait(30)
    publish(settings, made[2 * KILLS * share :])
    with running_program(settings, tmp_path / "last.log", *command) as learner:
        wait_for_a_checkpoint(tmp_path / "last.log")
        time.sleep(2)
        learner.send_signal(signal.SIGTERM)
        assert learner.wait(60) == 0, (tmp_path / "last.log").read_text("utf-8")[-4000:]

    produced = len(read_committed(settings, TRANSITIONS))
    repeated = 3 * (KILLS - 1)
    assert produced == len(made) + repeated
    with contextlib.closing(Store(folder, settings.learner_capacity)) as store:
        kept, rows = store.load(), store.recent()
    ids = [id_of(one.decision_id) for _, one in made]
    twice = sum(id_of(one.decision_id) for _, one in made[:3]) * (KILLS - 1)
    usable = [number for number, (_, one) in zip(ids, made, strict=True) if obstacle(one) is None]
    assert (kept.taken, kept.digest) == (produced, (sum(ids) + twice) % 2**64)
    assert kept.rows + sum(kept.left_out.values()) == kept.taken
    assert sorted(rows["id"].tolist()) == sorted(usable)
    assert kept.left_out.get("there before", 0) == sum(obstacle(one) is None for _, one in made[:3]) * (KILLS - 1)
    assert committed(settings) == kept.offsets

    newest = max((folder / "candidates").iterdir(), key=lambda path: int(path.name))
    assert int(newest.name) == kept.rows // settings.learner_candidate_every
    origin = load_model(newest / "default.safetensors").manifest.training
    assert origin.parent == kept.parent
    assert set(origin.trained_on) == {f"transitions/{p}" for p in range(PARTITIONS)}
    published = read_one(settings, "default").versions
    written = {model.version: model for model in map(load_model, (folder / "candidates").glob("*/*.safetensors"))}
    assert max(published) == max(written)
    assert {version: published[version].sha256 for version in published} == {
        version: written[version].sha256 for version in published
    }


def committed(settings):
    """Where the group stands, by partition."""
    name, group = TRANSITIONS.full_name(settings.topic_prefix), f"{settings.group}-learner"
    consumer = ck.Consumer({**settings.consumer_config(), "group.id": group})
    try:
        answer = consumer.committed([ck.TopicPartition(name, p) for p in range(PARTITIONS)], timeout=15)
        return {place.partition: place.offset for place in answer}
    finally:
        consumer.close()
