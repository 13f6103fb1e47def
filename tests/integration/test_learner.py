"""The learner on a real Kafka: killed ten times, it has used each transition once."""

import contextlib
import random
import signal
import time

import confluent_kafka as ck
import pytest

from pricing_core.model_file import load_model, save_model
from schemas.codec import encode
from schemas.topics import TRANSITIONS, offer_key
from streams.errors import ConfigurationError
from streams.learner.rows import id_of, obstacle
from streams.learner.run import LearnerProcess
from streams.learner.store import Checkpoint, Store
from streams.metrics import Metrics
from streams.models.acts import publish as publish_model
from streams.models.read import read_one
from streams.models.registered import label
from tests.integration.shop import new_settings
from tests.integration.worker_process import read_committed, running_program
from tests.pricing_core.engines import MODEL
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
    written = {load_model(path).label for path in (folder / "candidates").glob("*/*.safetensors")}
    assert {label(one) for one in published.values()} <= written
    assert sorted(published) == list(range(min(published), max(published) + 1))  # none is skipped


def test_a_candidate_has_the_next_version_that_nobody_has_published(kafka, tmp_path):
    """Somebody publishes beside the learner: nobody's version is taken, and none of its candidates is left out."""
    learning = {"learner_capacity": 1024, "learner_candidate_every": 64, "learner_checkpoint_s": 3600}
    settings = new_settings(kafka, partitions=PARTITIONS, http_port=0, **learning)

    def somebody_publishes(version):
        origin = MODEL.manifest.training
        path = save_model(
            tmp_path / str(version), MODEL.params, name="default", version=version, epsilon=0.03, training=origin
        )
        publish_model(settings, path, "somebody", "by hand")

    taken = MODEL.version + 1
    somebody_publishes(taken)
    publish(settings, [(0, one) for one in joined(rounds=4)])
    with contextlib.closing(Store(tmp_path / "learner", 1024)) as store:
        process = LearnerProcess(settings, store, MODEL, tmp_path / "learner", Metrics())
        deadline = time.monotonic() + 60
        while process.checkpoint.rows < 64 and time.monotonic() < deadline:
            process.step()
        process._write_candidate(process.checkpoint.rows // 64)  # killed before it could publish it
        somebody_publishes(taken + 1)
        for _ in range(2):  # refused, and written again
            process.offer_candidate_if_due()
        process.close()

    versions = read_one(settings, "default").versions
    assert {version: one.by for version, one in versions.items() if version <= taken + 2} == {
        taken: "somebody",
        taken + 1: "somebody",
        taken + 2: "learner",
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


def test_a_folder_with_a_memory_of_another_size_is_refused(kafka, tmp_path):
    """Places that were never filled would be learned from: rates of 0 days, and no finite number after that."""
    settings = new_settings(kafka, partitions=PARTITIONS, http_port=0, learner_capacity=1024)
    with contextlib.closing(Store(tmp_path, 1024)) as store:
        store.load()
        store.save(Checkpoint(MODEL.label, capacity=1024))
        larger = settings.model_copy(update={"learner_capacity": 2048})
        with pytest.raises(ConfigurationError, match="REPRICER_LEARNER_CAPACITY to 1024"):
            LearnerProcess(larger, store, MODEL, tmp_path, Metrics())
