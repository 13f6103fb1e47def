"""Has a model that was promoted kept what the gate expected? By what it earned itself, and the gate's own measure.

The gate asks whether a candidate would have earned less than what was logged. Here the log is that of the model which
is live, and the one before it is asked what it would have earned there. Where it surely would have earned more than the
margin, or guards forbid a larger share of what the live one chooses, there is a reason to go back.

What cannot be answered is no reason: the gate has let the live model pass, and a predecessor that wants other prices
than those that were logged has no support in this log.
"""

from __future__ import annotations

from pricing_core.evaluation.gate import GateLimits, Guarded, Judgement
from pricing_core.evaluation.intervals import Contributions, gain
from pricing_core.evaluation.support import OffPolicyError, SupportLimits


def look_back(
    off_policy: Contributions | None,
    guarded: Guarded | None,
    limits: GateLimits = GateLimits(),  # noqa: B008  # immutable
) -> Judgement:
    """Say why to go back; without reasons the live model stays.

    Args:
        off_policy: Of the predecessor, on what the live model decided; None: nothing is known.
        guarded: Decisions of the live model (``running``) and of its predecessor (``candidate``) on the same states.
        limits: What is agreed with the gate.
    """
    found = Judgement()
    if off_policy is not None and len(off_policy) >= limits.least_decisions:
        _ask_earnings(off_policy, limits, found)
    if guarded is not None and guarded.decisions >= limits.least_decisions:
        live, before = guarded.running / guarded.decisions, guarded.candidate / guarded.decisions
        found.figures |= {"guarded_live": live, "guarded_before": before}
        if live > before + limits.more_guarded:
            found.reasons.append(
                f"guards: {live:.1%} of its choices are forbidden, {before:.1%} of those before would be"
            )
    return found


def _ask_earnings(off_policy: Contributions, limits: GateLimits, found: Judgement) -> None:
    earned = float(off_policy.reward.mean())
    found.figures |= {"decisions": len(off_policy), "earned": earned}
    if not earned > 0:  # no share of it can be named
        return
    try:
        support = SupportLimits(limits.min_share, limits.min_size, limits.max_unsupported)
        estimate = gain(off_policy, confidence=limits.confidence, limits=support)
    except (OffPolicyError, ValueError):
        return
    value, lower, upper = (bound / earned for bound in (estimate.value, estimate.lower, estimate.upper))
    found.figures |= {"before_value": value, "before_lower": lower, "before_upper": upper}
    if lower > limits.margin:
        found.reasons.append(
            f"earnings: the model before would have earned {value:+.2%} ({lower:+.2%} to {upper:+.2%}) of what it has "
            f"earned, and {limits.margin:.1%} is accepted"
        )
