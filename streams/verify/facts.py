"""Everything the checks look at, read in an order that holds beside a running worker.

1. The group's offsets: they were committed with a cut that is in the changelog by now.
2. The changelog. The last shard record of each partition is the cut line: everything is compared up to there.
3. The outputs, up to their high watermarks: all that belongs to the cut is among them, and perhaps later ones.
4. The sources, up to the offsets that the cut has applied.
5. The changelog's tail: whatever is in an output by now belongs to a cut that is there.
6. The group's offsets again: they are those of the cut, or later ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from schemas.topics import HOT_SOURCES, PRICING_CONTROL
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.verify.changelog import Changelog, read_changelog, state_frame
from streams.verify.log import GroupOffsets, Log
from streams.verify.outputs import (
    Letter,
    Outputs,
    Replay,
    read_changes,
    read_decisions,
    read_letters,
    read_replays,
)
from streams.verify.sources import WITH_EVENT_ID, Source, read_source


@dataclass(frozen=True, slots=True)
class Facts:
    """What the log said."""

    settings: Settings
    partitions: int
    group_before: GroupOffsets | None
    group_after: GroupOffsets | None
    changelog: Changelog
    later: Changelog
    """The changelog's records behind those in ``changelog``."""
    state: pl.DataFrame
    sources: dict[str, Source]
    control: Source
    letters: list[Letter]
    unreadable: list[str]
    decisions: Outputs
    changes: Outputs
    replays: list[Replay]

    def last_sequence(self, partition: int) -> int:
        """Number of the last decision that a cut has published by the end of reading."""
        return max(self.changelog.sequence(partition), self.later.sequence(partition))

    def below_cut(self, outputs: Outputs) -> pl.DataFrame:
        """Decisions or price changes of the cut; later ones are left out."""
        limits = {p: self.changelog.sequence(p) for p in range(self.partitions)}
        limit = pl.col("id_partition").replace_strict(limits, default=-1, return_dtype=pl.Int64)
        return outputs.rows.filter(pl.col("sequence") <= limit)

    def expired(self, names: Iterable[str], partition: int | None = None) -> list[str]:
        """What is missing at the start of some sources, for a person."""
        notes = [note for name in names for note in self.sources[name].expired]
        return notes if partition is None else [note for note in notes if f"/{partition}:" in note]


def read_facts(log: Log, settings: Settings) -> Facts:
    """Read everything that can be checked."""
    before = log.group_offsets()  # 1
    changelog = read_changelog(log)  # 2
    state = state_frame(changelog)
    decisions, changes = read_decisions(log), read_changes(log)  # 3
    letters, unreadable = read_letters(log, settings.topic_prefix)
    replays = read_replays(log, settings.topic_prefix)
    refused: dict[str, dict[int, set[int]]] = {}
    for letter in letters:
        refused.setdefault(letter.topic, {}).setdefault(letter.partition, set()).add(letter.offset)
    sources = {  # 4
        topic.name: read_source(
            log,
            topic,
            {p: changelog.applied(p)[topic.name] for p in range(log.partitions)},
            refused.get(topic.name, {}),
            replays=bool(replays),
        )
        for topic in HOT_SOURCES
    }
    ends = log.ends(PRICING_CONTROL)
    control = read_source(log, PRICING_CONTROL, ends, refused.get(PRICING_CONTROL.name, {}), replays=False)
    later = read_changelog(log, since=changelog.ends)  # 5
    return Facts(
        settings,
        log.partitions,
        before,
        log.group_offsets(),  # 6
        changelog,
        later,
        state,
        sources,
        control,
        letters,
        unreadable,
        decisions,
        changes,
        replays,
    )


def strays(rows: pl.DataFrame, partitions: int) -> pl.DataFrame:
    """Rows whose key belongs to another partition."""
    keys = rows.select("partition", "key").unique()
    homes = [partition_of(key, partitions) for key in keys["key"].to_list()]
    away = keys.filter(pl.Series(homes, dtype=pl.Int64) != keys["partition"])
    return rows.join(away, on=["partition", "key"], how="semi")


def counting(source: Source, settings: Settings, partitions: int) -> pl.DataFrame:
    """Rows of a keyed source that count: those at home, without duplicates.

    A duplicate is a record whose event id one of the ``duplicate_window`` offsets before it had, in the same
    partition; a duplicate counts as one of those for the next, a refused record does not.
    """
    rows = source.rows
    away = strays(rows, partitions)
    if len(away):
        rows = rows.join(away, on=["partition", "offset"], how="anti")
    if source.topic.name not in WITH_EVENT_ID:
        return rows
    repeated = rows.filter(pl.col("event_id").is_duplicated()).sort("offset")
    gap = pl.col("offset") - pl.col("offset").shift(1).over("partition", "event_id")
    duplicates = repeated.filter(gap <= settings.duplicate_window)
    return rows.join(duplicates, on=["partition", "offset"], how="anti") if len(duplicates) else rows
