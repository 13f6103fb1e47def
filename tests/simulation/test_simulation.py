"""The delivery protocol under seeded harm. What is modelled, and why it can be trusted: `simulation`."""

import itertools
import sys
import time

import pytest

from tests.simulation.checks import Violation
from tests.simulation.simulation import Simulation, explain

CPU_S = 40
LONG_CPU_S = 600
LONG_SEEDS = 1_000_000
"""Other ones than those of every run."""


def run(seed):
    simulation = Simulation(seed)
    try:
        simulation.run()
    except Violation as violation:
        pytest.fail(explain(simulation, violation), pytrace=False)
    return simulation


def run_for(cpu_s, first):
    """Run seeds from ``first`` on for so much time of the processor. Returns how many."""
    started = time.process_time()
    for count in itertools.count():
        if time.process_time() - started > cpu_s:
            return count
        run(first + count)
    raise AssertionError


def say(capsys, count, first):
    with capsys.disabled():
        sys.stdout.write(f" {count} seeds from {first} on ")


def test_nothing_is_lost_or_doubled_and_nobody_hangs(capsys):
    say(capsys, run_for(CPU_S, 0), 0)


@pytest.mark.long
@pytest.mark.timeout(6 * LONG_CPU_S)
def test_nothing_is_lost_or_doubled_in_many_more_seeds(capsys):
    say(capsys, run_for(LONG_CPU_S, LONG_SEEDS), LONG_SEEDS)


@pytest.mark.parametrize(
    "remembered",
    [
        pytest.param(2291, id="a failed cut waits for a takeover to stop, and then takes up the claim before the last"),
        pytest.param(3283, id="the same, after a crash of the broker"),
        pytest.param(3557, id="nobody waits any more for the last cut when it fails"),
    ],
)
def test_what_once_went_wrong(remembered):
    run(remembered)


def test_replay_of_one_seed(seed):
    run(seed)


def test_a_seed_gives_the_same_run_every_time():
    assert run(7).world.trace == run(7).world.trace
