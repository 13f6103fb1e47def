"""``repricer backtest`` and ``repricer learn-from-history``: what the past says about a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli_explain import LATEST_MS, AsJson

if TYPE_CHECKING:
    from streams.history.study import Files
    from streams.settings import Settings

history = typer.Typer()

Html = Annotated[Path | None, typer.Option(help="Write a page with plots.", dir_okay=False, writable=True)]


Prices = Annotated[
    Path | None, typer.Option(help="CSV of prices: sku, channel, price, currency, applied_at (from when on).")
]
Policies = Annotated[Path | None, typer.Option(help="CSV of policies: categories, costs and bounds.")]
Mapping = Annotated[
    list[str] | None, typer.Option("--map", help="FILE.field=column, such as orders.sku=PRODUCT, or const:VALUE.")
]
TimeFormat = Annotated[
    str | None, typer.Option(help="strftime form of the times in files, if neither RFC 3339 nor a date.")
]


@history.command()
def backtest(
    orders: Annotated[
        Path | None, typer.Argument(help="CSV of order lines: a roll-out on the demand fitted to it, and no evidence.")
    ] = None,
    prices: Prices = None,
    policies: Policies = None,
    mapping: Mapping = None,
    time_format: TimeFormat = None,
    since: Annotated[str, typer.Option("--from", help="Event time: 14d, or an RFC 3339 time.")] = "30d",
    until: Annotated[str | None, typer.Option("--to", help="The same; now if none.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FILE|NAME/VERSION", help="The live one if none, else that of the settings.")
    ] = None,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Say what a model would have earned in the logged decisions, or why the log does not say.

    Reads transitions (`repricer outcomes` writes them). With a file of orders it plays the model in a shop of the
    demand that was fitted to that, an opinion and no evidence; then --from, --to and --html mean nothing.
    """
    import orjson
    from rich.console import Console

    from streams.backtest.as_json import as_json as encoded
    from streams.backtest.page import page
    from streams.backtest.run import chosen_model, run
    from streams.backtest.terminal import print_report
    from streams.compiled import keep_compiled
    from streams.dlq.letters import parse_since
    from streams.history.study import Files
    from streams.log_setup import quiet_settings

    _require_folder(html)
    settings = quiet_settings("backtest")
    keep_compiled(settings.compilation_cache)
    if orders is not None:
        _opinion(settings, Files(orders, prices, policies), mapping or [], time_format, model, as_json=as_json)
        return
    stop = LATEST_MS if until is None else parse_since(until)
    report = run(settings, chosen_model(settings, model), since_ms=parse_since(since), until_ms=stop)
    if html is not None:
        html.write_text(page(report), encoding="utf-8")
    if as_json:
        typer.echo(orjson.dumps(encoded(report)).decode())
    else:
        print_report(report, Console())


@history.command("learn-from-history")
def learn_from_history(
    orders: Annotated[Path, typer.Argument(help="CSV of order lines, as for `repricer publish orders`.")],
    out: Annotated[Path, typer.Option(help="Folder for report.json, report.html and policies.csv.", file_okay=False)],
    prices: Prices = None,
    policies: Policies = None,
    stock: Annotated[Path | None, typer.Option(help="CSV of counts, as for `repricer publish inventory`.")] = None,
    mapping: Mapping = None,
    time_format: TimeFormat = None,
    as_json: AsJson = False,
) -> None:
    """Say what a shop's past can and cannot teach, before the first live decision: how demand answers prices.

    With policies, they are written once more with what the past lets expect of each offer: publish those. Nothing is
    written unless every line of every file can be read. Needs no Kafka.
    """
    import orjson
    from rich.console import Console

    from streams.history import report
    from streams.history.expected import policies_with_expectations
    from streams.history.study import Files, read_past, study

    past = read_past(Files(orders, prices, policies, stock), mapping or [], time_format)
    found = study(past)
    said, written = orjson.dumps(report.as_json(found), option=orjson.OPT_INDENT_2), report.page(found)
    expected = None if policies is None else policies_with_expectations(policies, past, found)
    out.mkdir(parents=True, exist_ok=True)
    if expected is not None:
        expected.write_csv(out / "policies.csv")
    (out / "report.json").write_bytes(said)
    (out / "report.html").write_text(written, encoding="utf-8")
    if as_json:
        typer.echo(orjson.dumps(report.as_json(found)).decode())
    else:
        report.print_study(found, Console())


def _opinion(
    settings: Settings,
    files: Files,
    mapping: list[str],
    time_format: str | None,
    model: str | None,
    *,
    as_json: bool,
) -> None:
    """Needs a Kafka only for a model of the registry."""
    import orjson
    from rich.console import Console

    from streams.backtest.run import chosen_model
    from streams.history.roll_out import print_opinion, roll_out
    from streams.history.study import read_past
    from streams.serving_model import load_serving_model

    past = read_past(files, mapping, time_format)
    chosen = load_serving_model(settings) if model is None else chosen_model(settings, model)
    found = roll_out(files, mapping, time_format, past, chosen)
    if as_json:
        typer.echo(orjson.dumps(found.as_dict()).decode())
    else:
        print_opinion(found, Console())


def _require_folder(page: Path | None) -> None:
    from streams.errors import InputRefused

    if page is not None and not page.resolve().parent.is_dir():
        raise InputRefused(f"there is no folder {page.parent} for the page")
