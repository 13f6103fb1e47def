"""Exact replay on a real Kafka: ten thousand decisions; amid them a kill, another model, other policies, a rebalance.

All are made again from their records, and their states from the source topics; a changed byte is found.
"""

import contextlib
import re
import signal
import subprocess
import sys

import jax
import msgspec
import numpy as np
import orjson
import pytest

from pricing_core.decision_inputs import INPUTS
from pricing_core.explanation import asked, look_for_flips, smallest
from pricing_core.model_file import Training, load_model, save_model
from pricing_core.q_function import init_params
from schemas.policies import OfferPolicy
from schemas.topics import HOT_SOURCES, OFFER_POLICIES, PRICE_DECISIONS
from streams.log_reader import Offsets
from streams.replay.again import Replayer, question_of
from streams.replay.decision_log import DecisionLog
from streams.replay.rebuild import Rebuild
from streams.serving_model import load_serving_model
from streams.settings import PREFIX
from streams.transport.partition import Partition
from tests.integration.shop import Publisher, new_settings
from tests.integration.worker_process import (
    ROOT,
    WorkerProcess,
    environment_of,
    read_committed,
    running_program,
    running_worker,
    wait_for,
    wait_until_read,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(580)]

DECISIONS, SKUS = 10_200, 1000
EVER = (0, 2**53)
UNTRAINED = Training(preset="none", seed=1, backend="cpu", jax="0", score={})


@pytest.fixture(scope="module")
def settings(kafka):
    return new_settings(kafka, partitions=2, tick_interval_s=0, max_offers=4096)


@pytest.fixture(scope="module")
def other_model(tmp_path_factory):
    """A model that prices otherwise than the shipped one."""
    folder = tmp_path_factory.mktemp("model")
    return save_model(folder, init_params(jax.random.key(1)), name="p", version=1, epsilon=0.1, training=UNTRAINED)


@pytest.fixture(scope="module", autouse=True)
def history(settings, other_model, tmp_path_factory):
    """A market whose worker is killed, goes on with another model, is told other policies, and joined by another."""
    folder = tmp_path_factory.mktemp("replay")
    worker = WorkerProcess(settings, folder / "a.log")
    market = ("simulate", "--events", 1_000_000, "--rate", 1000, "--skus", SKUS, "--seed", 5, "--speedup", 14_400)
    with contextlib.ExitStack() as at_end:
        at_end.callback(worker.kill_if_running)
        worker.start()
        worker.wait_until_ready()
        catalog = ("catalog", "--database", folder / "catalog.sqlite")
        at_end.enter_context(running_program(settings, folder / "catalog.log", *catalog))
        running_market = at_end.enter_context(running_program(settings, folder / "market.log", *market))
        wait_for(lambda: decided(settings) > DECISIONS // 4, 150, "a quarter of the decisions", worker)
        worker.end(signal.SIGKILL)
        of_model = {PREFIX + "MODEL_PATH": str(other_model)}
        worker = WorkerProcess(settings, folder / "a.log", **of_model)
        at_end.callback(worker.kill_if_running)
        worker.start()
        wait_for(lambda: decided(settings) > DECISIONS // 2, 150, "half of the decisions", worker)
        tighten_policies(settings)
        with running_worker(settings.model_copy(update={"instance": "b"}), folder / "b.log", **of_model) as second:
            second.wait_until_ready()
            wait_for(lambda: decided(settings) > 9 * DECISIONS // 10, 150, "nearly all decisions", worker)
            second.end(signal.SIGTERM)
        wait_for(lambda: decided(settings) > DECISIONS, 100, "all decisions", worker)
        running_market.send_signal(signal.SIGTERM)
        running_market.wait(100)
        for topic in HOT_SOURCES:
            wait_until_read(worker, settings, topic, deadline_s=100)
        assert worker.end(signal.SIGTERM) == 0


def decided(settings):
    name = PRICE_DECISIONS.full_name(settings.topic_prefix)
    tps = [Partition(name, p) for p in range(settings.partitions)]
    return sum(Offsets(settings.consumer_config()).end(tps, committed=True).values())


def tighten_policies(settings):
    """Version 2 of every policy: a smaller step."""
    publisher = Publisher(settings)
    for record in read_committed(settings, OFFER_POLICIES):
        old = msgspec.json.decode(record.value(), type=OfferPolicy)
        publisher.tell(msgspec.structs.replace(old, version=old.version + 1, max_step_bp=300))


@pytest.fixture(scope="module")
def founds(settings):
    return list(DecisionLog(settings).between(*EVER))


@pytest.fixture(scope="module")
def replayer(settings, other_model):
    return Replayer(settings, [load_serving_model(settings), load_model(other_model)])


def test_all_decisions_come_out_again_byte_for_byte(founds, replayer):
    report = replayer.replay(founds)
    assert report.decisions == len(founds) > 10_000
    assert report.as_dict() == {
        "decisions": len(founds),
        "identical": len(founds),
        "different": 0,
        "differences": [],
        "not_recomputed": {},
    }
    versions = {found.record.policy_version for found in founds}
    assert len(versions - {None}) > 1
    assert len({found.record.model for found in founds}) == 2
    outcomes = {found.record.outcome for found in founds}
    assert {"changed", "held"} <= outcomes


def test_all_states_come_out_again_from_the_source_topics(settings, founds, replayer):
    report = Rebuild(settings, replayer).run(founds)
    assert (report.different, report.differences, report.not_rebuilt, report.without_policy) == (0, [], {}, 0)
    assert report.compared == len(founds)
    assert report.identical > len(founds) // 2
    assert report.largest_rounding < 1e-5


def test_from_the_middle_on_each_offer_begins_with_its_first_decision(settings, founds, replayer):
    middle = sorted(found.now for found in founds)[len(founds) // 2]
    later = list(DecisionLog(settings).between(middle, EVER[1]))
    report = Rebuild(settings, replayer).run(later)
    assert (report.different, report.differences, report.not_rebuilt) == (0, [], {})
    assert report.begun == len({found.key for found in later})
    assert report.compared == len(later) - report.begun


def test_flips_of_decisions_of_all_kinds_are_flips(founds, replayer):
    by_reason = {found.record.reason: found for found in founds}
    flips = 0
    for found in by_reason.values():
        replayer.use_model_of(found)
        question = question_of([found])
        nearest = smallest(look_for_flips(replayer.engine, question))
        if nearest is not None:
            (one,) = [one for one in INPUTS if one.name == nearest.name]
            was = replayer.engine.decide_again(question)
            then = replayer.engine.decide_again(asked(question, [(one, np.array([nearest.flips_at]))]))
            rise, rise_then = was.price - was.previous_price, then.price - then.previous_price
            assert was.outcome != then.outcome or np.sign(rise) != np.sign(rise_then)
            flips += 1
    assert {"demand", "model_holds"} <= by_reason.keys()  # others come as workers and catalog happen to run
    assert flips >= 2


def test_a_changed_byte_of_a_recorded_feature_is_found(founds, replayer):
    place = next(i for i, found in enumerate(founds) if found.record.outcome == "changed" and i > 100)
    found = founds[place]
    raw = re.sub(rb'"features":\[(-?)(\d)', lambda m: b'"features":[' + m[1] + bytes([m[2][0] ^ 1]), found.raw, count=1)
    report = replayer.replay([*founds[:place], found._replace(raw=raw), *founds[place + 1 :]])
    assert (report.identical, report.different) == (len(founds) - 1, 1)
    assert report.differences[0].decision_id == found.record.decision_id
    assert report.differences[0].field.startswith("features.")


def test_the_commands_say_the_same(settings, founds, other_model):
    ever = ("--from", "1970-01-01T00:00:00Z", "--json")
    replayed = orjson.loads(run(settings, "replay", *ever, "--with-model", other_model))
    assert (replayed["decisions"], replayed["identical"]) == (len(founds), len(founds))
    assert replayed["states"]["different"] == 0
    changed = next(found for found in founds if found.record.outcome == "changed")
    explained = orjson.loads(run(settings, "explain", changed.record.decision_id, "--json"))
    assert explained["place"] == changed.place
    assert explained["made_again"] == {"identical": True, "obstacle": None}
    assert explained["causes"]
    last = [found for found in founds if found.key == changed.key][-1]
    by_offer = orjson.loads(run(settings, "explain", "--offer", changed.key.decode(), "--json"))
    assert by_offer["decision_id"] == last.record.decision_id


def test_under_tighter_steps_and_by_another_model_other_decisions_are_found(settings, founds, other_model, tmp_path):
    skus = sorted({found.key.decode().split(":")[1] for found in founds})
    lines = [f"{sku},web,9,EUR,0.01,12.00,0.01,100000.00,2026-01-01T00:00:00Z,paused" for sku in skus]
    names = "sku,channel,version,currency,unit_cost,list_price,floor,ceiling,updated_at,mode"
    (tmp_path / "policies.csv").write_text("\n".join([names, *lines]) + "\n", "utf-8")
    ever = ("--from", "1970-01-01T00:00:00Z", "--json", "--with-model", other_model)
    paused = orjson.loads(run(settings, "whatif", "--policy", tmp_path / "policies.csv", *ever))
    changed = sum(found.record.outcome == "changed" for found in founds)
    assert (paused["decisions"], paused["outcomes"]) == (len(founds), {"changed to held": changed})
    assert paused["expected_effect"]["then"] == 0.0
    planner = save_model(tmp_path, init_params(jax.random.key(2)), name="q", version=1, epsilon=0.0, training=UNTRAINED)
    by_planner = orjson.loads(run(settings, "whatif", "--model", planner, *ever))
    assert by_planner["decisions"] == len(founds)
    assert 0 < by_planner["changed"] < len(founds)


def run(settings, *arguments):
    command = [sys.executable, "-m", "streams.cli", *map(str, arguments)]
    environment = {**environment_of(settings), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout
