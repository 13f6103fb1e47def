"""What a model would have earned, from logs of simulated shops of which the truth is known: covered, or not claimed."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pricing_core.evaluation.backtest import Asked, backtest, within_reach
from pricing_core.evaluation.gate import GateLimits
from pricing_core.model_file import load_model
from tests.pricing_core.simulated_log import SimulatedLog, values

pytestmark = pytest.mark.timeout(580)

EPSILON, SHOPS = 0.5, 400
SHIPPED = load_model().params


def saying(share):
    """A model whose network says a share of what the shipped one's says."""
    return values({**SHIPPED, "correction": {leaf: share * part for leaf, part in SHIPPED["correction"].items()}})


RUN, NEAR, OTHER, FAR = saying(1.0), saying(0.9), saying(0.5), saying(-10.0)


def asked(log, value):
    days = np.full(len(log.logged), 0.5)
    every = Asked(log.logged, log.probabilities(value), np.asarray(log.inputs.legal), days)
    return every.at(np.flatnonzero(log.ample))


def truth(log, policy):
    """A day and offer: each decision stands for half a day."""
    return float((policy * log.truth[log.ample]).sum(axis=1).mean() / 0.5)


@pytest.fixture(scope="module")
def log():
    return SimulatedLog(RUN, EPSILON, SHOPS, seed=4)


@pytest.mark.parametrize("value", [RUN, NEAR, OTHER], ids=["the same", "near", "other"])
def test_the_intervals_of_a_supported_model_cover_what_it_would_have_earned(log, value):
    question = asked(log, value)
    found = backtest(question, seed=1)
    true = truth(log, within_reach(question.model, question.log.logging))
    earned = truth(log, question.log.logging)
    assert found.refusals == []
    assert found.logged.lower < earned < found.logged.upper
    assert found.doubly_robust.lower < true < found.doubly_robust.upper
    assert found.snips.lower < true < found.snips.upper
    assert found.gain.lower < true - earned < found.gain.upper


def test_intervals_cover_as_often_as_they_say(log):
    """In each of many shops of few offers, all from one log."""
    question, covered = asked(log, NEAR), []
    target, parts = within_reach(question.model, question.log.logging), 12
    small = GateLimits(least_decisions=100, least_offers=20, min_size=50.0)
    for part in range(parts):
        rows = np.flatnonzero(question.log.offer % parts == part)
        found = backtest(question.at(rows), seed=part, limits=small)
        gained = ((target - question.log.logging)[rows] * log.truth[log.ample][rows]).sum(axis=1).mean() / 0.5
        covered.append(found.gain.lower < gained < found.gain.upper)
    assert np.mean(covered) > 0.75


def test_a_model_that_the_log_says_nothing_about_is_refused_with_what_would_be_needed(log):
    found = backtest(asked(log, lambda inputs: -inputs.log_ratio), seed=1)
    assert found.doubly_robust is found.snips is found.gain is None
    assert found.supported < 0.5
    assert "never tries" in found.refusals[0]
    assert found.needed == [
        "a log in which 50% of the decisions draw evenly from all legal prices, not from the best only"
    ]


def test_a_log_that_is_too_short_is_refused_with_how_long_it_would_have_to_be(log):
    every = asked(log, RUN)
    found = backtest(every.at(np.flatnonzero(every.log.offer < 15)), seed=1)
    assert [reason.split(",")[0].split(" ", 1)[1] for reason in found.refusals][:2] == ["decisions", "offers"]
    assert found.needed[0].startswith("a log about")
    assert found.logged is None


def test_a_log_without_exploration_answers_for_nobody_but_its_own_model(log):
    question = asked(log, FAR)
    best = question.log.logging.argmax(axis=1)
    question = question.at(np.flatnonzero(question.log.action == best))
    greedy = np.eye(question.log.logging.shape[1])[question.log.logging.argmax(axis=1)]
    found = backtest(question._replace(log=replace(question.log, logging=greedy)), seed=1)
    assert found.supported < 0.5
    assert found.gain is None
    (needed,) = found.needed
    assert re.fullmatch(r"a log in which \d+% of the decisions draw evenly from all legal prices, not .*", needed)


def test_what_is_out_of_reach_is_done_as_the_log_does_it():
    model, logging = np.array([[0.9, 0.1, 0.0], [0.0, 0.0, 1.0]]), np.array([[0.0, 0.5, 0.5], [0.2, 0.3, 0.5]])
    np.testing.assert_allclose(within_reach(model, logging), [[0.0, 0.1 + 0.45, 0.45], [0.0, 0.0, 1.0]])
