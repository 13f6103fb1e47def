"""`repricer models gate`: may a candidate price? What the gate says is written down with the candidate."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pricing_core.evaluation.gate import Evidence, Guarded, Judgement, judge
from pricing_core.model_file import Model
from pricing_core.recorded import RecordedError
from streams.errors import InputRefused, NotPromoted
from streams.models.acts import set_status
from streams.models.choices import sort_out
from streams.models.evidence import evidence
from streams.models.registered import Registered
from streams.models.transitions import FollowedDecisions
from streams.settings import Settings
from streams.shadow.report import compare


def ask(settings: Settings, candidate: Model, running: Model, *, since_ms: int, until_ms: int) -> Judgement:
    """Judge a candidate by what the running model decided within a time, and by its shadow run; event time, ms.

    Raises:
        TopicMismatch: A topic is missing.
        BrokerUnreachable: No broker answered.
    """
    followed = FollowedDecisions(settings, since_ms=since_ms, until_ms=until_ms)
    found = sort_out(one for one in followed if one.model == running.label)  # those before it are not beaten again
    shadow = _shadow(settings, candidate, since_ms, until_ms)
    try:
        judgement = judge(evidence(found, candidate, running, shadow))
    except (RecordedError, ValueError) as error:
        judgement = judge(Evidence(None, None, None, shadow))
        judgement.reasons.insert(0, f"the log cannot be used: {error}")
    left_out = {**found.left_out, "record unreadable": followed.unreadable}
    judgement.figures |= {f"left out, {why}": count for why, count in left_out.items() if count}
    if candidate.epsilon != running.epsilon:  # all else compares them as if both explored as much
        judgement.reasons.append(
            f"it would explore {candidate.epsilon:.1%} of the decisions, and {running.epsilon:.1%} are explored now"
        )
    return judgement


def write_down(settings: Settings, registered: Registered, version: int, judgement: Judgement, by: str | None) -> None:
    """Say why a version stays what it is. One that is live keeps that."""
    if registered.status_of(version) == "live":
        return
    set_status(
        settings,
        registered.name,
        version,
        status=None,
        by=by,
        why="the gate lets it pass" if judgement.passed else "the gate does not let it pass",
        reasons=judgement.reasons,
    )


def require_passed(which: str, judgement: Judgement) -> None:
    """Refuse to promote what the gate does not let pass.

    Raises:
        NotPromoted: With all reasons, one a line.
    """
    if not judgement.passed:
        reasons = "\n".join(f"  {reason}" for reason in judgement.reasons)
        raise NotPromoted(f"{which} is not promoted:\n{reasons}\n(`--force` promotes it all the same)")


def as_dict(which: str, judgement: Judgement) -> dict[str, object]:
    """The same for JSON."""
    figures: Mapping[str, float] = {name: float(value) for name, value in judgement.figures.items()}
    return {"model": which, "passed": judgement.passed, "reasons": judgement.reasons, "figures": figures}


def print_judgement(which: str, judgement: Judgement, console: Console) -> None:
    """The same for a terminal."""
    console.print(Text(f"{which} {'may be promoted' if judgement.passed else 'stays a candidate'}", "bold"))
    for reason in judgement.reasons:
        console.print(Text(f"  {reason}"))
    table = Table("figure", "value")
    for name, value in judgement.figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.4g}")
    if judgement.figures:
        console.print(table)


def _shadow(settings: Settings, candidate: Model, since_ms: int, until_ms: int) -> Guarded | None:
    try:
        seen = compare(settings, since_ms=since_ms, until_ms=until_ms, model=candidate.label)
    except InputRefused:  # nothing of it was shadowed
        return None
    return Guarded(seen.decisions, seen.guarded, seen.shadow_guarded)
