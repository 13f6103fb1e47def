"""Ways to damage a right log: its state, its sources and its dead letters."""

from __future__ import annotations

import numpy as np
import orjson

from streams.partitioner import partition_of
from streams.verify.changelog import ROW, SALES, SHARD_KEY, SHOPPERS
from tests.streams.verify.synthetic_worker import SETTINGS

TOTALS = SALES + SHOPPERS


class NothingToDamage(Exception):
    """This log has no such record."""


def require(condition):
    if not condition:
        raise NothingToDamage


class Damage:
    """Takes a right log and makes one thing wrong in it. Which one is drawn by ``chance``."""

    def __init__(self, log, chance):
        self.log, self.chance = log, chance

    def records(self, topic, wanted=lambda _: True):
        found = [r for p in range(SETTINGS.partitions) for r in self.log.topics[topic, p] if wanted(r)]
        require(found)
        return found

    def some(self, topic, wanted=lambda _: True):
        """A record of a topic, and the list that it is in."""
        record = self.chance.choice(self.records(topic, wanted))
        (records,) = (r for (name, _), r in self.log.topics.items() if name == topic and any(record is x for x in r))
        return record, records

    def change(self, record, **fields):
        record.value = orjson.dumps(orjson.loads(record.value) | fields)

    def again(self, topic, record, **fields):
        (p,) = (p for (name, p), found in self.log.topics.items() if name == topic and any(record is x for x in found))
        self.log.append(topic, p, record.key, orjson.dumps(orjson.loads(record.value) | fields))

    def row(self):
        """The last row of some offer: the one that counts."""
        record, records = self.some("changelog", lambda r: r.key != SHARD_KEY)
        return next(r for r in reversed(records) if r.key == record.key)

    def one_event(self, factor):
        column = self.chance.choice(TOTALS)
        record = self.row()
        row = np.frombuffer(record.value, ROW).copy()
        row["totals"][0, TOTALS.index(column)] += factor * self.chance.randrange(1, 100)
        record.value = row.tobytes()

    def set_in_row(self, name, value):
        record = self.row()
        row = np.frombuffer(record.value, ROW).copy()
        require(row[name][0] != value)
        row[name] = value
        record.value = row.tobytes()


def lost_event(d):
    d.one_event(-1)


def doubled_event(d):
    d.one_event(1)


def event_that_nobody_applied(d):
    """The cut is moved over a record that is in no total: as if it had been lost on the way."""
    record, records = d.some("orders", lambda r: b'"type":"placed"' in r.value)
    event = orjson.loads(record.value) | {"event_id": "another"}
    (p,) = (p for (_, p), found in d.log.topics.items() if found is records)
    require(partition_of(record.key, SETTINGS.partitions) == p)
    d.log.append("orders", p, record.key, orjson.dumps(event))
    (last,) = [r for r in d.log.topics["changelog", p] if r.key == SHARD_KEY][-1:]
    applied = orjson.loads(last.value)["applied"]
    d.change(last, applied=applied | {"orders": applied["orders"] + 1})
    d.log.group["orders", p] += 1


def offer_without_a_row(d):
    record = d.row()
    for records in d.log.topics.values():
        records[:] = [r for r in records if r.key != record.key or len(r.value) != ROW.itemsize]


def row_without_records(d):
    d.log.append("changelog", 0, b"web:nobody", d.row().value)


def wrong_stock(d):
    d.set_in_row("on_hand", 1234)


def wrong_price(d):
    d.set_in_row("price", 777)


def damaged_row(d):
    d.row().value += b"\0"


def row_of_another_format(d):
    d.row().value = b"\x63" + d.row().value[1:]


def shard_record_that_is_none(d):
    d.log.append(
        "changelog", 0, SHARD_KEY, d.chance.choice([b"{", b"{}", b'{"format":99,"applied":{},"now":0,"sequence":0}'])
    )


def missing_source_record(d):
    record, records = d.some("inventory")
    require(record is not records[-1])
    records.remove(record)


def bad_record_without_a_dead_letter(d):
    record, records = d.some("dead-letters", lambda r: b"malformed" in r.value)
    records.remove(record)


def stray_without_a_dead_letter(d):
    record, records = d.some("dead-letters", lambda r: b"wrong_partition" in r.value)
    records.remove(record)


def dead_letter_twice(d):
    d.again("dead-letters", d.some("dead-letters")[0])


def dead_letter_of_nothing(d):
    d.change(d.some("dead-letters")[0], offset=10**6)


def dead_letter_with_other_bytes(d):
    d.change(d.some("dead-letters")[0], value="AAAA")


def dead_letter_with_another_hash(d):
    d.change(d.some("dead-letters")[0], sha256="0" * 64)
