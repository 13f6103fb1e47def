"""The promoter's judgement without Kafka: whose turn it is, and when there is a reason to go back."""

import numpy as np
import pytest
from msgspec.structs import replace

from pricing_core.evaluation.gate import Guarded
from pricing_core.evaluation.intervals import Contributions
from pricing_core.evaluation.look_back import look_back
from schemas import examples as ex
from schemas.models import ModelStatusSet
from streams.models.registered import Registered
from streams.promoter.run import waiting
from tests.pricing_core.engines import MODEL

V = MODEL.version
"""The model that prices."""


def registered(*statuses):
    """Versions above the model that prices, each with its status and what it was judged beside."""
    known = Registered("default")
    for version, said in enumerate(statuses, V + 1):
        known.hear(replace(ex.MODEL, version=version))
        if said is not None:
            status, against = said
            known.hear(ModelStatusSet("default", version, status, [], "ann", "why", ex.AT, against))
    return known


@pytest.mark.parametrize(
    ("statuses", "whose_turn"),
    [
        ((), None),
        ((None,), V + 1),
        ((None, None), V + 2),
        ((None, ("retired", None)), V + 1),
        ((("shadow", None),), V + 1),
        ((("candidate", MODEL.label),), None),
        ((("candidate", "default/1@0"),), V + 1),
        ((None, ("candidate", MODEL.label)), V + 1),
    ],
)
def test_it_is_the_turn_of_the_newest_that_was_not_judged_beside_what_prices(statuses, whose_turn):
    assert waiting(registered(*statuses), MODEL) == whose_turn


def test_what_is_older_than_the_model_that_prices_is_left_alone():
    known = Registered("default")
    known.hear(replace(ex.MODEL, version=V - 1))
    assert waiting(known, MODEL) is None


def contributions(gain, n=2000, weight=1.0):
    """Decisions that earned about 1, of which the model before would have earned ``gain`` more."""
    reward = 1.0 + 0.1 * np.sin(np.arange(n))
    weights = np.where(np.arange(n) % 50, weight, 1.0)
    return Contributions(reward + gain, np.zeros(n), np.ones(n), weights, reward, np.arange(n), 0.0)


FEW = Guarded(2000, 20, 20)


@pytest.mark.parametrize(
    ("off_policy", "guarded", "why"),
    [
        (contributions(0.0), FEW, []),
        (contributions(0.005), FEW, []),
        (contributions(0.03), FEW, ["earnings"]),
        (contributions(-0.03), FEW, []),
        (contributions(0.03, n=900), FEW, []),
        (contributions(0.03, weight=0.0), FEW, []),
        (None, None, []),
        (contributions(0.0), Guarded(2000, 41, 20), ["guards"]),
        (contributions(0.0), Guarded(2000, 20, 500), []),
        (contributions(0.0), Guarded(999, 500, 0), []),
    ],
)
def test_there_is_a_reason_to_go_back_only_if_the_model_before_would_surely_have_done_better(off_policy, guarded, why):
    found = look_back(off_policy, guarded)
    assert [reason.partition(":")[0] for reason in found.reasons] == why
