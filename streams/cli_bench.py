"""``repricer bench …``: one verb for each benchmark; a table for people, one object with ``--json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

bench = typer.Typer(no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
BrokerPid = Annotated[
    int | None, typer.Option(envvar="KAFKA_BROKER_PID", help="The broker's process, to tell its share of the CPU.")
]
Rounds = Annotated[int, typer.Option(help="How often all are run, in turns.", min=1)]
Rivals = Annotated[
    Path | None,
    typer.Option(help="Python that has Faust, Quix Streams and Bytewax: they are run, too. `make rivals` makes one."),
]

Sb3 = Annotated[
    Path | None, typer.Option(help="Python that has Stable-Baselines3: it is run, too. `make sb3` makes one.")
]


@bench.callback()
def log_to_stderr() -> None:
    """Measure."""
    from streams.log_setup import set_up_logging
    from streams.settings import load_settings

    set_up_logging(load_settings(), component="bench")


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
    poll: Annotated[int, typer.Option(help="Records of a step.", min=1)] = 10_000,
    as_json: Json = False,
) -> None:
    """Where each microsecond of a step goes: one process, no Kafka."""
    from streams.bench.profile import measure
    from streams.bench.report import show

    show(measure(events=events, offers=offers, poll=poll), as_json=as_json)


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
def swaps(
    rate: Annotated[int, typer.Option(help="Events a second.")] = 5_000,
    seconds: Annotated[float, typer.Option(help="Of one turn.", min=3)] = 20,
    rounds: Rounds = 3,
    as_json: Json = False,
) -> None:
    """What two swaps of models a second do to the latency: turns with and without them."""
    from streams.bench.latency import Plan
    from streams.bench.report import show
    from streams.bench.swaps import measure
    from streams.settings import load_settings

    show(measure(load_settings(), Plan([rate], seconds, rounds)), as_json=as_json)


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


@bench.command()
def decide(
    size: Annotated[list[int] | None, typer.Option(help="Offers of one call; several times for several.")] = None,
    device: Annotated[Literal["cpu", "gpu"], typer.Option(help="Where the compiled function runs.")] = "cpu",
    as_json: Json = False,
) -> None:
    """Offers a second and latency of a decision by batch size; fails if anything compiles after the warm-up."""
    from streams.bench.decide import measure
    from streams.bench.report import show

    show(measure(size or [32, 256, 1024, 8192, 65_536], device), as_json=as_json)


@bench.command()
def learn(
    seconds: Annotated[float, typer.Option(help="Of one turn.", min=0.1)] = 10,
    rounds: Rounds = 3,
    rival_steps: Annotated[int, typer.Option(help="Steps of a turn of the rival's.", min=100)] = 10_000,
    sb3: Sb3 = None,
    as_json: Json = False,
) -> None:
    """Environment steps and gradient steps a second, beside Stable-Baselines3's DQN on the same market."""
    from streams.bench.learn import Plan, measure
    from streams.bench.report import show

    show(measure(Plan(seconds, rounds, rival_steps, sb3)), as_json=as_json)


@bench.command()
def memory(
    offers: Annotated[list[int] | None, typer.Option(help="Offers; several times for several.")] = None,
    events: Annotated[int, typer.Option(help="Events over which growth is watched.", min=200_000)] = 10_000_000,
    as_json: Json = False,
) -> None:
    """Bytes of an offer, and growth over events: one process, no Kafka."""
    from streams.bench.memory import Plan, measure
    from streams.bench.report import show

    show(measure(Plan(offers or [10_000, 100_000, 1_000_000], events)), as_json=as_json)


@bench.command()
def soak(
    events: Annotated[int, typer.Option(help="Events.", min=1000)] = 20_000_000,
    offers: Annotated[int, typer.Option(help="Offers that they are about.", min=1)] = 10_000,
    window: Annotated[int, typer.Option(help="Events over which one rate is taken.", min=100)] = 1_000_000,
    as_json: Json = False,
) -> None:
    """Whether the worker's rate holds, and its memory, over many events."""
    from streams.bench.report import show
    from streams.bench.soak import Plan, measure
    from streams.settings import load_settings

    show(measure(load_settings(), Plan(events, offers, window)), as_json=as_json)


@bench.command()
def rollback(
    offers: Annotated[int, typer.Option(help="Offers that go back to an earlier price.", min=1)] = 10_000,
    as_json: Json = False,
) -> None:
    """Seconds until the last offer is back at its earlier price, the search for what has changed included."""
    from streams.bench.report import show
    from streams.bench.rollback import measure
    from streams.settings import load_settings

    show(measure(load_settings(), offers), as_json=as_json)


@bench.command()
def loop(
    offers: Annotated[int, typer.Option(help="Offers of the shop.", min=20)] = 2_000,
    days: Annotated[int, typer.Option(help="Simulated days.", min=4)] = 60,
    change_day: Annotated[int, typer.Option(help="On this day other shoppers come.", min=1)] = 30,
    seconds_a_day: Annotated[float, typer.Option(help="Least time that a day takes.", min=0.1)] = 4.0,
    price_sensitivity: Annotated[
        float, typer.Option(help="Of the shoppers, beside those that the shipped model was trained on.", min=0.1)
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the shop.", min=0)] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for the plot and the logs.", file_okay=False)] = None,
    as_json: Json = False,
) -> None:
    """What learning adds: a shop that learns and promotes beside the same one without; other shoppers from a day on."""
    from streams.bench.loop import measure
    from streams.bench.loop_arm import Plan
    from streams.bench.report import show
    from streams.settings import load_settings

    plan = Plan(offers, days, change_day, seconds_a_day, seed, price_sensitivity)
    result = measure(load_settings(), plan, out)
    shown = {name: value for name, value in result.items() if name not in {"by_day", "acts"}}
    show(result if as_json else shown, as_json=as_json)


@bench.command("all")
def everything(
    out: Annotated[Path | None, typer.Option(help="File for the whole result, as JSON.")] = None,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="All of it very small: for a look, the figures say nothing.")
    ] = False,
    rivals: Rivals = None,
    sb3: Sb3 = None,
    broker_pid: BrokerPid = None,
    as_json: Json = False,
) -> None:
    """Run every benchmark, an hour or so; a table of figures beside their goals, or everything as JSON."""
    import orjson

    from streams.bench.everything import FULL, TINY, measure, summary
    from streams.bench.report import show
    from streams.settings import load_settings

    def keep(result: Mapping[str, Any]) -> None:
        if out is not None:
            out.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))

    sizes = TINY if tiny else FULL
    result = measure(load_settings(), sizes, broker_pid=broker_pid, rivals_python=rivals, sb3_python=sb3, keep=keep)
    about = {name: result[name] for name in ("machine", "versions")}
    show(result if as_json else {"figures": summary(result), **about}, as_json=as_json)
