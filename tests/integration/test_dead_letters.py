"""Dead letters on a real Kafka: the cause is put right, the record is replayed, and its event counts exactly once."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from schemas.codec import encode
from schemas.topics import CHANGELOG, HOT_SOURCES, OFFER_POLICIES, ORDERS, TICKS
from streams.dlq.coordinates import Coordinates
from streams.dlq.letters import Wanted, find
from streams.dlq.replay import Replayer, plan
from streams.errors import ReplayRefused
from streams.partitioner import partition_of
from streams.verify import verify
from streams.verify.changelog import ROW, SALES
from tests.integration.recomputation import latest
from tests.integration.shop import Publisher, impressions, new_settings, order, policy
from tests.integration.worker_process import (
    ROOT,
    consumer_lag,
    environment_of,
    read_committed,
    running_worker,
    wait_for,
    wait_until_read,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def settings(kafka):
    return new_settings(kafka, tick_interval_s=0)


def dlq(settings, *arguments):
    command = [sys.executable, "-m", "streams.cli", "dlq", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=environment_of(settings), capture_output=True, text=True, timeout=60, check=False
    )


def place_in(settings, publisher, key, value, partition=None):
    home = partition_of(key, settings.partitions) if partition is None else partition
    _, p, offset = publisher.put(ORDERS, key, value, home)
    return Coordinates("orders", p, offset)


def letters_at(settings, *coordinates):
    return find(settings, Wanted(coordinates=frozenset(coordinates)))


def settle(settings, worker):
    """Wait until everything is read, and check that all of it is right."""
    for topic in HOT_SOURCES:
        if topic is not TICKS:
            wait_until_read(worker, settings, topic, 60)
    report = verify(settings)
    assert (report.violated, report.complete) == ([], True), report


def units_of(settings, sku):
    """Pieces placed, as the state has them."""
    rows = latest((r.key(), r.value()) for r in read_committed(settings, CHANGELOG))
    row = rows.get(f"web:{sku}".encode())
    return 0 if row is None else int(np.frombuffer(row, ROW)["totals"][0, SALES.index("units_placed")])


def refused_for_its_currency(settings, publisher, worker, sku):
    """The policy of an offer says euros, an order dollars."""
    publisher.tell(policy(sku, 1, ceiling=1999))
    wait_until_read(worker, settings, OFFER_POLICIES, 30)
    place = place_in(settings, publisher, f"web:{sku}".encode(), encode(order(sku, currency="USD")))
    wait_for(lambda: dlq_reason(settings, place) == "currency_mismatch", 30, "the dead letter", worker)
    return place


def dlq_reason(settings, place):
    found = [letter for letter in find(settings, Wanted()) if letter.source == place]
    return found[0].content.reason if found else None


def correct_currency(settings, publisher, worker, sku):
    publisher.tell(policy(sku, 2, ceiling=1999, currency="USD"))
    wait_until_read(worker, settings, OFFER_POLICIES, 30)


def test_an_order_in_another_currency_is_replayed_when_the_policy_is_corrected_and_counts_once(
    settings, publisher, worker
):
    place = refused_for_its_currency(settings, publisher, worker, "dollars")
    correct_currency(settings, publisher, worker, "dollars")
    dry = dlq(settings, "replay", place)
    assert (dry.returncode, units_of(settings, "dollars")) == (0, 0), dry.stderr
    assert "--yes does it" in dry.stdout

    for outcome in ("replayed", "was replayed already"):
        answer = dlq(settings, "replay", place, "--yes")
        assert (answer.returncode, outcome in answer.stdout) == (0, True), answer
        settle(settings, worker)
        assert units_of(settings, "dollars") == 1
    worker.end(signal.SIGKILL)
    worker.start()
    worker.wait_until_ready()
    settle(settings, worker)
    assert units_of(settings, "dollars") == 1


def test_a_record_on_a_wrong_partition_is_replayed_to_the_right_one(settings, publisher, worker):
    key = b"web:astray"
    away = (partition_of(key, settings.partitions) + 1) % settings.partitions
    place = place_in(settings, publisher, key, encode(order("astray")), away)
    wait_for(lambda: dlq_reason(settings, place) == "wrong_partition", 30, "the dead letter", worker)
    assert dlq(settings, "replay", "--reason", "wrong_partition", "--yes").returncode == 0
    settle(settings, worker)
    assert units_of(settings, "astray") == 1


def test_offers_that_did_not_fit_are_replayed_to_a_larger_worker_also_after_its_restart(kafka, tmp_path):
    settings = new_settings(kafka, tick_interval_s=0, partitions=1, max_offers=1024)
    publisher = Publisher(settings)
    publisher.tell(*[order(f"fits-{n}") for n in range(1024)], *[order(f"late-{n}") for n in range(40)])
    with running_worker(settings, tmp_path / "small.log") as small:
        wait_until_read(small, settings, ORDERS, 120)
        assert small.end(signal.SIGTERM) == 0
    assert json.loads(dlq(settings, "list", "--summary", "--json").stdout) == {"orders": {"shard_full": 40}}
    larger = settings.model_copy(update={"max_offers": 4096})
    with running_worker(larger, tmp_path / "large.log") as large:
        large.wait_until_ready()
        for _ in range(2):
            assert dlq(settings, "replay", "--reason", "shard_full", "--yes").returncode == 0
            settle(larger, large)
        assert [units_of(settings, f"late-{n}") for n in range(40)] == [1] * 40
    assert consumer_lag(settings, ORDERS) == 0


def test_what_would_be_refused_again_is_not_replayed_unless_forced_and_what_was_cut_off_never(
    settings, publisher, worker
):
    broken = place_in(settings, publisher, b"web:x", b'{"event_id":')
    huge = place_in(settings, publisher, b"web:x", b'{"note":"' + b"x" * 300_000 + b'"}')
    wait_for(lambda: dlq_reason(settings, huge) == "too_large", 30, "the dead letters", worker)
    answer = dlq(settings, "replay", broken, huge, "--yes")
    assert (answer.returncode, answer.stderr.count("orders/")) == (21, 2), answer
    forced = dlq(settings, "replay", broken, huge, "--yes", "--force")
    assert (forced.returncode, "64 KiB" in forced.stdout, str(broken) in forced.stderr) == (21, True, False), forced
    settle(settings, worker)
    again = list(find(settings, Wanted(reasons=frozenset({"malformed_json"}))))
    assert [letter.content.value for letter in again] == [b'{"event_id":'] * 2


def test_list_and_show_say_what_is_there(settings, publisher, worker):
    place = place_in(settings, publisher, b"web:y", b'{"event_id":"\xff"}')
    wait_for(lambda: dlq_reason(settings, place) == "not_utf8", 30, "the dead letter", worker)
    lines = dlq(settings, "list", "--json", "--reason", "not_utf8", "--topic", "orders", "--since", "1h").stdout
    (row,) = map(json.loads, lines.splitlines())
    assert (row["coordinates"], row["value"], row["length"], row["replay"]) == (str(place), None, 16, None)
    assert dlq(settings, "list", "--since", "2999-01-01T00:00:00Z", "--json").stdout == ""
    shown = dlq(settings, "show", place).stdout
    assert "not_utf8" in shown
    assert "\\xff" in shown
    assert "ce_type" in shown
    assert dlq(settings, "show", "orders/0/999999").returncode == 7
    assert dlq(settings, "replay", "--yes").returncode == 7


class Interrupted(Exception):
    """The run ends here."""


class DiesBeforePublishing(Replayer):
    def _publish(self, _):
        raise Interrupted


class DiesAfterPublishing(Replayer):
    def _publish(self, letters):
        super()._publish(letters)
        raise Interrupted


def test_a_replay_that_broke_off_behind_the_publication_is_found_and_not_published_again(settings, publisher, worker):
    place = refused_for_its_currency(settings, publisher, worker, "after")
    correct_currency(settings, publisher, worker, "after")
    with pytest.raises(Interrupted):
        DiesAfterPublishing(settings, unfinished=False).replay(letters_at(settings, place))
    (answer,) = Replayer(settings, unfinished=False).replay(letters_at(settings, place))
    assert answer.outcome == "replayed"
    settle(settings, worker)
    marked = [r for r in read_committed(settings, ORDERS) if dict(r.headers() or []).get("repricer-replay-of")]
    assert [r.headers()[0][1] for r in marked].count(str(place).encode()) == 1
    assert units_of(settings, "after") == 1


def test_a_replay_that_broke_off_before_the_publication_waits_for_a_person(settings, publisher, worker):
    place = refused_for_its_currency(settings, publisher, worker, "before")
    correct_currency(settings, publisher, worker, "before")
    with pytest.raises(Interrupted):
        DiesBeforePublishing(settings, unfinished=False).replay(letters_at(settings, place))
    waiting = dlq(settings, "replay", place, "--yes")
    assert (waiting.returncode, "--unfinished" in waiting.stdout) == (21, True), waiting
    assert dlq(settings, "replay", place, "--yes", "--unfinished").returncode == 0
    settle(settings, worker)
    assert units_of(settings, "before") == 1


def test_of_two_operators_one_replays_and_the_other_is_told(settings, publisher, worker):
    place = refused_for_its_currency(settings, publisher, worker, "both")
    correct_currency(settings, publisher, worker, "both")

    class OvertakenByAnother(Replayer):
        def _write(self, ledger, state, places):
            Replayer(settings, unfinished=False).replay(letters_at(settings, place))
            super()._write(ledger, state, places)

    with pytest.raises(ReplayRefused):
        OvertakenByAnother(settings, unfinished=False).replay(letters_at(settings, place))
    assert [answer.outcome for answer in plan(letters_at(settings, place), force=False)] == ["already"]
    settle(settings, worker)
    assert units_of(settings, "both") == 1


def test_a_resend_by_the_producer_itself_and_a_replay_count_once_within_the_window(settings, publisher, worker):
    place = refused_for_its_currency(settings, publisher, worker, "resent")
    correct_currency(settings, publisher, worker, "resent")
    (letter,) = letters_at(settings, place)
    place_in(settings, publisher, letter.content.key, letter.content.value)
    publisher.tell(impressions("resent"))
    assert dlq(settings, "replay", place, "--yes").returncode == 0
    settle(settings, worker)
    assert units_of(settings, "resent") == 1
