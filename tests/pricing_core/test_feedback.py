"""Loops with competitors: each is found in its third round, its competitor ignored for a while; markets are none."""

import jax
import numpy as np
import pytest

from pricing_core.decisions import CHANGED
from pricing_core.features import HOLD, MOVES_BP
from pricing_core.feedback import IGNORED_MS, LOOPS
from pricing_core.rivals import heeded
from pricing_core.simulator import rivals as simulated
from schemas import columns as c
from tests.pricing_core.engines import engine, opinionated
from tests.pricing_core.events import DAY, HOUR, T0, applied, batch, competitor, policy

US, THEM = 1, 2
DOWN, UP = HOLD - 2, HOLD + 2
"""A fortieth of the price."""


class Duel:
    """Our offer and one competitor, who looks at our price once between two of our decisions."""

    def __init__(self, move=HOLD, **rules):
        self.engine = opinionated(engine(), move)
        fields = {"ceiling": 10**9, "list_price": 10_000, "floor": 1000, "max_step_bp": 10_000, "cooldown_ms": 0}
        self.engine.apply(0, policy(max_daily_change_bp=10_000, min_change_bp=0, **{**fields, **rules}))
        self.now, self.price, self.before, self.found = T0, 10_000, 10_000, []

    def decide(self):
        """Returns what was found; the catalog applies at once what is decided."""
        self.now += HOUR
        (found,) = [made := self.engine.decide(0, self.now, "ACTIVE")]
        assert len(made) == 1
        if found.outcome[0] == CHANGED:
            self.before, self.price = self.price, int(found.price[0])
            self.engine.apply(0, applied(version=int(found.version[0]), price=self.price, time=self.now))
        self.found.append(LOOPS[found.loops["found"][0]])
        return self.found[-1]

    @property
    def heeds_somebody(self):
        slots = self.engine._slots.of(0)
        rows, policies = self.engine._state.take(slots), self.engine._policies.take(slots)
        return bool(heeded(rows, policies, np.array([self.now]))[0][0])

    def they_ask(self, price, name=THEM):
        self.engine.apply(0, competitor(competitor=name, price=int(price), time=self.now))

    def rounds(self, answer, n=5):
        """Rounds until something is found: they answer, we decide. None where nothing is."""
        self.decide()
        for number in range(n):
            self.they_ask(answer(self))
            if self.decide() != "none":
                return number + 1, self.found[-1]
        return None


@pytest.mark.parametrize("move", [DOWN, UP])
@pytest.mark.parametrize("lag", [0, 1])
def test_our_own_price_that_comes_back_as_a_competitors_is_found_in_the_third_round(move, lag):
    duel = Duel(move)
    assert duel.rounds(lambda d: d.before if lag else d.price, 6) == (4, "echo")  # the first look begins, then 3 rounds


def test_the_book_of_2011_climbs_three_rounds_and_no_further():
    """x 0.9983 of the other's price, x 1.270589 of ours: 23,698,655.93 dollars for a book."""
    duel = Duel(competitor_rule=c.WITHIN, competitor_bp=17, list_price=3554)
    duel.price, prices = 3554, []
    for _ in range(10):
        duel.they_ask(duel.price * 1_270_589 // 1_000_000)
        duel.decide()
        prices.append(duel.price)
    assert duel.found == ["none"] * 3 + ["spiral"] + ["none"] * 6
    assert prices[2] < 2.1 * 3554
    assert set(prices[3:]) == {prices[2]}


def test_a_spiral_is_found_in_the_third_round_upwards_and_downwards():
    assert Duel(UP).rounds(lambda d: d.price * 1.27) == (4, "spiral")
    assert Duel(DOWN).rounds(lambda d: d.price * 1.27) == (4, "spiral")
    assert Duel(UP).rounds(lambda d: d.before * 1.27) == (4, "spiral")


def test_a_race_to_the_bottom_is_found_in_the_third_round_and_not_run():
    duel = Duel(competitor_rule=c.UNDERCUT, competitor_bp=100)
    duel.they_ask(9_900)
    for _ in range(8):
        duel.decide()
        duel.they_ask(duel.price - 37)
    assert duel.found.index("price_war") <= 4
    assert not duel.heeds_somebody
    assert duel.price > 9_000
    settled = duel.price
    for _ in range(5):
        duel.they_ask(duel.price - 500)
        duel.decide()
    assert duel.price == settled  # the model holds: nobody is followed any more


def test_a_rival_that_raises_back_after_two_rounds_is_found_and_not_followed_down_again():
    duel = Duel(competitor_rule=c.UNDERCUT, competitor_bp=100)
    for price in (9_900, None, None, 11_000):
        duel.they_ask(duel.price - 37 if price is None else price)
        duel.decide()
    assert duel.found[-1] == "relent"
    low = duel.price
    for _ in range(3):
        duel.they_ask(duel.price - 37)
        duel.decide()
    assert duel.price == low


def test_the_competitor_is_ignored_in_the_very_decision_and_heeded_again_after_a_week():
    duel = Duel(DOWN)
    assert duel.rounds(lambda d: d.price) is not None
    assert not duel.heeds_somebody
    duel.now += IGNORED_MS - HOUR
    duel.they_ask(duel.price)
    duel.decide()
    assert duel.heeds_somebody
    duel.now -= 1
    assert not duel.heeds_somebody


def test_other_competitors_are_heeded_until_a_second_one_is_in_a_loop_too():
    duel = Duel(DOWN)
    assert duel.rounds(lambda d: d.price) is not None
    duel.they_ask(9_000, name=US)
    duel.decide()
    assert duel.heeds_somebody
    for _ in range(6):
        duel.they_ask(duel.price, name=US)
        duel.decide()
    assert duel.found.count("echo") == 2
    duel.they_ask(8_000, name=3)
    duel.decide()
    assert not duel.heeds_somebody


@pytest.mark.parametrize(
    "answer",
    [lambda _: 9_500, lambda i: 9_500 - 100 * i, lambda i: 9_500 + 40 * (-1) ** i],
    ids=["static", "its own way", "to and fro"],
)
def test_who_does_not_answer_us_is_in_no_loop(answer):
    for move in (DOWN, HOLD, UP):
        duel = Duel(move)
        for i in range(20):
            duel.they_ask(answer(i))
            duel.decide()
        assert set(duel.found) == {"none"}


def test_what_is_known_of_a_loop_survives_a_restore():
    duel = Duel(DOWN)
    duel.decide()
    for _ in range(3):
        duel.they_ask(duel.price)
        duel.decide()
    keys, rows = duel.engine.snapshot(0)
    other = Duel(DOWN)
    other.engine.drop_shard(0)
    other.engine.open_shard(0)
    other.engine.restore(0, keys, rows, sequence=duel.engine.sequence(0))
    other.engine.apply(0, policy(ceiling=10**9, list_price=10_000, floor=1000, max_step_bp=10_000, cooldown_ms=0,
                                 max_daily_change_bp=10_000, min_change_bp=0), due=False)  # fmt: skip
    other.now, other.price = duel.now, duel.price
    other.they_ask(other.price)
    assert other.decide() == "echo"


def simulated_market(kind, seed, offers, days=60):
    """Four looks a day at simulated rivals of one kind, and our price that wanders as a model's does.

    Returns:
        Share of the offers in which a loop was found.
    """
    made = engine(capacity=1024)
    rng = np.random.default_rng(seed)
    keys = [b"web:%d" % i for i in range(offers)]
    rules = {"ceiling": 10**9, "list_price": 2000, "floor": 1000, "cooldown_ms": 0, "max_daily_change_bp": 10_000}
    made.apply(0, batch(c.PolicyColumns, *({"key": key, **rules} for key in keys)))
    rivals = simulated.sample(jax.random.key(seed), np.full(offers, 1200.0), np.full(offers, 2000.0))
    rivals = rivals._replace(kind=np.full_like(rivals.kind, kind), present=np.ones_like(rivals.present))
    state, price, found = simulated.initial(rivals), np.full(offers, 2000), np.zeros(offers, np.bool_)
    move = jax.jit(simulated.move)
    for step in range(4 * days):
        now = T0 + step * DAY // 4
        state = move(rivals, state, price.astype(np.float32), jax.random.key(1000 * seed + step), 0.25)
        asked = np.asarray(state.price).astype(int)
        stocked = np.asarray(state.in_stock)
        made.apply(0, batch(c.CompetitorColumns, *(
            {"key": key, "competitor": r + 1, "price": asked[i, r], "in_stock": stocked[i, r], "time": now}
            for i, key in enumerate(keys) for r in range(simulated.RIVALS))))  # fmt: skip
        opinionated(made, rng.choice(len(MOVES_BP), p=[0.02, 0.05, 0.08, 0.1, 0.5, 0.1, 0.08, 0.05, 0.02]))
        decided = made.decide(0, now, "ACTIVE", limit=1024)
        places = {key: i for i, key in enumerate(keys)}
        rows = np.array([places[key] for key in decided.keys], np.int64)
        found[rows] |= decided.loops["found"] > 0
        changed = np.flatnonzero(decided.outcome == CHANGED)
        price[rows] = decided.price
        if len(changed):
            made.apply(0, batch(c.AppliedColumns, *(
                {"key": decided.keys[i], "version": decided.version[i], "price": decided.price[i], "time": now}
                for i in changed.tolist())))  # fmt: skip
    return found.mean()


@pytest.mark.parametrize(
    ("kind", "most"),
    [(simulated.STATIC, 0.0), (simulated.COST_FOLLOWER, 0.02), (simulated.WANDERER, 0.02)],
)
def test_ordinary_rivals_of_the_simulator_are_hardly_ever_taken_for_a_loop(kind, most):
    """Over sixty days of four looks each, with a price of ours that moves on half of them."""
    assert simulated_market(kind, seed=7, offers=100) <= most


def test_a_matching_rival_of_the_simulator_is_an_echo():
    assert simulated_market(simulated.MATCHER, seed=7, offers=100) > 0.5
