"""What shards tell each other of families, as records; and what a worker makes of records that it reads."""

import msgspec
import pytest

from pricing_core.families import NOBODY, TURN_MS, UNKNOWN, Prices
from schemas.codec import encode
from schemas.events import CompetitorPriceObserved
from schemas.examples import FAMILY
from schemas.sources import family_digest
from schemas.summaries import FamilySummarised
from schemas.timestamps import format_ms
from schemas.topics import COMPETITOR_PRICES, FAMILY_SUMMARIES, OFFER_POLICIES, offer_key
from streams.families import hear
from streams.partitioner import partition_of
from tests.pricing_core.events import EUR, MINUTE
from tests.streams.shards import PLAIN, Shards

SHOES = family_digest(b"web", b"shoes", EUR)
NAME = SHOES.to_bytes(8, "little", signed=True).hex()
RULE = {"family": "shoes", "max_family_spread_bp": 500, "min_change_bp": 0, "max_step_bp": 10_000, "cooldown_s": 0}
RULE |= {"max_daily_change_bp": 10_000}
OFFERS = 8


class Listening(Shards):
    """Hears its own summaries, and those of others, as a worker does."""

    def __init__(self, **settings):
        super().__init__(2, **settings)
        self.engine.families.heard_all()

    def said(self):
        """Summaries since it was asked last, by key; they are heard."""
        name = FAMILY_SUMMARIES.full_name(self.settings.topic_prefix)
        found = [out for out in self.published if out.topic == name]
        self.published = [out for out in self.published if out.topic != name]
        records = {key: value for out in found for key, value in zip(out.keys, out.values, strict=True)}
        for key, value in records.items():
            hear(self.engine, key, value)
        return {key: value and msgspec.json.decode(value, type=FamilySummarised) for key, value in records.items()}


@pytest.fixture
def shop():
    made = Listening()
    made.sell(OFFERS, **RULE)
    return made


def market(shop, price, sku="SKU-0"):
    shop.tell(
        COMPETITOR_PRICES,
        CompetitorPriceObserved(
            event_id=f"{sku}-{price}-{shop.now}", sku=sku, channel="web", competitor="x", price=price, currency="EUR",
            observed_at=format_ms(shop.now),
        ),
    )  # fmt: skip


def turns(shop):
    """The decision interval passes, and each shard has its turn."""
    shop.tick(16 * MINUTE)
    for _ in range(20):
        shop.tick(TURN_MS)


def test_each_shard_says_what_its_members_cost_once_and_again_when_that_changes(shop):
    here = [partition_of(offer_key("web", f"SKU-{i}"), 2) for i in range(OFFERS)]
    assert set(here) == {0, 1}
    found = shop.said()
    assert {key: (s.lowest, s.highest, s.members, s.channel, s.currency) for key, s in found.items()} == {
        f"{NAME}/{p}".encode(): (1299, 1299, here.count(p), "web", "EUR") for p in (0, 1)
    }
    shop.tick(MINUTE)
    assert shop.said() == {}
    shop.tell(OFFER_POLICIES, msgspec.structs.replace(PLAIN, sku="SKU-0", version=2, list_price=1300, **RULE))
    assert [(key, s.highest) for key, s in shop.said().items()] == [(f"{NAME}/{here[0]}".encode(), 1300)]


def test_members_leave_with_their_policy_and_the_last_one_leaves_a_tombstone(shop):
    shop.said()
    shop.sell(OFFERS, **(RULE | {"version": 2, "max_family_spread_bp": None}))
    assert shop.said() == {f"{NAME}/{p}".encode(): None for p in (0, 1)}
    assert shop.engine.families.changed(0) == {}


def test_shops_without_families_say_nothing():
    shop = Listening()
    shop.sell(OFFERS, family="shoes")
    shop.tick(MINUTE)
    assert shop.said() == {}


def test_variants_in_different_shards_do_not_drift_apart(shop):
    shop.said()
    shop.sell(OFFERS, **(RULE | {"version": 2, "competitor_rule": "match"}))
    shop.decisions()
    market(shop, 1000)
    turns(shop)
    assert [s.lowest for s in shop.said().values()] == [1238]  # on its way
    changes = shop.changes()
    assert [(change["sku"], change["price"]) for change in changes] == [("SKU-0", 1238)]
    shop.answer(changes)
    turns(shop)
    assert (shop.said(), shop.changes()) == ({}, [])
    assert {d["reason"] for d in shop.decisions()} <= {"competitors", "model_holds", "pending_acknowledgement"}


def test_a_new_owner_says_its_part_again_and_its_members_are_due(shop):
    shop.said()
    shop.tick(MINUTE)
    shop.decisions()
    shop.restart(0)
    assert list(shop.said()) == [f"{NAME}/0".encode()]
    turns(shop)
    assert shop.decisions()


def test_records_are_heard_by_their_keys():
    engine = Shards().engine
    key, value = f"{NAME}/3".encode(), encode(msgspec.structs.replace(FAMILY, lowest=1000, highest=1100))
    crossed = encode(msgspec.structs.replace(FAMILY, lowest=1100, highest=1000))
    huge, no_text = value.replace(b"1100", b"1" * 23), value.replace(b"web", b"w\xffb")
    bad = ((raw, UNKNOWN) for raw in (b"{}", crossed, huge, no_text))
    for raw, prices in ((value, Prices(1000, 1100, 2)), *bad, (None, NOBODY)):
        hear(engine, key, raw)
        assert engine.families._elsewhere(0, SHOES) == prices
    assert engine.families._elsewhere(3, SHOES) == NOBODY  # of itself it knows more


@pytest.mark.parametrize("key", [None, b"", b"shoes/3", b"0123/3", b"00112233445566778899/3", b"0123456789abcdef"])
def test_a_key_that_names_no_family_is_refused(key):
    with pytest.raises(ValueError, match=r"\w"):
        hear(Shards().engine, key, encode(FAMILY))
