"""Prices that made the news, told again to this repricer: the events of each story, and what is decided.

Those about all offers at once and about the catalog are in `test_incidents_of_all_offers.py`.
"""

import json

import pytest

from pricing_core.decisions import CHANGED
from pricing_core.engine import Moment
from pricing_core.features import FEATURES, HOLD, MOVES_BP
from schemas import examples as ex
from schemas.binary import BinaryArray
from schemas.codec import decoder_for, encode
from schemas.timestamps import format_ms
from schemas.topics import COMPETITOR_PRICES, OFFER_POLICIES, PRICE_APPLIED
from tests.pricing_core.engines import engine, opinionated
from tests.pricing_core.events import DAY, HOUR, T0

LOWEST, HIGHEST = 0, len(MOVES_BP) - 1
RIVAL_KNOWN = [feature.name for feature in FEATURES].index("rival_known")
PLAIN = {
    "min_margin_bp": None, "price_ending": None, "max_stock_age_s": None, "promotion_price": None,
    "promotion_from": None, "promotion_to": None,
}  # fmt: skip


class Shop:
    """A shop whose systems speak JSON, and whose catalog applies what it is told at once."""

    def __init__(self, *keys, model=None):
        self.keys, self.now, self.refused, self.versions = keys or (ex.KEY,), T0, [], 0
        self.prices = {}
        self.engine = engine() if model is None else opinionated(engine(), model)

    def tell(self, topic, body, key=ex.KEY):
        value = None if body is None else json.dumps(body).encode()
        decoded = decoder_for(topic)(BinaryArray.of([key]), BinaryArray.of([value]), self.now)
        refused = decoded.rejects + self.engine.apply(0, decoded.columns)
        self.refused += [reject.reason for reject in refused]

    def policy(self, **fields):
        self.versions += 1
        for key in self.keys:
            channel, sku = key.decode().split(":")
            own = {"sku": sku, "channel": channel, "version": self.versions, "updated_at": format_ms(self.now)}
            body = {**body_of(ex.POLICY), **PLAIN, **own, **fields}
            self.tell(OFFER_POLICIES, {name: value for name, value in body.items() if value is not ...}, key)

    def rival(self, price, **fields):
        self.tell(COMPETITOR_PRICES, {**body_of(ex.RIVAL), "observed_at": format_ms(self.now), "price": price,
                                      "shipping": 0, "in_stock": True, **fields})  # fmt: skip

    def catalog_answers(self, key, version, price):
        channel, sku = key.decode().split(":")
        answer = {"sku": sku, "channel": channel, "version": version, "price": price, "applied_at": format_ms(self.now)}
        self.tell(PRICE_APPLIED, {**body_of(ex.APPLIED), **answer}, key)

    def decide(self, later=0, answer=True):
        """What is decided a while later; the last decision by offer."""
        self.now += later
        found = self.engine.decide(0, self.now, "ACTIVE")
        for i, key in enumerate(found.keys):
            self.prices[key] = int(found.price[i])
            if answer and found.outcome[i] == CHANGED:
                self.catalog_answers(key, int(found.version[i]), int(found.price[i]))
        return found

    def only(self, later=0, answer=True):
        """Reason, price, limit and value of the only decision a while later."""
        found = self.decide(later, answer)
        assert len(found) == 1
        return found.reasons[0], int(found.price[0]), int(found.limit[0]), int(found.value[0])


def body_of(event):
    return json.loads(encode(event))


def test_the_fly_book_of_2011():
    """Two booksellers priced by each other's price, x 0.9983 and x 1.270589 a day: 23,698,655.93 dollars for a book."""
    shop = Shop(model=HIGHEST)
    shop.policy(list_price=3554, unit_cost=1500, floor=2000, ceiling=5000, competitor_rule="undercut", competitor_bp=17)
    shop.decide()
    history = []
    for _ in range(60):
        shop.rival(shop.prices[ex.KEY] * 1_270_589 // 1_000_000)
        shop.decide(DAY)
        history.append(shop.prices[ex.KEY])
    assert max(history) == 5000


def test_a_price_that_no_book_has_is_not_followed():
    shop = Shop()
    shop.policy(list_price=3554, unit_cost=1500, floor=2000, ceiling=5000, competitor_rule="match")
    shop.rival(2_369_865_593)
    found = shop.decide()
    assert (found.reasons != ["competitors"], found.features[0, RIVAL_KNOWN]) == (True, 0)
    shop.rival(3500, competitor="another")
    found = shop.decide(HOUR)
    assert (found.reasons, found.price.tolist()) == (["competitors"], [3500])


BLANKS = [(field, blank) for field in ("floor", "unit_cost") for blank in (..., None, "", 0)]
BLANKS.remove(("unit_cost", 0))  # what costs nothing may be sold, above its floor


@pytest.mark.parametrize(("field", "blank"), BLANKS)
def test_a_blank_minimum_of_2012(field, blank):
    """Without a minimum price a repricer undercut its way down to one cent. Here there is no such policy."""
    shop = Shop(model=LOWEST)
    shop.policy(**{field: blank})
    shop.rival(1, competitor="a")
    assert shop.refused == ["schema_violation"]
    assert shop.only()[0] == "no_policy"
    shop.policy()
    shop.policy(**{field: blank})  # refused: the one before stays in force
    for _ in range(60):
        shop.decide(DAY)
    assert shop.prices[ex.KEY] == ex.POLICY.floor


def test_the_penny_sale_of_2014():
    """A repricing service sent 1p for the whole catalog of many sellers; it lasted an hour. Floors say no."""
    shop = Shop(*(b"web:%d" % i for i in range(50)), model=LOWEST)
    shop.policy()
    shop.decide()
    for _ in range(24):
        shop.decide(HOUR)
    assert len(shop.prices) == 50
    assert all(price >= ex.POLICY.floor for price in shop.prices.values())


def test_a_penny_as_floor_and_ceiling_of_all_offers_moves_none():
    shop = Shop(*(b"web:%d" % i for i in range(50)), model=LOWEST)
    shop.policy()
    shop.decide()
    before = dict(shop.prices)
    shop.policy(floor=1, ceiling=1)
    found = shop.decide(HOUR)
    assert set(found.reasons) == {"maximum_jump"}
    assert shop.prices == before


def test_a_penny_as_floor_does_not_sell_below_cost_nor_a_third_cheaper_within_a_day():
    shop = Shop(model=LOWEST)
    shop.policy(floor=1, cooldown_s=0, min_margin_bp=0)
    shop.decide()
    for _ in range(23):
        shop.decide(HOUR)
    assert shop.prices[ex.KEY] >= 1299 * 7 // 10
    for _ in range(30):
        shop.decide(DAY)
    assert shop.prices[ex.KEY] == ex.POLICY.unit_cost


def test_the_projector_of_2013():
    """885 dollars became 8.85: a file in dollars was read as cents."""
    shop = Shop()
    shop.policy(list_price=88_500, unit_cost=70_000, floor=80_000, ceiling=95_000)
    shop.catalog_answers(ex.KEY, 0, 88_500)
    assert shop.decide().price[0] > 80_000
    shop.policy(list_price=885, unit_cost=700, floor=800, ceiling=950)
    reason, price, limit, value = shop.only(DAY)
    assert (reason, limit, value) == ("maximum_jump", price, 950)
    assert price > 80_000


def test_the_lens_of_2019():
    """Stacked promotions sold a lens of 13,000 dollars for 94.48."""
    lens = {"list_price": 1_300_000, "unit_cost": 900_000, "floor": 950_000, "ceiling": 1_400_000}
    prime_day = {"promotion_from": format_ms(T0 + HOUR), "promotion_to": format_ms(T0 + 2 * DAY)}
    shop = Shop()
    shop.policy(**lens)
    shop.decide()
    shop.policy(**lens, **prime_day, promotion_price=9448)
    assert shop.only(HOUR) == ("contradictory_bounds", shop.prices[ex.KEY], 950_000, 9448)
    assert shop.prices[ex.KEY] >= 950_000


def test_a_second_promotion_takes_the_place_of_the_first_and_both_end_at_the_price_before():
    week = {"promotion_from": format_ms(T0), "promotion_to": format_ms(T0 + 7 * DAY)}
    shop = Shop(model=LOWEST)
    shop.policy(**week, promotion_price=1000)
    assert shop.only()[:2] == ("promotion", 1000)
    shop.policy(**week, promotion_price=1100)
    assert shop.only()[:2] == ("promotion", 1100)  # not a tenth of it off, and not 1000 less its share
    assert shop.only(DAY)[:2] == ("promotion", 1100)
    assert shop.only(6 * DAY) == ("promotion_over", 1299, 1299, 1100)


@pytest.mark.parametrize("rule", ["match", "undercut", "within"])
def test_a_crashed_scraper_that_reports_nothing_as_price(rule):
    shop = Shop()
    shop.policy(competitor_rule=rule)
    shop.rival(0)
    assert shop.refused == ["schema_violation"]
    shop.rival(1)  # what some scrapers make of a missing price
    found = shop.decide()
    assert (found.reasons != ["competitors"], found.features[0, RIVAL_KNOWN]) == (True, 0)


def test_euros_where_cents_were_meant():
    """A feed switches its unit: 12.49 EUR arrives as 12. Dollars arrive under the name of dollars, and are refused."""
    shop = Shop(model=HOLD)
    shop.policy(competitor_rule="match")
    shop.rival(12)
    assert shop.only()[:2] == ("model_holds", 1299)
    shop.rival(124_900, competitor="another")
    assert shop.only(HOUR)[:2] == ("model_holds", 1299)
    shop.rival(1249, currency="USD")
    assert shop.refused == ["currency_mismatch"]
    shop.rival(1249)
    assert shop.only(HOUR)[:2] == ("competitors", 1249)


def test_a_feed_that_has_gone_silent():
    shop = Shop(model=HOLD)
    shop.policy(competitor_rule="match", max_competitor_age_s=3600)
    shop.rival(1249)
    assert shop.only()[:2] == ("competitors", 1249)
    shop.rival(1200)
    assert shop.only(2 * HOUR) == ("stale_input", 1249, HOUR, 2 * HOUR)
    shop.rival(1200)
    assert shop.only(15 * 60_000)[:2] == ("competitors", 1200)


def test_a_product_that_is_removed_while_a_decision_is_pending():
    shop = Shop(model=LOWEST)
    shop.policy()
    found = shop.decide(answer=False)
    version, price = int(found.version[0]), int(found.price[0])
    shop.tell(OFFER_POLICIES, None)
    shop.now += HOUR
    assert len(shop.engine.overdue_acknowledgements(0, Moment(shop.now))) == 0  # nobody wants that price any more
    assert shop.only(6 * HOUR)[0] == "no_policy"
    shop.catalog_answers(ex.KEY, version, price)  # the catalog was faster than the removal
    assert shop.engine.pending_count(0) == 0
    shop.versions = 0
    shop.policy()  # sold again, by a policy that counts from one
    found = shop.decide(DAY)
    assert (found.previous_price[0], found.version[0]) == (price, version + 1)
