"""Verbs for policies in bulk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

policies = typer.Typer(help="Policies in bulk, as CSV.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="CSV in UTF-8 with a header line; columns are called like fields.")]


@policies.command("export")
def export_policies(
    file: File,
    channel: Annotated[str | None, typer.Option(help="Only offers on this channel.")] = None,
    category: Annotated[str | None, typer.Option(help="Only offers of this category.")] = None,
) -> None:
    """Write the policies in force, money in units of its currency."""
    from streams.operate.policy_export import write_policies
    from streams.operate.reading import read_policies
    from streams.settings import load_settings

    known = read_policies(load_settings())
    wanted = (
        policy
        for _, policy in sorted(known.items())
        if channel in {None, policy.channel} and category in {None, policy.category}
    )
    typer.echo(f"{write_policies(file, wanted)} policies written to {file}")


@policies.command("import")
def import_policies(
    file: File,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> None:
    """Publish the policies of a file, all or none; fields without a column stay as they are, and versions grow."""
    from rich.console import Console

    from streams.operate.policy_import import plan, print_plan, publish, require_sound
    from streams.operate.reading import read_policies
    from streams.settings import load_settings

    settings = load_settings()
    found = plan(file, read_policies(settings))
    print_plan(found, Console())
    require_sound(file, found)
    if not dry_run:
        typer.echo(f"{publish(settings, found) if found.edits else 0} policies published")
