"""The catalog's tables, and the few statements that read and write them. No rules here, and no transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from schemas.decisions import PriceChanged
from schemas.policies import OfferPolicy

SCHEMA = """
CREATE TABLE IF NOT EXISTS offers (          -- what shoppers see
    offer TEXT PRIMARY KEY,
    version INTEGER NOT NULL DEFAULT 0,      -- last version applied
    price INTEGER,                           -- null: the list price is shown
    list_price INTEGER,
    currency TEXT,
    decision_id TEXT,
    policy_version INTEGER,                  -- current policy; null: none, or removed
    applied_at INTEGER,                      -- ms
    manual_at INTEGER NOT NULL DEFAULT 0     -- when a person last set the price, ms
) STRICT;
CREATE TABLE IF NOT EXISTS policies (        -- every policy seen: changes name the one they were decided under
    offer TEXT, version INTEGER, policy BLOB NOT NULL,
    PRIMARY KEY (offer, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verdicts (        -- one for each version of an offer, final
    offer TEXT, version INTEGER, decision_id TEXT NOT NULL, price INTEGER NOT NULL,
    status TEXT NOT NULL, reason TEXT, out_of_bounds INTEGER NOT NULL, judged_at INTEGER NOT NULL,
    PRIMARY KEY (offer, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (         -- changes whose policy has not been read yet
    offer TEXT, version INTEGER, change BLOB NOT NULL,
    PRIMARY KEY (offer, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (          -- answers that the broker has not confirmed
    id INTEGER PRIMARY KEY AUTOINCREMENT, offer TEXT NOT NULL, answer BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS positions (       -- next offset to read
    topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""

SET_POLICY = """
INSERT INTO offers (offer, list_price, currency, policy_version) VALUES (:offer, :list_price, :currency, :version)
ON CONFLICT (offer) DO UPDATE SET
    price = CASE WHEN offers.currency = :currency THEN offers.price END,  -- a price in another currency means nothing
    list_price = :list_price, currency = :currency, policy_version = :version
"""


class Offer(NamedTuple):
    """A row of ``offers``. Prices are minor units, times ms."""

    version: int
    price: int | None
    """What shoppers see: the price applied last, else the list price."""
    currency: str | None
    policy_version: int | None
    manual_at: int


class Verdict(NamedTuple):
    """What a version was answered, for ever."""

    decision_id: str
    price: int
    status: Literal["applied", "rejected"]
    reason: str | None


class Answer(NamedTuple):
    """A row of the outbox: ``value`` is a `PriceApplied` in JSON."""

    id: int
    offer: str
    value: bytes


def open_to_write(file: Path) -> sqlite3.Connection:
    """Open the database, and make it if it is not there."""
    db = sqlite3.connect(file, isolation_level=None, timeout=10)
    db.execute("PRAGMA journal_mode=WAL")
    # FULL, not NORMAL: an answer that has left must never be forgotten, not even when the power fails.
    db.execute("PRAGMA synchronous=FULL")
    db.executescript(SCHEMA)
    return db


def open_to_read(file: Path) -> sqlite3.Connection:
    """Open a database that some catalog has made, beside it.

    Raises:
        sqlite3.OperationalError: it is not there.
    """
    return sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)


class Tables:
    """One connection. The caller says where transactions begin and end."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._decode_policy = msgspec.json.Decoder(OfferPolicy).decode
        self._decode_change = msgspec.json.Decoder(PriceChanged).decode
        self._encode = msgspec.json.Encoder().encode

    def offer(self, offer: str) -> Offer | None:
        """What is known of an offer; None if nothing is."""
        row = self.db.execute(
            "SELECT version, coalesce(price, list_price), currency, policy_version, manual_at"
            " FROM offers WHERE offer = ?",
            (offer,),
        ).fetchone()
        return None if row is None else Offer(*row)

    def show(self, offer: str, change: PriceChanged, now: int) -> None:
        """Put a change in force."""
        self.db.execute(
            "UPDATE offers SET version = ?, price = ?, currency = ?, decision_id = ?, applied_at = ? WHERE offer = ?",
            (change.version, change.price, change.currency, change.decision_id, now, offer),
        )

    def show_manual(self, offer: str, price: int, now: int) -> None:
        """Put a person's price in force."""
        self.db.execute(
            "UPDATE offers SET price = ?, decision_id = NULL, applied_at = ?, manual_at = ? WHERE offer = ?",
            (price, now, now, offer),
        )

    def policy(self, offer: str, version: int | None) -> OfferPolicy | None:
        """A version of an offer's policy, if it was ever read."""
        row = self.db.execute(
            "SELECT policy FROM policies WHERE offer = ? AND version = ?", (offer, version)
        ).fetchone()
        return None if row is None else self._decode_policy(row[0])

    def set_policy(self, offer: str, policy: OfferPolicy) -> None:
        """Make a policy the current one of its offer."""
        self.db.execute(
            "INSERT OR REPLACE INTO policies VALUES (?, ?, ?)", (offer, policy.version, self._encode(policy))
        )
        self.db.execute(
            SET_POLICY,
            {
                "offer": offer,
                "list_price": policy.list_price,
                "currency": policy.currency,
                "version": policy.version,
            },
        )

    def remove_policy(self, offer: str) -> None:
        """Leave an offer without a policy; what it shows stays."""
        self.db.execute("INSERT INTO offers (offer) VALUES (?) ON CONFLICT (offer) DO NOTHING", (offer,))
        self.db.execute("UPDATE offers SET policy_version = NULL WHERE offer = ?", (offer,))

    def verdict(self, offer: str, version: int) -> Verdict | None:
        """What a version was answered; None if it is new."""
        row = self.db.execute(
            "SELECT decision_id, price, status, reason FROM verdicts WHERE offer = ? AND version = ?", (offer, version)
        ).fetchone()
        return None if row is None else Verdict(*row)

    def latest_version(self, offer: str) -> int:
        """Highest version that was judged; 0 if none."""
        row = self.db.execute("SELECT max(version) FROM verdicts WHERE offer = ?", (offer,)).fetchone()
        return row[0] or 0

    def add_verdict(self, offer: str, version: int, verdict: Verdict, *, out_of_bounds: bool, now: int) -> None:
        """Judge a version, once."""
        self.db.execute(
            "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (offer, version, *verdict, out_of_bounds, now)
        )
        self.db.execute("DELETE FROM waiting WHERE offer = ? AND version = ?", (offer, version))

    def add_waiting(self, offer: str, change: PriceChanged) -> None:
        """Keep a change until its policy has been read."""
        self.db.execute(
            "INSERT OR REPLACE INTO waiting VALUES (?, ?, ?)", (offer, change.version, self._encode(change))
        )

    def waiting(self, offer: str) -> list[PriceChanged]:
        """Changes of an offer that wait, oldest version first."""
        rows = self.db.execute("SELECT change FROM waiting WHERE offer = ? ORDER BY version", (offer,)).fetchall()
        return [self._decode_change(change) for (change,) in rows]

    def waiting_offers(self) -> list[str]:
        """Offers that have changes waiting."""
        return [offer for (offer,) in self.db.execute("SELECT DISTINCT offer FROM waiting ORDER BY offer")]

    def add_answer(self, offer: str, value: bytes) -> None:
        """Leave an answer to be sent."""
        self.db.execute("INSERT INTO outbox (offer, answer) VALUES (?, ?)", (offer, value))

    def answers(self, limit: int) -> list[Answer]:
        """Oldest answers that are not confirmed yet."""
        rows = self.db.execute("SELECT id, offer, answer FROM outbox ORDER BY id LIMIT ?", (limit,))
        return [Answer(*row) for row in rows]

    def drop_answers(self, ids: Sequence[int]) -> None:
        """Forget answers that the broker has."""
        self.db.executemany("DELETE FROM outbox WHERE id = ?", [(name,) for name in ids])

    def positions(self) -> dict[tuple[str, int], int]:
        """Next offset to read, by topic and partition."""
        rows = self.db.execute("SELECT topic, partition, next_offset FROM positions")
        return {(topic, partition): offset for topic, partition, offset in rows}

    def set_positions(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Move the given positions."""
        rows = [(topic, partition, offset) for (topic, partition), offset in positions.items()]
        self.db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)

    def count(self, name: str, by: int) -> None:
        """Add to a counter that no table implies."""
        self.db.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, by),
        )

    def counter(self, name: str) -> int:
        """Value of a counter."""
        return self.number("SELECT coalesce(sum(value), 0) FROM counters WHERE name = ?", name)

    def number(self, query: str, *arguments: str) -> int:
        """The one number that a query returns."""
        row: tuple[int] = self.db.execute(query, arguments).fetchone()
        return row[0]

    def rejections(self) -> dict[str, int]:
        """Versions rejected, by reason."""
        return dict(self.db.execute("SELECT reason, count(*) FROM verdicts WHERE status = 'rejected' GROUP BY reason"))
