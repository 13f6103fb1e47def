"""Families on a real Kafka: variants in the partitions of two workers, one of which is killed; and their records."""

import contextlib
import signal

import numpy as np
import orjson
import pytest
from msgspec.structs import replace

from schemas.examples import RIVAL
from schemas.topics import COMPETITOR_PRICES, FAMILY_SUMMARIES, PRICE_APPLIED, PRICE_DECISIONS
from streams.replay.again import Replayer, question_of
from streams.replay.decision_log import DecisionLog
from streams.replay.rebuild import Rebuild
from streams.serving_model import load_serving_model
from tests.integration.recomputation import check_log
from tests.integration.shop import Publisher, new_settings, now, policy, skus_of_every_partition
from tests.integration.worker_process import consumer_lag, read_committed, running_program, running_worker, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(580)]

SPREAD = 500
EVER = (0, 2**53)
FREE = {"competitor_rule": "match", "min_change_bp": 0, "max_step_bp": 10_000, "max_daily_change_bp": 10_000}
FREE |= {"promotion_price": None, "promotion_from": None, "promotion_to": None}


def pull(*skus, price):
    return [
        replace(RIVAL, sku=sku, price=price, shipping=0, in_stock=True, event_id=f"{sku}-{now()}", observed_at=now())
        for sku in skus
    ]


def prices(settings, skus):
    """What the catalog shows of each variant."""
    shown = dict.fromkeys(skus, 1299)
    for record in read_committed(settings, PRICE_APPLIED):
        answer = orjson.loads(record.value())
        shown[answer["sku"]] = answer["price"]
    return shown


def require_no_move_out_of_the_family(founds):
    """Of what was known when each price was moved. Returns how many there were."""
    moved = [found for found in founds if found.record.outcome == "changed"]
    policies = question_of(moved).recorded.policies
    known = policies["family_count"] > 0
    price = np.array([found.record.price for found in moved])
    before = np.array([found.record.previous_price for found in moved])
    assert (policies["family_count"] != -1).all()
    up, down = known & (price > before), known & (price < before)
    assert (price[up] * 10_000 <= policies["family_low"][up] * (10_000 + SPREAD)).all()
    assert (price[down] * (10_000 + SPREAD) >= policies["family_high"][down] * 10_000).all()
    return len(moved)


def test_variants_in_the_shards_of_two_workers_stay_together_through_a_kill(kafka, tmp_path):
    settings = new_settings(kafka, decision_interval_s=1, tick_interval_s=0.5, breaker_least=1000)
    other = settings.model_copy(update={"instance": "b"})
    publisher = Publisher(settings)
    skus = [sku for stem in ("red", "blue") for sku in skus_of_every_partition(settings, stem)]
    with contextlib.ExitStack() as at_end:
        catalog = ("catalog", "--database", tmp_path / "catalog.sqlite")
        at_end.enter_context(running_program(settings, tmp_path / "catalog.log", *catalog))
        worker = at_end.enter_context(running_worker(settings, tmp_path / "a.log"))
        second = at_end.enter_context(running_worker(other, tmp_path / "b.log"))
        for each in (worker, second):
            each.wait_until_ready()
        rule = {"family": "chair", "max_family_spread_bp": SPREAD, **FREE}
        publisher.tell(*pull(*skus, price=1299))  # nothing is left to the model
        wait_for(lambda: consumer_lag(settings, COMPETITOR_PRICES) == 0, 60, "the market to be heard", worker)
        publisher.tell(*[policy(sku, 1, ceiling=1999, **rule) for sku in skus])
        wait_for(lambda: len(read_committed(settings, FAMILY_SUMMARIES)) >= 4, 60, "a summary of each shard", worker)

        publisher.tell(*pull(skus[0], price=1000))
        wait_for(lambda: prices(settings, skus)[skus[0]] < 1299, 60, "a cut", worker)
        assert prices(settings, skus) == dict.fromkeys(skus, 1299) | {skus[0]: 1238}

        second.end(signal.SIGKILL)
        publisher.tell(*pull(*skus, price=1100))
        wait_for(lambda: set(prices(settings, skus).values()) == {1100}, 120, "all prices beside the market", worker)
        publisher.tell(*pull(skus[0], skus[3], price=1500))
        wait_for(lambda: all(prices(settings, skus)[sku] == 1155 for sku in (skus[0], skus[3])), 60, "a raise", worker)
        assert worker.end(signal.SIGTERM) == 0

    founds = list(DecisionLog(settings).between(*EVER))
    assert require_no_move_out_of_the_family(founds) > len(skus)
    check_log(settings)

    shown = prices(settings, skus)
    said = {record.key(): orjson.loads(record.value()) for record in read_committed(settings, FAMILY_SUMMARIES)}
    assert sum(summary["members"] for summary in said.values()) == len(skus)
    assert min(summary["lowest"] for summary in said.values()) == min(shown.values())
    assert max(summary["highest"] for summary in said.values()) == max(shown.values())

    replayer = Replayer(settings, [load_serving_model(settings)])
    report = replayer.replay(founds)
    assert (report.identical, report.not_recomputed) == (len(founds), {})
    states = Rebuild(settings, replayer).run(founds)
    assert (states.different, states.not_rebuilt, states.without_policy) == (0, {}, 0)
    assert len(read_committed(settings, PRICE_DECISIONS)) == len(founds)
