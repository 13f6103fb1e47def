"""``repricer outcomes`` and ``repricer learner``: what followed decisions, and what is learned from it."""

from __future__ import annotations

import typer

learn = typer.Typer(help="Learn from what followed the decisions.")


@learn.command()
def outcomes() -> None:
    """Join decisions with what followed them, and write that to transitions. Runs until Ctrl-C.

    Give it the workers' own settings. Several may run, and share the partitions; REPRICER_INSTANCE must differ.
    """
    from streams.log_setup import set_up_logging
    from streams.outcomes.follow import follow
    from streams.settings import load_settings

    settings = load_settings()
    set_up_logging(settings, component="outcomes")
    follow(settings)
