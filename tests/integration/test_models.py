"""The registry of models on a real Kafka: versions never change, and acts are whole."""

import asyncio
import itertools
import subprocess
import sys
import threading

import confluent_kafka as ck
import jax
import msgspec
import orjson
import pytest

from pricing_core.model_file import Training, load_model, save_model
from pricing_core.q_function import init_params
from schemas.topics import Q_MODELS
from streams.errors import BrokerUnreachable, InputRefused, ModelRefused, NotPromoted, Overtaken
from streams.metrics import Metrics
from streams.models import acts, follow
from streams.models.acts import Act, promote, publish, rollback, set_status
from streams.models.follow import ModelWatch
from streams.models.pinned import pin
from streams.models.read import load_published, models_of, place_of, read_all, read_one
from streams.serving_model import load_serving_model
from tests.integration.shop import new_settings
from tests.integration.worker_process import ROOT, environment_of, read_committed

pytestmark = pytest.mark.kafka

TRAINING = Training(preset="none", seed=1, backend="cpu", jax="0", score={}, parent="m/1@0", trained_on={"t/0": (3, 9)})


@pytest.fixture(scope="module")
def settings(kafka):
    return new_settings(kafka)


def saved(folder, name, version, shift=0.1):
    params = jax.tree.map(lambda weights: weights + shift, init_params(jax.random.key(1)))
    return save_model(folder / f"{version}-{shift}", params, name=name, version=version, epsilon=0.0, training=TRAINING)


def test_what_was_published_is_loaded_by_its_label_whole_or_in_parts_or_by_uri(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(acts, "PART_BYTES", 4_000)
    in_parts, by_uri = saved(tmp_path, "whole", 1), saved(tmp_path, "whole", 2, 0.2)

    assert publish(settings, in_parts, "ann", "first") == ("whole/1", True)
    assert publish(settings, by_uri, "ann", "too large", by_uri=True) == ("whole/2", True)
    models = models_of(settings)
    for path in (in_parts, by_uri):
        model = load_model(path)
        found = models.get(model.label)
        assert found.manifest == model.manifest
        assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), found.params, model.params))
    assert read_one(settings, "whole").versions[1].parts == 4
    assert models.get("whole/3@0") is None

    by_uri.write_bytes(by_uri.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelRefused, match="SHA-256"):
        models_of(settings).get(model.label)


def test_a_version_never_changes(settings, tmp_path):
    publish(settings, saved(tmp_path, "fixed", 1), "ann", "first")
    before = read_committed(settings, Q_MODELS)

    assert publish(settings, saved(tmp_path, "fixed", 1), "bob", "again") == ("fixed/1", False)
    with pytest.raises(ModelRefused, match="versions never change"):
        publish(settings, saved(tmp_path, "fixed", 1, 0.3), "bob", "others")
    assert len(read_committed(settings, Q_MODELS)) == len(before)


def test_of_two_acts_at_once_the_later_one_counts_and_the_other_writes_nothing(settings, tmp_path):
    publish(settings, saved(tmp_path, "two", 1), "ann", "first")
    first = Act(settings, "two", "ann", "retire it")
    second = Act(settings, "two", "bob", "try it")

    second.write(second.status(1, "shadow", "try it"))
    with pytest.raises(BrokerUnreachable, match="again"):
        first.write(first.status(1, "retired", "retire it"))
    assert read_one(settings, "two").status_of(1) == "shadow"


def test_an_act_knows_what_was_committed_behind_the_open_transaction_of_another_model(settings, tmp_path):
    """Models share partitions: what lies behind an open transaction there is not to be seen by readers yet."""
    publish(settings, saved(tmp_path, "here", 1), "ann", "first")
    place = place_of(settings, "here", settings.partitions)
    names = (f"there-{number}" for number in itertools.count())
    other = next(name for name in names if place_of(settings, name, settings.partitions) == place)
    theirs = ck.Producer({**settings.producer_config(), "transactional.id": other})
    theirs.init_transactions(30)
    before = Act(settings, "here", "ann", "no good")
    theirs.begin_transaction()
    theirs.produce(place.topic, b"{}", f"{other}/1".encode(), place.partition)
    theirs.flush(30)
    before.write(before.status(1, "retired", "no good"))
    ending = threading.Timer(3.0, theirs.commit_transaction, (30,))
    ending.start()
    try:
        assert Act(settings, "here", "bob", "look").model.status_of(1) == "retired"
    finally:
        ending.join()


def test_a_worker_that_starts_while_the_live_model_cannot_be_fetched_says_so_and_tries_again(
    kafka, tmp_path, monkeypatch
):
    """The file of its weights is away, and comes back."""
    settings = new_settings(kafka)
    own = load_serving_model(settings)
    path = save_model(tmp_path, own.params, name="default", version=99, epsilon=0.0, training=TRAINING)
    publish(settings, path, "ann", "large", by_uri=True)
    promote(settings, "default", 99, "ann", "try it")
    away = path.rename(tmp_path / "away")
    monkeypatch.setattr(follow, "REFUSED_RETRY_S", 0.1)
    watch, served, refused = ModelWatch(settings, Metrics()), [], []
    assert watch.first().label == own.label

    def refuse(name):
        refused.append(name)
        if len(refused) == 2:
            away.rename(path)

    async def scenario():
        taken_over = asyncio.Event()

        def serve(model):
            served.append(model.version)
            taken_over.set()

        following = asyncio.create_task(watch.run(serve, refuse))
        await asyncio.wait_for(taken_over.wait(), 60)
        following.cancel()

    asyncio.run(scenario())
    assert refused[:2] == ["default/99"] * 2
    assert served == [99]


def test_what_is_live_is_promoted_rolled_back_and_retired(settings, tmp_path):
    for version in (1, 2):
        publish(settings, saved(tmp_path, "m", version, version / 10), "ann", "new")
    statuses = lambda: [read_one(settings, "m").status_of(version) for version in (1, 2)]  # noqa: E731
    assert statuses() == ["candidate", "candidate"]
    promote(settings, "m", 1, "ann", "good")
    promote(settings, "m", 2, "ann", "better")
    assert statuses() == ["retired", "live"]
    assert read_one(settings, "m").live.before == [None, 1]
    with pytest.raises(InputRefused, match="retired by ann"):
        promote(settings, "m", 1, "bob", "back")
    with pytest.raises(InputRefused, match="live"):
        set_status(settings, "m", 2, status="retired", by="bob", why="no")
    assert rollback(settings, "m", "bob", "worse") == (2, 1)
    assert statuses() == ["live", "retired"]
    assert rollback(settings, "m", "bob", "worse") == (1, None)
    assert statuses() == ["retired", "retired"]
    with pytest.raises(InputRefused, match="none to go back from"):
        rollback(settings, "m", "bob", "worse")
    with pytest.raises(InputRefused, match="m/1, m/2"):
        promote(settings, "m", 3, "ann", "what?")


def test_what_was_judged_beside_another_model_or_before_a_pin_is_neither_promoted_nor_rolled_back(settings, tmp_path):
    for version in (1, 2):
        publish(settings, saved(tmp_path, "judged", version, version / 10), "ann", "new")
    judged = read_one(settings, "judged")
    pin(settings, "judged", "ann", "the week before Christmas", pinned=True)
    with pytest.raises(Overtaken, match="judge again"):
        promote(settings, "judged", 1, "promoter", "it passed", judged=judged)
    promote(settings, "judged", 2, "ann", "a person may")
    with pytest.raises(Overtaken):
        rollback(settings, "judged", "promoter", "it earns less", judged=judged)
    known = read_one(settings, "judged")
    assert (known.live.version, known.is_pinned) == (2, True)
    rollback(settings, "judged", "promoter", "it earns less", reasons=["earnings: less"], judged=known)
    assert read_one(settings, "judged").statuses[2].reasons == ["earnings: less"]


def test_records_of_strangers_are_left_out(settings, tmp_path):
    publish(settings, saved(tmp_path, "odd", 1), "ann", "first")
    act = Act(settings, "odd", "bob", "harm")
    other = msgspec.structs.replace(act.model.versions[1], version=2)
    act.write((b"odd/1/status/x", other), (b"odd/3", other))

    found = read_all(settings)["odd"]
    assert list(found.versions) == [1]
    assert load_published(settings, found.versions[1]).version == 1


def run(settings, *arguments):
    command = [sys.executable, "-m", "streams.cli", "models", *map(str, arguments)]
    environment = {**environment_of(settings), "JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=200, check=False)


def repricer(settings, *arguments):
    done = run(settings, *arguments)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout.decode()


def test_persons_publish_compare_promote_and_look(settings, tmp_path):
    ours = settings.model_copy(update={"model_name": "cli"})
    for version in (1, 2):
        path = saved(tmp_path, "cli", version, version / 10)
        assert repricer(ours, "publish", path, "--why", "new", "--by", "ann") == f"cli/{version} is a candidate now\n"
    refused = run(ours, "promote", "cli/2", "--why", "it is a test", "--by", "bob")
    assert refused.returncode == NotPromoted.exit_code
    assert "off-policy: 0 logged decisions" in refused.stderr.decode()
    *asked, explores = read_one(ours, "cli").statuses[2].reasons
    assert [reason.partition(":")[0] for reason in asked] == ["off-policy", "roll-outs", "guards", "shadow"]
    assert explores == "it would explore 0.0% of the decisions, and 6.0% are explored now"
    repricer(ours, "retire", "cli/2", "--why", "it was bad")
    repricer(ours, "gate", "cli/2")
    assert read_one(ours, "cli").status_of(2) == "retired"  # to be asked about does not bring it back
    repricer(ours, "promote", "cli/2", "--force", "--why", "it is a test", "--by", "bob")
    found = {
        one["version"]: one
        for line in repricer(ours, "list", "--json").splitlines()
        if (one := orjson.loads(line))["name"] == "cli"
    }
    assert {version: one["status"] for version, one in found.items()} == {1: "candidate", 2: "live"}
    assert (found[2]["live_set"]["by"], found[2]["live_set"]["why"]) == ("bob", "it is a test")
    assert found[2]["manifest"]["training"]["trained_on"] == {"t/0": [3, 9]}
    text = repricer(ours, "show", "cli/2")
    assert "it is a test" in text
    assert "t/0 [3, 9)" in text
    differs = orjson.loads(repricer(ours, "diff", "cli/1", "own", "--json"))
    assert 0 < differs["differing_decisions"] <= differs["golden_decisions"]
    assert differs["weights"]["offer.bias"][0] > 0.0
    assert "cli/2 is retired" in repricer(ours, "rollback", "--why", "enough")
    assert "retired" in repricer(ours, "list")
