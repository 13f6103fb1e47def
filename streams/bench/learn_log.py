"""How many logged transitions the learner takes a second: records to rows, memory, updates. No Kafka, no disk."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import cycle, islice

import msgspec

from pricing_core.engine import Intervals, PricingEngine
from pricing_core.features import HOLD
from pricing_core.learning.recall import Recall
from pricing_core.model_file import Model, load_model
from pricing_core.rules import VERSION
from schemas.binary import BinaryArray
from schemas.codec import decoder_for, encode
from schemas.timestamps import format_ms
from schemas.topics import OFFER_POLICIES
from schemas.transitions import Next, Outcome, TransitionClosed
from streams.bench import load
from streams.clock import wall_ms
from streams.learner.rows import RowMaker, obstacle
from streams.learner.student import LUMP, ROWS_AN_UPDATE, Student

OFFERS = 1024
CAPACITY = 16_384
HOURS_MS = 6 * 3_600_000


@dataclass(slots=True)
class LogLearner:
    """A learner, and the records of one decision of each of 1,024 offers, which it reads again and again."""

    records: list[bytes]
    rows: RowMaker
    student: Student

    @classmethod
    def ready(cls) -> LogLearner:
        """Make one, compiled."""
        model = load_model()
        made = cls(_records(model), RowMaker(Recall(model)), Student(model, CAPACITY, seed=0))
        for _ in range(-(-LUMP * ROWS_AN_UPDATE // OFFERS) + 1):
            made.take()
        return made

    def take(self) -> int:
        """Learn from all records once; returns how many."""
        decode = msgspec.json.Decoder(TransitionClosed).decode
        found = [one for record in self.records if obstacle(one := decode(record)) is None]
        rows, _ = self.rows.rows(found)
        assert rows is not None
        self.student.take(rows)
        self.student.study()
        return len(rows)

    def transitions_per_s(self, seconds: float) -> float:
        """Learn for some seconds."""
        taken, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            taken += self.take()
        return taken / took


def _records(model: Model) -> list[bytes]:
    """What `repricer outcomes` would write, with orders in every second interval."""
    engine = PricingEngine(model, capacity=OFFERS, intervals=Intervals(decision=0, review=1))
    engine.open_shard(0)
    recommended = (record for n, record in enumerate(load.policies(2 * OFFERS)) if n % load.AUTOMATIC)
    policies = list(islice(recommended, OFFERS))
    keys, values = BinaryArray.of(key for _, key, _ in policies), BinaryArray.of(value for _, _, value in policies)
    engine.apply(0, decoder_for(OFFER_POLICIES)(keys, values, wall_ms()).columns)
    decided = engine.decide(0, load.FIRST_EVENT_MS, "ACTIVE", limit=OFFERS)
    sold = cycle((Outcome(impressions=40), Outcome(orders=2, units=3, revenue=3000, impressions=60, clicks=9)))
    start, end = format_ms(load.FIRST_EVENT_MS), format_ms(load.FIRST_EVENT_MS + HOURS_MS)
    records = []
    for row, inputs in enumerate(decided.recorded.packed().present()):
        channel, sku = (decided.keys[row] or b"").decode().split(":", 1)
        legal, features = (decided.masked[row] == 0).tolist(), decided.features[row].tolist()
        one = TransitionClosed(
            decision_id=f"0-{row + 1}",
            sku=sku,
            channel=channel,
            decided_at=start,
            outcome="held",
            reason=decided.reasons[row],
            model=model.label,
            rules=VERSION,
            run_mode="ACTIVE",
            policy_version=int(decided.policy_version[row]),
            currency="EUR",
            starts_at=start,
            ends_at=end,
            ended_by="decision",
            acknowledgement="not_needed",
            censored=False,
            truncated=False,
            incomplete=False,
            price=int(decided.previous_price[row]),
            previous_price=int(decided.previous_price[row]),
            features=features,
            prices=decided.prices[row].tolist(),
            legal=legal,
            q=decided.q[row].tolist(),
            chosen=HOLD,
            action=HOLD,
            propensity=1.0,
            epsilon=model.epsilon,
            profit_slope=float(decided.policies["profit_slope"][row]),
            profit_offset=float(decided.policies["profit_offset"][row]),
            stock_start=None,
            stock_end=None,
            happened=next(sold),
            next=Next(f"0-{row + 1 + OFFERS}", features, legal, inputs),
            inputs=inputs,
        )
        records.append(encode(one))
    return records
