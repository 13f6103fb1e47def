"""What must hold in the end: the log by `repricer verify`, and what it does not see, the catalog's database."""

import contextlib
import sqlite3

import numpy as np
import orjson

from schemas.topics import CHANGELOG, DEAD_LETTERS, PRICE_APPLIED, PRICE_CHANGES
from streams.changelog import SHARD_KEY
from streams.verify import verify
from tests.integration.worker_process import each_committed, read_committed

TOTALS = ("units_placed", "amount_placed", "units_cancelled", "units_returned", "impressions", "clicks")


def answered(settings, database):
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (verdicts,) = connection.execute("SELECT count(*) FROM verdicts").fetchone()
        (outbox,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    versions = {(r.key(), orjson.loads(r.value())["version"]) for r in read_committed(settings, PRICE_CHANGES)}
    return verdicts == len(versions) and outbox == 0


def latest(records):
    """The last value of every key among pairs of both; a null value removes its key."""
    return {key: value for key, value in dict(records).items() if value is not None}


def totals_in_the_state(settings):
    from pricing_core.state import ROW
    from pricing_core.state import TOTALS as COLUMNS

    rows = latest((r.key(), r.value()) for r in each_committed(settings, CHANGELOG) if r.key() != SHARD_KEY)
    totals = np.frombuffer(b"".join(rows.values()), ROW)["totals"]
    wanted = totals[:, [COLUMNS.index(name) for name in TOTALS]].tolist()
    return {key: dict(zip(TOTALS, values, strict=True)) for key, values in zip(rows, wanted, strict=True)}


def dead_letters(settings):
    return [orjson.loads(r.value()) for r in read_committed(settings, DEAD_LETTERS)]


def check_catalog(settings, database):
    """The catalog has judged every version once, found none out of bounds, and said so.

    Returns the number of price changes.
    """
    changes = {(r.key(), orjson.loads(r.value())["version"]) for r in read_committed(settings, PRICE_CHANGES)}
    with contextlib.closing(sqlite3.connect(database)) as connection:
        verdicts = connection.execute("SELECT offer, version, out_of_bounds FROM verdicts").fetchall()
    judged = {(offer.encode(), version) for offer, version, _ in verdicts}
    assert judged == changes
    assert sum(out for _, _, out in verdicts) == 0
    answers = {(r.key(), orjson.loads(r.value())["version"]) for r in read_committed(settings, PRICE_APPLIED)}
    assert judged <= answers
    return len(changes)


def check_log(settings):
    """`repricer verify` finds nothing wrong, and could check everything."""
    report = verify(settings)
    assert (report.violated, report.complete) == ([], True), report
