"""Verbs for looking closely: whether what must hold does hold, and what became of records that were refused."""

from __future__ import annotations

from typing import Annotated

import typer

check = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@check.command()
def verify(as_json: AsJson = False) -> None:
    """Recompute totals, ids, bounds, causes and order from the raw topics, beside working workers too."""
    import orjson

    from streams.settings import load_settings
    from streams.verify import require_clean
    from streams.verify import verify as run
    from streams.verify.report import print_report

    report = run(load_settings())
    if as_json:
        typer.echo(orjson.dumps(report.as_dict(), option=orjson.OPT_NON_STR_KEYS).decode())
    else:
        print_report(report)
    require_clean(report)
