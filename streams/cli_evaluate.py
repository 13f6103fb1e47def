"""``repricer evaluate``: does the system earn more?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

evaluate_verb = typer.Typer()


@evaluate_verb.command()
def evaluate(
    suite: Annotated[
        Literal["quick", "full"], typer.Option(help="quick: some rows, minutes. full: all rows, half an hour.")
    ] = "quick",
    split: Annotated[
        Literal["tuning", "test"] | None,
        typer.Option(help="Markets to develop on, or to report; as a rule tuning if quick, test if full."),
    ] = None,
    markets: Annotated[int | None, typer.Option(help="Of each row: 128 if quick, 256 if full.", min=2)] = None,
    seed: Annotated[int, typer.Option(help="Of markets and luck.", min=0)] = 0,
    row: Annotated[
        list[str] | None, typer.Option(help="Only rows whose names begin so; several times for several.")
    ] = None,
    deep_q: Annotated[
        Path | None,
        typer.Option(help="Folder of `train-deep-q`: its learners play, too.", file_okay=False, exists=True),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that play at once.", min=1)] = 1,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.", dir_okay=False, writable=True)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Play simulated markets with a known optimum: what the system earns of it, and what simple rules do.

    Exit code 1 if the interval of a row reaches below what the row must earn.
    """
    from streams.errors import InputRefused

    if suite == "quick" and split == "test":
        raise typer.BadParameter("the quick suite has floors for the tuning split only; take --suite full")
    if html is not None and not html.resolve().parent.is_dir():
        raise InputRefused(f"there is no folder {html.parent} for the page")

    import orjson
    from rich.console import Console

    from pricing_core.simulator.bar.rows import Split
    from streams.evaluate.as_json import as_json as encoded
    from streams.evaluate.page import page
    from streams.evaluate.run import MARKETS, Order, require_passed, run_suite
    from streams.evaluate.terminal import print_report

    chosen = Split[(split or ("tuning" if suite == "quick" else "test")).upper()]
    order = Order(suite, chosen, markets or MARKETS[suite], seed, tuple(row or ()), deep_q, jobs)
    report = run_suite(order, Console(stderr=True))
    if html is not None:
        html.write_text(page(report), encoding="utf-8")
    if as_json:
        typer.echo(orjson.dumps(encoded(report)).decode())
    else:
        print_report(report, Console())
    require_passed(report)
