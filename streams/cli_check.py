"""Verbs for looking closely: whether what must hold does hold, and what became of records that were refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from streams.dlq.letters import Wanted

check = typer.Typer()
dlq = typer.Typer(help="Records that were refused: the dead letters.", no_args_is_help=True)
check.add_typer(dlq, name="dlq")

Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only this reason; may be repeated.")]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="Only this source; may be repeated.")]
Since = Annotated[str | None, typer.Option(help="Only refused since then: 2h, 3d, or an RFC 3339 time.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@check.command()
def verify(as_json: AsJson = False) -> None:
    """Recompute totals, ids, bounds, causes and order from the raw topics, beside working workers too.

    Give it the workers' own settings: the duplicate window is one of them.
    """
    import orjson

    from streams.settings import load_settings
    from streams.verify import require_clean
    from streams.verify import verify as run
    from streams.verify.report import print_report

    report = run(load_settings())
    if as_json:
        typer.echo(orjson.dumps(report.as_dict(), option=orjson.OPT_NON_STR_KEYS).decode())
    else:
        print_report(report)
    require_clean(report)


@check.command()
def sweep(
    states: Annotated[int, typer.Option(min=1, help="How many random offers, policies and model outputs.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same ones.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Decide random states with a model that is wrong in every way, and check each moved price by other code."""
    import orjson

    from streams.sweep import measure, print_report, require_none

    report = measure(states, seed)
    if as_json:
        typer.echo(orjson.dumps(report))
    else:
        print_report(report)
    require_none(report)


@check.command()
def alarms(
    since: Annotated[str | None, typer.Option(help="Only since then: 2h, 3d, or an RFC 3339 time.")] = None,
    severity: Annotated[
        Literal["info", "warning", "critical"], typer.Option(help="No milder ones than these.")
    ] = "info",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a person should look at: what was seen, how often, and what to do."""
    import msgspec

    from streams.alarms.log import alarms as found
    from streams.alarms.log import print_alarm
    from streams.dlq.letters import parse_since
    from streams.settings import load_settings

    since_ms = 0 if since is None else parse_since(since)
    for alarm in found(load_settings(), since_ms=since_ms, least=severity, follow=follow):
        if as_json:
            typer.echo(msgspec.json.encode(alarm))
        else:
            print_alarm(alarm)


@check.command()
def breaker(as_json: AsJson = False) -> None:
    """Show how much each shard has changed lately, and which of them stand and why; `control resume` starts them."""
    import msgspec

    from streams.breaker.report import print_summaries, summaries
    from streams.settings import load_settings

    found = summaries(load_settings())
    if as_json:
        for summary in found:
            typer.echo(msgspec.json.encode(summary))
    else:
        print_summaries(found)


@dlq.command("list")
def list_letters(
    reason: Reasons = None,
    topic: Topics = None,
    since: Since = None,
    summary: Annotated[bool, typer.Option("--summary", help="Counts by topic and reason only.")] = False,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the oldest refusal first."""
    import orjson

    from streams.dlq import show
    from streams.dlq.letters import find
    from streams.settings import load_settings

    letters = find(load_settings(), _wanted([], reason, topic, since))
    if as_json:
        rows = [show.summary(letters)] if summary else map(show.as_dict, letters)
        for row in rows:
            typer.echo(orjson.dumps(row))
    elif summary:
        show.print_summary(letters)
    else:
        show.print_letters(letters)


@dlq.command("show")
def show_letter(coordinates: Annotated[str, typer.Argument(help="Of the refused record: orders/3/1042.")]) -> None:
    """Show everything about one dead letter."""
    from streams.dlq.letters import find
    from streams.dlq.show import print_letter
    from streams.settings import load_settings

    for letter in find(load_settings(), _wanted([coordinates], None, None, None)):
        print_letter(letter)


@dlq.command("replay")
def replay_letters(
    coordinates: Annotated[list[str] | None, typer.Argument(help="Of refused records: orders/3/1042.")] = None,
    reason: Reasons = None,
    topic: Topics = None,
    since: Since = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would be done.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also where the record itself is at fault.")] = False,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also what an earlier run began: you know that it is over.")
    ] = False,
) -> None:
    """Publish refused records once more. Each is applied once, however often it is replayed."""
    from streams.dlq.letters import find
    from streams.dlq.replay import Replayer, plan
    from streams.dlq.show import print_answers
    from streams.errors import InputRefused, ReplayRefused
    from streams.settings import load_settings

    settings, wanted = load_settings(), _wanted(coordinates or [], reason, topic, since)
    if wanted.says_nothing:
        raise InputRefused("say which: coordinates, --reason, --topic or --since")
    answers = plan(find(settings, wanted), force=force)
    planned = [answer.letter for answer in answers if answer.outcome == "planned"]
    if yes and planned:
        done = {answer.letter.source: answer for answer in Replayer(settings, unfinished=unfinished).replay(planned)}
        answers = [done.get(answer.letter.source, answer) for answer in answers]
    print_answers(answers)
    if planned and not yes:
        typer.echo(f"{len(planned)} would be replayed; --yes does it")
    refused = [str(answer.letter.source) for answer in answers if answer.outcome == "refused"]
    if refused and coordinates:
        raise ReplayRefused(f"not replayed: {', '.join(refused)}")


def _wanted(coordinates: list[str], reasons: list[str] | None, topics: list[str] | None, since: str | None) -> Wanted:
    from schemas.dead_letter import Reason
    from streams.dlq.coordinates import parse_coordinates
    from streams.dlq.letters import Wanted, parse_since
    from streams.errors import InputRefused

    unknown = set(reasons or ()) - set(Reason)
    if unknown:
        raise InputRefused(f"no reason is called {', '.join(sorted(unknown))}; there are {', '.join(Reason)}")
    return Wanted(
        coordinates=frozenset(map(parse_coordinates, coordinates)),
        reasons=frozenset(map(Reason, reasons or ())),
        topics=frozenset(topics or ()),
        since_ms=0 if since is None else parse_since(since),
    )
