"""``repricer …``: one verb, one function. Heavy imports are inside the verbs, so that ``--help`` stays fast."""

from __future__ import annotations

import sys
from typing import Annotated, Literal, NoReturn

import typer

from streams.errors import RepricerError

app = typer.Typer(
    name="repricer",
    help="A streaming repricer: Kafka events in, guarded price changes out. Settings come from REPRICER_… variables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
topics = typer.Typer(help="The topics on the broker.", no_args_is_help=True)
control = typer.Typer(help="Stop and resume price changes, for all offers.", no_args_is_help=True)
app.add_typer(topics, name="topics")
app.add_typer(control, name="control")


def main() -> None:
    """Run a verb; an error of ours is one clear line on stderr and its own exit code."""
    try:
        app()
    except RepricerError as error:
        fail(error)


def fail(error: RepricerError) -> NoReturn:
    """End with the error's message and exit code."""
    typer.echo(f"repricer: {error}", err=True)
    sys.exit(error.exit_code)


@app.command()
def settings() -> None:
    """Show every setting: variable, value in force, default, meaning."""
    from streams.report import print_settings
    from streams.settings import load_settings

    print_settings(load_settings())


@topics.command("list")
def list_topics() -> None:
    """Show our topics as the broker has them."""
    from streams.report import print_topics
    from streams.settings import load_settings
    from streams.topic_admin import TopicAdmin

    print_topics(TopicAdmin(load_settings()).states())


@topics.command("apply")
def apply_topics() -> None:
    """Create the topics that are missing; what exists is never changed."""
    from streams.settings import load_settings
    from streams.topic_admin import TopicAdmin, require

    settings = load_settings()
    created = TopicAdmin(settings).apply()
    for name in created:
        typer.echo(f"created {name}")
    require(settings)
    typer.echo(f"{len(created)} created, all as they must be")


@topics.command("check")
def check_topics() -> None:
    """Compare the topics with what the worker needs; each difference comes with its cure."""
    from streams.settings import load_settings
    from streams.topic_admin import require

    partitions = require(load_settings())
    typer.echo(f"all topics are as they must be, with {partitions} partitions")


@app.command()
def doctor() -> None:
    """Look at broker, topics, placement of keys, consumer group, device and model."""
    from streams.doctor import examine
    from streams.report import print_findings
    from streams.settings import load_settings

    if not print_findings(examine(load_settings())):
        raise typer.Exit(RepricerError.exit_code)


@app.command()
def broker(
    prefix: Annotated[str, typer.Option(help="Prefix of the topics that are created.")] = "repricer",
) -> None:
    """Run the embedded broker (for trying things: nothing is kept) and print its address."""
    from streams.embedded_broker import EmbeddedBroker
    from streams.stop_signal import wait_for_stop_signal

    with EmbeddedBroker(prefix) as server:
        typer.echo(server.bootstrap_servers)
        wait_for_stop_signal()


@app.command()
def worker() -> None:
    """Reprice until SIGTERM or Ctrl-C."""
    from streams.app import run_worker
    from streams.settings import load_settings

    run_worker(load_settings())


@control.command()
def halt(
    why: Annotated[str, typer.Option(help="Reason, for the record.")],
    by: Annotated[str | None, typer.Option(help="Who says so; your user name if not given.")] = None,
) -> None:
    """Stop all price changes; events are still applied."""
    _set_run_mode("HALTED", by, why)


@control.command()
def resume(
    why: Annotated[str, typer.Option(help="Reason, for the record.")],
    by: Annotated[str | None, typer.Option(help="Who says so; your user name if not given.")] = None,
) -> None:
    """Allow price changes again."""
    _set_run_mode("ACTIVE", by, why)


def _set_run_mode(mode: Literal["ACTIVE", "HALTED"], by: str | None, why: str) -> None:
    from streams.run_mode import publish_run_mode
    from streams.settings import load_settings

    settings = load_settings()
    partitions = publish_run_mode(settings, mode, by, why)
    typer.echo(f"{mode} published to {partitions} partitions of {settings.topic_prefix}.pricing-control")


if __name__ == "__main__":
    main()
