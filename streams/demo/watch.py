"""What the demo knows of its processes.

That is the worker's metrics, the catalog's database, the market's account, and the decisions on the broker.
Nothing of it is written by the demo itself.
"""

from __future__ import annotations

import urllib.request
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

import confluent_kafka as ck
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from schemas.topics import CLICKS, COMPETITOR_PRICES, INVENTORY, ORDERS, PRICE_DECISIONS
from streams.catalog.ledger import Counts, read_counts
from streams.demo.reasons import Decision, Reasons
from streams.demo.view import Line
from streams.market.truth import Truth, read_truth
from streams.metrics import DEAD_LETTERS, DECISIONS, EVENTS, HOLDS, LAG_RECORDS, PENDING_CHANGES
from streams.settings import Settings

MARKET_TOPICS = frozenset(topic.name for topic in (ORDERS, CLICKS, COMPETITOR_PRICES, INVENTORY))
KEPT_LINES = 50
ANSWER_S = 1.0
DECISIONS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """What the worker's /metrics say."""

    events: int = 0
    """Applied, of the market's topics."""
    decisions: int = 0
    changes: int = 0
    """Decisions that changed a price."""
    holds: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    lag: int = 0
    pending: int = 0
    """Price changes that it has no answer to."""


class Watch:
    """Looks at everything, and keeps the last state of each."""

    def __init__(self, settings: Settings, metrics_url: str, database: Path, truth: Path) -> None:
        self._metrics_url = metrics_url
        self._database = database
        self._truth_file = truth
        self._reasons = Reasons.of_model(settings.model_path)
        self._decode = msgspec.json.Decoder(Decision).decode
        self._consumer = ck.Consumer({**settings.consumer_config(), "group.id": f"{settings.topic_prefix}-demo"})
        topic = PRICE_DECISIONS.full_name(settings.topic_prefix)
        partitions = range(settings.partitions)
        self._consumer.assign([ck.TopicPartition(topic, p, ck.OFFSET_BEGINNING) for p in partitions])
        self.lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self.worker = WorkerFigures()
        self.catalog: Counts | None = None
        self.truth: Truth | None = None

    def look(self) -> None:
        """Bring everything up to date; what does not answer keeps its last state."""
        self.worker = self._worker_figures() or self.worker
        self.truth = read_truth(self._truth_file) or self.truth
        if self._database.exists():
            self.catalog = read_counts(self._database)
        for record in self._consumer.consume(DECISIONS_AT_ONCE, 0.0):
            shown = None if record.error() else self._reasons.line(self._decode(record.value() or b""))
            if shown is not None:
                self.lines.appendleft(shown)

    def close(self) -> None:
        """Stop reading decisions."""
        self._consumer.close()

    def _worker_figures(self) -> WorkerFigures | None:
        try:
            with urllib.request.urlopen(self._metrics_url, timeout=ANSWER_S) as answer:  # noqa: S310  # our worker
                return figures(answer.read().decode())
        except OSError:  # not there yet, or not any more
            return None


def figures(page: str) -> WorkerFigures:
    """Read a page in Prometheus' text format."""
    totals: dict[str, Counter[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            label = sample.labels.get("topic") or sample.labels.get("outcome") or sample.labels.get("reason") or ""
            totals.setdefault(sample.name, Counter())[label] += int(sample.value)
    of = {metric: totals.get(metric.name, Counter()) for metric in (EVENTS, DECISIONS, HOLDS, DEAD_LETTERS)}
    return WorkerFigures(
        events=sum(count for topic, count in of[EVENTS].items() if topic in MARKET_TOPICS),
        decisions=of[DECISIONS].total(),
        changes=of[DECISIONS]["changed"],
        holds=dict(of[HOLDS]),
        dead_letters=of[DEAD_LETTERS].total(),
        lag=totals.get(LAG_RECORDS.name, Counter()).total(),
        pending=totals.get(PENDING_CHANGES.name, Counter()).total(),
    )
