"""A row that is lost is made again from the decisions: in what no source holds it is the row that the engine had."""

import numpy as np
from msgspec.structs import replace

from pricing_core.decisions import OUTCOMES
from pricing_core.features import HOLD
from schemas import columns as c
from schemas import examples as ex
from streams.state.decided import BEGINS_ANEW, OF_DECISIONS, _write_down, blank
from tests.pricing_core.engines import decide, engine, only, opinionated
from tests.pricing_core.events import DAY, T0, policy

PROMOTION = {"promotion_price": 1000, "promotion_from": T0 + 40 * DAY, "promotion_to": T0 + 47 * DAY}


def recorded(found):
    """The audit record of a decision, in what counts here."""
    optional = {name: int(getattr(found, name)) for name in ("price", "previous_price", "prior_price", "version")}
    return replace(
        ex.DECISION,
        decision_id=f"0-{found.sequence}",
        outcome=OUTCOMES[found.outcome],
        reason=found.code,
        policy_version=1,
        **{name: None if value == c.NONE else value for name, value in optional.items()},
    )


def test_a_promotion_its_announcement_and_the_price_before_it_come_back_from_the_decisions():
    made, row = opinionated(engine(), HOLD), blank()
    made.apply(0, policy(**PROMOTION, reductions=c.ANNOUNCED))
    for now in (T0, T0 + 20 * DAY, T0 + 40 * DAY):
        _write_down(row, recorded(only(decide(made, now))), now)
    _, (kept,) = made.snapshot(0)
    assert (row["decided_prior_price"][0], row["regular_price"][0], row["priced_since"][0]) == (1299, 1299, T0)
    for name in set(OF_DECISIONS) - {"due_at", *BEGINS_ANEW}:
        assert np.array_equal(row[name][0], kept[name]), name
    assert not any(np.any(row[name]) for name in BEGINS_ANEW)
