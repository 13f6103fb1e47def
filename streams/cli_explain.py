"""Verbs about decisions that were made: why, once more, and what if."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pricing_core.model_file import Model
    from streams.replay.again import Replayer
    from streams.replay.decision_log import Found
    from streams.settings import Settings

explain_verbs = typer.Typer()

LATEST_MS = 2**53
"""Later than all times."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
From = Annotated[str, typer.Option("--from", help="Event time of the first decision: 2h, 3d, or an RFC 3339 time.")]
To = Annotated[str | None, typer.Option("--to", help="Event time of the last one; all later ones if not given.")]
Models = Annotated[
    list[Path] | None,
    typer.Option("--with-model", help="A .safetensors file that decisions of this time name and nobody has published."),
]


@explain_verbs.command()
def explain(
    decision_id: Annotated[str | None, typer.Argument(help="As records name it: 3-1042.")] = None,
    offer: Annotated[str | None, typer.Option(help="Instead: the last decision about this offer, channel:sku.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with a plot.", dir_okay=False, writable=True)] = None,
    as_json: AsJson = False,
) -> None:
    """Say why a price was changed or kept, and the smallest change of one input that would have flipped it."""
    if (decision_id is None) == (offer is None):
        raise typer.BadParameter("say which: the id of a decision, or --offer")

    import orjson
    from rich.console import Console

    from streams.explain.as_json import as_json as encoded
    from streams.explain.explanation import explain as find
    from streams.explain.page import page
    from streams.explain.terminal import print_explanation

    explanation = find(_settings(), decision_id=decision_id, offer=offer)
    if html is not None:
        html.write_text(page(explanation), encoding="utf-8")
    if as_json:
        typer.echo(orjson.dumps(encoded(explanation)).decode())
    else:
        print_explanation(explanation, Console())


@explain_verbs.command()
def replay(
    since: From,
    until: To = None,
    models: Models = None,
    states: Annotated[
        bool, typer.Option("--states/--no-states", help="Also rebuild the states from the source topics.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Make all decisions of some time again, from their records and from the source topics, and compare the bits.

    Give it the workers' own settings. Exit code 22 if something comes out otherwise.
    """
    import orjson
    from rich.console import Console

    from streams.replay.rebuild import Rebuild
    from streams.replay.report import print_report, require_reproduced

    settings = _settings()
    decisions, replayer = _decisions(settings, since, until), _replayer(settings, models)
    report = replayer.replay(decisions())
    state = Rebuild(settings, replayer).run(decisions()) if states else None
    if as_json:
        found = {**report.as_dict(), "states": None if state is None else state.as_dict()}
        typer.echo(orjson.dumps(found).decode())
    else:
        print_report(report, state, Console())
    require_reproduced(report, state)


@explain_verbs.command()
def whatif(
    since: From,
    until: To = None,
    policy: Annotated[
        Path | None, typer.Option(help="CSV of policies, as for `repricer publish policies`.", dir_okay=False)
    ] = None,
    mapping: Annotated[list[str] | None, typer.Option("--map", help="As for `repricer publish`.")] = None,
    model: Annotated[Path | None, typer.Option(help="A .safetensors file that decides instead.")] = None,
    models: Models = None,
    as_json: AsJson = False,
) -> None:
    """Make decisions again under other policies or by another model: which would have been others, and their worth."""
    if (policy is None) == (model is None):
        raise typer.BadParameter("say what is to be otherwise: --policy or --model")

    import orjson
    from rich.console import Console

    from streams.replay.policy_file import read_policies
    from streams.replay.whatif import by_model, print_effect, under_policies, what_if

    settings = _settings()
    if policy is not None:
        otherwise = under_policies(read_policies(policy, mapping or []))
    else:
        otherwise = by_model(_models(settings, [model] if model else [])[-1])
    replayer = _replayer(settings, models)
    effect = what_if(replayer, _decisions(settings, since, until)(), otherwise)
    if as_json:
        typer.echo(orjson.dumps(effect.as_dict()).decode())
    else:
        print_effect(effect, Console())


def _settings() -> Settings:
    from streams.compiled import keep_compiled
    from streams.log_setup import quiet_settings

    settings = quiet_settings("replay")
    keep_compiled(settings.compilation_cache)
    return settings


def _replayer(settings: Settings, paths: list[Path] | None) -> Replayer:
    """With the model that serves, those of the given files, and whatever was published."""
    from streams.replay.again import Replayer
    from streams.replay.published import PublishedOnDemand

    return Replayer(settings, _models(settings, paths), PublishedOnDemand(settings))


def _models(settings: Settings, paths: list[Path] | None) -> list[Model]:
    """The model that serves, and those of the given files."""
    from streams.serving_model import load_serving_model

    others = [settings.model_copy(update={"model_path": path}) for path in paths or []]
    return [load_serving_model(each) for each in (settings, *others)]


def _decisions(settings: Settings, since: str, until: str | None) -> Callable[[], Iterator[Found]]:
    """Something that reads the decisions of the time, as often as it is called."""
    from streams.dlq.letters import parse_since
    from streams.replay.decision_log import DecisionLog

    log, start = DecisionLog(settings), parse_since(since)
    stop = LATEST_MS if until is None else parse_since(until)
    return lambda: log.between(start, stop)
