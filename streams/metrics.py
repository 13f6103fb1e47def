"""Metrics: a closed list, each with its kind, unit and labels. What is not in `METRICS` cannot be recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

MILLISECONDS_TO_MINUTES: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
ROWS: Final = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 50_000)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Counters' names end in ``_total``, others' in their unit."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


EVENTS = Metric("repricer_events_total", "counter", "records", "Records applied to the state.", ("topic",))
DUPLICATES = Metric(
    "repricer_duplicates_total", "counter", "records", "Records whose event id was seen before.", ("topic",)
)
DEAD_LETTERS = Metric("repricer_dead_letters_total", "counter", "records", "Records refused.", ("topic", "reason"))
DECISIONS = Metric("repricer_decisions_total", "counter", "decisions", "Decisions made, holds included.", ("outcome",))
HOLDS = Metric("repricer_holds_total", "counter", "decisions", "Decisions to leave the price as it is.", ("reason",))
PRICE_CHANGES = Metric("repricer_price_changes_total", "counter", "changes", "Price changes published.", ("reason",))
PENDING_CHANGES = Metric("repricer_pending_changes", "gauge", "changes", "Price changes not answered yet.")
RESENDS = Metric("repricer_resends_total", "counter", "changes", "Price changes sent again: nobody had answered.")
ACKNOWLEDGEMENT_ALARMS = Metric(
    "repricer_acknowledgement_alarms_total", "counter", "changes", "Price changes never answered: given up."
)
ALARMS = Metric("repricer_alarms_total", "counter", "alarms", "Alarms raised.", ("severity", "code"))
BREAKER_STOPS = Metric("repricer_breaker_stops_total", "counter", "stops", "Shards stopped by the breaker.", ("cause",))
STOPPED_SHARDS = Metric("repricer_stopped_shards", "gauge", "shards", "Shards that stand until a person resumes.")
RUNG_MOVES = Metric(
    "repricer_rung_moves_total", "counter", "offers", "Offers that went up or down the evidence ladder.", ("direction",)
)
DEMAND_CHANGES = Metric("repricer_demand_changes_total", "counter", "offers", "Demand found to have changed.")
RUNG_OFFERS = Metric("repricer_rung_offers", "gauge", "offers", "Offers by rung of the evidence ladder.", ("rung",))
LAG_RECORDS = Metric(
    "repricer_lag_records", "gauge", "records", "Records on the broker not yet applied.", ("topic", "partition")
)
LAG_SECONDS = Metric(
    "repricer_lag_seconds", "gauge", "seconds", "Age of the last record applied; 0 at the end.", ("topic", "partition")
)
QUEUE_DEPTH = Metric("repricer_queue_depth_batches", "gauge", "batches", "Record batches fetched and not yet applied.")
CUT_SECONDS = Metric(
    "repricer_cut_seconds", "histogram", "seconds", "One transaction.", buckets=MILLISECONDS_TO_MINUTES
)
CUT_ROWS = Metric("repricer_cut_rows", "histogram", "rows", "State rows in one transaction.", buckets=ROWS)
FAILED_CUTS = Metric(
    "repricer_failed_cuts_total", "counter", "transactions", "Transactions that failed; rebuilt after."
)
REBUILD_SECONDS = Metric(
    "repricer_rebuild_seconds", "histogram", "seconds", "Rebuilding a shard.", buckets=MILLISECONDS_TO_MINUTES
)
STALE_BATCHES = Metric(
    "repricer_stale_batches_total", "counter", "batches", "Batches of partitions given up: left out."
)
OFFSET_HOLES = Metric(
    "repricer_offset_holes_total", "counter", "offsets", "Offsets without a record: compacted, or markers.", ("topic",)
)
KEPT_SHARDS = Metric("repricer_kept_shards_total", "counter", "shards", "Shards kept in memory over a rebalance.")
REBUILT_SHARDS = Metric("repricer_rebuilt_shards_total", "counter", "shards", "Shards rebuilt from the log.")
OWNED_SHARDS = Metric("repricer_owned_shards", "gauge", "shards", "Shards assigned to this worker.")
READY_SHARDS = Metric("repricer_ready_shards", "gauge", "shards", "Shards rebuilt and live.")
STATE_OFFERS = Metric("repricer_state_offers", "gauge", "offers", "Offers in the state of this worker.")
TRANSITIONS = Metric(
    "repricer_transitions_total", "counter", "transitions", "Decisions joined with what followed.", ("ended_by",)
)
OPEN_INTERVALS = Metric("repricer_open_intervals", "gauge", "decisions", "Decisions whose outcome is not closed yet.")
OUTCOME_EVENTS_LEFT_OUT = Metric(
    "repricer_outcome_events_left_out_total",
    "counter",
    "records",
    "Events in no transition: late, between intervals, unreadable.",
    ("reason",),
)
OUTCOME_DECISIONS_EXPIRED = Metric(
    "repricer_outcome_decisions_expired_total",
    "counter",
    "offsets",
    "Decisions that retention removed before what followed them was written: they have no transition.",
)
LEARNED_TRANSITIONS = Metric(
    "repricer_learner_transitions_total",
    "counter",
    "transitions",
    "Read by the learner, by what came of it.",
    ("what",),
)
LEARNER_UPDATES = Metric("repricer_learner_updates_total", "counter", "updates", "Of the learner's networks.")
LEARNER_LOSS = Metric("repricer_learner_loss", "gauge", "1", "Mean over the last updates.", ("of",))
CANDIDATE_MODELS = Metric("repricer_candidate_models_total", "counter", "models", "Written by the learner.")
PROMOTER_ACTS = Metric(
    "repricer_promoter_acts_total", "counter", "acts", "Candidates shadowed, refused, promoted, rolled back.", ("act",)
)
MODEL_INFO = Metric(
    "repricer_model_info", "gauge", "1", "The model that prices: always 1.", ("name", "version", "sha256")
)
MODEL_SWAPS = Metric("repricer_model_swaps_total", "counter", "swaps", "Models that took over while the worker ran.")
MODELS_REFUSED = Metric("repricer_models_refused_total", "counter", "models", "Live models that could not be used.")

METRICS: Final = (
    EVENTS,
    DUPLICATES,
    DEAD_LETTERS,
    DECISIONS,
    HOLDS,
    PRICE_CHANGES,
    PENDING_CHANGES,
    RESENDS,
    ACKNOWLEDGEMENT_ALARMS,
    ALARMS,
    BREAKER_STOPS,
    STOPPED_SHARDS,
    RUNG_MOVES,
    DEMAND_CHANGES,
    RUNG_OFFERS,
    LAG_RECORDS,
    LAG_SECONDS,
    QUEUE_DEPTH,
    CUT_SECONDS,
    CUT_ROWS,
    FAILED_CUTS,
    REBUILD_SECONDS,
    STALE_BATCHES,
    OFFSET_HOLES,
    KEPT_SHARDS,
    REBUILT_SHARDS,
    OWNED_SHARDS,
    READY_SHARDS,
    STATE_OFFERS,
    TRANSITIONS,
    OPEN_INTERVALS,
    OUTCOME_EVENTS_LEFT_OUT,
    OUTCOME_DECISIONS_EXPIRED,
    LEARNED_TRANSITIONS,
    LEARNER_UPDATES,
    LEARNER_LOSS,
    CANDIDATE_MODELS,
    PROMOTER_ACTS,
    MODEL_INFO,
    MODEL_SWAPS,
    MODELS_REFUSED,
)


class Metrics:
    """The values of one process. Labels are given by position, in the order of the definition.

    ``metrics.add(EVENTS, 1000, "orders")``, ``metrics.set(LAG_RECORDS, 12, "orders", "3")``,
    ``metrics.observe(CUT_SECONDS, 0.011)``.
    """

    def __init__(self) -> None:
        # an own registry: two workers in one process (tests) must not share numbers
        self._registry = CollectorRegistry()
        self._counters = {metric: self._counter(metric) for metric in METRICS if metric.kind == "counter"}
        self._gauges = {metric: self._gauge(metric) for metric in METRICS if metric.kind == "gauge"}
        self._histograms = {metric: self._histogram(metric) for metric in METRICS if metric.kind == "histogram"}

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        """Count ``amount`` more."""
        counter = self._counters[metric]
        (counter.labels(*labels) if metric.labels else counter).inc(amount)

    def add_each(self, metric: Metric, amounts: Mapping[str, int]) -> None:
        """Count several values of the only label, e.g. holds by reason."""
        for label, amount in amounts.items():
            self.add(metric, amount, label)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[metric]
        (gauge.labels(*labels) if metric.labels else gauge).set(value)

    def forget(self, metric: Metric, *labels: str) -> None:
        """Drop a gauge's value: a partition given up has no lag of ours."""
        self._gauges[metric].remove(*labels)

    def observe(self, metric: Metric, value: float) -> None:
        """Put ``value`` into a histogram."""
        self._histograms[metric].observe(value)

    def value(self, metric: Metric, *labels: str) -> float:
        """Value of a counter or gauge now; of a histogram, how many were observed. 0 if never recorded."""
        sample = f"{metric.name}_count" if metric.kind == "histogram" else metric.name
        return self._registry.get_sample_value(sample, dict(zip(metric.labels, labels, strict=True))) or 0.0

    def render(self) -> bytes:
        """Everything in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, _about(metric), metric.labels, registry=self._registry)

    def _gauge(self, metric: Metric) -> Gauge:
        return Gauge(metric.name, _about(metric), metric.labels, registry=self._registry)

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(metric.name, _about(metric), metric.labels, registry=self._registry, buckets=metric.buckets)


def _about(metric: Metric) -> str:
    return f"{metric.about} Unit: {metric.unit}."
