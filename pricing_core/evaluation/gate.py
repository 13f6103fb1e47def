"""May a candidate price? Only if what was logged, simulated and shadowed leaves no room for its being worse.

Four questions, each of which can stop it, and what cannot be answered stops it, too:

1. *Off-policy*: the lower bound of its doubly robust difference to what was logged is above a margin below zero, and
   the log is large enough, and holds enough of what the candidate would do.
2. *Roll-outs*: over weeks in shops of the fitted demand it earns no less than the model that runs, by the same margin.
3. *Guards*: of its choices on the logged states no larger share is forbidden by a guard.
4. *Shadow*: nor is of those that it made silently beside the running model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pricing_core.evaluation.arrays import Float64
from pricing_core.evaluation.intervals import Contributions, gain, normal_interval, require_gain
from pricing_core.evaluation.support import OffPolicyError, SupportLimits


class GateLimits(NamedTuple):
    """What is agreed."""

    margin: float = 0.01
    """Loss that is accepted at worst, as a share of what is earned now."""
    confidence: float = 0.95
    least_decisions: int = 1_000
    """In the log, and in the shadow run."""
    least_offers: int = 20
    min_share: float = 0.05
    """Least effective sample size, as a share of the logged decisions."""
    min_size: float = 200.0
    """Least effective sample size."""
    max_unsupported: float = 0.5
    """Share of what the candidate would do that the log never tries. Of those prices the reward model speaks alone, and
    the roll-outs have to agree.
    """
    more_guarded: float = 0.01
    """So much larger a share of forbidden choices is accepted."""


class Guarded(NamedTuple):
    """Decisions of the same states by both models, and how many of each a guard forbade."""

    decisions: int
    running: int
    candidate: int


class Evidence(NamedTuple):
    """What is known about a candidate; None: nothing."""

    off_policy: Contributions | None
    """Of a doubly robust estimator, in any unit of which more is better."""
    roll_out: Float64 | None
    """Gain of each offer, as a share of what the running model earns in a mean one."""
    guarded: Guarded | None
    """On the logged states."""
    shadow: Guarded | None
    """On those of the shadow run."""


@dataclass(slots=True)
class Judgement:
    """Of the gate."""

    reasons: list[str] = field(default_factory=list)
    """Why not; empty: it may be promoted."""
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether it may be promoted."""
        return not self.reasons


def judge(evidence: Evidence, limits: GateLimits = GateLimits()) -> Judgement:  # noqa: B008  # immutable
    """Ask all questions, so that a person sees all reasons at once."""
    judgement = Judgement()
    _ask_off_policy(evidence.off_policy, limits, judgement)
    _ask_roll_out(evidence.roll_out, limits, judgement)
    _ask_guards(LOGGED, evidence.guarded, limits, judgement)
    _ask_guards(SHADOWED, evidence.shadow, limits, judgement)
    return judgement


def _ask_off_policy(found: Contributions | None, limits: GateLimits, judgement: Judgement) -> None:
    if found is None or len(found) < limits.least_decisions:
        count = 0 if found is None else len(found)
        judgement.reasons.append(
            f"off-policy: {count:,} logged decisions, at least {limits.least_decisions:,} are needed"
        )
        return
    earned = float(found.reward.mean())
    judgement.figures |= {"decisions": len(found), "effective_sample_size": found.effective_sample_size}
    judgement.figures["earned"] = earned
    if not earned > 0:
        judgement.reasons.append(
            f"off-policy: the logged decisions earned {earned:.4g}: there is no share of it to lose"
        )
        return
    try:
        support = SupportLimits(limits.min_share, limits.min_size, limits.max_unsupported)
        estimate = gain(found, confidence=limits.confidence, limits=support)
        judgement.figures |= {f"gain_{name}": getattr(estimate, name) / earned for name in ("value", "lower", "upper")}
        require_gain(estimate, margin=limits.margin * earned)
    except (OffPolicyError, ValueError) as error:
        judgement.reasons.append(f"off-policy: {error}")


def _ask_roll_out(gains: Float64 | None, limits: GateLimits, judgement: Judgement) -> None:
    if gains is None or len(gains) < limits.least_offers:
        count = 0 if gains is None else len(gains)
        judgement.reasons.append(f"roll-outs: {count} offers, at least {limits.least_offers} are needed")
        return
    mean = float(gains.mean())
    lower, upper = normal_interval(mean, (gains - mean) / len(gains), limits.confidence)
    judgement.figures |= {"roll_out_value": mean, "roll_out_lower": lower, "roll_out_upper": upper}
    if not lower >= -limits.margin:
        judgement.reasons.append(
            f"roll-outs: in shops of the fitted demand it earns {mean:+.2%} ({lower:+.2%} to {upper:+.2%}) beside the "
            f"model that runs, and may lose {limits.margin:.1%} at most"
        )


class _Where(NamedTuple):
    name: str
    where: str
    cure: str


LOGGED = _Where("guards", "on the logged states", "")
SHADOWED = _Where("shadow", "beside the running model", "; `repricer shadow run` makes them")


def _ask_guards(what: _Where, found: Guarded | None, limits: GateLimits, judgement: Judgement) -> None:
    if found is None or found.decisions < limits.least_decisions:
        count, least = 0 if found is None else found.decisions, limits.least_decisions
        judgement.reasons.append(
            f"{what.name}: {count:,} decisions {what.where}, at least {least:,} are needed{what.cure}"
        )
        return
    running, candidate = found.running / found.decisions, found.candidate / found.decisions
    judgement.figures |= {f"{what.name}_running": running, f"{what.name}_candidate": candidate}
    if candidate > running + limits.more_guarded:
        judgement.reasons.append(
            f"{what.name}: {candidate:.1%} of its choices {what.where} are forbidden, {running:.1%} of the other's"
        )
