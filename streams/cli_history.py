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


def _require_folder(page: Path | None) -> None:
    from streams.errors import InputRefused

    if page is not None and not page.resolve().parent.is_dir():
        raise InputRefused(f"there is no folder {page.parent} for the page")
