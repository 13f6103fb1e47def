from contextlib import closing, suppress
from pathlib import Path
from sqlite3 import InterfaceError, ProgrammingError
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decisions import PriceChanged
from schemas.events import PriceApplied
from schemas.policies import OfferPolicy
from schemas.timestamps import format_ms
from streams.catalog.ledger import Batch, Ledger
from streams.errors import InputRefused

NOW = 1_800_000_000_000
OFFER = "web:A"


def policy(version=1, **fields):
    return msgspec.structs.replace(
        OfferPolicy(
            sku="A", channel="web", version=version, currency="EUR", unit_cost=500, list_price=1299, floor=900,
            ceiling=2000, updated_at=format_ms(NOW),
        ),
        **fields,
    )  # fmt: skip


def change(version, price=1249, *, policy_version=1, issued=NOW, lifetime=3_600_000):
    return PriceChanged(
        decision_id=f"0-{version}", sku="A", channel="web", version=version, price=price, previous_price=1299,
        currency="EUR", policy_version=policy_version, reason="demand", valid_from=format_ms(issued),
        expires_at=format_ms(issued + lifetime),
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(tmp_path / "catalog.db")) as opened:
        opened.take(Batch(policies=[(OFFER, policy())]), NOW)
        yield opened


def answers(ledger):
    return [msgspec.json.decode(answer.value, type=PriceApplied) for answer in ledger.answers()]


def test_an_offer_shows_its_list_price_until_a_change_is_applied(ledger):
    assert ledger.offer(OFFER).price == 1299
    ledger.take(Batch(changes=[(OFFER, change(1))]), NOW)
    assert ledger.offer(OFFER).price == 1249


def test_in_market_time_answers_name_the_newest_tick(ledger):
    ledger.take(Batch(changes=[(OFFER, change(1))], market_ms=NOW - 5000), NOW)
    ledger.take(Batch(changes=[(OFFER, change(2, 1199))], market_ms=NOW - 9000), NOW)
    assert [a.applied_at for a in answers(ledger)] == 2 * [format_ms(NOW - 5000)]


def test_an_applied_version_is_answered_again_and_not_applied_again(ledger):
    ledger.take(Batch(changes=[(OFFER, change(1)), (OFFER, change(2, 1199)), (OFFER, change(1))]), NOW)
    assert [(a.version, a.status, a.price) for a in answers(ledger)] == [
        (1, "applied", 1249),
        (2, "applied", 1199),
        (1, "applied", 1199),  # the price that is shown now
    ]
    assert ledger.counts().applied == 2
    assert ledger.counts().duplicates == 1


def test_a_version_with_another_content_is_a_conflict_and_changes_nothing(ledger):
    ledger.take(Batch(changes=[(OFFER, change(1)), (OFFER, change(1, 1000))]), NOW)
    assert answers(ledger)[1].reason == "version_conflict"
    assert ledger.offer(OFFER).price == 1249
    assert ledger.counts().version_conflicts == 1


def test_a_change_waits_for_the_policy_that_it_names(ledger):
    ledger.take(Batch(changes=[(OFFER, change(1, 850, policy_version=2))]), NOW)
    assert (ledger.counts().waiting, answers(ledger)) == (1, [])
    ledger.take(Batch(policies=[(OFFER, policy(2, floor=800))]), NOW)
    assert ledger.offer(OFFER).price == 850
    assert ledger.counts().waiting == 0


def test_a_change_whose_policy_never_comes_expires(ledger):
    ledger.take(Batch(changes=[(OFFER, change(1, policy_version=2, lifetime=1000))]), NOW)
    ledger.review_waiting(NOW + 999)
    assert ledger.counts().waiting == 1
    ledger.review_waiting(NOW + 1000)
    assert answers(ledger)[0].reason == "expired"


def test_the_newest_policy_decides_and_a_price_outside_it_is_counted(ledger):
    ledger.take(Batch(policies=[(OFFER, policy(2, floor=1250))], changes=[(OFFER, change(1))]), NOW)
    assert answers(ledger)[0].reason == "floor"
    assert answers(ledger)[0].price == 1299
    assert ledger.counts().out_of_bounds == 1


def test_an_older_policy_does_not_come_back(ledger):
    ledger.take(Batch(policies=[(OFFER, policy(3, list_price=1500)), (OFFER, policy(2, list_price=1000))]), NOW)
    assert ledger.offer(OFFER).price == 1500


def test_a_manual_price_is_told_and_outlives_decisions_made_before_it(ledger):
    ledger.take(Batch(changes=[(OFFER, change(1))]), NOW)
    ledger.set_price(OFFER, 1111, NOW + 10)
    ledger.take(
        Batch(changes=[(OFFER, change(2, issued=NOW + 9)), (OFFER, change(3, 1222, issued=NOW + 11))]), NOW + 12
    )
    told = [(a.version, a.status, a.reason, a.price) for a in answers(ledger)[1:]]
    assert told == [
        (1, "manual", None, 1111),
        (2, "rejected", "manual_price", 1111),
        (3, "applied", None, 1222),
    ]


def test_a_manual_price_needs_a_known_offer(ledger):
    with pytest.raises(InputRefused, match="web:B"):
        ledger.set_price("web:B", 1000, NOW)


def test_answers_stay_until_they_are_confirmed(tmp_path, ledger):
    ledger.take(Batch(changes=[(OFFER, change(1)), (OFFER, change(2))]), NOW)
    first, second = ledger.answers()
    ledger.confirm([first.id])
    with closing(Ledger(tmp_path / "catalog.db")) as reopened:
        assert reopened.answers() == [second]
        assert reopened.counts().unanswered == 1


POLICIES = st.builds(
    policy, st.integers(1, 4), floor=st.sampled_from([800, 1000]), ceiling=st.sampled_from([1100, 1400])
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("policy"), st.one_of(POLICIES, st.none())),
        st.tuples(
            st.just("change"),
            st.builds(
                change,
                st.integers(1, 6),
                st.integers(700, 1500),
                policy_version=st.integers(1, 4),
                issued=st.integers(NOW - 5000, NOW + 5000),
                lifetime=st.integers(1, 5000),
            ),
        ),
        st.tuples(st.just("restart"), st.none()),
        st.tuples(st.just("crash"), st.none()),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=150)
@given(STEPS)
def test_versions_are_applied_once_forwards_and_inside_the_current_policy(steps):
    """Whatever arrives, in whatever order, with crashes in the middle of a transaction and restarts."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "catalog.db")
        ledger, current, received = Ledger(file), None, set()
        for i, (kind, what) in enumerate(steps):
            before = ledger.offer(OFFER)
            if kind == "restart":
                ledger.close()
                ledger = Ledger(file)
            elif kind == "crash":
                _crash(ledger)
            elif kind == "policy":
                ledger.take(Batch(policies=[(OFFER, what)]), NOW + i)
                newer = current is None or what is None or what.version > current.version
                current = what if newer else current
            else:
                ledger.take(Batch(changes=[(OFFER, what)]), NOW + i)
                received.add(what.version)
            _check(before, ledger.offer(OFFER), current)
        counts = ledger.counts()
        ledger.close()
    assert counts.applied + sum(counts.rejected.values()) + counts.waiting == len(received)


def _crash(ledger):
    """Lose a transaction after it has judged something: a position of the wrong type fails at its end."""
    with suppress(InterfaceError, ProgrammingError):
        ledger.take(Batch(changes=[(OFFER, change(9, 1000))], positions={("t", 0): object()}), NOW)


def _check(before, after, current):
    old, new = (0 if offer is None else offer.version for offer in (before, after))
    assert new >= old
    if new > old:
        assert current is not None
        assert current.floor <= after.price <= current.ceiling
    elif before is not None and before.version:
        assert after.price == before.price
