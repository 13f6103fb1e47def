"""``repricer models …``: the registry on ``q-models``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli_explain import LATEST_MS
from streams.cli_operate import AsJson, By, Why

if TYPE_CHECKING:
    from pricing_core.evaluation.gate import Judgement
    from pricing_core.golden import GoldenBatch
    from pricing_core.model_file import Model
    from streams.settings import Settings

models = typer.Typer(help="Models: publish, compare, promote, roll back. Workers follow.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="NAME/VERSION", help="Of a published model, like default/3.")]
Since = Annotated[str, typer.Option("--since", help="What the gate looks at: 14d, or an RFC 3339 event time.")]
ByName = Annotated[str | None, typer.Option("--name", help="Of the model; the one that the settings follow if none.")]


@models.command()
def publish(
    file: Annotated[Path, typer.Argument(help="A .safetensors file; its manifest is beside it.", dir_okay=False)],
    why: Why,
    by: By = None,
    by_uri: Annotated[
        bool, typer.Option("--by-uri", help="Leave the weights where they are; all workers must be able to read them.")
    ] = False,
) -> None:
    """Publish a model file as a candidate. Versions never change; to publish the same once more changes nothing."""
    from streams.models import acts

    name, is_new = acts.publish(_settings(), file, by, why, by_uri=by_uri)
    typer.echo(f"{name} is a candidate now" if is_new else f"{name} was published before")


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List all versions: what became of each, by whom and why."""
    import orjson
    from rich.console import Console

    from streams.models.read import read_all
    from streams.models.show import print_models, rows

    found = rows(read_all(_settings()))
    if as_json:
        for one in found:
            typer.echo(orjson.dumps(one).decode())
    else:
        print_models(found, Console())


@models.command()
def show(which: Which, as_json: AsJson = False) -> None:
    """Show one version: where it comes from, what it presupposes, its scores, what became of it."""
    import orjson
    from rich.console import Console

    from streams.models.read import read_one
    from streams.models.registered import parse_name
    from streams.models.show import print_model, row

    name, version = parse_name(which)
    found = row(read_one(_settings(), name), version)
    if as_json:
        typer.echo(orjson.dumps(found).decode())
    else:
        print_model(found, Console())


@models.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="NAME/VERSION", help="A published model, or `own`: the settings'.")],
    second: Annotated[str, typer.Argument(metavar="NAME/VERSION", help="The same.")],
    as_json: AsJson = False,
) -> None:
    """Compare two models: weights, scores, and how many of a fixed batch of decisions differ."""
    import orjson
    from rich.console import Console

    from streams.models.difference import difference
    from streams.models.show import print_difference

    settings = _settings()
    one, other = _load(settings, first), _load(settings, second)
    found = difference(one, other, _golden(settings))
    if as_json:
        typer.echo(orjson.dumps(found.as_dict()).decode())
    else:
        print_difference(found, Console())


@models.command()
def promote(
    which: Which,
    why: Why,
    by: By = None,
    since: Since = "14d",
    force: Annotated[bool, typer.Option("--force", help="Without asking the gate, and a retired one, too.")] = False,
) -> None:
    """Let all workers that follow the name price with this version, if the gate lets it pass."""
    from streams.models import acts
    from streams.models.registered import parse_name

    settings = _settings()
    candidate = _fit(settings, which)
    if not force:
        _gate(settings, which, candidate, since=since, by=by)
    acts.promote(settings, *parse_name(which), by, why, retired_too=force)
    typer.echo(f"{which} is live: workers go over to it within seconds")


@models.command()
def gate(which: Which, since: Since = "14d", by: By = None, as_json: AsJson = False) -> None:
    """Ask whether a version may be promoted; the reasons against it are written down with it."""
    import orjson
    from rich.console import Console

    from streams.models.gate import as_dict, print_judgement

    settings = _settings()
    judgement = _judge(settings, _fit(settings, which), since=since, by=by)
    if as_json:
        typer.echo(orjson.dumps(as_dict(which, judgement)).decode())
    else:
        print_judgement(which, judgement, Console())


@models.command()
def rollback(why: Why, name: ByName = None, by: By = None) -> None:
    """Go back to what was live before, and retire what is live now. Asks no gate."""
    from streams.models import acts

    settings = _settings()
    name = name or settings.model_name
    was, now = acts.rollback(settings, name, by, why)
    back = f"{name}/{now}" if now is not None else "the model of each worker's own settings"
    typer.echo(f"{back} is live again, {name}/{was} is retired")


@models.command()
def retire(which: Which, why: Why, by: By = None) -> None:
    """Say that a version is not to be used; one that is live is not retired."""
    from streams.models import acts
    from streams.models.registered import parse_name

    acts.set_status(_settings(), *parse_name(which), status="retired", by=by, why=why)
    typer.echo(f"{which} is retired")


@models.command("pin")
def pin_live(why: Why, name: ByName = None, by: By = None) -> None:
    """Let what is live stay live: the promoter promotes nothing and rolls nothing back until `unpin`."""
    _pin(name, by, why, pinned=True)


@models.command()
def unpin(why: Why, name: ByName = None, by: By = None) -> None:
    """Let the promoter go on."""
    _pin(name, by, why, pinned=False)


def _pin(name: str | None, by: str | None, why: str, *, pinned: bool) -> None:
    from streams.models.pinned import pin

    settings = _settings()
    name = name or settings.model_name
    pin(settings, name, by, why, pinned=pinned)
    typer.echo(f"what is live of {name} {'stays so' if pinned else 'may be replaced by the promoter'}")


def _settings() -> Settings:
    from streams.log_setup import quiet_settings

    return quiet_settings("models")


def _load(settings: Settings, which: str) -> Model:
    from streams.models.named import load_published_model
    from streams.serving_model import load_serving_model

    return load_serving_model(settings) if which == "own" else load_published_model(settings, which)


def _golden(settings: Settings) -> GoldenBatch:
    from pricing_core.golden import GoldenBatch
    from streams.compiled import keep_compiled
    from streams.serving_model import load_serving_model

    keep_compiled(settings.compilation_cache)
    return GoldenBatch(load_serving_model(settings))


def _fit(settings: Settings, which: str) -> Model:
    """Load a version, and let it decide the golden batch."""
    from pricing_core.golden import ModelUnfit
    from streams.errors import ModelRefused

    model = _load(settings, which)
    try:
        _golden(settings).judge(model)
    except ModelUnfit as error:
        raise ModelRefused(str(error)) from error
    return model


def _gate(settings: Settings, which: str, candidate: Model, *, since: str, by: str | None) -> None:
    from streams.models.gate import require_passed

    require_passed(which, _judge(settings, candidate, since=since, by=by))


def _judge(settings: Settings, candidate: Model, *, since: str, by: str | None) -> Judgement:
    """Ask the gate about a version beside the one that is live, and write down what it says."""
    from streams.dlq.letters import parse_since
    from streams.models.gate import ask, write_down
    from streams.models.read import read_one

    registered = read_one(settings, candidate.name)
    live = registered.live
    running = "own" if live is None or live.version is None else f"{live.name}/{live.version}"
    times = {"since_ms": parse_since(since), "until_ms": LATEST_MS}
    judgement = ask(settings, candidate, _load(settings, running), **times)
    write_down(settings, registered, candidate.version, judgement, by)
    return judgement
