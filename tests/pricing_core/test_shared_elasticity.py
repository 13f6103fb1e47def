"""One elasticity of many offers, from sales alone: covered where prices moved by themselves, warned of where not."""

import numpy as np
import pytest

from pricing_core.evaluation.shared_elasticity import History, NotEnough, fit, followed_demand

OFFERS, DAYS, ELASTICITY = 60, 120, 2.2


def shop(seed, *, follows=0.0, common=0.0, offers=OFFERS):
    """Offers whose price is set anew every week, by chance, by a season, or by how last week went."""
    rng = np.random.default_rng(seed)
    level = rng.lognormal(1.0, 0.8, offers)
    season = np.exp(0.3 * np.sin(np.arange(DAYS) / 9.0) + 0.4 * (np.arange(DAYS) % 7 > 4))
    own = np.zeros(offers)
    price, units = np.zeros((offers, DAYS)), np.zeros((offers, DAYS))
    for day in range(DAYS):
        own = 0.9 * own + 0.15 * rng.normal(size=offers)  # demand that nobody logs
        if day % 7 == 0:
            price[:, day:] = (0.08 * rng.normal(size=offers) + follows * own + common * np.log(season[day]))[:, None]
        units[:, day] = rng.poisson(level * season[day] * np.exp(own - ELASTICITY * price[:, day]))
    row = np.indices((offers, DAYS))
    return History(row[0].ravel(), row[1].ravel(), price.ravel(), units.ravel())


def test_the_interval_covers_the_elasticity_as_often_as_it_says():
    found = [fit(shop(seed, common=0.3)) for seed in range(20)]
    assert np.mean([one.lower < ELASTICITY < one.upper for one in found]) >= 0.85
    assert np.mean([one.elasticity for one in found]) == pytest.approx(ELASTICITY, abs=0.1)
    assert np.mean([one.upper - one.lower for one in found]) < 0.8


def test_a_season_that_prices_went_along_with_is_not_taken_for_an_answer_to_them():
    seen = shop(1, common=0.5)
    alone = np.polyfit(seen.log_price, np.log(seen.units + 0.5), 1)[0]
    assert -alone < ELASTICITY - 0.5
    assert fit(seen).lower < ELASTICITY < fit(seen).upper


def test_prices_that_followed_demand_are_noticed_and_others_are_not():
    following = [followed_demand(seen, fit(seen).expected) for seen in (shop(seed, follows=0.5) for seed in range(5))]
    free = [followed_demand(seen, fit(seen).expected) for seen in (shop(seed) for seed in range(5))]
    assert min(following) > 3.0
    assert max(np.abs(free)) < 3.0


@pytest.mark.parametrize(("price", "units"), [(0.0, 1.0), (1.0, 0.0)])
def test_what_cannot_be_known_is_not_claimed(price, units):
    seen = shop(1, offers=5)
    with pytest.raises(NotEnough):
        fit(seen._replace(log_price=price * seen.log_price, units=units * seen.units))
