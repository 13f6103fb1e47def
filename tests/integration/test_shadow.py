"""A shadow on a real Kafka: killed between and inside transactions, it shadows each decision once."""

import signal
import subprocess
import sys
import time

import confluent_kafka as ck
import jax
import msgspec
import orjson
import pytest

from pricing_core.model_file import Training, save_model
from pricing_core.q_function import init_params
from schemas import columns as c
from schemas.decisions import PriceDecided
from schemas.topics import PRICE_DECISIONS, SHADOW_DECISIONS
from tests.integration.shop import new_settings
from tests.integration.worker_process import ROOT, environment_of, read_committed, running_program
from tests.pricing_core.engines import engine
from tests.pricing_core.events import DAY, HOUR, T0, batch
from tests.streams.recorded_decisions import records_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

OFFERS, ROUNDS = 400, 10
UNTRAINED = Training(preset="none", seed=1, backend="cpu", jax="0", score={})


@pytest.fixture(scope="module")
def settings(kafka):
    return new_settings(kafka, partitions=2, max_offers=4096)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    params = jax.tree.map(lambda weights: weights + 0.1, init_params(jax.random.key(1)))
    folder = tmp_path_factory.mktemp("model")
    return save_model(folder, params, name="other", version=1, epsilon=0.0, training=UNTRAINED)


def decide_and_publish(settings):
    """Yield after each round of decisions of both shards; they are on the topic then."""
    made = engine(0, 1, capacity=1024)
    producer = ck.Producer(settings.producer_config())
    keys = [b"web:%d" % i for i in range(OFFERS)]
    for shard in (0, 1):
        made.apply(shard, batch(c.PolicyColumns, *({"key": k, "cooldown": 0} for k in keys)))
    for number in range(ROUNDS):
        now = T0 + (number + 1) * DAY
        for shard in (0, 1):
            at = [{"key": k, "time": now - HOUR} for k in keys]
            made.apply(shard, batch(c.ClickColumns, *({"count": 10 + i, **a} for i, a in enumerate(at))))
            for found in records_of(made, made.decide(shard, now, "ACTIVE"), shard):
                producer.produce(PRICE_DECISIONS.full_name(settings.topic_prefix), found.raw, found.key, shard)
        producer.flush(30)
        yield


def test_each_decision_is_shadowed_once_however_often_the_shadow_is_killed(settings, model, tmp_path):
    command = ("shadow", "run", "--model", model, "--from-the-start")
    publishing = decide_and_publish(settings)
    for kill in range(4):
        before = len(records(settings, SHADOW_DECISIONS))
        next(publishing)
        with running_program(settings, tmp_path / f"{kill}.log", *command) as shadow:
            wait_for_more_than(before, settings, tmp_path / f"{kill}.log")
            next(publishing)
            time.sleep(0.05 * kill)
            shadow.send_signal(signal.SIGKILL)
            shadow.wait(30)
    for _ in publishing:
        pass
    decided = [record.decision_id for record in records(settings, PRICE_DECISIONS)]
    with running_program(settings, tmp_path / "last.log", *command) as shadow:
        deadline = time.monotonic() + 60
        while len(shadowed := records(settings, SHADOW_DECISIONS)) < len(decided) and time.monotonic() < deadline:
            time.sleep(0.2)
        shadow.send_signal(signal.SIGTERM)
        assert shadow.wait(30) == 0
    ids = [record.decision_id for record in shadowed]
    assert len(decided) == len(set(decided)) > ROUNDS * OFFERS
    assert sorted(ids) == sorted(decided)
    assert {record.model.split("@")[0] for record in shadowed} == {"other/1"}

    report = run(settings, "shadow", "report", "--since", "1970-01-01T00:00:00Z", "--json")
    assert (report["decisions"], report["shadow"]) == (len(decided), shadowed[0].model)
    assert 0 < report["agreed"] < report["decisions"]
    seen = report["expected_difference"]
    assert seen["as_the_shadow_sees_it"]["lower"] > 0.0 > seen["as_the_worker_sees_it"]["upper"]


def wait_for_more_than(before, settings, log):
    """Wait until a shadow has written something that was not there."""
    deadline = time.monotonic() + 60
    while len(records(settings, SHADOW_DECISIONS)) <= before:
        assert time.monotonic() < deadline, log.read_text("utf-8")
        time.sleep(0.1)


def records(settings, topic):
    return [msgspec.json.decode(record.value(), type=PriceDecided) for record in read_committed(settings, topic)]


def run(settings, *arguments):
    command = [sys.executable, "-m", "streams.cli", *arguments]
    environment = {**environment_of(settings), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return orjson.loads(done.stdout)
