"""I2: one effect for every decision. Ids, sequence numbers, price changes and their versions."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from schemas.topics import COMMANDS, PRICE_APPLIED
from streams.verify.facts import Facts
from streams.verify.report import Check

OFFER = ["partition", "key"]
MOST_RESENDS = 3
"""A price change is sent again so often, and then alarmed."""


def checks(facts: Facts) -> Iterator[Check]:
    """Decisions, then price changes beside them."""
    decisions, changes = facts.below_cut(facts.decisions), facts.below_cut(facts.changes)
    yield readable(facts)
    yield _ids(decisions)
    yield _sequence(facts, decisions)
    yield _pairs(facts, decisions, changes)
    yield _versions(facts, decisions, changes)
    yield _commands(facts, decisions)


def readable(facts: Facts) -> Check:
    """Everything is what it should be, and no output is later than every cut."""
    checked = len(facts.decisions.rows) + len(facts.changes.rows) + facts.changelog.records
    unknown = [f"how far partition {p} is applied" for p in facts.changelog.unreadable_cuts]
    return Check.of("readable", "I2", checked, _unreadable(facts), unknown)


def _unreadable(facts: Facts) -> list[str]:
    found = [*facts.decisions.unreadable, *facts.changes.unreadable, *facts.changelog.damaged, *facts.later.damaged]
    if facts.changelog.unreadable_cuts:
        return found
    for outputs in (facts.decisions, facts.changes):
        limits = {p: facts.last_sequence(p) for p in range(facts.partitions)}
        limit = pl.col("id_partition").replace_strict(limits, default=-1, return_dtype=pl.Int64)
        beyond = outputs.rows.filter(pl.col("sequence") > limit)
        found += [
            f"{outputs.topic.name}/{p}/{offset}: decision {name} is later than every cut"
            for p, offset, name in beyond.select("partition", "offset", "id").iter_rows()
        ]
    return found


def _ids(decisions: pl.DataFrame) -> Check:
    """Every decision once, in the partition that its id names."""
    twice = decisions.filter(pl.col("id").is_duplicated()).sort("id", "offset")
    astray = decisions.filter(pl.col("partition") != pl.col("id_partition"))
    found = [
        f"price-decisions/{p}/{offset}: decision {name} {what}"
        for rows, what in ((twice, "is there more than once"), (astray, "is in another partition"))
        for p, offset, name in rows.select("partition", "offset", "id").iter_rows()
    ]
    return Check.of("decision_ids", "I2", len(decisions), found)


def _sequence(facts: Facts, decisions: pl.DataFrame) -> Check:
    """Numbers 1 to that of the shard record, without a hole; from the first one on that has not expired."""
    found = []
    first = dict(decisions.group_by("partition").agg(pl.col("sequence").min()).iter_rows())
    for p in range(facts.partitions):
        last = facts.changelog.sequence(p)
        begin = 1 if facts.decisions.is_whole(p) else first.get(p, last + 1)
        present = decisions.filter(pl.col("partition") == p)["sequence"]
        missing = pl.int_range(begin, last + 1, eager=True, dtype=pl.Int64)
        found += [f"decision {p}-{number} is missing" for number in missing.filter(~missing.is_in(present.implode()))]
    return Check.of("sequence", "I2", len(decisions), found, facts.decisions.expired)


def _pairs(facts: Facts, decisions: pl.DataFrame, changes: pl.DataFrame) -> Check:
    """Every decision that changes a price is published as that, and nothing else is. A resend repeats it."""
    content = ["version", "price", "policy_version"]
    decided = decisions.filter(pl.col("outcome") == "changed").unique("id")
    both = changes.join(decided, on="id", how="left", suffix="_decided", maintain_order="left")
    first = dict(decisions.group_by("partition").agg(pl.col("sequence").min()).iter_rows())
    found = [
        f"{_at(row)}: decision {row['id']} changed no price"
        for row in both.filter(pl.col("key_decided").is_null()).iter_rows(named=True)
        if facts.decisions.is_whole(row["id_partition"]) or row["sequence"] >= first.get(row["id_partition"], 0)
    ]
    differs = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_decided") for name in ["key", *content])
    found += [f"{_at(row)}: not what decision {row['id']} says" for row in both.filter(differs).iter_rows(named=True)]
    found += [
        f"{_at(row)}: version {row['version']} of {row['key']!r} has other contents elsewhere"
        for row in _ambiguous(changes)
    ]
    found += _doubled(changes)
    found += _unpublished(facts, decided, changes)
    return Check.of("price_changes", "I2", len(changes), found, facts.decisions.expired + facts.changes.expired)


def _ambiguous(changes: pl.DataFrame) -> Iterator[dict[str, object]]:
    one = changes.unique([*OFFER, "version", "id", "price", "policy_version", "currency"], maintain_order=True)
    yield from one.filter(pl.struct(*OFFER, "version").is_duplicated()).iter_rows(named=True)


def _doubled(changes: pl.DataFrame) -> list[str]:
    """A resend has a date of its own and comes three times at most: more, or the same once more, was never sent."""
    same = changes.filter(pl.struct("id", "valid_from").is_duplicated())
    often = changes.filter(pl.len().over("id") > 1 + MOST_RESENDS)
    found = [f"{_at(row)}: the very same price change is there twice" for row in same.iter_rows(named=True)]
    return found + [f"{_at(row)}: sent more often than it is ever sent again" for row in often.iter_rows(named=True)]


def _unpublished(facts: Facts, decided: pl.DataFrame, changes: pl.DataFrame) -> list[str]:
    """Decisions whose price change is not there, as far back as price changes go."""
    first = dict(changes.group_by("partition").agg(pl.col("sequence").min()).iter_rows())
    reach = {p: 1 if facts.changes.is_whole(p) else first.get(p, 2**62) for p in range(facts.partitions)}
    expected = decided.filter(
        pl.col("sequence") >= pl.col("partition").replace_strict(reach, default=1, return_dtype=pl.Int64)
    )
    absent = expected.join(changes, on="id", how="anti").sort("partition", "offset")
    return [
        f"price-decisions/{p}/{offset}: the price change is missing"
        for p, offset in absent.select("partition", "offset").iter_rows()
    ]


def _versions(facts: Facts, decisions: pl.DataFrame, changes: pl.DataFrame) -> Check:
    """Versions of an offer start at 1 and have no hole, but behind one that the catalog knew already."""
    answers = facts.sources[PRICE_APPLIED.name]
    used = decisions.filter(pl.col("outcome") == "changed").select(*OFFER, "version")
    known = pl.concat([used, answers.rows.select(*OFFER, "version"), changes.select(*OFFER, "version")]).unique()
    whole = [p for p in range(facts.partitions) if answers.is_whole(p) and facts.changes.is_whole(p)]
    tested = pl.concat([used, changes.select(*OFFER, "version")]).unique().filter(pl.col("partition").is_in(whole))
    before = tested.filter(pl.col("version") > 1).with_columns(previous=pl.col("version") - 1)
    holes = before.join(known, left_on=[*OFFER, "previous"], right_on=[*OFFER, "version"], how="anti")
    found = [
        f"{key!r}: version {v} follows no version {v - 1}"
        for _, key, v in holes.select(*OFFER, "version").sort(*OFFER, "version").iter_rows()
    ]
    highest = known.group_by(OFFER).agg(pl.col("version").max())
    state = facts.state.filter(pl.col("partition").is_in(whole)).join(highest, on=OFFER, how="left")
    wrong = state.filter(pl.col("decided_version") != pl.col("version").fill_null(0))
    found += [
        f"{key!r}: the state's last version is {ours}, that of the log {theirs or 0}"
        for key, ours, theirs in wrong.select("key", "decided_version", "version").iter_rows()
    ]
    return Check.of("versions", "I2", len(tested) + len(state), found, answers.expired + facts.changes.expired)


def _commands(facts: Facts, decisions: pl.DataFrame) -> Check:
    """A command is carried out or refused by one decision, and that is about its offer."""
    source = facts.sources[COMMANDS.name]
    named = decisions.filter(pl.col("command").is_not_null())
    given = source.rows.select("partition", "key", command="offset")
    starts = pl.col("partition").replace_strict(source.starts, default=0, return_dtype=pl.Int64)
    unknown = named.filter(pl.col("command") >= starts).join(given, on=[*OFFER, "command"], how="anti")
    twice = named.filter(pl.struct("partition", "command").is_duplicated())
    found = [
        f"price-decisions/{p}/{offset}: command {command} {what}"
        for rows, what in ((twice, "has more than one decision"), (unknown, "was not given about this offer"))
        for p, offset, command in rows.select("partition", "offset", "command").sort("partition", "offset").iter_rows()
    ]
    return Check.of("commands", "I2", len(named), found, source.expired)


def _at(row: dict[str, object]) -> str:
    return f"price-changes/{row['partition']}/{row['offset']}"
