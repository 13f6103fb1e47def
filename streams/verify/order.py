"""I4 and I5: every decision names its causes, and positions, times and versions never go backwards."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from streams.verify.changelog import SOURCES
from streams.verify.facts import Facts
from streams.verify.log import GroupOffsets
from streams.verify.report import Check


def checks(facts: Facts) -> Iterator[Check]:
    """Along the partitions of every output and of the changelog, and the group beside it."""
    decisions = facts.below_cut(facts.decisions)
    faults = decisions.filter(pl.col("cause_fault").is_not_null())
    causes = [
        f"price-decisions/{p}/{offset}: {fault}"
        for p, offset, fault in faults.select("partition", "offset", "cause_fault").iter_rows()
    ]
    yield Check.of("causes", "I4", len(decisions), causes, facts.decisions.expired)
    yield Check.of("decision_order", "I5", len(decisions), _decisions_back(facts, decisions))
    yield Check.of("version_order", "I5", len(facts.changes.rows), _versions_back(facts.below_cut(facts.changes)))
    yield Check.of("shard_record_order", "I5", len(facts.changelog.history), _records_back(facts))
    yield _group(facts)


def _decisions_back(facts: Facts, decisions: pl.DataFrame) -> Iterator[str]:
    """Nothing that a decision says of its moment is less than what the one before said, nor beyond the shard record."""
    ordered = decisions.sort("partition", "offset")
    for column in ("sequence", "decided_at", *(f"applied_{name}" for name in SOURCES)):
        pairs = ordered.select("partition", "offset", pl.col(column).shift(1).over("partition").alias("was"), column)
        for p, offset, was, now in pairs.filter(pl.col(column) < pl.col("was")).iter_rows():
            yield f"price-decisions/{p}/{offset}: {column} goes back from {was} to {now}"
    for name in SOURCES:
        limits = {p: facts.changelog.applied(p)[name] for p in range(facts.partitions)}
        limit = pl.col("partition").replace_strict(limits, default=0, return_dtype=pl.Int64)
        beyond = ordered.filter(pl.col(f"applied_{name}") > limit)
        for p, offset, applied in beyond.select("partition", "offset", f"applied_{name}").iter_rows():
            yield f"price-decisions/{p}/{offset}: applied {name} up to {applied}, further than the shard record"


def _versions_back(changes: pl.DataFrame) -> Iterator[str]:
    """A resend may repeat the highest version of its offer, and no older one."""
    ordered = changes.sort("partition", "offset").with_columns(
        highest=pl.col("version").cum_max().over("partition", "key")
    )
    for p, offset, key, version, highest in (
        ordered.filter(pl.col("version") < pl.col("highest"))
        .select("partition", "offset", "key", "version", "highest")
        .iter_rows()
    ):
        yield f"price-changes/{p}/{offset}: version {version} of {key!r} comes after {highest}"


def _records_back(facts: Facts) -> Iterator[str]:
    """Two things may begin anew: a source that was created anew, and event time where the record was lost."""
    last: dict[int, dict[str, int]] = {}
    ids: dict[int, dict[str, str]] = {}
    for partition, offset, record in facts.changelog.history:
        before = last.setdefault(partition, {})
        if record is None:
            before.pop("now", None)
            continue
        anew = {name for name, found in record.topic_ids.items() if ids.get(partition, {}).get(name, found) != found}
        numbers = {"now": record.now, "sequence": record.sequence, **record.applied}
        for name in before.keys() - anew:
            if numbers.get(name, 0) < before[name]:
                yield f"changelog/{partition}/{offset}: {name} goes back from {before[name]} to {numbers.get(name, 0)}"
        last[partition], ids[partition] = numbers, record.topic_ids


def _group(facts: Facts) -> Check:
    """The group's offsets are those of the shard records: they were committed together."""
    before, after = facts.group_before, facts.group_after
    if before is None or after is None:
        return Check.of("group_offsets", "I5", 0, (), ["this broker keeps no offsets of transactions"])
    return Check.of("group_offsets", "I5", len(after), _group_differs(facts, before, after))


def _group_differs(facts: Facts, all_before: GroupOffsets, all_after: GroupOffsets) -> Iterator[str]:
    for (topic, partition), after in sorted(all_after.items()):
        applied, before = facts.changelog.applied(partition)[topic], all_before[topic, partition]
        if after is None and applied > 0:
            yield f"{topic}/{partition}: the group has no offset. Start a worker: its first cut writes it"
        elif not (before or 0) <= applied <= (after or 0):
            yield (
                f"{topic}/{partition}: the group's offset is {after}, the shard record says {applied}. "
                "Stop the workers, delete the group's offsets, and start again: the shard record decides"
            )
