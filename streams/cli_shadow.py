"""``repricer shadow …``: a second model beside the first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli_explain import LATEST_MS, AsJson

shadow = typer.Typer(help="Another model decides silently beside the one that serves.", no_args_is_help=True)


@shadow.command()
def run(
    model: Annotated[Path, typer.Option(help="A .safetensors file.", exists=True, dir_okay=False)],
    from_the_start: Annotated[
        bool, typer.Option("--from-the-start", help="Begin with the oldest decision; else with the next one.")
    ] = False,
) -> None:
    """Decide by another model what the workers decide, and write it to shadow-decisions. Runs until Ctrl-C.

    Give it the workers' own settings. Several may run with one model, and share its partitions.
    """
    from streams.compiled import keep_compiled
    from streams.log_setup import quiet_settings
    from streams.serving_model import load_serving_model
    from streams.shadow.follow import follow

    settings = quiet_settings("shadow")
    keep_compiled(settings.compilation_cache)
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
