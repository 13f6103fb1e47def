"""``repricer experiments …``: what does repricing earn, beside the list price?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from streams.cli_explain import AsJson
from streams.cli_operate import By, Why

if TYPE_CHECKING:
    from pricing_core.experiments.assignment import Experiment

experiments = typer.Typer(
    help="Hold offers, or blocks of time, out of repricing, and see what it earns.", no_args_is_help=True
)

Kind = Annotated[
    Literal["offers", "switchback"],
    typer.Option(help="Hold some offers out all the time, or all offers every other block of time."),
]
Share = Annotated[float, typer.Option("--control-share", help="Of the offers that are held out.", min=0.001, max=0.999)]
Days = Annotated[float, typer.Option(help="How long; event time.", min=0.01)]
BlockHours = Annotated[float, typer.Option(help="Length of a block of a switchback; hours.", min=0.02)]
Name = Annotated[str, typer.Argument(help="Letters, digits, '.', '_' and '-'.")]


@experiments.command()
def plan(
    kind: Kind = "offers",
    share: Share = 0.1,
    days: Days = 14.0,
    block_hours: BlockHours = 24.0,
    as_json: AsJson = False,
) -> None:
    """Say how small an effect such an experiment would find, were the shop as it was lately."""
    import orjson
    from rich.console import Console

    from streams.clock import wall_ms
    from streams.experiments.report import plan as look_ahead
    from streams.experiments.report import print_plan
    from streams.log_setup import quiet_settings
    from streams.replay.decision_log import DecisionLog

    now = wall_ms()
    log = DecisionLog(quiet_settings("experiments"))
    found = look_ahead(log, _experiment("plan", kind, share, now, days, block_hours), log.latest() or now)
    if as_json:
        typer.echo(orjson.dumps(found.as_dict()).decode())
    else:
        print_plan(found, Console())


@experiments.command()
def begin(
    name: Name,
    why: Why,
    kind: Kind = "offers",
    share: Share = 0.1,
    days: Days = 14.0,
    block_hours: BlockHours = 24.0,
    start: Annotated[str | None, typer.Option(help="RFC 3339 time; now if not given.")] = None,
    by: By = None,
) -> None:
    """Begin an experiment. Offers of the control arm go to their list prices, within all limits of their policies."""
    from schemas.events import ExperimentSet
    from schemas.timestamps import format_ms
    from streams.clock import wall_ms
    from streams.dlq.letters import parse_since
    from streams.experiments.planned import begin as publish
    from streams.log_setup import quiet_settings
    from streams.operate.who import name_of

    settings = quiet_settings("experiments")
    begins_at = wall_ms() if start is None else parse_since(start)
    experiment = _experiment(name, kind, share, begins_at, days, block_hours)
    said = ExperimentSet(
        experiment=name,
        kind=kind,
        starts_at=format_ms(experiment.starts_at),
        ends_at=format_ms(experiment.ends_at),
        by=name_of(by),
        why=why,
        at=format_ms(wall_ms()),
        control_share_bp=round(share * 10_000),
        block_s=experiment.block_ms // 1000,
    )
    partitions = publish(settings, said)
    typer.echo(f"{name} runs from {said.starts_at} until {said.ends_at}; published to {partitions} partitions")


@experiments.command()
def end(name: Name, why: Why, by: By = None) -> None:
    """End an experiment early. Offers that were held out are priced again."""
    from streams.experiments.planned import end as publish
    from streams.log_setup import quiet_settings
    from streams.operate.who import name_of

    settings = quiet_settings("experiments")
    typer.echo(f"{name} has ended; published to {publish(settings, name, by=name_of(by), why=why)} partitions")


@experiments.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List experiments: planned, running, over."""
    import msgspec
    from rich.console import Console

    from streams.clock import wall_ms
    from streams.experiments.planned import planned, print_planned
    from streams.log_setup import quiet_settings

    found = planned(quiet_settings("experiments"))
    if as_json:
        typer.echo(msgspec.json.encode(list(found.values())).decode())
    else:
        print_planned(found, wall_ms(), Console())


@experiments.command()
def report(name: Name, as_json: AsJson = False) -> None:
    """Estimate what repricing has earned so far in an experiment, with its 95 % interval."""
    import orjson
    from rich.console import Console

    from pricing_core.experiments.assignment import Experiment
    from streams.experiments.planned import named
    from streams.experiments.report import print_report
    from streams.experiments.report import report as estimate
    from streams.log_setup import quiet_settings
    from streams.replay.decision_log import DecisionLog

    settings = quiet_settings("experiments")
    log = DecisionLog(settings)
    found = estimate(log, Experiment.of(named(settings, name)), log.latest() or 0)
    if as_json:
        typer.echo(orjson.dumps(found.as_dict()).decode())
    else:
        print_report(found, Console())


@experiments.command()
def calibrate(
    runs: Annotated[int, typer.Option(help="Simulated experiments without an effect, of each kind.", min=100)] = 2000,
    seed: Annotated[int, typer.Option(help="Of the simulation.", min=0)] = 0,
    share: Share = 0.1,
    as_json: AsJson = False,
) -> None:
    """Play A/A experiments: how often is an effect claimed where there is none? It should be 5 %."""
    import orjson

    from pricing_core.experiments import calibration

    found = {
        "offers": calibration.by_offers(runs, seed=seed, control_share=share),
        "switchback": calibration.by_switchback(runs, seed=seed),
    }
    if as_json:
        typer.echo(orjson.dumps({kind: {**one._asdict(), "rate": one.rate} for kind, one in found.items()}).decode())
        return
    for kind, one in found.items():
        typer.echo(f"{kind}: {one.rate:.1%} of {one.runs:,} ({one.lower:.1%} to {one.upper:.1%})")


def _experiment(name: str, kind: Kind, share: float, start: int, days: float, block_hours: float) -> Experiment:
    from pricing_core.experiments.assignment import Experiment
    from streams.errors import ConfigurationError

    try:
        return Experiment(name, kind, start, start + round(days * 86_400_000), share, round(block_hours * 3600) * 1000)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
