"""A shop on a real Kafka: candidates are shadowed, judged and promoted by themselves, from what really followed."""

import confluent_kafka as ck
import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import optax
import pytest

from pricing_core.features import CANDIDATE_FEATURES, CLIP, FEATURES
from pricing_core.learning.recall import Recall
from pricing_core.model_file import Training, load_model, save_model
from pricing_core.q_function import q_values, with_range
from schemas.topics import PRICE_DECISIONS, TRANSITIONS
from schemas.transitions import TransitionClosed
from streams.learner.rows import RowMaker, obstacle, transitions_of
from streams.models.acts import promote, publish
from streams.models.pinned import pin
from streams.models.read import read_one
from streams.promoter.run import PROMOTER
from tests.integration.shop import new_settings
from tests.integration.worker_process import each_committed, read_committed, running_program, running_worker, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(580)]

SHIPPED = load_model()
EPSILON, OFFERS, DAY_S, PARTITIONS = 0.5, 300, 86_400, 2
LEAST_TRANSITIONS = 7_000
TRAINING = Training(preset="none", seed=1, backend="cpu", jax="0", score={})
NO_BREAKER = {f"breaker_{name}_bp": 10_000 for name in ("changed", "mean_move", "one_price", "anomalous", "fleet")}


def likes(params, **weights):
    """Values features of candidates by so much more, everywhere."""
    names, kernel = [feature.name for feature in CANDIDATE_FEATURES], jnp.asarray(params["direct"]["kernel"])
    for name, weight in weights.items():
        kernel = kernel.at[names.index(name), 0].add(weight)
    wide = jnp.full(len(FEATURES), CLIP)
    return with_range(dict(params) | {"direct": {"kernel": kernel}}, -wide, wide)


def noisy(params, share):
    draw = np.random.default_rng(0).normal
    return jax.tree.map(lambda w: w + share * np.asarray(w).std() * draw(size=w.shape).astype(np.float32), params)


RUNNING = likes(noisy(SHIPPED.params, 0.3))
"""As the model that ships, but for noise in its weights."""


def overfit(settings, rows=200, steps=400):
    """The running model, fitted to single transitions until it knows them by heart."""
    decode = msgspec.json.Decoder(TransitionClosed).decode
    found = [one for record in each_committed(settings, TRANSITIONS) if obstacle(one := decode(record.value())) is None]
    seen = transitions_of(RowMaker(Recall(load_model(settings.model_path))).rows(found[-1024:])[0][-rows:])
    reward = jnp.asarray(seen.profit / seen.profit.mean() - 1.0, jnp.float32)
    optimiser = optax.adam(3e-3)

    def loss(params):
        return ((q_values(params, *seen.seen)[jnp.arange(rows), seen.action] - reward) ** 2).mean()

    def update(carried, _):
        params, state = carried
        change, state = optimiser.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, change), state), None

    start = jax.tree.map(jnp.asarray, RUNNING)
    (params, _), _ = jax.jit(lambda p: jax.lax.scan(update, (p, optimiser.init(p)), None, length=steps))(start)
    assert loss(params) < 0.5 * loss(start)
    return params


def saved(folder, version, params):
    weights = jax.tree.map(np.asarray, params)
    name = f"{version}"
    return save_model(folder / name, weights, name="default", version=version, epsilon=EPSILON, training=TRAINING)


@pytest.fixture(scope="module")
def shop(kafka, tmp_path_factory):
    """A worker that prices badly and explores, its neighbours, and all that judges; a day takes two seconds."""
    folder = tmp_path_factory.mktemp("shop")
    settings = new_settings(
        kafka,
        partitions=PARTITIONS,
        max_offers=1024,
        http_port=0,
        tick_interval_s=0,
        decide_during_catch_up=True,
        decision_interval_s=DAY_S // 4,
        review_interval_s=DAY_S,
        acknowledgement_timeout_s=30 * DAY_S,
        promoter_shadow_s=DAY_S,
        promoter_window_s=20 * DAY_S,
        model_path=saved(folder, SHIPPED.version, RUNNING),
        **NO_BREAKER,
    )
    catalog = ("catalog", "--database", folder / "catalog.sqlite", "--market-time")
    speed = ("--days", 300, "--speedup", DAY_S / 2, "--rate", 10 * OFFERS, "--in-step")
    market = ("simulate", "--skus", OFFERS, "--seed", 5, *speed)
    with running_worker(settings, folder / "worker.log") as worker:
        worker.wait_until_ready(240)  # before the others begin: each compiles for a minute on a busy machine
        with (
            running_program(settings, folder / "catalog.log", *catalog),
            running_program(settings, folder / "market.log", *market),
            running_program(settings, folder / "outcomes.log", "outcomes"),
        ):
            wait_for(lambda: count(settings, TRANSITIONS) > LEAST_TRANSITIONS, 240, "transitions", worker)
            with running_program(settings, folder / "promoter.log", "promoter") as promoter:
                yield settings, worker
                assert promoter.poll() is None, (folder / "promoter.log").read_text("utf-8")[-4000:]


def count(settings, topic):
    """Records of a topic, those that mark transactions among them."""
    consumer, name = ck.Consumer(settings.consumer_config()), topic.full_name(settings.topic_prefix)
    try:
        ends = [consumer.get_watermark_offsets(ck.TopicPartition(name, p), 10)[1] for p in range(PARTITIONS)]
    finally:
        consumer.close()
    return sum(ends)


def judged(settings, worker, path):
    """Publish a candidate, and wait until the promoter has judged it; its version and what was said."""
    name, _ = publish(settings, path, "ann", "try it")
    version = int(name.partition("/")[2])

    def said():
        known = read_one(settings, "default")
        status = known.statuses.get(version)
        return known.status_of(version) == "live" or (status is not None and status.against is not None)

    wait_for(said, 150, f"{name} judged", worker)
    known = read_one(settings, "default")
    return known.status_of(version), known.statuses.get(version)


def sabotaged(settings):
    return {
        "clone of a price cutter": likes(RUNNING, log_ratio=-5.0),
        "sign flipped": likes(RUNNING, plan=-10.0),
        "overfit on 200 transitions": overfit(settings),
    }


def test_three_sabotaged_candidates_are_refused_and_a_better_one_is_promoted(shop, tmp_path):
    settings, worker = shop
    for version, (name, params) in enumerate(sabotaged(settings).items(), SHIPPED.version + 1):
        status, said = judged(settings, worker, saved(tmp_path, version, params))
        assert (status, said.by) == ("candidate", PROMOTER), name
        assert any(reason.startswith(("off-policy: ", "roll-outs: ")) for reason in said.reasons), (name, said.reasons)
        assert said.against.startswith(f"default/{SHIPPED.version}@")

    better = saved(tmp_path, SHIPPED.version + 4, SHIPPED.params)
    status, said = judged(settings, worker, better)
    assert status == "live", said.reasons
    live = read_one(settings, "default").live
    assert (live.by, live.before) == (PROMOTER, [None])
    assert live.why.startswith("off-policy ")
    label = load_model(better).label.encode()
    wait_for(lambda: label in last_decision(settings), 60, "decisions of the promoted model", worker)


def last_decision(settings):
    return max(read_committed(settings, PRICE_DECISIONS), key=lambda record: record.timestamp()[1]).value()


def test_what_was_promoted_and_does_worse_is_rolled_back_unless_a_person_pins_it(shop, tmp_path):
    settings, worker = shop
    before = read_one(settings, "default").live
    bad = saved(tmp_path, 20, likes(SHIPPED.params, log_ratio=-0.05))
    pin(settings, "default", "ann", "to see what it does", pinned=True)
    publish(settings, bad, "ann", "it slips through")
    promote(settings, "default", 20, PROMOTER, "it slipped through")
    decided = count(settings, TRANSITIONS)
    wait_for(lambda: count(settings, TRANSITIONS) > decided + LEAST_TRANSITIONS, 150, "its decisions", worker)
    assert read_one(settings, "default").live.version == 20

    pin(settings, "default", "ann", "enough", pinned=False)
    wait_for(lambda: read_one(settings, "default").live.version != 20, 100, "rolled back", worker)
    known = read_one(settings, "default")
    assert (known.live.version, known.live.by) == (before.version, PROMOTER)
    said = known.statuses[20]
    assert said.status == "retired"
    assert any(reason.startswith("earnings: ") for reason in said.reasons)
