"""What arms earned, from the audit records of decisions."""

import io

import numpy as np
import pytest
from rich.console import Console

from pricing_core.experiments.assignment import Experiment
from schemas import columns as c
from streams.errors import InputRefused
from streams.experiments.earnings import earnings
from streams.experiments.report import plan, print_plan, print_report, report
from tests.pricing_core.engines import engine
from tests.pricing_core.events import DAY, HOUR, T0, USD, batch
from tests.streams.recorded_decisions import found_at, records_of


class Log:
    """Records of decisions, as `DecisionLog` gives them."""

    def __init__(self, founds):
        self.founds = founds

    def between(self, start_ms, stop_ms):
        return (found for found in self.founds if start_ms <= found.now <= stop_ms)


def sold(made, key, time, **given):
    made.apply(0, batch(c.OrderColumns, {"key": key, "time": time, **given}))


def decided(made, now):
    return records_of(made, made.decide(0, now, "ACTIVE"))


@pytest.fixture
def made():
    made = engine(0)
    made.apply(
        0, batch(c.PolicyColumns, {"key": b"web:a", "tax_rate_bp": 2000, "commission_bp": 1000, "fixed_fee": 30})
    )
    return made


def test_profit_is_what_is_left_of_a_sale_after_tax_commission_fees_and_cost(made):
    founds = decided(made, T0)
    sold(made, b"web:a", T0 + HOUR, quantity=3, amount=3600)
    sold(made, b"web:a", T0 + HOUR, quantity=1, amount=1200, kind=c.RETURNED)
    found = earnings(founds + decided(made, T0 + DAY), np.array([T0, T0 + DAY]))

    assert found.keys == [b"web:a"]
    assert found.profit[0, 0] == pytest.approx(2400 / 1.2 - 240 - 2 * (700 + 30))
    assert (found.currency, found.left_out) == ("EUR", 0)


def test_sales_between_two_decisions_are_spread_evenly(made):
    founds = decided(made, T0)
    sold(made, b"web:a", T0 + 5 * HOUR, quantity=1, amount=2400)
    founds += decided(made, T0 + 10 * HOUR)
    profit = earnings(founds, np.array([T0, T0 + HOUR, T0 + 10 * HOUR])).profit[0]

    assert profit.tolist() == pytest.approx([0.1 * profit.sum(), 0.9 * profit.sum()])


def test_what_was_sold_before_the_time_does_not_count_but_all_of_a_new_offer_does(made):
    sold(made, b"web:a", T0 - DAY, amount=5000)
    founds = decided(made, T0)
    made.apply(0, batch(c.PolicyColumns, {"key": b"web:new", "time": T0 + HOUR}))
    sold(made, b"web:new", T0 + 2 * HOUR, amount=1299)
    founds += decided(made, T0 + 12 * HOUR)
    found = earnings(founds, np.array([T0, T0 + DAY]))

    assert dict(zip(found.keys, found.profit[:, 0].tolist(), strict=True)) == {b"web:a": 0.0, b"web:new": 599.0}


def test_a_new_cost_counts_from_the_record_on_that_shows_it(made):
    founds = decided(made, T0)
    sold(made, b"web:a", T0 + HOUR, amount=2400)
    founds += decided(made, T0 + 2 * HOUR)
    made.apply(0, batch(c.PolicyColumns, {"key": b"web:a", "version": 2, "unit_cost": 1000, "time": T0 + 2 * HOUR}))
    sold(made, b"web:a", T0 + 3 * HOUR, amount=2400)
    founds += decided(made, T0 + DAY)

    first = 2400 / 1.2 - 240 - 730
    assert earnings(founds, np.array([T0, T0 + DAY])).profit[0, 0] == pytest.approx(first + 2400 - 1000)


def test_several_currencies_are_refused(made):
    made.apply(0, batch(c.PolicyColumns, {"key": b"web:b", "currency": USD}))
    sold(made, b"web:b", T0, currency=USD)
    sold(made, b"web:a", T0)
    with pytest.raises(InputRefused, match=r"2 currencies \(EUR, USD\)"):
        earnings(decided(made, T0 + HOUR), np.array([T0, T0 + DAY]))


def test_records_of_another_version_are_left_out_and_counted(made):
    good = decided(made, T0)
    sold(made, b"web:a", T0 + HOUR)
    old = [found_at(0, 5, found.raw.replace(b'"inputs":"', b'"inputs":"AAAA')) for found in decided(made, T0 + DAY)]

    assert earnings(good + old, np.array([T0, T0 + DAY])).left_out == len(old) > 0
    with pytest.raises(InputRefused, match="nothing can be counted"):
        earnings(old, np.array([T0, T0 + DAY]))


# Experiments


def daily_pieces(offers):
    return np.random.default_rng(1).lognormal(2.0, 0.8, offers)


def shop(*, lift, controls_of, days=8, offers=60):
    """Records of some days; who is treated sells ``lift`` times as much from half-time on."""
    rng, made, founds = np.random.default_rng(2), engine(0), []
    keys, level = [b"web:%d" % i for i in range(offers)], daily_pieces(offers)
    made.apply(0, batch(c.PolicyColumns, *({"key": key, "time": T0 - DAY} for key in keys)))
    founds += decided(made, T0)
    for day in range(days):
        at = T0 + day * DAY
        treated = ~controls_of(keys, at) if day >= days // 2 else np.zeros(offers, bool)
        pieces = 1 + rng.poisson(level * np.where(treated, lift, 1.0))
        made.apply(
            0,
            batch(
                c.OrderColumns,
                *(
                    {"key": key, "time": at + HOUR, "quantity": int(n), "amount": 1299 * int(n)}
                    for key, n in zip(keys, pieces, strict=True)
                ),
            ),
        )
        founds += decided(made, at + DAY)
    return Log(founds)


def test_a_holdout_of_offers_shows_what_repricing_earns():
    experiment = Experiment("spring", "offers", T0 + 4 * DAY, T0 + 8 * DAY, control_share=0.3)
    log = shop(lift=1.5, controls_of=lambda keys, _: experiment.controls(keys, np.zeros(60, np.int64)))
    seen = report(log, experiment, T0 + 30 * DAY)

    half_of_what_is_sold = 0.5 * daily_pieces(60).mean() * (1299 - 700)
    assert 0.0 < seen.effect.lower < half_of_what_is_sold < seen.effect.upper
    assert (seen.offers, seen.is_suspicious, seen.left_out) == (60, False, 0)
    assert 0 < seen.controls < 30
    shown = io.StringIO()
    print_report(seen, Console(file=shown, width=120))
    assert "an effect is shown" in shown.getvalue()


def test_a_switchback_shows_what_repricing_earns():
    experiment = Experiment("spring", "switchback", T0 + 8 * DAY, T0 + 16 * DAY)

    def controls_of(keys, at):
        return np.repeat(experiment.controls(keys[:1], np.array([at])), len(keys))

    seen = report(shop(lift=1.5, controls_of=controls_of, days=16), experiment, T0 + 15 * DAY)

    assert seen.effect.units == 3  # the last pair is not over
    assert seen.effect.share == pytest.approx(0.45, abs=0.1)
    assert seen.controls == 3


def test_without_effect_none_is_shown_and_the_plan_says_which_would_have_been_seen():
    experiment = Experiment("autumn", "offers", T0 + 4 * DAY, T0 + 8 * DAY)
    log = shop(lift=1.0, controls_of=lambda keys, _: np.zeros(len(keys), bool))
    seen, planned = report(log, experiment, T0 + 8 * DAY), plan(log, experiment, T0 + 8 * DAY)

    assert seen.effect.lower < 0.0 < seen.effect.upper
    assert planned.smallest > seen.effect.upper - seen.effect.difference > 0.0
    assert planned.share == pytest.approx(planned.smallest / planned.mean)
    shown = io.StringIO()
    print_report(seen, Console(file=shown, width=120))
    print_plan(planned, Console(file=shown, width=120))
    assert "no effect is shown" in shown.getvalue()
    assert "60 offers earn" in shown.getvalue()


def test_arms_that_chance_did_not_make_are_called_out():
    experiment = Experiment("spring", "offers", T0 + 4 * DAY, T0 + 8 * DAY)
    log = shop(lift=1.0, controls_of=lambda keys, _: np.zeros(len(keys), bool))
    controls = {key for key in (b"web:%d" % i for i in range(60)) if experiment.controls([key], np.array([0]))[0]}
    kept = [found for found in log.founds if found.key not in controls or found.key in sorted(controls)[:6]]
    seen = report(Log(kept), experiment, T0 + 8 * DAY)

    assert seen.is_suspicious
    shown = io.StringIO()
    print_report(seen, Console(file=shown, width=120))
    assert "Do not trust it" in shown.getvalue()


@pytest.mark.parametrize(
    ("now", "message"),
    [(T0, "begins at"), (T0 + 4 * DAY + HOUR, "no pair of blocks is over"), (T0 + 6 * DAY, "wait for two or more")],
)
def test_an_experiment_that_shows_nothing_yet_says_why(now, message):
    experiment = Experiment("spring", "switchback", T0 + 4 * DAY, T0 + 8 * DAY)
    log = shop(lift=1.0, controls_of=lambda keys, _: np.zeros(len(keys), bool), days=6, offers=10)
    with pytest.raises(InputRefused, match=message):
        report(log, experiment, now)
