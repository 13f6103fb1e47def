"""Verbs for trying the repricer out: embedded broker, simulated market, demo, training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

trial = typer.Typer()


@trial.command()
def broker(
    prefix: Annotated[str, typer.Option(help="Prefix of the topics that are created.")] = "repricer",
) -> None:
    """Run the embedded broker (for trying things: nothing is kept) and print its address."""
    from streams.embedded_broker import EmbeddedBroker
    from streams.stop_signal import stop_signal

    with stop_signal() as stopped, EmbeddedBroker(prefix) as server:
        typer.echo(server.bootstrap_servers)
        stopped.wait()


@trial.command()
def simulate(
    rate: Annotated[float, typer.Option(help="Events a second, as a target.", min=0.1)] = 200,
    skus: Annotated[int, typer.Option(help="Offers in the market.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the market.", min=0)] = 1,
    events: Annotated[int | None, typer.Option(help="Stop after so many events.", min=1)] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long.", min=0.1)] = None,
    speedup: Annotated[
        float | None, typer.Option(help="Simulated time passes so many times as fast (what the rate needs).", min=1)
    ] = None,
    days: Annotated[float | None, typer.Option(help="Stop after so many simulated days.", min=0.1)] = None,
    price_sensitivity: Annotated[
        float, typer.Option(help="Shoppers react so many times as strongly as those that models train on.", min=0.1)
    ] = 1.0,
    in_step: Annotated[
        bool, typer.Option("--in-step", help="A period begins when workers and catalog are done with the one before.")
    ] = False,
    regime_change_day: Annotated[
        float | None, typer.Option(help="From this simulated day on other shoppers come.", min=0)
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="File for what was really earned, and would have been.")] = None,
    after: Annotated[str | None, typer.Option(help="The market opens when this page answers 200.")] = None,
) -> None:
    """Publish the events of a market that reacts to the applied prices, until SIGTERM or Ctrl-C."""
    from streams.log_setup import set_up_logging
    from streams.market.process import Order, run_market
    from streams.settings import load_settings

    settings = load_settings()
    set_up_logging(settings, component="market")
    order = Order(
        rate=rate,
        skus=skus,
        seed=seed,
        events=events,
        seconds=seconds,
        speedup=speedup,
        days=days,
        price_sensitivity=price_sensitivity,
        in_step=in_step,
        regime_change_day=regime_change_day,
        truth=truth,
        after=after,
    )
    run_market(settings, order)


@trial.command()
def demo(
    seconds: Annotated[float, typer.Option(help="How long the market is open.", min=1)] = 60,
    skus: Annotated[int, typer.Option(help="Offers in the market.", min=1, max=5000)] = 100,
    rate: Annotated[float, typer.Option(help="Events a second.", min=1)] = 3000,
    speedup: Annotated[float, typer.Option(help="Simulated time passes so many times as fast.", min=1)] = 86_400,
    seed: Annotated[int, typer.Option(help="Seed of the market.", min=0)] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="The last line is one JSON object.")] = False,
) -> None:
    """Run broker, market, worker and catalog on this machine, and watch them."""
    from streams.demo.run import Plan, run_demo

    run_demo(Plan(seconds=seconds, skus=skus, seed=seed, rate=rate, speedup=speedup), json=as_json)


@trial.command()
def train(
    directory: Annotated[Path, typer.Option("--out", help="Where the weights and their manifest are written.")] = Path(
        "model"
    ),
    name: Annotated[str, typer.Option(help="Name of the model.")] = "default",
    version: Annotated[int, typer.Option(help="A new number for new weights.", min=1)] = 1,
    preset: Annotated[
        Literal["default", "large", "tiny"], typer.Option(help="How long; large is for a GPU, tiny for a look only.")
    ] = "default",
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights on one backend.", min=0)] = 0,
    markets: Annotated[int, typer.Option(help="Held-out markets to score on; 0: no score.", min=0)] = 512,
) -> None:
    """Train the Q-function on simulated markets; use it with REPRICER_MODEL_PATH."""
    from streams.train import train_model

    path = train_model(directory, name=name, version=version, preset=preset, seed=seed, shops=markets)
    typer.echo(path)


@trial.command("train-deep-q")
def train_deep_q(
    out: Annotated[Path, typer.Option(help="Folder of checkpoints; what is there goes on learning.", file_okay=False)],
    row: Annotated[
        list[str] | None, typer.Option(help="Row of the bar; several times for several. All if none is named.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights on one backend.", min=0)] = 0,
) -> None:
    """Train the plain deep-Q baseline of the evaluation on rows of the bar, minutes each."""
    from streams.train_deep_q import train_deep_q as learn

    for path in learn(out, names=row or (), seed=seed):
        typer.echo(path)
