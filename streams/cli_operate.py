"""Verbs of persons who step in: run modes by scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.operate.run_modes import Mode

operate = typer.Typer()
control = typer.Typer(help="Stop, reduce and resume price changes by scope.", no_args_is_help=True)
operate.add_typer(control, name="control")

Why = Annotated[str, typer.Option(help="Reason, for the record.")]
By = Annotated[str | None, typer.Option(help="Who says so; your user name if not given.")]
Channel = Annotated[str | None, typer.Option(help="Only offers on this channel.")]
Category = Annotated[str | None, typer.Option(help="Only offers whose policy names this category.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@control.command()
def halt(why: Why, by: By = None, channel: Channel = None, category: Category = None) -> None:
    """Stop all price changes, also into new bounds; events are still applied."""
    _set_run_mode("HALTED", by, why, channel, category)


@control.command()
def reduce(why: Why, by: By = None, channel: Channel = None, category: Category = None) -> None:
    """Let prices only go back towards the list price, and into new bounds."""
    _set_run_mode("REDUCING", by, why, channel, category)


@control.command()
def resume(why: Why, by: By = None, channel: Channel = None, category: Category = None) -> None:
    """Allow price changes again, as far as no other scope forbids them."""
    _set_run_mode("ACTIVE", by, why, channel, category)


@control.command()
def show(as_json: AsJson = False) -> None:
    """Show the last word about every scope: what is in force, by whom and since when. The strictest counts."""
    import orjson
    from rich.console import Console

    from streams.operate.run_modes import as_rows, in_force, print_in_force
    from streams.settings import load_settings

    settings = load_settings()
    found = in_force(settings)
    if as_json:
        for row in as_rows(found):
            typer.echo(orjson.dumps(row).decode())
    else:
        print_in_force(found, settings.partitions, Console())


def _set_run_mode(mode: Mode, by: str | None, why: str, channel: str | None, category: str | None) -> None:
    from schemas.topics import control_key
    from streams.operate.run_modes import publish_run_mode
    from streams.settings import load_settings

    settings = load_settings()
    partitions = publish_run_mode(settings, mode, by, why, channel=channel, category=category)
    scope = control_key(channel, category).decode()
    typer.echo(f"{mode} for {scope} published to {partitions} partitions of {settings.topic_prefix}.pricing-control")
