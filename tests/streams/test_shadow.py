"""A second model beside the first: what it would have decided, and how the two compare."""

import jax
import pytest

from pricing_core.model_file import Training, load_model, save_model
from pricing_core.q_function import init_params
from schemas import columns as c
from streams.shadow.decide import Shadow
from streams.shadow.report import Comparison, _add
from tests.pricing_core.engines import MODEL, engine
from tests.pricing_core.events import DAY, HOUR, T0, batch
from tests.streams.recorded_decisions import SETTINGS, found_at, records_of

OFFERS = 60
UNTRAINED = Training(preset="none", seed=1, backend="cpu", jax="0", score={})


@pytest.fixture(scope="module")
def founds():
    made = engine(0)
    keys = [b"web:%d" % i for i in range(OFFERS)]
    made.apply(0, batch(c.PolicyColumns, *({"key": k, "floor": 900 + 10 * i} for i, k in enumerate(keys[1:]))))
    for hour in range(6):
        at = [{"key": k, "time": T0 + hour * HOUR} for k in keys]
        made.apply(0, batch(c.ClickColumns, *({"count": 10 + 7 * i, **a} for i, a in enumerate(at))))
        made.apply(0, batch(c.OrderColumns, *({"quantity": 1 + i % 3, **a} for i, a in enumerate(at))))
    return records_of(made, made.decide(0, T0 + DAY, "ACTIVE"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    params = jax.tree.map(lambda weights: weights + 0.1, init_params(jax.random.key(1)))
    return load_model(save_model(folder, params, name="other", version=1, epsilon=0.0, training=UNTRAINED))


def compared(pairs):
    comparison = Comparison("shadow")
    for found, value in pairs:
        _add(comparison, found, found_at(found.partition, found.offset, value).record)
    return comparison


def test_the_same_model_says_the_same_to_the_byte(founds):
    pairs = Shadow(SETTINGS, MODEL).decide(founds)

    assert [value for _, value in pairs] == [found.raw for found in founds]
    same = compared(pairs)
    assert (same.decisions, same.agreed, same.agreement) == (OFFERS, OFFERS, 1.0)
    assert (same.gain(0).mean, same.gain(1).mean) == (0.0, 0.0)


def test_another_model_decides_the_same_offers_under_its_own_name(founds, other):
    pairs = Shadow(SETTINGS, other).decide(founds)

    shadows = [found_at(0, offset, value).record for offset, (_, value) in enumerate(pairs)]
    assert [shadow.decision_id for shadow in shadows] == [found.record.decision_id for found in founds]
    assert {shadow.model for shadow in shadows} == {other.label}
    assert [shadow.inputs for shadow in shadows] == [found.record.inputs for found in founds]


def test_each_model_thinks_its_own_choices_the_better_ones(founds, other):
    seen = compared(Shadow(SETTINGS, other).decide(founds))

    assert 0 < seen.agreed < seen.decisions
    assert seen.gain(0).mean > 0.0 > seen.gain(1).mean
    assert seen.gain(0).lower < seen.gain(0).mean < seen.gain(0).upper
    assert seen.higher + seen.lower <= sum(seen.outcomes.values()) == seen.decisions - seen.agreed


def test_what_no_model_can_make_again_is_left_out_and_counted(founds):
    old = found_at(0, 1, founds[1].raw.replace(b'"rules":', b'"rules_":'))
    broken = found_at(0, 2, founds[2].raw.replace(b'"inputs":"', b'"inputs":"AAAA'))
    shadow = Shadow(SETTINGS, MODEL)

    assert [found.offset for found, _ in shadow.decide([founds[0], old, broken, *founds[3:]])] == [
        0,
        *range(3, OFFERS),
    ]
    assert shadow.counts == {"recorded by an earlier version, without its inputs": 1, "without readable inputs": 1}
