"""``repricer bench …``: one verb for each benchmark; a table for people, one object with ``--json``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(help="Measure.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
BrokerPid = Annotated[
    int | None, typer.Option(envvar="KAFKA_BROKER_PID", help="The broker's process, to tell its share of the CPU.")
]
Rounds = Annotated[int, typer.Option(help="How often all are run, in turns.", min=1)]
Rivals = Annotated[
    Path | None,
    typer.Option(help="Python that has Faust, Quix Streams and Bytewax: they are run, too. `make rivals` makes one."),
]


@bench.command()
def throughput(
    events: Annotated[int, typer.Option(help="Events of one round.", min=1000)] = 2_000_000,
    offers: Annotated[int, typer.Option(help="Offers that they are about.", min=1)] = 10_000,
    rounds: Rounds = 3,
    rivals: Rivals = None,
    broker_pid: BrokerPid = None,
    as_json: Json = False,
) -> None:
    """Events a second of the complete worker, beside a bare loop (and rivals) on the same broker."""
    from streams.bench.report import show
    from streams.bench.throughput import Plan, measure
    from streams.settings import load_settings

    show(measure(load_settings(), Plan(events, offers, rounds, broker_pid, rivals)), as_json=as_json)


@bench.command()
def profile(
    events: Annotated[int, typer.Option(help="Events that are timed, after as many to warm up.", min=1000)] = 500_000,
    offers: Annotated[int, typer.Option(help="Offers that they are about.", min=1)] = 10_000,
    batch: Annotated[int, typer.Option(help="Records of a step, at most.", min=1)] = 1000,
    as_json: Json = False,
) -> None:
    """Where each microsecond of a step goes: one process, no Kafka."""
    from streams.bench.profile import measure
    from streams.bench.report import show

    show(measure(events=events, offers=offers, batch=batch), as_json=as_json)


@bench.command()
def latency(
    rate: Annotated[list[int] | None, typer.Option(help="Events a second; several times for several.")] = None,
    seconds: Annotated[float, typer.Option(help="Of one turn.", min=3)] = 20,
    rounds: Rounds = 3,
    as_json: Json = False,
) -> None:
    """From an order to its price change in the hands of a consumer, beside two echo loops."""
    from streams.bench.latency import Plan, measure
    from streams.bench.report import show
    from streams.settings import load_settings

    show(measure(load_settings(), Plan(rate or [500, 5_000, 20_000], seconds, rounds)), as_json=as_json)


@bench.command()
def recovery(
    offers: Annotated[list[int] | None, typer.Option(help="Rows to rebuild; several times for several.")] = None,
    rounds: Rounds = 3,
    rivals: Rivals = None,
    as_json: Json = False,
) -> None:
    """Rebuild shards from the changelog, beside a table of stock Faust."""
    from streams.bench.recovery import Plan, measure
    from streams.bench.report import show
    from streams.settings import load_settings

    show(measure(load_settings(), Plan(offers or [100_000, 1_000_000], rounds, rivals)), as_json=as_json)
