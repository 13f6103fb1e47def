"""The changelog as the checker reads it: rows of the state, and the shard records that say where the log was cut.

The layout of a row is written down here once more, as far as it is needed, and held to the format number in every
row. It is not imported from ``pricing_core.state``: that would load JAX into an operator's command, and a row of a
new format would be read with new code before anybody had thought about what the totals mean now. A test compares
the two descriptions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
import polars as pl

from schemas.topics import CHANGELOG, HOT_SOURCES
from streams.verify.log import Log

SHARD_KEY = b"\0shard"
RECORD_FORMATS = frozenset({1, 2, 3})
"""Of shard records; what is read here they all have."""
ROW_FORMAT, ROW_BYTES = 4, 1248
ROW = np.dtype(
    {
        "names": ["format", "totals", "price", "price_version", "on_hand", "stock_at", "decided_version"],
        "formats": ["<u2", ("<i8", (11,)), "<i8", "<i8", "<i8", "<i8", "<i8"],
        "offsets": [0, 64, 160, 168, 184, 192, 200],
        "itemsize": ROW_BYTES,
    }
)
"""The fields that are checked, of format `ROW_FORMAT`."""

SALES = (
    "units_placed",
    "units_cancelled",
    "units_returned",
    "amount_placed",
    "amount_cancelled",
    "amount_returned",
    "orders",
    "order_rows",
)
"""Totals of an offer that come from ``orders``, in the order in which a row has them."""
SHOPPERS = ("impressions", "clicks", "add_to_carts")
"""Totals that come from ``clicks``; they follow."""
VALUES = ("price", "price_version", "on_hand", "stock_at", "decided_version")

SOURCES = tuple(topic.name for topic in HOT_SOURCES)


class _ShardRecord(msgspec.Struct):
    format: int
    applied: dict[str, int]
    now: int
    sequence: int
    topic_ids: dict[str, str] = {}


@dataclass(slots=True)
class Changelog:
    """What the changelog held when it was read."""

    cuts: dict[int, _ShardRecord] = field(default_factory=dict)
    """The last shard record of each partition."""
    history: list[tuple[int, int, _ShardRecord | None]] = field(default_factory=list)
    """Partition and offset of every shard record that compaction has left; None for one that cannot be read."""
    rows: dict[int, dict[bytes, bytes | None]] = field(default_factory=dict)
    """The last value of every offer's key, by partition."""
    unreadable_cuts: dict[int, str] = field(default_factory=dict)
    """By partition, where the last shard record is none."""
    damaged_rows: list[str] = field(default_factory=list)
    """Rows that are none; known when they have been looked at (`state_frame`)."""
    ends: dict[int, int] = field(default_factory=dict)
    records: int = 0

    @property
    def damaged(self) -> list[str]:
        """What is not what it should be, and is the last word."""
        return [*self.unreadable_cuts.values(), *self.damaged_rows]

    def applied(self, partition: int) -> dict[str, int]:
        """Next offset of every source; 0 before the first cut."""
        cut = self.cuts.get(partition)
        return dict.fromkeys(SOURCES, 0) | (cut.applied if cut is not None else {})

    def sequence(self, partition: int) -> int:
        """Number of the last decision."""
        cut = self.cuts.get(partition)
        return cut.sequence if cut is not None else 0


def read_changelog(log: Log, since: dict[int, int] | None = None) -> Changelog:
    """Read the changelog to its end; cuts that are being committed are waited for.

    Args:
        log: Raw topics.
        since: Where to begin in each partition; at the start if not given.
    """
    found = Changelog(ends=log.ends(CHANGELOG))
    starts = log.starts(CHANGELOG) if since is None else since
    for chunk in log.read(CHANGELOG, {p: (starts[p], end) for p, end in found.ends.items()}):
        found.records += len(chunk.keys)
        rows = found.rows.setdefault(chunk.partition, {})
        rows.update((key, value) for key, value in zip(chunk.keys, chunk.values, strict=True) if key is not None)
        for offset, key, value in zip(chunk.offsets, chunk.keys, chunk.values, strict=True):
            if key == SHARD_KEY:
                _take_record(found, chunk.partition, offset, value)
        rows.pop(SHARD_KEY, None)
    return found


def _take_record(found: Changelog, partition: int, offset: int, value: bytes | None) -> None:
    """The last one counts. One that cannot be read is no damage once another stands behind it: it was repaired."""
    record, fault = _decode_record(value)
    found.history.append((partition, offset, record))
    if record is None:
        found.unreadable_cuts[partition] = f"changelog/{partition}/{offset}: {fault}"
    else:
        found.unreadable_cuts.pop(partition, None)
        found.cuts[partition] = record


def _decode_record(value: bytes | None) -> tuple[_ShardRecord | None, str]:
    """A shard record, or what is wrong with it."""
    try:
        record = msgspec.json.decode(value or b"", type=_ShardRecord)
    except msgspec.DecodeError as error:
        return None, f"no shard record: {error}"
    if record.format not in RECORD_FORMATS:
        return None, f"a shard record of format {record.format}"
    return record, ""


def state_frame(changelog: Changelog) -> pl.DataFrame:
    """Rows of the state as columns: partition, key, the totals and `VALUES`. Damaged rows are noted and left out."""
    frames = [_frame(partition, rows, changelog.damaged_rows) for partition, rows in changelog.rows.items()]
    return pl.concat([_frame(0, {}, []), *frames])


def _frame(partition: int, found: dict[bytes, bytes | None], damaged: list[str]) -> pl.DataFrame:
    rows = {key: value for key, value in found.items() if value is not None}
    for key in [key for key, value in rows.items() if not _is_row(value)]:
        damaged.append(f"changelog/{partition} {key!r}: not a row of format {ROW_FORMAT} with {ROW_BYTES} bytes")
        del rows[key]
    array = np.frombuffer(b"".join(rows.values()), ROW)
    totals = dict(zip(SALES + SHOPPERS, array["totals"].T, strict=True))
    columns = totals | {name: array[name] for name in VALUES}
    return pl.DataFrame(
        {
            "partition": pl.Series([partition] * len(rows), dtype=pl.Int64),
            "key": pl.Series(list(rows), dtype=pl.Binary),
            **{name: pl.Series(np.ascontiguousarray(values), dtype=pl.Int64) for name, values in columns.items()},
        }
    )


def _is_row(value: bytes) -> bool:
    return len(value) == ROW_BYTES and int.from_bytes(value[:2], "little") == ROW_FORMAT
