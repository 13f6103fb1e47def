"""Results on a terminal: one JSON object, or tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import rich
import typer
from rich.table import Table


def show(result: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result. Rows of equal fields within it become a table of their own."""
    if as_json:
        typer.echo(orjson.dumps(result).decode())
        return
    plain = Table("figure", "value", show_header=False)
    tables = []
    for name, value in result.items():
        if isinstance(value, dict) and value and all(isinstance(row, dict) for row in value.values()):
            tables.append(_rows(name, value))
        else:
            plain.add_row(name, _say(value))
    for table in (*tables, plain):
        rich.print(table)


def _rows(title: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    table = Table(title, *columns)
    for name, row in rows.items():
        table.add_row(name, *(_say(row.get(column, "")) for column in columns))
    return table


def _say(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_say(part)}" for name, part in value.items())
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
