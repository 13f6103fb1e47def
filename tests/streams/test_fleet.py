"""All shards together may do less than each alone; whoever stands for the fleet's sake tells the others."""

import msgspec
import pytest
from msgspec.structs import replace

from pricing_core.breaker import Excess
from pricing_core.features import HOLD
from schemas.codec import encode
from schemas.examples import SUMMARY
from schemas.summaries import ShardSummarised, Stopped
from schemas.timestamps import format_ms
from schemas.topics import SHARD_SUMMARIES
from streams.breaker.fleet import Fleet, FleetExcess
from streams.breaker.report import standing
from streams.breaker.watch import FLEET
from streams.settings import Settings
from tests.pricing_core.events import DAY, HOUR, MINUTE, T0
from tests.streams.shards import Shards

QUIET = replace(
    SUMMARY, at=format_ms(T0 + 9 * MINUTE), offers=1000, moved=0, repeated=0, notable=0, distance_bp=0, answered=0,
    rejected=0, asked=0, anomalous=0, stopped=None,
)  # fmt: skip
BUSY = replace(QUIET, moved=450, repeated=450, notable=450, distance_bp=450_000)
"""Less than the half that a shard may do."""
TOO_MUCH = FleetExcess(Excess("many_changes", 4000, 4500), 0)


def fleet(*summaries, **settings):
    made = Fleet(Settings(**settings))
    for shard, summary in enumerate(summaries):
        made.hear(encode(replace(summary, shard=shard)))
    return made.excess(T0 + 10 * MINUTE)


def test_what_each_shard_may_do_is_too_much_if_all_do_it():
    assert fleet(BUSY, BUSY, BUSY) == TOO_MUCH
    assert fleet(BUSY, BUSY, QUIET) is None
    assert fleet(BUSY) is None
    assert fleet(BUSY, BUSY, BUSY, breaker_fleet_bp=10_000) is None


def test_what_a_shard_said_long_ago_is_not_added():
    long_ago = replace(BUSY, at=format_ms(T0))
    assert fleet(BUSY, BUSY, long_ago) is None
    assert fleet(BUSY, BUSY, BUSY, replace(QUIET, at=format_ms(T0))) is None  # its offers are there all the same


def test_a_shard_whose_event_time_runs_ahead_does_not_silence_the_others():
    ahead = replace(QUIET, event_time=format_ms(T0 + DAY))
    assert fleet(BUSY, BUSY, BUSY, BUSY, ahead, breaker_fleet_bp=7000).found.code == "many_changes"


@pytest.mark.parametrize("raw", [None, b"", b"{}", encode(replace(SUMMARY, at="yesterday"))])
def test_what_is_no_summary_is_refused_and_changes_nothing(raw):
    made = Fleet(Settings())
    with pytest.raises(ValueError, match=r"\w"):
        made.hear(raw)
    assert made.excess(T0) is None


def test_what_was_before_a_resume_is_not_added_to_what_came_after():
    resumed = replace(BUSY, resumed_at=format_ms(T0))
    assert fleet(BUSY, BUSY, resumed) is None
    assert fleet(resumed, resumed, resumed) == TOO_MUCH._replace(resumed_at=T0)


def test_one_shard_that_stands_for_the_fleets_sake_stops_all_others():
    stands = replace(QUIET, stopped=Stopped("many_changes", 4000, 4500, FLEET, format_ms(T0)))
    assert fleet(QUIET, stands, QUIET) == TOO_MUCH
    assert fleet(QUIET, replace(stands, stopped=replace(stands.stopped, source="")), QUIET) is None
    assert fleet(QUIET, stands, replace(QUIET, resumed_at=format_ms(T0))) is None


@pytest.fixture
def shop():
    """Four shards; a move of each offer is behind them."""
    made = Shards(4, offers=2000, move=HOLD + 1, breaker_mean_move_bp=550)
    made.sell(1200)
    made.tick()
    made.answer(made.changes())
    made.published.clear()
    return made


def summaries(shop):
    found = shop.taken(SHARD_SUMMARIES)
    return [msgspec.convert(each, ShardSummarised) for each in found]


def watched(shop, made):
    """What every worker does with the summaries that have come."""
    for summary in shop.taken(SHARD_SUMMARIES):
        made.hear(encode(msgspec.convert(summary, ShardSummarised)))
    found = made.excess(shop.wall)
    for shard in shop.shards.values() if found else ():
        shop.published += shop.pipeline.stop(shard, found, shop.wall)
    return found


def test_shards_tell_what_is_new_no_more_often_than_they_should(shop):
    shop.tick(10_000)
    assert [s.shard for s in summaries(shop)] == [0, 1, 2, 3]
    shop.tick(10_000)
    assert summaries(shop) == []
    shop.model(HOLD - 1)
    shop.tick(7 * HOUR)
    found = summaries(shop)
    assert sum(s.repeated for s in found) == sum(s.offers for s in found) == 1200
    shop.restart(2)
    assert [s.shard for s in summaries(shop)] == [2]  # a new owner does not know what was said


def test_the_fleet_stops_moves_that_each_shard_may_make_and_starts_again_when_a_person_says_so(shop):
    made = Fleet(shop.settings)
    shop.model(HOLD - 2)  # 2.5 %: nothing notable, on no shard
    for _ in range(2):
        shop.tick(7 * HOUR)
        shop.answer(shop.changes())
        assert watched(shop, made) is None
    shop.model(HOLD - 3)  # 5 % of all offers: what a shard may do, and more than the fleet may
    shop.tick(7 * HOUR)
    assert all(shard.breaker.stop is None for shard in shop.shards.values())
    assert watched(shop, made).found[:2] == ("mean_move", 440)
    assert {shard.modes_in_force.everything for shard in shop.shards.values()} == {"HALTED"}
    assert [a["code"] for a in shop.alarms()] == ["breaker_fleet"] * 4
    assert len(list(standing(summaries(shop)))) == 4
    shop.answer(shop.changes())
    shop.control("ACTIVE", at=shop.wall + 1)
    assert watched(shop, made).resumed_at == 0  # what it has heard is from before
    assert {shard.modes_in_force.everything for shard in shop.shards.values()} == {"ACTIVE"}
    shop.tick(MINUTE)
    assert watched(shop, made) is None
    assert {shard.modes_in_force.everything for shard in shop.shards.values()} == {"ACTIVE"}


def test_a_shard_that_comes_from_another_worker_is_stopped_like_the_others(shop):
    made = Fleet(shop.settings)
    shop.model(HOLD - 3)
    shop.tick(7 * HOUR)
    away = shop.shards.pop(3)
    assert watched(shop, made) is not None
    shop.shards[3] = away
    shop.tick(HOUR)  # the window has passed
    assert away.breaker.stop is None
    assert watched(shop, made) is not None
    assert away.breaker.stop.source == FLEET
