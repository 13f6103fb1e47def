"""Alarms of a shard: what is said, how often, and as which records.

A shard counts what is alarming by its code, and says each code at once when it comes up, then at most once in a while
with the number of times that it was seen meanwhile: a hundred thousand offers with one fault are one alarm. The counts
are part of the shard record, and alarms of the cut's transaction: each is said exactly once, whoever owns the shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from pricing_core.decisions import HELD, Decisions
from pricing_core.feedback import LOOPS
from pricing_core.rules import CODES
from schemas.alarms import AlarmRaised, Severity
from schemas.binary import BinaryArray
from schemas.cloud_events import ALARM_RAISED
from schemas.codec import encode
from schemas.timestamps import format_ms
from schemas.topics import ALARMS
from streams.metrics import ALARMS as ALARMS_TOTAL
from streams.metrics import Metrics
from streams.output import OutputBatch
from streams.settings import Settings

Values = dict[str, int | str]


class Kind(NamedTuple):
    """What a code means."""

    severity: Severity
    cause: str
    what_to_do: str


LOOP_CAUSES: Mapping[str, str] = {
    "loop_echo": "a competitor's price has been our own three times in a row: it is our offer, or somebody copies us",
    "loop_spiral": "a competitor's price and ours drive each other on at a constant ratio",
    "loop_price_war": "a competitor and we have undercut each other three times in a row",
    "loop_relent": "a competitor that had undercut us has raised its price again, to begin anew",
}
"""Feedback loops, see `pricing_core.feedback`."""
_COMPETITOR = "See who it is (`repricer explain --offer`); if it is yourself, take it out of the feed."
RESUME = "Then `repricer control resume`; `repricer breaker` shows what stands and why."
_LOOK = "Look at the last changes (`repricer explain`) and at the model and feeds behind them."
STOPS: Mapping[str, tuple[str, str]] = {
    "many_changes": ("a larger share of the offers than allowed would have moved notably within five minutes", _LOOK),
    "mean_move": ("prices would have moved by more on average than allowed within five minutes", _LOOK),
    "large_moves": ("more prices than allowed would have moved very far within five minutes", _LOOK),
    "one_price": ("many offers would have gone to one price within five minutes", _LOOK),
    "catalog_rejects": (
        "the catalog rejects most of what it is told",
        "See the reasons on price-applied: another policy, an outage that let changes expire, a person's prices.",
    ),
    "model_anomalies": (
        "the model answers with what is no number, or chooses forbidden prices",
        "Go back to the model before (`repricer models rollback`, or REPRICER_MODEL_PATH).",
    ),
    "silent_feed": ("a feed that was busy says nothing any more", "See what publishes it."),
    "fleet": ("all shards together exceed a limit", _LOOK),
}
"""Why a breaker stops a shard, and what a person should look at."""

KINDS: Mapping[str, Kind] = {
    "acknowledgement_overdue": Kind(
        "warning",
        "price changes were sent several times, and the catalog has answered none of them",
        "See whether the catalog runs, reads price-changes and writes price-applied. These offers are held until then.",
    ),
    **{
        f"breaker_{code}": Kind("critical", f"{cause}; price changes of the shard have stopped", f"{do} {RESUME}")
        for code, (cause, do) in STOPS.items()
    },
    **{
        code: Kind("warning", f"{cause}; it is ignored for a week, and the prices come from demand", _COMPETITOR)
        for code, cause in LOOP_CAUSES.items()
    },
    "catalog_drift": Kind(
        "warning",
        "the catalog says that it has applied price changes, and shows other prices; these count as the current ones",
        "See why the catalog does not apply what it confirms. What it has kept is decided once more at once.",
    ),
    "contradictory_bounds": Kind(
        "warning",
        "bounds of policies contradict each other, or a promotion lies outside of them; the prices stay",
        "Correct the policies: `repricer explain --offer` shows which bounds.",
    ),
    "currency_mismatch": Kind(
        "warning",
        "offers are sold in another currency than their policies name; the prices stay",
        "Correct the currency of the policies, or of what publishes orders.",
    ),
    "demand_changed": Kind(
        "warning",
        "the demand of many offers has changed within a week: what was learned of them is believed less",
        "See what has happened to all of them: the season, the shop, a feed that counts twice or not at all.",
    ),
    "maximum_jump": Kind(
        "warning",
        "prices would have become ten times as high or a tenth of what they are; they stay",
        "See whether somebody has counted cents as euros in policies or promotions.",
    ),
    "model_refused": Kind(
        "warning",
        "the model that was promoted cannot be used by this worker, which goes on with the one before",
        "See the worker's log for the reason (`model_refused`); promote another, or `repricer models rollback`.",
    ),
    "non_finite": Kind(
        "warning",
        "the model answered with something that is no number; the prices stay",
        "Go back to the model before (`repricer models rollback`), and look into `repricer explain`.",
    ),
    "stale_input": Kind(
        "warning",
        "stock or competitors' prices are older than the policies allow, or were never seen; the prices stay",
        "See whether the feeds still run.",
    ),
}
"""Every code that there is."""

_HOLDS = np.array([code in KINDS for code in CODES], np.bool_)
"""Reasons of a hold that are alarming, by number."""


class Standing(msgspec.Struct, array_like=True):
    """One code of a shard."""

    said_at: int = 0
    """Wall clock, ms; 0: never."""
    waiting: int = 0
    """Times seen and not yet said."""
    values: Values = {}
    """Of the last time."""


class AlarmBook(msgspec.Struct):
    """What a shard has said and has to say; part of its record."""

    raised: int = 0
    """Number of the last alarm."""
    standing: dict[str, Standing] = {}
    """By code."""

    def note(self, code: str, count: int, values: Values) -> None:
        """Something alarming was seen ``count`` times."""
        if code not in KINDS:
            raise KeyError(f"{code} is no alarm")
        standing = self.standing.setdefault(code, Standing())
        standing.waiting += count
        standing.values = values

    def take(self, wall: int, interval_ms: int) -> list[tuple[str, int, Standing]]:
        """Return what is to be said now: code, number and count of each alarm. What is critical does not wait."""
        said: list[tuple[str, int, Standing]] = []
        for code, standing in list(self.standing.items()):
            rests = 0 <= wall - standing.said_at < interval_ms and KINDS[code].severity != "critical"
            if rests:
                continue
            if not standing.waiting:
                del self.standing[code]  # it is over
                continue
            self.raised += 1
            said.append((code, self.raised, msgspec.structs.replace(standing)))
            standing.said_at, standing.waiting = wall, 0
        return said


class AlarmWriter:
    """Turns what shards have to say into records for the open cut."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._topic = ALARMS.full_name(settings.topic_prefix)
        self._source = f"/{settings.group}"
        self._worker = settings.instance
        self._interval_ms = settings.alarm_interval_s * 1000
        self._metrics = metrics

    def outputs(self, partition: int, book: AlarmBook, wall: int) -> list[OutputBatch]:
        """One record for each alarm that is due.

        Args:
            partition: Of the shard.
            book: The shard's; it is moved on.
            wall: Wall clock, ms.
        """
        alarms = [self._alarm(partition, wall, *said) for said in book.take(wall, self._interval_ms)]
        if not alarms:
            return []
        for alarm in alarms:
            self._metrics.add(ALARMS_TOTAL, 1, alarm.severity, alarm.code)
        keys, values = BinaryArray.columns((alarm.scope.encode(), encode(alarm)) for alarm in alarms)
        ids = BinaryArray.of(alarm.alarm_id.encode() for alarm in alarms)
        headers = ALARM_RAISED.shared_headers(source=self._source, time_ms=wall)
        return [OutputBatch(self._topic, partition, keys, values, ids, headers)]

    def _alarm(self, partition: int, wall: int, code: str, number: int, standing: Standing) -> AlarmRaised:
        kind = KINDS[code]
        return AlarmRaised(
            alarm_id=f"{partition}-a{number}",
            severity=kind.severity,
            code=code,
            scope=f"shard/{partition}",
            cause=kind.cause,
            values=standing.values,
            what_to_do=kind.what_to_do,
            count=standing.waiting,
            at=format_ms(wall),
            worker=self._worker,
            shard=partition,
        )


def note_holds(decisions: Decisions, rows: Mapping[int, slice], books: Mapping[int, AlarmBook]) -> None:
    """Note the alarming ones among the holds of a step.

    Args:
        decisions: [n].
        rows: Where those of each shard are.
        books: Of the shards.
    """
    alarming = (decisions.outcome == HELD) & _HOLDS[decisions.code]
    if not alarming.any():
        return
    for partition, part in rows.items():
        places = part.start + np.flatnonzero(alarming[part])
        codes, first, counts = np.unique(decisions.code[places], return_index=True, return_counts=True)
        for code, place, count in zip(codes.tolist(), places[first].tolist(), counts.tolist(), strict=True):
            books[partition].note(CODES[code], count, example(decisions.keys[place]))


def note_loops(decisions: Decisions, rows: Mapping[int, slice], books: Mapping[int, AlarmBook]) -> None:
    """Note the feedback loops that were found in a step; arguments as of `note_holds`."""
    found = decisions.loops["found"]
    if not found.any():
        return
    for partition, part in rows.items():
        for loop in np.unique(found[part][found[part] > 0]).tolist():
            places = part.start + np.flatnonzero(found[part] == loop)
            values = {"price": int(decisions.previous_price[places[0]]), **example(decisions.keys[int(places[0])])}
            books[partition].note(f"loop_{LOOPS[loop]}", len(places), values)


def example(key: bytes | None) -> Values:
    """Name one of the offers that an alarm is about."""
    return {} if key is None else {"offer": key.decode("ascii", "replace")}
