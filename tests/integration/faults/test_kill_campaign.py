"""Two workers under load, one killed or stopped again and again, often inside a cut: nothing is lost, none twice."""

import itertools
import json
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field
from random import Random

import pytest

from tests.integration.faults.scene import INSIDE_A_CUT, SESSION_S, Scene, fault_settings

pytestmark = pytest.mark.kafka

GOAL_S = SESSION_S + 3
DEADLINE_S = 3 * GOAL_S
KILL, TERM = signal.SIGKILL, signal.SIGTERM


@dataclass(frozen=True)
class Fault:
    """What happens to one of the workers."""

    how: signal.Signals
    point: str | None = None
    """Where its cut is held until the signal; None: at any moment."""
    hasty: bool = False
    """It comes while shards may still be on their way from the last fault, and the worker starts again at once."""


@dataclass
class Campaign:
    """Runs faults and remembers what could be seen of them."""

    scene: Scene
    random: Random
    kills: int = 0
    kills_inside_a_cut: int = 0
    terms: int = 0
    first_output_s: list[float] = field(default_factory=list)
    """After a kill, for each partition of the dead worker."""

    def inflict(self, fault: Fault) -> None:
        victim = self.random.choice(self.scene.workers)
        if not fault.hasty:
            self.scene.wait_until_shared()
        time.sleep(self.random.uniform(0, 3))
        if fault.how is TERM:
            victim.wait_until_ready()
        if fault.point:
            victim.hold_at(fault.point)
            time.sleep(self.random.uniform(0, 0.3))
        shards = victim.shards()
        code = victim.end(fault.how)
        died = time.time()
        self._count(fault, victim, code)
        victim.let_go()
        if fault.how is KILL and not fault.hasty:
            assert shards
            self.first_output_s += self.scene.timeline.first_outputs(shards, died, DEADLINE_S).values()
        victim.start()

    def _count(self, fault, victim, code) -> None:
        if fault.how is TERM:
            assert code == 0, code
            self.terms += 1
        else:
            self.kills += 1
            self.kills_inside_a_cut += victim.is_inside_a_cut()


def run(scene, faults, *, events, rate, seed):
    """Inflict the faults in an order of chance. Returns what happened, for the log."""
    sys.stdout.write(f"seed {seed}\n")  # a failed test shows it
    campaign, began = Campaign(scene, Random(seed)), time.monotonic()
    campaign.random.shuffle(faults)
    with scene.running(rate=rate, events=events, seed=seed):
        for fault in faults:
            campaign.inflict(fault)
        scene.wait_until_shared()
    seconds = time.monotonic() - began
    account = scene.check()
    waits = campaign.first_output_s
    return {
        "seed": seed,
        "kills": campaign.kills,
        "kills_inside_a_cut": campaign.kills_inside_a_cut,
        "terms": campaign.terms,
        "records": sum(account.records.values()),
        "duplicates": account.duplicates,
        "late": account.late,
        "overtaken": account.overtaken,
        "seconds": round(seconds),
        "first_output_p50_s": round(statistics.median(waits), 2),
        "first_output_max_s": round(max(waits), 2),
        "first_output_s": sorted(round(wait, 2) for wait in waits),
    }


def report(found, tmp_path, capsys):
    text = json.dumps(found)
    (tmp_path / "campaign.json").write_text(text)
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


@pytest.mark.timeout(300)
def test_killed_inside_a_cut_at_any_moment_and_stopped_nothing_is_lost_and_nothing_twice(kafka, tmp_path, capsys):
    faults = [Fault(KILL, "produced"), Fault(KILL, "offsets_added"), Fault(KILL, hasty=True), Fault(TERM)]
    found = run(Scene(fault_settings(kafka), tmp_path), faults, events=120_000, rate=1500, seed=11)
    report(found, tmp_path, capsys)
    assert (found["kills"], found["terms"]) == (3, 1)
    assert found["kills_inside_a_cut"] >= 2


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_twenty_kills_and_ten_stops_under_a_million_events(kafka, tmp_path, capsys):
    seed = time.time_ns() % 1_000_000
    points = itertools.cycle(INSIDE_A_CUT)
    chosen = [Fault(KILL, next(points), hasty=number >= 5) for number in range(12)]
    anywhere = [Fault(KILL, hasty=number >= 3) for number in range(8)]
    stops = [Fault(TERM, hasty=number >= 2) for number in range(10)]
    found = run(
        Scene(fault_settings(kafka), tmp_path), chosen + anywhere + stops, events=1_000_000, rate=3000, seed=seed
    )
    report(found, tmp_path, capsys)
    assert (found["kills"], found["terms"]) == (20, 10)
    assert found["kills_inside_a_cut"] >= 10
