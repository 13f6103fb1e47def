"""Persons step in, on a real Kafka: what they say holds through a crash, has one effect, and leaves a right log."""

import signal
import subprocess
import sys
import time

import orjson
import pytest

from schemas.timestamps import format_ms
from schemas.topics import COMMANDS, PRICE_APPLIED, PRICE_CHANGES, PRICE_DECISIONS, offer_key
from streams.clock import wall_ms
from tests.integration.recomputation import check_log
from tests.integration.shop import new_settings, order, policy, records_of
from tests.integration.worker_process import (
    ROOT,
    environment_of,
    read_committed,
    wait_for,
    wait_until_read,
)

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("worker", "catalog")]

OFFERS = 40


@pytest.fixture(scope="module")
def settings(kafka):
    return new_settings(kafka, decision_interval_s=1, tick_interval_s=1)


def repricer(settings, *arguments):
    command = [sys.executable, "-m", "streams.cli", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_of(settings), check=True, timeout=120, capture_output=True, text=True
    )
    return done.stdout


def operate(settings, *arguments):
    return repricer(settings, *arguments, "--why", "a test", "--by", "ann")


def decided(settings, sku, **wanted):
    found = records_of(settings, PRICE_DECISIONS, sku)
    return [d for d in found if all(d[name] == value for name, value in wanted.items())]


def prices(settings, sku):
    return [(change["version"], change["price"]) for change in records_of(settings, PRICE_CHANGES, sku)]


def by_sku(settings, topic, stem):
    found = {}
    for record in read_committed(settings, topic):
        if record.key().startswith(offer_key("web", stem)):
            found.setdefault(record.key(), []).append(orjson.loads(record.value()))
    return found


def test_a_pause_survives_a_new_policy_and_a_crash_until_somebody_resumes_the_offer(settings, publisher, worker):
    publisher.tell(policy("paused", 1, ceiling=1199))
    wait_for(lambda: records_of(settings, PRICE_APPLIED, "paused"), 30, "the first change", worker)
    operate(settings, "offers", "pause", "web:paused")
    wait_for(lambda: decided(settings, "paused", reason="paused_by_operator"), 30, "a hold", worker)
    worker.end(signal.SIGKILL)
    worker.start()
    worker.wait_until_ready()
    publisher.tell(policy("paused", 2, ceiling=1099), order("paused"))
    wait_for(lambda: decided(settings, "paused", policy_version=2, reason="paused_by_operator"), 30, "held", worker)
    assert prices(settings, "paused") == [(1, 1199)]
    (paused,) = map(orjson.loads, repricer(settings, "offers", "paused", "--json").splitlines())
    assert (paused["offer"], paused["by"], paused["why"]) == ("web:paused", "ann", "a test")
    operate(settings, "offers", "resume", "web:paused")
    wait_for(lambda: prices(settings, "paused") == [(1, 1199), (2, 1099)], 30, "the repair", worker)


def test_an_approved_price_is_published_once_although_the_approval_comes_three_times(settings, publisher, worker):
    publisher.tell(policy("asked", 1, ceiling=1199, mode="approve"))
    wait_for(lambda: decided(settings, "asked", outcome="proposed"), 30, "a proposal", worker)
    assert prices(settings, "asked") == []
    (asked,) = map(orjson.loads, repricer(settings, "approvals", "list", "--json").splitlines())
    assert (asked["offer"], asked["price"], asked["previous_price"]) == ("web:asked", 1199, 1299)
    for _ in range(2):
        operate(settings, "approvals", "approve", asked["decision_id"])
    (first, *_) = [r for r in read_committed(settings, COMMANDS) if r.key() == b"web:asked"]
    publisher.put(COMMANDS, first.key(), first.value(), first.partition())  # a resend of the very same one
    wait_for(lambda: records_of(settings, PRICE_APPLIED, "asked"), 30, "the catalog's answer", worker)
    wait_until_read(worker, settings, COMMANDS, 30)
    wait_for(lambda: decided(settings, "asked", reason="superseded"), 30, "the refusal of the second", worker)
    assert prices(settings, "asked") == [(1, 1199)]
    (approved,) = decided(settings, "asked", outcome="changed")
    assert approved["command"] == first.offset()
    assert repricer(settings, "approvals", "list", "--json") == ""
    assert [a["status"] for a in records_of(settings, PRICE_APPLIED, "asked")] == ["applied"]


def test_a_halted_channel_leaves_the_other_one_active(settings, publisher, worker):
    operate(settings, "control", "halt", "--channel", "shop")
    time.sleep(1)
    publisher.tell(policy("both", 1, ceiling=1199, channel="shop"), policy("both", 1, ceiling=1199))
    wait_for(lambda: prices(settings, "both") == [(1, 1199)], 30, "the change on the web", worker)

    def held():
        found = [orjson.loads(r.value()) for r in read_committed(settings, PRICE_DECISIONS) if r.key() == b"shop:both"]
        return found and {(d["reason"], d["run_mode"], d["run_mode_scope"]) for d in found}

    wait_for(held, 30, "a hold in the shop", worker)
    assert held() == {("halted", "HALTED", "channel")}
    operate(settings, "control", "resume", "--channel", "shop")


def test_a_rollback_takes_prices_back_once_while_all_is_halted_and_they_stay(settings, publisher, worker):
    skus = [f"back-{number}" for number in range(OFFERS)]
    publisher.tell(*[policy(sku, 1, ceiling=1299, floor=1000) for sku in skus])
    moment = format_ms(wall_ms())
    publisher.tell(*[policy(sku, 2, ceiling=1150, floor=1000) for sku in skus])  # the mistake
    wait_for(lambda: len(by_sku(settings, PRICE_APPLIED, "back-")) == OFFERS, 60, "the wrong prices", worker)
    operate(settings, "control", "halt")
    publisher.tell(*[policy(sku, 3, ceiling=1299, floor=1000) for sku in skus])
    wait_until_read(worker, settings, PRICE_APPLIED, 30)
    only = ("--since", moment, *(part for sku in skus for part in ("--offer", f"web:{sku}")))
    assert "40 offers go back" in operate(settings, "rollback", *only, "--dry-run")
    assert [r for r in read_committed(settings, COMMANDS) if r.key().startswith(b"web:back-")] == []
    for _ in range(2):
        operate(settings, "rollback", *only)
    wait_for(
        lambda: all(len(answers) == 2 for answers in by_sku(settings, PRICE_APPLIED, "back-").values()),
        60,
        "the right prices",
        worker,
    )
    wait_until_read(worker, settings, COMMANDS, 30)
    for changes in by_sku(settings, PRICE_CHANGES, "back-").values():
        assert [(change["price"], change["reason"]) for change in changes] == [
            (1150, "bounds_repair"),
            (1299, "rollback"),
        ]
    operate(settings, "control", "resume")
    publisher.tell(*[policy(sku, 4, ceiling=1200, floor=1000) for sku in skus])
    wait_for(
        lambda: all(
            any(d["policy_version"] == 4 and d["reason"] == "paused_by_operator" for d in decisions)
            for decisions in by_sku(settings, PRICE_DECISIONS, "back-").values()
        ),
        30,
        "holds under the next policy",
        worker,
    )
    assert "0 offers go back, 40 are there already" in operate(settings, "rollback", *only)
    operate(settings, "offers", "resume", "--rolled-back")
    wait_for(
        lambda: all(changes[-1]["price"] == 1200 for changes in by_sku(settings, PRICE_CHANGES, "back-").values()),
        30,
        "prices that move again",
        worker,
    )


def test_what_all_these_tests_have_left_in_the_log_is_right_and_can_be_decided_again(settings, worker):
    check_log(settings)
    worker.require_running()
    report = orjson.loads(repricer(settings, "replay", "--from", "1h", "--json"))
    assert report["decisions"] == report["identical"] > OFFERS
    assert report["states"]["differences"] == []


def test_a_state_that_is_made_again_keeps_pauses_and_carries_no_command_out_twice(settings, publisher, worker):
    operate(settings, "offers", "pause", "web:paused")
    wait_until_read(worker, settings, COMMANDS, 30)
    before = {key: len(changes) for key, changes in by_sku(settings, PRICE_CHANGES, "").items()}
    worker.end(signal.SIGTERM)
    time.sleep(settings.session_timeout_s)
    repricer(settings, "state", "rebuild")
    worker.start()
    worker.wait_until_ready()
    held = len(decided(settings, "paused", reason="paused_by_operator"))
    publisher.tell(order("paused"), order("back-0"), order("asked"))
    wait_for(lambda: len(decided(settings, "paused", reason="paused_by_operator")) > held, 30, "a hold", worker)
    time.sleep(3)  # three ticks: time for a command to be carried out again
    assert {key: len(changes) for key, changes in by_sku(settings, PRICE_CHANGES, "").items()} == before
    check_log(settings)
