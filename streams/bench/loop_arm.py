"""One arm of `repricer bench loop`: a shop of its own on the broker, from its opening to its last day."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from schemas.models import ModelPublished, ModelSetLive, ModelStatusSet, decode_model_record
from schemas.timestamps import parse_ms
from schemas.topics import Q_MODELS
from streams.bench.under_test import bench_settings, environment
from streams.clock import wall_ms
from streams.demo.processes import Children
from streams.errors import NotReady
from streams.free_port import free_port
from streams.market.truth import Truth, read_truth
from streams.operate.reading import read_topic
from streams.promoter.run import PROMOTER
from streams.settings import Settings

LOOK_S = 0.25
DAY_S = 86_400
AS_FAST_AS_CAN_BE_S = 0.1
"""A day, for a shop in which only the worker is waited for."""
EVENTS_A_DAY = 20
"""Of an offer: the market chooses its periods by it."""
DECISIONS_A_DAY = 2
"""Of an offer, at most: each is joined, learned from and judged, too."""
NO_BREAKER = {f"breaker_{name}_bp": 10_000 for name in ("changed", "mean_move", "one_price", "fleet")}
"""All offers decide at one tick, which is what a breaker stops."""
CANDIDATE_EVERY = 5
"""Transitions of each offer between two candidates."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for."""

    offers: int
    days: int
    change_day: int
    """Other shoppers come."""
    seconds_a_day: float
    """Of the wall clock, at least, where something learns: the market waits for the worker, and for nobody else."""
    seed: int
    price_sensitivity: float
    """Of all shoppers, beside those that the shipped model was trained on."""


class Act(NamedTuple):
    """Something that was said of a version."""

    day: float
    """Simulated."""
    what: str
    """published, shadowed, refused, promoted, rolled back."""
    version: int | None
    """None: the model that ships."""
    why: str
    reasons: Sequence[str] = ()


class Course(NamedTuple):
    """What came of an arm."""

    truth: Truth
    acts: Sequence[Act]
    seconds: float


def play(settings: Settings, plan: Plan, *, learns: bool, folder: Path) -> Course:
    """Open a shop, with all that learns or without, and wait until its last day is over.

    Args:
        settings: The broker.
        plan: The shop.
        learns: Whether outcomes, learner and promoter run beside the worker.
        folder: For logs, the catalog and what the learner keeps.

    Raises:
        ChildDied: A process ended by itself.
        NotReady: The market ended without an account.
    """
    own = bench_settings(
        settings,
        "loop",
        decision_interval_s=DAY_S // DECISIONS_A_DAY,
        review_interval_s=DAY_S,
        acknowledgement_timeout_s=30 * DAY_S,
        learner_candidate_every=max(CANDIDATE_EVERY * plan.offers, 64),
        max_offers=max(2 * plan.offers, 1024),
        log_level="info",
        **NO_BREAKER,
    )
    folder.mkdir(parents=True, exist_ok=True)
    truth, began, seen = folder / "truth.json", time.monotonic(), [(wall_ms(), 0.0)]
    with Children(folder) as children:
        _start(children, own, plan, truth, learns=learns)
        while children.running()["market"]:
            time.sleep(LOOK_S)
            if not all(alive for name, alive in children.running().items() if name != "market"):
                children.check()
            account = read_truth(truth)
            if account is not None:
                seen.append((wall_ms(), account.simulated_days))
    account = read_truth(truth)
    if account is None or not account.final:
        raise NotReady(f"the market ended early; its log is {folder / 'market.log'}")
    acts = _acts(own, seen) if learns else ()
    return Course(account, list(acts), time.monotonic() - began)


def _start(children: Children, own: Settings, plan: Plan, truth: Path, *, learns: bool) -> None:
    ports = {"worker": free_port()}

    def start(name: str, *arguments: object) -> None:
        mine = own.model_copy(update={"instance": name, "http_port": ports.get(name, 0)})
        children.start(name, [str(argument) for argument in arguments], environment(mine))

    folder = truth.parent
    start("worker", "worker")
    start("catalog", "catalog", "--database", folder / "catalog.sqlite", "--market-time")
    if learns:
        start("outcomes", "outcomes")
        start("learner", "learner", "--folder", folder / "learner")
        start("promoter", "promoter")
    shop = ["--skus", plan.offers, "--seed", plan.seed, "--price-sensitivity", plan.price_sensitivity]
    shop += ["--days", plan.days, "--regime-change-day", plan.change_day]
    seconds_a_day = plan.seconds_a_day if learns else AS_FAST_AS_CAN_BE_S
    pace = ["--speedup", DAY_S / seconds_a_day, "--rate", EVENTS_A_DAY * plan.offers / seconds_a_day, "--in-step"]
    start("market", "simulate", *shop, *pace, "--truth", truth, "--after", f"http://127.0.0.1:{ports['worker']}/readyz")


def _acts(own: Settings, seen: Sequence[tuple[int, float]]) -> Iterator[Act]:
    """What the registry says was done, with the simulated day of each."""
    times, days = np.array(seen, np.float64).T
    for _, key, value in read_topic(own, Q_MODELS):
        said: Any = decode_model_record(key, value)
        what, reasons = _told(said)
        if what is not None:
            yield Act(float(np.interp(parse_ms(said.at), times, days)), what, said.version, said.why, reasons)


def _told(said: object) -> tuple[str | None, Sequence[str]]:
    if isinstance(said, ModelPublished):
        return "published", ()
    if isinstance(said, ModelSetLive) and said.by == PROMOTER:
        goes_on = said.version is not None and said.version > max((v or 0 for v in said.before), default=0)
        return ("promoted" if goes_on else "rolled back"), ()
    if isinstance(said, ModelStatusSet) and said.by == PROMOTER:
        if said.status == "shadow":
            return "shadowed", ()
        if said.status == "candidate":
            return "refused", said.reasons
    return None, ()
