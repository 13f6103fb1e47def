"""Files of a shop's past as tables: every line as the worker would read it, or none at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl

from schemas.codec import Reject, decoder_for
from schemas.topics import DAY_MS, INVENTORY, OFFER_POLICIES, ORDERS, PRICE_APPLIED, Topic
from streams.clock import wall_ms
from streams.errors import InputRefused
from streams.publish.convert import Converter
from streams.publish.csv_file import FIRST_LINE, CsvFile
from streams.publish.mapping import Given, complete, parse

_MAX_BYTES = 65_536
_SHOWN = 5
_COLUMNS: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("sku", "channel", "currency", "type", "category"), pl.String),
    **dict.fromkeys(("quantity", "line_total", "price", "on_hand", "list_price", "unit_cost"), pl.Int64),
}
"""Fields that are looked at, of whichever kind of file has them."""


class Kind(NamedTuple):
    """What the lines of a file are."""

    name: str
    topic: Topic
    given: Mapping[str, str]
    """Fields that need no column."""


ORDER_LINES = Kind("orders", ORDERS, {"type": "placed"})
PRICES = Kind("prices", PRICE_APPLIED, {"version": "0", "status": "manual"})
STOCK = Kind("stock", INVENTORY, {})
POLICIES = Kind("policies", OFFER_POLICIES, {})


def read(kind: Kind, path: Path, mapping: Iterable[str], time_format: str | None) -> pl.DataFrame:
    """Read a file; columns are those of the event, with ``offer`` (its key) and ``day`` (since 1970).

    Args:
        kind: What its lines are.
        path: A CSV file in UTF-8 with a header line.
        mapping: As of `repricer publish`, each with the name of its file in front: ``orders.sku=PRODUCT``.
        time_format: strftime form of times, None for RFC 3339 and dates.

    Raises:
        InputRefused: It is no such file, or a line of it is not what it should be; all of them are counted.
    """
    file, topic_type = CsvFile(path), kind.topic.type
    assert topic_type is not None
    prefix = f"{kind.name}."
    said = parse(text.removeprefix(prefix) for text in mapping if text.startswith(prefix))
    for field, value in kind.given.items():
        if field not in file.columns:
            said.setdefault(field, Given(value, is_column=False))
    whole = complete(said, topic_type, file.columns)
    decoder = decoder_for(kind.topic, max_bytes=_MAX_BYTES, future_tolerance_ms=DAY_MS)
    convert = Converter(topic_type, whole, decoder, file_digest=file.digest, time_format=time_format)
    pages: list[pl.DataFrame] = []
    faults: list[tuple[int, Reject]] = []
    count = rows = 0
    for table in file.tables():
        records = convert(table, rows + FIRST_LINE, wall_ms())
        count += len(records.rejects)
        faults += [(rows + FIRST_LINE + one.index, one) for one in records.rejects[: _SHOWN - len(faults)]]
        if records.values:
            times = pl.Series("time", records.times, pl.Int64)
            pages.append(_table(records.values, topic_type).with_columns(times))
        rows += len(table)
    if count:
        first = "; ".join(f"line {line}: {one.reason}, {one.detail}" for line, one in faults)
        raise InputRefused(f"{path}: {count:,} of {rows:,} lines cannot be read: {first}")
    if not pages:
        raise InputRefused(f"{path} has no lines")
    offer = pl.concat_str("channel", pl.lit(":"), "sku")
    return pl.concat(pages).with_columns(offer=offer, day=pl.col("time") // DAY_MS)


def require_names(mapping: Iterable[str]) -> None:
    """Refuse a mapping that names no file.

    Raises:
        InputRefused: One does not begin with the name of a file.
    """
    names = [kind.name for kind in (ORDER_LINES, PRICES, STOCK, POLICIES)]
    for text in mapping:
        if text.partition(".")[0] not in names or "." not in text.partition("=")[0]:
            raise InputRefused(f"--map {text}: write FILE.field=column, FILE being {', '.join(names)}")


def _table(values: list[bytes], topic_type: type) -> pl.DataFrame:
    names = {field.name for field in msgspec.structs.fields(topic_type)}
    schema = {name: kind for name, kind in _COLUMNS.items() if name in names}
    return pl.read_ndjson(b"\n".join(values), schema=schema)
