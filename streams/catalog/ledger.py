"""What a catalog does with price changes, on its own database and without Kafka.

Everything that a batch of records leads to, its positions included, is one SQLite transaction: a crash at any
point leaves what some whole number of batches produced, and reading goes on from there. So a version is applied
exactly once here, although Kafka may deliver it twice. Answers wait in an outbox until the broker has them: they
may be sent twice, which the worker does not mind, because it resolves them by version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from schemas.decisions import PriceChanged
from schemas.events import PriceApplied
from schemas.policies import OfferPolicy
from schemas.timestamps import format_ms, parse_ms
from streams.catalog import rules
from streams.catalog.tables import Answer, Offer, Tables, Verdict, open_to_read, open_to_write
from streams.errors import InputRefused


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one `consume`. Those of one offer are in the order of their partition."""

    policies: list[tuple[str, OfferPolicy | None]] = field(default_factory=list)
    """Offer key and policy; None removes it."""
    changes: list[tuple[str, PriceChanged]] = field(default_factory=list)
    """Offer key and change, its times already checked."""
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    """Next offset, by topic and partition."""
    unreadable: int = 0
    """Records that could not be understood; they are counted and left out."""
    market_ms: int | None = None
    """Time of the newest tick; None if there is none, or answers are in wall-clock time."""


class Counts(msgspec.Struct, frozen=True):
    """What the catalog has done since its database was made. All of it is read from the tables."""

    applied: int
    rejected: dict[str, int]
    """Versions by reason."""
    waiting: int
    """Changes whose policy has not been read yet."""
    unanswered: int
    """Answers that the broker does not have yet."""
    out_of_bounds: int
    """Prices outside the policy version that they name, or outside the one that was current here."""
    duplicates: int
    """Changes that were judged before."""
    version_conflicts: int
    """Duplicates whose content differs: a fault of whoever writes price changes."""
    unreadable: int
    manual: int


class Ledger:
    """The catalog's state. Every method that writes is one transaction; ``now`` is the wall clock in ms."""

    def __init__(self, file: Path) -> None:
        self._tables = Tables(open_to_write(file))
        self._market_ms: int | None = None
        self._encode = msgspec.json.Encoder().encode

    def close(self) -> None:
        """Close the database; what was committed stays."""
        self._tables.db.close()

    def positions(self) -> dict[tuple[str, int], int]:
        """Next offset to read, by topic and partition."""
        return self._tables.positions()

    def offer(self, offer: str) -> Offer | None:
        """What is known of an offer; None if nothing is."""
        return self._tables.offer(offer)

    def take(self, batch: Batch, now: int) -> None:
        """Fold a batch in: its policies first, so that changes meet the newest, then each change once."""
        if batch.market_ms is not None:
            self._market_ms = max(self._market_ms or 0, batch.market_ms)
        with self._transaction():
            for offer, policy in batch.policies:
                self._set_policy(offer, policy)
            self._review({offer for offer, _ in batch.policies}, now)
            for offer, change in batch.changes:
                self._receive(offer, change, now)
            self._tables.set_positions(batch.positions)
            if batch.unreadable:
                self._tables.count("unreadable", batch.unreadable)

    def review_waiting(self, now: int) -> None:
        """Look again at changes that wait for their policy: they may have expired."""
        offers = self._tables.waiting_offers()
        if offers:
            with self._transaction():
                self._review(offers, now)

    def set_price(self, offer: str, price: int, now: int) -> None:
        """Show a price that a person chose, whatever was shown before; it is told like any other answer.

        Raises:
            InputRefused: the offer is not known, so neither is its currency.
        """
        with self._transaction():
            known = self._tables.offer(offer)
            if known is None or known.currency is None:
                raise InputRefused(f"{offer} is not in this catalog: its policy has never been read")
            self._tables.show_manual(offer, price, now)
            self._tables.count("manual", 1)
            self._answer(offer, known.version, (price, known.currency), now)

    def answers(self, limit: int = 1000) -> list[Answer]:
        """Oldest answers that the broker does not have yet."""
        return self._tables.answers(limit)

    def confirm(self, ids: Sequence[int]) -> None:
        """Forget answers that the broker has."""
        if ids:
            with self._transaction():
                self._tables.drop_answers(ids)

    def counts(self) -> Counts:
        """Everything there is to count."""
        return _counts(self._tables)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE: `repricer catalog set-price` may write at the same time, and whoever is second waits.
        self._tables.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._tables.db.execute("ROLLBACK")
            raise
        self._tables.db.execute("COMMIT")

    def _set_policy(self, offer: str, policy: OfferPolicy | None) -> None:
        known = self._tables.offer(offer)
        current = known.policy_version if known is not None else None
        if policy is None:
            self._tables.remove_policy(offer)
        elif current is None or policy.version > current:
            self._tables.set_policy(offer, policy)

    def _review(self, offers: Iterable[str], now: int) -> None:
        for offer in sorted(offers):
            for change in self._tables.waiting(offer):
                self._receive(offer, change, now)

    def _receive(self, offer: str, change: PriceChanged, now: int) -> None:
        """Judge a change, or answer it again, or let it wait for the policy that it names."""
        before = self._tables.verdict(offer, change.version)
        if before is not None:
            self._repeat(offer, change, before, now)
            return
        valid_from, expires_at = parse_ms(change.valid_from), parse_ms(change.expires_at)
        known = self._tables.offer(offer)
        if expires_at > now and _policy_is_behind(known, change):
            self._tables.add_waiting(offer, change)
            return
        standing = self._standing(offer, known)
        reason = rules.reason_to_reject(change, valid_from, expires_at, standing, now)
        self._judge(offer, change, reason, standing, now)

    def _standing(self, offer: str, known: Offer | None) -> rules.Standing:
        policy = None if known is None else self._tables.policy(offer, known.policy_version)
        manual_at = 0 if known is None else known.manual_at
        return rules.Standing(self._tables.latest_version(offer), manual_at, policy)

    def _judge(self, offer: str, change: PriceChanged, reason: str | None, standing: rules.Standing, now: int) -> None:
        verdict = Verdict(change.decision_id, change.price, "applied" if reason is None else "rejected", reason)
        named = self._tables.policy(offer, change.policy_version)
        broken = any(
            policy is not None and rules.broken_bound(policy, change.price, change.currency)
            for policy in (named, standing.policy)
        )
        self._tables.add_verdict(offer, change.version, verdict, out_of_bounds=broken, now=now)
        if reason is None:
            self._tables.show(offer, change, now)
        self._answer_change(offer, change, verdict, now)

    def _repeat(self, offer: str, change: PriceChanged, before: Verdict, now: int) -> None:
        """Answer as before. The first content of a version is its only one."""
        self._tables.count("duplicates", 1)
        if (change.decision_id, change.price) != (before.decision_id, before.price):
            self._tables.count("version_conflicts", 1)
            before = Verdict(change.decision_id, change.price, "rejected", rules.VERSION_CONFLICT)
        self._answer_change(offer, change, before, now)

    def _answer_change(self, offer: str, change: PriceChanged, verdict: Verdict, now: int) -> None:
        known = self._tables.offer(offer)
        shown = (change.previous_price, change.currency)  # an offer never heard of shows what it did before
        if known is not None and known.price is not None and known.currency is not None:
            shown = (known.price, known.currency)
        self._answer(offer, change.version, shown, now, verdict)

    def _answer(
        self, offer: str, version: int, shown: tuple[int, str], now: int, /, verdict: Verdict | None = None
    ) -> None:
        """Leave an answer in the outbox; without a verdict, it tells of a manual price."""
        channel, sku = offer.split(":", 1)
        answer = PriceApplied(
            sku=sku,
            channel=channel,
            version=version,
            status="manual" if verdict is None else verdict.status,
            price=shown[0],
            currency=shown[1],
            applied_at=format_ms(now if self._market_ms is None else self._market_ms),
            decision_id=None if verdict is None else verdict.decision_id,
            reason=None if verdict is None else verdict.reason,
        )
        self._tables.add_answer(offer, self._encode(answer))


def _policy_is_behind(known: Offer | None, change: PriceChanged) -> bool:
    """Whether the worker knew a policy that has not been read here yet. A removed one is known to be gone."""
    if known is None:
        return True
    return known.policy_version is not None and known.policy_version < change.policy_version


def read_counts(file: Path) -> Counts | None:
    """Count from another process; None if there is no database yet."""
    try:
        with closing(open_to_read(file)) as db:
            return _counts(Tables(db))
    except sqlite3.OperationalError:
        return None


def _counts(tables: Tables) -> Counts:
    return Counts(
        applied=tables.number("SELECT count(*) FROM verdicts WHERE status = 'applied'"),
        rejected=tables.rejections(),
        waiting=tables.number("SELECT count(*) FROM waiting"),
        unanswered=tables.number("SELECT count(*) FROM outbox"),
        out_of_bounds=tables.number("SELECT count(*) FROM verdicts WHERE out_of_bounds"),
        duplicates=tables.counter("duplicates"),
        version_conflicts=tables.counter("version_conflicts"),
        unreadable=tables.counter("unreadable"),
        manual=tables.counter("manual"),
    )
