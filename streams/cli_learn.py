"""``repricer outcomes``, ``learner``, ``promoter``: what followed decisions, and what is learned from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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


@learn.command()
def learner(
    folder: Annotated[Path, typer.Option(help="Of this learner: what it remembers, and its candidate models.")],
) -> None:
    """Learn from transitions, beginning with the workers' model, and publish candidate models. Runs until Ctrl-C.

    Kill it at any time: it learns from each transition once. A folder belongs to one model to begin with.
    """
    from streams.compiled import keep_compiled
    from streams.learner.run import run_learner
    from streams.log_setup import set_up_logging
    from streams.serving_model import load_serving_model
    from streams.settings import load_settings

    settings = load_settings()
    set_up_logging(settings, component="learner")
    keep_compiled(settings.compilation_cache)
    kept = run_learner(settings, folder, load_serving_model(settings))
    left_out = ", ".join(f"{count:,} {why}" for why, count in sorted(kept.left_out.items()))
    typer.echo(f"{kept.taken:,} transitions, {kept.rows:,} to learn from; left out: {left_out or 'none'}")


@learn.command()
def promoter() -> None:
    """Shadow candidate models, ask the gate, promote what passes, roll back what earns less. Runs until Ctrl-C.

    Give it the workers' own settings. `repricer models pin` stops it, and `unpin` lets it go on.
    """
    from streams.compiled import keep_compiled
    from streams.log_setup import set_up_logging
    from streams.promoter.run import run_promoter
    from streams.settings import load_settings

    settings = load_settings()
    set_up_logging(settings, component="promoter")
    keep_compiled(settings.compilation_cache)
    run_promoter(settings)
