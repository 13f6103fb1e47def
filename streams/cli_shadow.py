"""``repricer shadow …``: a second model beside the first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli_explain import LATEST_MS, AsJson
from streams.cli_operate import By

shadow = typer.Typer(help="Another model decides silently beside the one that serves.", no_args_is_help=True)


@shadow.command()
def run(
    model: Annotated[Path | None, typer.Option(help="A .safetensors file.", exists=True, dir_okay=False)] = None,
    published: Annotated[
        str | None, typer.Option(metavar="NAME/VERSION", help="Instead of a file: a model of `repricer models`.")
    ] = None,
    by: By = None,
    from_the_start: Annotated[
        bool, typer.Option("--from-the-start", help="Begin with the oldest decision; else with the next one.")
    ] = False,
) -> None:
    """Decide by another model what the workers decide, and write it to shadow-decisions. Runs until Ctrl-C.

    Give it the workers' own settings. Several may run with one model, and share its partitions.
    """
    from streams.compiled import keep_compiled
    from streams.errors import InputRefused
    from streams.log_setup import quiet_settings
    from streams.models.named import load_to_shadow
    from streams.serving_model import load_serving_model
    from streams.shadow.follow import follow

    if (model is None) == (published is None):
        raise InputRefused("say which model: either --model or --published")
    settings = quiet_settings("shadow")
    keep_compiled(settings.compilation_cache)
    if published is not None:
        loaded = load_to_shadow(settings, published, by)
    else:
        loaded = load_serving_model(settings.model_copy(update={"model_path": model}))
    typer.echo(f"{loaded.label} shadows the decisions of {settings.topic_prefix}")
    counts = follow(settings, loaded, from_the_start=from_the_start)
    typer.echo(", ".join(f"{count:,} {what}" for what, count in counts.items()) or "no decisions came")


@shadow.command()
def report(
    since: Annotated[str, typer.Option("--since", help="Event time: 2h, 3d, or an RFC 3339 time.")] = "1d",
    model: Annotated[str | None, typer.Option(help="Label of the shadow, if there were several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how often the shadow agrees with the worker's model, and what each thinks of the other's prices."""
    import orjson
    from rich.console import Console

    from streams.dlq.letters import parse_since
    from streams.log_setup import quiet_settings
    from streams.shadow.report import compare, print_comparison

    comparison = compare(quiet_settings("shadow"), since_ms=parse_since(since), until_ms=LATEST_MS, model=model)
    if as_json:
        typer.echo(orjson.dumps(comparison.as_dict()).decode())
    else:
        print_comparison(comparison, Console())
