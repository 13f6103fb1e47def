"""Workers price with the model that is live on a real Kafka: from the first decision on, and only if it is fit."""

import itertools
import re
import signal
import threading

import jax
import jax.numpy as jnp
import msgspec
import orjson
import pytest

from pricing_core.model_file import Training, read_manifest, read_model, save_model
from pricing_core.q_function import init_params
from schemas.models import ModelPublished, ModelSetLive, WeightsPart, live_key, manifest_key, part_key
from schemas.topics import ALARMS, PRICE_DECISIONS
from streams.models.acts import Act, promote, publish, rollback
from streams.replay.again import Replayer
from streams.replay.decision_log import DecisionLog
from streams.replay.published import PublishedOnDemand
from streams.serving_model import load_serving_model
from tests.integration.recomputation import check_log
from tests.integration.shop import Publisher, impressions, new_settings, order, policy
from tests.integration.worker_process import read_committed, running_worker, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(580)]

SKUS = [f"sku-{i}" for i in range(40)]
TRAINING = Training(preset="none", seed=1, backend="cpu", jax="0", score={})
SWAPS = 50
EVER = (0, 2**53)


def saved(folder, version, change=lambda params: params):
    params = change(jax.tree.map(lambda weights: weights + 0.01 * version, init_params(jax.random.key(1))))
    return save_model(folder / str(version), params, name="default", version=version, epsilon=0.0, training=TRAINING)


def market(kafka, **given):
    settings = new_settings(
        kafka, partitions=2, max_offers=1024, decision_interval_s=1, review_interval_s=1, tick_interval_s=1, **given
    )
    publisher = Publisher(settings)
    publisher.tell(*[policy(sku, 1, ceiling=1999) for sku in SKUS])
    return settings, publisher


def models(settings, shard=0):
    """The versions that decided, in the order of the decisions of one shard."""
    records = sorted(
        read_committed(settings, PRICE_DECISIONS), key=lambda record: (record.partition(), record.offset())
    )
    labels = [
        orjson.loads(record.value())["model"].partition("@")[0] for record in records if record.partition() == shard
    ]
    return [int(label.removeprefix("default/")) for label, _ in itertools.groupby(labels)]


def decides_with(settings, worker, version):
    """Wait until both shards do, whoever owns them."""
    last = lambda: {(models(settings, shard) or [None])[-1] for shard in (0, 1)}  # noqa: E731
    wait_for(lambda: last() == {version}, 60, f"decisions of default/{version}", worker)


def metric(worker, name):
    found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", worker.page("/metrics")[1], re.MULTILINE)
    return 0.0 if found is None else float(found[1])


def test_workers_price_with_what_is_live_from_their_first_decision_on_and_swap_while_they_run(kafka, tmp_path):
    settings, _ = market(kafka)
    for version in (3, 4):
        publish(settings, saved(tmp_path, version), "ann", "new")
    promote(settings, "default", 3, "ann", "good")
    other = settings.model_copy(update={"instance": "b"})
    with running_worker(settings, tmp_path / "log") as worker, running_worker(other, tmp_path / "b") as second:
        worker.wait_until_ready()
        second.wait_until_ready()
        decides_with(settings, worker, 3)
        promote(settings, "default", 4, "ann", "better")
        decides_with(settings, worker, 4)
        assert 'repricer_model_info{name="default",sha256=' in worker.page("/metrics")[1]
        assert 'version="4"} 1.0' in worker.page("/metrics")[1]
        assert 'version="3"' not in worker.page("/metrics")[1]
        rollback(settings, "default", "bob", "worse")
        decides_with(settings, worker, 3)
        rollback(settings, "default", "bob", "the shipped one was best")
        decides_with(settings, worker, 2)
        assert models(settings, 0) == models(settings, 1) == [3, 4, 3, 2]
        assert [metric(each, "repricer_model_swaps_total") for each in (worker, second)] == [3.0, 3.0]
        assert worker.end(signal.SIGTERM) == second.end(signal.SIGTERM) == 0
    check_log(settings)
    published = PublishedOnDemand(settings)
    replayed = Replayer(settings, [load_serving_model(settings)], published).replay(
        DecisionLog(settings).between(*EVER)
    )
    assert replayed.identical == replayed.decisions > len(SKUS)
    assert published("default/5@0123456789ab") is None


def corrupt(weights, manifest):
    return weights[:-1] + bytes([weights[-1] ^ 1]), manifest


def of_other_features(weights, manifest):
    made_for = manifest["format"]
    return weights, manifest | {"format": made_for | {"features": made_for["features"][1:]}}


def as_it_is(weights, manifest):
    return weights, manifest


BAD = {
    "HashMismatch": (corrupt, lambda params: params),
    "FormatMismatch": (of_other_features, lambda params: params),
    "NonFiniteWeights": (as_it_is, lambda p: p | {"offer": p["offer"] | {"bias": p["offer"]["bias"] * jnp.nan}}),
    "ShapeMismatch": (as_it_is, lambda p: p | {"offer": p["offer"] | {"bias": jnp.zeros(3)}}),
    "ModelUnfit": (as_it_is, lambda p: jax.tree.map(lambda weights: (weights + 0.1) * 1e30, p)),
}


def force(settings, path, spoil):
    """Publish and promote past all checks, as somebody with a key to the topic might."""
    weights, manifest = read_model(path)
    said = read_manifest(manifest)
    weights, content = spoil(weights, msgspec.json.decode(manifest))
    act = Act(settings, said.name, "mallory", "harm")
    published = ModelPublished(
        said.name, said.version, said.sha256, len(weights), 1, None, content, act.by, act.why, act.at
    )
    before = [] if act.model.live is None else [*act.model.live.before, act.model.live.version]
    act.write(
        (part_key(said.name, said.version, 0), WeightsPart(said.name, said.version, 0, weights)),
        (manifest_key(said.name, said.version), published),
        (live_key(said.name), ModelSetLive(said.name, said.version, said.sha256, before, act.by, act.why, act.at)),
    )


def test_a_model_that_is_unfit_is_refused_with_its_reason_and_the_one_before_goes_on(kafka, tmp_path):
    settings, publisher = market(kafka)
    publish(settings, saved(tmp_path, 3), "ann", "new")
    promote(settings, "default", 3, "ann", "good")
    log = tmp_path / "log"
    with running_worker(settings, log) as worker:
        worker.wait_until_ready()
        decides_with(settings, worker, 3)
        for number, (reason, (spoil, change)) in enumerate(BAD.items()):
            force(settings, saved(tmp_path, 10 + number, change), spoil)
            wait_for(lambda n=number: metric(worker, "repricer_models_refused_total") == n + 1, 60, reason, worker)
            assert f'"kind":"{reason}"' in log.read_text("utf-8")
        seen = len(read_committed(settings, PRICE_DECISIONS))
        publisher.tell(*[order(sku) for sku in SKUS])
        wait_for(lambda: len(read_committed(settings, PRICE_DECISIONS)) > seen + len(SKUS), 60, "decisions", worker)
        wait_for(lambda: read_committed(settings, ALARMS), 60, "an alarm", worker)
        assert {orjson.loads(alarm.value())["code"] for alarm in read_committed(settings, ALARMS)} == {"model_refused"}
        assert worker.end(signal.SIGKILL) != 0
        worker.start()  # what is live is unfit: it begins with the one with which the others go on
        worker.wait_until_ready()
        wait_for(lambda: metric(worker, "repricer_decisions_total") > 0, 60, "decisions after a restart", worker)
        assert models(settings) == [3]
        assert worker.end(signal.SIGTERM) == 0
    check_log(settings)


def test_fifty_swaps_under_load_lose_nothing_and_compile_nothing(kafka, tmp_path):
    settings, _ = market(kafka)
    for version in (3, 4):
        publish(settings, saved(tmp_path, version), "ann", "new")
    log, over = tmp_path / "log", threading.Event()

    def load():
        publisher = Publisher(settings)
        while not over.is_set():
            publisher.tell(*[order(sku) for sku in SKUS], *[impressions(sku) for sku in SKUS])

    with running_worker(settings, log, JAX_LOG_COMPILES="1") as worker:
        worker.wait_until_ready()
        loading = threading.Thread(target=load)
        loading.start()
        try:
            decides_with(settings, worker, 2)
            compiled = log.read_text("utf-8").count("Finished XLA compilation")
            for swap in range(SWAPS):
                promote(settings, "default", 3 + swap % 2, "ann", "to and fro", retired_too=True)
                wait_for(lambda n=swap: metric(worker, "repricer_model_swaps_total") == n + 1, 60, "a swap", worker)
        finally:
            over.set()
            loading.join()
        assert log.read_text("utf-8").count("Finished XLA compilation") == compiled > 0
        pauses = [
            orjson.loads(line)["pause_s"] for line in log.read_text("utf-8").splitlines() if "model_swapped" in line
        ]
        assert len(pauses) == SWAPS
        assert max(pauses) < 0.05
        assert worker.end(signal.SIGTERM) == 0
    assert set(models(settings)) == {2, 3, 4}
    assert len(models(settings)) > SWAPS // 2
    check_log(settings)
