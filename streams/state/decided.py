"""What was decided, as price-decisions has it: for offers whose row is lost, and for a shard whose record is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec
import numpy as np

from pricing_core.acknowledgements import regular_price
from pricing_core.price_window import Window, rolled
from pricing_core.rules import CODE
from pricing_core.state import Rows, State
from schemas.columns import NONE
from schemas.decisions import PriceDecided
from schemas.timestamps import parse_ms
from schemas.topics import PRICE_DECISIONS
from streams.changelog import ShardRecord
from streams.errors import ShardLost
from streams.log_reader import Offsets, read_ranges
from streams.settings import Settings
from streams.state.old_shard import DEADLINE_S, deadline
from streams.transport.partition import Partition

BEGINS_ANEW = (
    "counts_shoppers",
    "opened_at",
    "opened_price",
    "opened_units",
    "opened_impressions",
    "sold_out_at",
    "tally",
)
"""What was sold at which price: no record holds it, so it begins anew where the row is lost."""
OF_DECISIONS = (
    "pending",
    "resends",
    "decided_code",
    "last_decided_at",
    "last_change_at",
    "decided_version",
    "decided_price",
    "decided_at",
    "sent_at",
    "decided_sequence",
    "decided_policy",
    "due_at",
    "regular_price",
    "decided_prior_price",
    "command",  # whether it was carried out
    "proposed_code",
    "proposed_sequence",
    "proposed_price",
    "proposed_until",
    "drifts",
    "loop",
    *Window._fields,
    *BEGINS_ANEW,
)
"""Columns of a row that no source holds."""


@dataclass(slots=True)
class Decided:
    """The decisions of one shard that the topic still has."""

    is_complete: bool
    """Whether it has all that were ever made."""
    sequence: int = 0
    """Number of the last one; 0 if there is none."""
    now: int = 0
    """Its event time; ms."""
    rows: dict[bytes, Rows] = field(default_factory=dict)
    """What follows for the offers that were asked for: arrays of one, blank but for `OF_DECISIONS`."""


def read_decided(settings: Settings, offsets: Offsets, partition: int, known: Collection[bytes]) -> Decided:
    """Read the decisions of a shard, for the offers that are not ``known``."""
    tp = Partition(PRICE_DECISIONS.full_name(settings.topic_prefix), partition)
    low, end = offsets.start([tp])[tp], offsets.end([tp], committed=True)[tp]
    found, decoder = Decided(is_complete=low == 0), msgspec.json.Decoder(PriceDecided)
    for _, records in read_ranges(settings.consumer_config(), {tp: (low, end)}, cancelled=deadline(DEADLINE_S)):
        for _, offer, value in records:
            decision, key = decoder.decode(value or b""), offer or b""
            found.sequence, found.now = _sequence(decision), parse_ms(decision.decided_at)
            if key not in known:
                _write_down(found.rows.setdefault(key, blank()), decision, found.now)
    return found


def require_known(
    settings: Settings, partition: int, decided: Decided, *, lost: Collection[bytes], record: ShardRecord | None
) -> None:
    """Refuse if versions or decision numbers would have to be guessed.

    Raises:
        ShardLost: They would: the decisions that gave them out have expired.
    """
    guessed = [key for key in lost if key not in decided.rows or not decided.rows[key]["decided_version"][0]]
    is_numbered = record is not None or decided.sequence > 0
    if not decided.is_complete and (guessed or not is_numbered):
        topic = PRICE_DECISIONS.full_name(settings.topic_prefix)
        what = f"the last versions of {len(guessed)} offers" if guessed else "the number of the last decision"
        raise ShardLost(
            f"{topic}[{partition}] no longer holds {what}, and what did cannot be read. "
            "None must be given out twice: restore the changelog or that topic from a copy."
        )


def blank() -> Rows:
    """The row of an offer of which nothing was heard, as an array of one."""
    state = State(1)
    state.clear(np.zeros(1, np.int64))
    return state.take(np.zeros(1, np.int64))


def with_decisions(row: Rows, decided: Rows) -> Rows:
    """A row of the sources with the columns that no source holds; a version that the catalog knows is not undercut."""
    row, answered = row.copy(), row["price_version"]
    for column in OF_DECISIONS:
        row[column] = decided[column]
    row["decided_version"] = np.maximum(answered, decided["decided_version"])
    row["pending"] &= answered < decided["decided_version"]
    return row


def _write_down(row: Rows, decision: PriceDecided, now: int) -> None:
    """Put a decision into the row of its offer, and make it due at once."""
    row["due_at"], row["last_decided_at"] = 0, now
    if decision.price is not None and decision.previous_price is not None:
        window = rolled(Window.of(row), np.array([decision.previous_price]), now)  # in effect until now
        window = rolled(window, np.array([decision.price]), now)
        for name, column in window._asdict().items():
            row[name] = column
    if decision.outcome == "changed":
        last = row["decided_code"], row["decided_price"], row["regular_price"]
        row["regular_price"] = regular_price(*last, np.array(decision.previous_price), np.array(CODE[decision.reason]))
        row["decided_prior_price"] = NONE if decision.prior_price is None else decision.prior_price
        row["decided_version"], row["pending"] = decision.version, 1
        row["decided_price"], row["decided_policy"] = decision.price, decision.policy_version
        row["decided_sequence"], row["decided_code"] = _sequence(decision), CODE[decision.reason]
        row["decided_at"] = row["sent_at"] = row["last_change_at"] = now


def _sequence(decision: PriceDecided) -> int:
    return int(decision.decision_id.rsplit("-", 1)[1])
