"""What the worker must have arrived at, computed again from the raw topics with plain dictionaries.

By another way than the worker's: no columns, no batches, no state rows.
"""

import contextlib
import sqlite3
from collections import defaultdict

import numpy as np
import orjson

from schemas.topics import (
    CHANGELOG,
    CLICKS,
    DEAD_LETTERS,
    HOT_SOURCES,
    ORDERS,
    PRICE_APPLIED,
    PRICE_CHANGES,
    PRICE_DECISIONS,
)
from streams.changelog import SHARD_KEY, latest
from tests.integration.worker_process import each_committed, read_committed

TOTALS = ("units_placed", "amount_placed", "units_cancelled", "units_returned", "impressions", "clicks")


def answered(settings, database):
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (verdicts,) = connection.execute("SELECT count(*) FROM verdicts").fetchone()
        (outbox,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    versions = {(r.key(), orjson.loads(r.value())["version"]) for r in read_committed(settings, PRICE_CHANGES)}
    return verdicts == len(versions) and outbox == 0


def totals_in_the_state(settings):
    from pricing_core.state import ROW
    from pricing_core.state import TOTALS as COLUMNS

    rows = latest((r.key(), r.value()) for r in each_committed(settings, CHANGELOG) if r.key() != SHARD_KEY)
    totals = np.frombuffer(b"".join(rows.values()), ROW)["totals"]
    wanted = totals[:, [COLUMNS.index(name) for name in TOTALS]].tolist()
    return {key: dict(zip(TOTALS, values, strict=True)) for key, values in zip(rows, wanted, strict=True)}


def totals_in_the_topics(settings):
    refused = {(letter["topic"], letter["partition"], letter["offset"]) for letter in dead_letters(settings)}
    totals = defaultdict(lambda: dict.fromkeys(TOTALS, 0))
    for topic in HOT_SOURCES:
        seen = {}
        for r in sorted(read_committed(settings, topic), key=lambda r: (r.partition(), r.offset())):
            if (r.topic(), r.partition(), r.offset()) in refused or r.key() is None:
                continue
            event = orjson.loads(r.value())
            last = seen.get((r.partition(), event.get("event_id")))
            if "event_id" in event:
                seen[r.partition(), event["event_id"]] = r.offset()
            if last is not None and r.offset() - last <= settings.duplicate_window:
                continue
            add(totals[r.key()], topic, event)
    return dict(totals)


def add(totals, topic, event):
    if topic is ORDERS:
        totals[f"units_{event['type']}"] += event["quantity"]
        totals["amount_placed"] += event["line_total"] if event["type"] == "placed" else 0
    elif topic is CLICKS and event["kind"] != "add_to_cart":
        totals[{"impression": "impressions", "click": "clicks"}[event["kind"]]] += event.get("count", 1)


def dead_letters(settings):
    return [orjson.loads(r.value()) for r in read_committed(settings, DEAD_LETTERS)]


def check_outputs(settings, database):
    """Every decision and version exactly once, versions without a hole, and the catalog has judged each once.

    Returns the number of price changes.
    """
    decisions = [orjson.loads(r.value()) for r in read_committed(settings, PRICE_DECISIONS)]
    assert len({d["decision_id"] for d in decisions}) == len(decisions)
    changed = {d["decision_id"]: (d["price"], d["version"]) for d in decisions if d["outcome"] == "changed"}
    versions = defaultdict(list)
    for r in read_committed(settings, PRICE_CHANGES):
        change = orjson.loads(r.value())
        assert changed[change["decision_id"]] == (change["price"], change["version"])
        versions[r.key()].append(change["version"])
    assert sum(map(len, versions.values())) == len(changed)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    with contextlib.closing(sqlite3.connect(database)) as connection:
        verdicts = connection.execute("SELECT offer, version, out_of_bounds FROM verdicts").fetchall()
    judged = {(offer.encode(), version) for offer, version, _ in verdicts}
    assert judged == {(key, version) for key, found in versions.items() for version in found}
    assert sum(out for _, _, out in verdicts) == 0
    answers = {(r.key(), orjson.loads(r.value())["version"]) for r in read_committed(settings, PRICE_APPLIED)}
    assert judged <= answers
    return len(changed)
