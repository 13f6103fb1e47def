"""``repricer backtest`` and ``repricer learn-from-history``: what the past says about a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli_explain import LATEST_MS, AsJson

history = typer.Typer()

Html = Annotated[Path | None, typer.Option(help="Write a page with plots.", dir_okay=False, writable=True)]


@history.command()
def backtest(
    since: Annotated[str, typer.Option("--from", help="Event time: 14d, or an RFC 3339 time.")] = "30d",
    until: Annotated[str | None, typer.Option("--to", help="The same; now if none.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FILE|NAME/VERSION", help="The live one if none, else that of the settings.")
    ] = None,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Say what a model would have earned in the logged decisions, or why the log does not say.

    Reads transitions (`repricer outcomes` writes them).
    """
    import orjson
    from rich.console import Console

    from streams.backtest.as_json import as_json as encoded
    from streams.backtest.page import page
    from streams.backtest.run import chosen_model, run
    from streams.backtest.terminal import print_report
    from streams.compiled import keep_compiled
    from streams.dlq.letters import parse_since
    from streams.log_setup import quiet_settings

    _require_folder(html)
    settings = quiet_settings("backtest")
    keep_compiled(settings.compilation_cache)
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
    out: Annotated[Path, typer.Option(help="Folder for report.json and report.html.", file_okay=False)],
    prices: Annotated[
        Path | None, typer.Option(help="CSV of prices: sku, channel, price, currency, applied_at (from when on).")
    ] = None,
    policies: Annotated[Path | None, typer.Option(help="CSV of policies, for their categories.")] = None,
    stock: Annotated[Path | None, typer.Option(help="CSV of counts, as for `repricer publish inventory`.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="FILE.field=column, such as orders.sku=PRODUCT, or const:VALUE.")
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(help="strftime form of the times, if neither RFC 3339 nor a date.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a shop's past can and cannot teach, before the first live decision: how demand answers prices.

    Nothing is written unless every line of every file can be read. Needs no Kafka.
    """
    import orjson
    from rich.console import Console

    from streams.history import report
    from streams.history.study import Files, study

    found = study(Files(orders, prices, policies, stock), mapping or [], time_format)
    said, written = orjson.dumps(report.as_json(found), option=orjson.OPT_INDENT_2), report.page(found)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_bytes(said)
    (out / "report.html").write_text(written, encoding="utf-8")
    if as_json:
        typer.echo(orjson.dumps(report.as_json(found)).decode())
    else:
        report.print_study(found, Console())


def _require_folder(page: Path | None) -> None:
    from streams.errors import InputRefused

    if page is not None and not page.resolve().parent.is_dir():
        raise InputRefused(f"there is no folder {page.parent} for the page")
