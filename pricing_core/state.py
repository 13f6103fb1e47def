"""The state: one row per offer. Exact numbers on the host; decayed sums and tallies on the device (`arena`).

`ROW` is both the layout in memory and the value of a changelog record, so that a snapshot is a copy. A row is
1,248 bytes: what one offer needs lies together, because a batch touches few offers and many fields of each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pricing_core.decayed_demand import HALF_LIVES_DAYS, STATISTICS
from pricing_core.demand.packing import WIDTH
from pricing_core.slots import Slots
from schemas.columns import Int64

Rows = NDArray[np.void]
"""Structured array of dtype `ROW`."""

FORMAT = 4
"""Format of `ROW`. Another layout gets another number."""

TOTALS = (
    "units_placed",
    "units_cancelled",
    "units_returned",
    "amount_placed",
    "amount_cancelled",
    "amount_returned",
    "orders",
    "order_rows",
    "impressions",
    "clicks",
    "add_to_carts",
)
"""Exact sums over all time, in the order of `State.totals`. Amounts in minor units; orders are placed lines."""

RIVALS = 8
"""Competitors remembered per offer: those that were seen last."""

WINDOW = 5
"""Buckets of `price_window`."""

MONTH = 11
"""Longer buckets of `price_window`."""

NEVER = 2**62
"""A time that does not come."""

LOOP = np.dtype(
    [
        ("rival", "<i8"),  # the competitor that is looked at; 0: none
        ("own", "<i8"),  # prices at the end of the last round, and ours of the round before
        ("own_before", "<i8"),
        ("theirs", "<i8"),
        ("ignored", "<i8"),  # the competitor that is ignored; rivals.ALL: every one
        ("ignored_until", "<i8"),
        ("echoes", "u1"),  # rounds in a row that look like this, see `feedback`
        ("rises", "u1"),
        ("falls", "u1"),
        ("ratios", "u1"),
        ("undercuts", "u1"),
        ("found", "u1"),  # by the last decision: index into feedback.LOOPS
        ("reserved", "u1", (2,)),
    ]
)
"""What is known about a feedback loop with a competitor."""

ROW = np.dtype(
    [
        ("format", "<u2"),
        ("currency", "<i2"),  # ISO 4217 numeric, 0 unknown
        ("pending", "u1"),  # 1: a decided price waits for the catalog's answer
        ("resends", "u1"),
        ("decided_code", "u1"),  # index into guardrails.CODES
        ("drifts", "u1"),  # answers in a row that said applied and kept the price before
        ("rival_in_stock", "u1", (RIVALS,)),
        # What nearly every event touches fills the first cache line.
        ("landmark", "<i8"),  # the time to which the sums are decayed
        ("ref_price", "<i8"),  # first price that was known; 0 unknown
        ("first_seen", "<i8"),  # NEVER: no event yet
        ("last_event", "<i8"),
        ("last_order", "<i8"),
        ("last_decided_at", "<i8"),  # 0: never
        ("totals", "<i8", (len(TOTALS),)),
        ("last_change_at", "<i8"),  # 0: never
        ("price", "<i8"),  # as the catalog reported it; 0 unknown
        ("price_version", "<i8"),  # highest version that the catalog has answered
        ("price_at", "<i8"),  # the catalog's clock: compared with itself only
        ("on_hand", "<i8"),  # -1 unknown
        ("stock_at", "<i8"),
        ("decided_version", "<i8"),  # highest version that was given out
        ("decided_price", "<i8"),
        ("decided_at", "<i8"),
        ("sent_at", "<i8"),  # when it was given out last: decided, or sent again
        ("decided_sequence", "<i8"),
        ("decided_policy", "<i8"),
        ("due_at", "<i8"),
        ("policy_version", "<i8"),  # 0: no policy
        ("bucket", "<i8"),
        ("lowest", "<i8", (WINDOW,)),
        ("highest", "<i8", (WINDOW,)),
        ("month_lowest", "<i8", (MONTH,)),
        ("priced_since", "<i8"),  # event time of the first price; 0: none yet
        ("regular_price", "<i8"),  # before the promotion that was decided last
        ("decided_prior_price", "<i8"),  # NONE: not announced
        ("rival", "<i8", (RIVALS,)),
        ("rival_price", "<i8", (RIVALS,)),
        ("rival_seen_at", "<i8", (RIVALS,)),  # 0: empty place
        ("operator_paused", "u1"),  # 1: by a command, until another one resumes the offer
        ("command", "u1"),  # that the next decision carries out, as `columns.ROLL_BACK`; 0: none
        ("proposed_code", "u1"),  # as decided_code
        ("counts_shoppers", "u1"),  # 1: impressions are the exposure in the tally, else days are
        ("rung", "u1"),  # of the last decision with a choice: index into rungs.RUNGS
        ("spare", "V3"),
        ("command_value", "<i8"),  # of `columns.CommandColumns`
        ("command_offset", "<i8"),
        ("command_expires_at", "<i8"),  # NEVER: not
        ("proposed_sequence", "<i8"),  # of the decision whose price waits for approval; 0: none
        ("proposed_price", "<i8"),
        ("proposed_until", "<i8"),  # until then it can be approved, or was rejected
        ("loop", LOOP),
        ("opened_at", "<i8"),  # the open period at one price (`periods`); 0: none
        ("opened_price", "<i8"),
        ("opened_units", "<i8"),  # placed less cancelled, when it began
        ("opened_impressions", "<i8"),
        ("sold_out_at", "<i8"),  # when the stock first ran out in it; 0: not
        ("demand_changed_at", "<i8"),  # when demand was last found to have changed (`demand.drift`); 0: never
        ("sums", "<f4", (len(HALF_LIVES_DAYS), len(STATISTICS))),
        ("tally", "<f4", (WIDTH,)),  # what was sold at which price (`demand.belief`), and evidence of a change
    ]
)

PAGE_BYTES = 4096
"""A smallest page of memory."""

_RAW = np.dtype((np.void, ROW.itemsize))
"""Rows as opaque bytes: NumPy copies them nine times faster than field by field."""


class FormatError(ValueError):
    """Rows were written in a format that this program does not read."""


def _blank() -> Rows:
    row = np.zeros(1, ROW)
    row["format"], row["on_hand"], row["first_seen"], row["due_at"] = FORMAT, -1, NEVER, NEVER
    row["bucket"] = -WINDOW - 1  # before all times: the first price fills the whole window
    return row


class State:
    """The rows of all shards. Every attribute is a view of ``rows``: int64 [capacity] unless `ROW` says otherwise.

    ``due_at`` alone lies outside, in one piece, because it is searched; ``due_at``, ``sums`` and ``tally`` of the rows
    are filled in snapshots only.
    """

    def __init__(self, capacity: int) -> None:  # noqa: PLR0915  # a line for each column
        self.rows: Rows = np.zeros(capacity, ROW)
        self._raw = self.rows.view(_RAW)
        self._blank = _blank().view(_RAW)
        self.due_at = np.full(capacity, NEVER, np.int64)
        rows = self.rows
        self.currency: NDArray[np.int16] = rows["currency"]
        self.pending: NDArray[np.uint8] = rows["pending"]
        self.resends: NDArray[np.uint8] = rows["resends"]
        self.decided_code: NDArray[np.uint8] = rows["decided_code"]
        self.totals: Int64 = rows["totals"]
        self.first_seen: Int64 = rows["first_seen"]
        self.last_event: Int64 = rows["last_event"]
        self.last_order: Int64 = rows["last_order"]
        self.on_hand: Int64 = rows["on_hand"]
        self.stock_at: Int64 = rows["stock_at"]
        self.price: Int64 = rows["price"]
        self.price_version: Int64 = rows["price_version"]
        self.price_at: Int64 = rows["price_at"]
        self.decided_version: Int64 = rows["decided_version"]
        self.decided_price: Int64 = rows["decided_price"]
        self.decided_at: Int64 = rows["decided_at"]
        self.sent_at: Int64 = rows["sent_at"]
        self.decided_sequence: Int64 = rows["decided_sequence"]
        self.decided_policy: Int64 = rows["decided_policy"]
        self.last_change_at: Int64 = rows["last_change_at"]
        self.last_decided_at: Int64 = rows["last_decided_at"]
        self.ref_price: Int64 = rows["ref_price"]
        self.policy_version: Int64 = rows["policy_version"]
        self.bucket: Int64 = rows["bucket"]
        self.lowest: Int64 = rows["lowest"]
        self.highest: Int64 = rows["highest"]
        self.month_lowest: Int64 = rows["month_lowest"]
        self.priced_since: Int64 = rows["priced_since"]
        self.regular_price: Int64 = rows["regular_price"]
        self.decided_prior_price: Int64 = rows["decided_prior_price"]
        self.rival: Int64 = rows["rival"]
        self.rival_price: Int64 = rows["rival_price"]
        self.rival_seen_at: Int64 = rows["rival_seen_at"]
        self.rival_in_stock: NDArray[np.uint8] = rows["rival_in_stock"]
        self.landmark: Int64 = rows["landmark"]
        self.operator_paused: NDArray[np.uint8] = rows["operator_paused"]
        self.command: NDArray[np.uint8] = rows["command"]
        self.command_value: Int64 = rows["command_value"]
        self.command_offset: Int64 = rows["command_offset"]
        self.command_expires_at: Int64 = rows["command_expires_at"]
        self.proposed_code: NDArray[np.uint8] = rows["proposed_code"]
        self.proposed_sequence: Int64 = rows["proposed_sequence"]
        self.proposed_price: Int64 = rows["proposed_price"]
        self.proposed_until: Int64 = rows["proposed_until"]
        self.drifts: NDArray[np.uint8] = rows["drifts"]
        self.loop: NDArray[np.void] = rows["loop"]
        self.counts_shoppers: NDArray[np.uint8] = rows["counts_shoppers"]
        self.opened_at: Int64 = rows["opened_at"]
        self.opened_price: Int64 = rows["opened_price"]
        self.opened_units: Int64 = rows["opened_units"]
        self.opened_impressions: Int64 = rows["opened_impressions"]
        self.sold_out_at: Int64 = rows["sold_out_at"]
        self.demand_changed_at: Int64 = rows["demand_changed_at"]
        self.rung: NDArray[np.uint8] = rows["rung"]

    def clear(self, slots: Slots) -> None:
        """Make rows blank."""
        self._raw[slots] = self._blank
        self.due_at[slots] = NEVER

    def take(self, slots: Slots) -> Rows:
        """Copy rows, without their sums, tallies and due times."""
        return self._raw[slots].view(ROW)

    def put(self, slots: Slots, rows: Rows) -> None:
        """Overwrite rows."""
        self._raw[slots] = rows.view(_RAW)
        self.due_at[slots] = rows["due_at"]


def take_memory(rows: Rows) -> None:
    """Touch every page of rows, as they are: to be given them within a takeover took as long as the reading."""
    pages = rows.view(np.uint8)[::PAGE_BYTES]
    pages |= 0


def require_format(rows: Rows) -> None:
    """Refuse rows that were written by another version of this program.

    Raises:
        FormatError: They were.
    """
    if rows.dtype != ROW:
        raise FormatError(f"rows of {rows.dtype.itemsize} bytes, this program reads rows of {ROW.itemsize}")
    foreign = rows["format"][rows["format"] != FORMAT]
    if len(foreign):
        raise FormatError(
            f"a row has format {foreign[0]}, this program reads {FORMAT}: rebuild the state from the topics"
        )


class DirtyRows:
    """Which rows have changed since the last snapshot of their shard."""

    def __init__(self, capacity: int) -> None:
        self._is_dirty = np.zeros(capacity, np.bool_)
        self._chunks: dict[int, list[Slots]] = {}

    def mark(self, shard: int, slots: Slots) -> None:
        """Note distinct rows."""
        new = slots[~self._is_dirty[slots]]
        if len(new):
            self._is_dirty[new] = True
            self._chunks.setdefault(shard, []).append(new)

    def count(self, shard: int) -> int:
        """Return how many rows of a shard are dirty."""
        return sum(map(len, self._chunks.get(shard, ())))

    def take(self, shard: int) -> Slots:
        """Return the dirty rows of a shard and forget them."""
        chunks = self._chunks.pop(shard, [])
        slots = np.concatenate(chunks) if chunks else np.empty(0, np.int64)
        self._is_dirty[slots] = False
        return slots
