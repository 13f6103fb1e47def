"""What the live model has earned, beside what the one before it would have: the log's part of a look back."""

from __future__ import annotations

import structlog

from pricing_core.evaluation.gate import Guarded, Judgement
from pricing_core.evaluation.logged_prices import difference
from pricing_core.evaluation.look_back import look_back
from pricing_core.model_file import Model
from pricing_core.recorded import RecordedError
from streams.models.choices import sort_out
from streams.models.evidence import SEED, decide_logged, forbidden, log_of
from streams.models.transitions import FollowedDecisions
from streams.settings import Settings

log = structlog.get_logger(__name__)


def review(settings: Settings, live: Model, before: Model, *, since_ms: int, until_ms: int) -> Judgement:
    """Ask the model before about what the live one has decided within a time; event time, ms.

    Raises:
        TopicMismatch: A topic is missing.
        BrokerUnreachable: No broker answered.
    """
    followed = FollowedDecisions(settings, since_ms=since_ms, until_ms=until_ms)
    found = sort_out(one for one in followed if one.model == live.label)
    try:
        again, on_guarded = decide_logged(before, found.free), decide_logged(before, found.guarded)
        said = log_of(found, again)
    except (RecordedError, ValueError) as error:
        log.warning("log_unusable", error=str(error))
        return Judgement()
    if said is None:
        return Judgement()
    _, logged, wanted = said
    off_policy = difference(logged, wanted, seed=SEED)
    guarded = Guarded(len(found.free) + len(found.guarded), len(found.guarded), forbidden((*again, *on_guarded)))
    return look_back(off_policy, guarded)
