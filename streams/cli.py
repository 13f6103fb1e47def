"""``repricer …``: one verb, one function. Heavy imports are inside the verbs, so that ``--help`` stays fast."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from streams.cli_bench import bench
from streams.cli_check import check
from streams.cli_evaluate import evaluate_verb
from streams.cli_experiments import experiments
from streams.cli_explain import explain_verbs
from streams.cli_history import history
from streams.cli_learn import learn
from streams.cli_models import models
from streams.cli_operate import operate
from streams.cli_policies import policies
from streams.cli_shadow import shadow
from streams.cli_trial import trial
from streams.errors import RepricerError

if TYPE_CHECKING:
    from streams.catalog.ledger import Counts
    from streams.settings import Settings

app = typer.Typer(
    name="repricer",
    help="A streaming repricer: Kafka events in, guarded price changes out. Settings come from REPRICER_… variables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
topics = typer.Typer(help="The topics on the broker.", no_args_is_help=True)
catalog = typer.Typer(help="The reference catalog: it applies price changes and answers.")
state = typer.Typer(help="The state in the changelog; all workers must be stopped.", no_args_is_help=True)
app.add_typer(topics, name="topics")
app.add_typer(state, name="state")
app.add_typer(catalog, name="catalog")
app.add_typer(shadow, name="shadow")
app.add_typer(experiments, name="experiments")
app.add_typer(check)
app.add_typer(bench, name="bench")
app.add_typer(trial)
app.add_typer(evaluate_verb)
app.add_typer(explain_verbs)
app.add_typer(operate)
app.add_typer(learn)
app.add_typer(history)
app.add_typer(policies, name="policies")
app.add_typer(models, name="models")

Database = Annotated[Path, typer.Option(help="SQLite file of the catalog; made if it is not there.")]


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
def worker() -> None:
    """Reprice until SIGTERM or Ctrl-C."""
    from streams.app import run_worker
    from streams.settings import load_settings

    run_worker(load_settings())


@state.command("align")
def align_state() -> None:
    """After somebody reset the group: set its offsets back to where the state stands."""
    from streams.state.align import align

    typer.echo(f"the group stands where the state of {align(_quiet_settings())} shards stands")


@state.command("rebuild")
def rebuild_state() -> None:
    """Make the state again from the source topics; versions and decision numbers go on from where they were."""
    from streams.state.rebuild import rebuild

    for shard in rebuild(_quiet_settings()):
        typer.echo(f"shard {shard.partition}: {shard.offers} offers, {shard.lost_rows} of them had no readable row")


@state.command("skip-expired")
def skip_expired_records() -> None:
    """Go on without records that a source had lost before they were read."""
    from streams.state.skip import skip_expired

    for gap in skip_expired(_quiet_settings()):
        typer.echo(f"{gap.source}[{gap.partition}]: records {gap.first} to {gap.last} are skipped")


def _quiet_settings() -> Settings:
    from streams.log_setup import quiet_settings

    return quiet_settings("state")


@catalog.callback(invoke_without_command=True)
def run_catalog(
    context: typer.Context,
    database: Database = Path("catalog.sqlite"),
    as_json: Annotated[bool, typer.Option("--json", help="Counts as JSON lines on stdout, when they change.")] = False,
    market_time: Annotated[
        bool, typer.Option("--market-time", help="Answer in the time of ticks: for simulated markets that run fast.")
    ] = False,
) -> None:
    """Apply price changes to a SQLite table and answer, until SIGTERM or Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    from streams.catalog.service import run_catalog
    from streams.log_setup import set_up_logging
    from streams.settings import load_settings

    settings = load_settings()
    set_up_logging(settings, component="catalog")
    run_catalog(settings, database, _print_counts if as_json else _log_counts, in_market_time=market_time)


def _print_counts(counts: Counts) -> None:
    import msgspec

    typer.echo(msgspec.json.encode(counts))


def _log_counts(counts: Counts) -> None:
    import msgspec
    import structlog

    structlog.get_logger("catalog").info("counts", **msgspec.structs.asdict(counts))


@catalog.command("set-price")
def set_price(
    context: typer.Context,
    offer: Annotated[str, typer.Argument(help="Offer key: channel:sku.")],
    price: Annotated[int, typer.Argument(help="Minor units.", min=1)],
    database: Annotated[Path | None, typer.Option(help="As for the catalog.")] = None,
) -> None:
    """Set a price by hand; the repricer takes it over and goes on from there."""
    from streams.catalog.service import set_price
    from streams.settings import load_settings

    assert context.parent is not None
    set_price(load_settings(), database or context.parent.params["database"], offer, price)


@app.command()
def publish(
    target: Annotated[
        Literal["orders", "clicks", "competitor-prices", "inventory", "policies"],
        typer.Argument(help="What the rows are."),
    ],
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 with a header line.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help="field=column or field=const:VALUE; columns named like a field need none."),
    ] = None,
    pace: Annotated[
        float | None,
        typer.Option(help="Event time passes so many times as fast as the wall clock (full speed if none)."),
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(help="strftime form of the times, if neither RFC 3339 nor a date.")
    ] = None,
) -> None:
    """Publish the rows of a CSV file as events; rejected rows are listed with line and reason."""
    from streams.publish.command import print_published, publish_csv
    from streams.settings import load_settings

    published = publish_csv(load_settings(), target, file, mapping or [], pace=pace, time_format=time_format)
    print_published(published, target)


@app.command()
def schemas(
    folder: Annotated[Path, typer.Option(help="Where the documents are.")] = Path("docs"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if one differs.")] = False,
) -> None:
    """Write the JSON Schemas and the AsyncAPI document that are generated from the types."""
    from schemas.documents import documents

    stale = [folder / path for path, text in documents().items() if _read(folder / path) != text]
    if check and stale:
        raise RepricerError(f"not as generated: {', '.join(map(str, stale))}; run `repricer schemas`")
    for path, text in documents().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    main()
