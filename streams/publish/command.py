"""The verb: read, convert, validate, publish, report."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from schemas.cloud_events import EVENT_TYPES
from schemas.codec import decoder_for
from schemas.topics import CLICKS, COMPETITOR_PRICES, INVENTORY, OFFER_POLICIES, ORDERS
from streams.clock import wall_ms
from streams.errors import InputRefused
from streams.publish.convert import Converter
from streams.publish.csv_file import FIRST_LINE, CsvFile, Rejects
from streams.publish.delivery import Delivery, Pace
from streams.publish.mapping import complete, parse
from streams.settings import Settings
from streams.topic_presence import require_present

TARGETS = {
    "orders": ORDERS,
    "clicks": CLICKS,
    "competitor-prices": COMPETITOR_PRICES,
    "inventory": INVENTORY,
    "policies": OFFER_POLICIES,
}
"""What can be published, by the name on the command line."""


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a file."""

    rows: int
    delivered: int
    rejects: Rejects
    seconds: float


def publish_csv(
    settings: Settings,
    target: str,
    path: Path,
    mapping: Iterable[str],
    *,
    pace: float | None = None,
    time_format: str | None = None,
    progress: bool = True,
) -> Published:
    """Publish the rows of a CSV file as events.

    Args:
        settings: Broker and topic prefix.
        target: One of `TARGETS`.
        path: A CSV file in UTF-8 with a header line.
        mapping: ``field=column`` and ``field=const:VALUE``. Columns that are called like a field need none.
        pace: Event time passes so many times as fast as the wall clock; None: full speed.
        time_format: strftime form of the file's times, if it is not RFC 3339, a date, or ``YYYY-MM-DD HH:MM:SS``
            (UTC).
        progress: Show a bar on stderr, if that is a terminal.

    Raises:
        InputRefused: the file or the mapping makes no sense, or every row was rejected.
        BrokerUnreachable: no broker answered.
        TopicMismatch: the topic is missing.
        NotDelivered: the broker did not take everything.
    """
    topic = TARGETS[target]
    assert topic.type is not None
    file = CsvFile(path)
    decoder = decoder_for(
        topic,
        max_bytes=settings.max_record_bytes,
        future_tolerance_ms=settings.future_tolerance_s * 1000,
    )
    whole = complete(parse(mapping), topic.type, file.columns)
    convert = Converter(topic.type, whole, decoder, file_digest=file.digest, time_format=time_format)
    require_present(settings, [topic])
    delivery = Delivery(
        settings,
        topic.full_name(settings.topic_prefix),
        EVENT_TYPES[topic.type],
        f"/csv/{quote(path.name)}",
        pace=None if pace is None else Pace(pace),
    )
    return _run(file, convert, delivery, progress=progress)


def print_published(published: Published, target: str) -> None:
    """Tell a person what became of the file."""
    console = Console()
    rate = published.delivered / published.seconds if published.seconds else 0.0
    console.print(
        f"{published.delivered:,} of {published.rows:,} rows published as {target} "
        f"in {published.seconds:.1f} s ({rate:,.0f}/s)"
    )
    rejects = published.rejects
    if not rejects.count:
        return
    table = Table("line", "reason", "detail", title=f"{rejects.count:,} rows rejected")
    for line, reject in rejects.first:
        table.add_row(str(line), reject.reason, escape(reject.detail))
    console.print(table)
    counts = ", ".join(f"{reason} {count:,}" for reason, count in sorted(rejects.by_reason.items()))
    console.print(f"by reason: {counts}; all of them: {rejects.path}", soft_wrap=True)


def _run(file: CsvFile, convert: Converter, delivery: Delivery, *, progress: bool) -> Published:
    began = time.monotonic()
    rows = delivered = 0
    with _bar(shown=progress) as bar, Rejects(file) as rejects:
        task = bar.add_task(file.path.name, total=file.rows)
        for table in file.tables():
            first_line = rows + FIRST_LINE
            records = convert(table, first_line, wall_ms())
            rejects.add(table, first_line, records.rejects)
            delivery.send(records)
            rows += len(table)
            bar.update(task, completed=rows)
        delivered = delivery.finish()
    if rejects.count and not delivered:
        line, first = rejects.first[0]
        raise InputRefused(f"{file.path}: every row was rejected; line {line}: {first.reason}, {first.detail}")
    return Published(rows, delivered, rejects, time.monotonic() - began)


class _Rate(ProgressColumn):
    """Rows per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


def _bar(*, shown: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
    )
