"""Our estimators beside those of Open Bandit Pipeline, on the log that the project publishes (Saito et al. 2021).

ZOZOTOWN, November 2019: which of A items was shown at one of three positions, and whether it was clicked; one log of
a uniformly random policy, one of Thompson sampling ("bts").
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pricing_core.evaluation import off_policy
from pricing_core.evaluation.intervals import estimate
from pricing_core.evaluation.off_policy import logged_decisions
from pricing_core.evaluation.support import NotSupported

ROWS, POSITIONS = 10_000, 3


@pytest.fixture(scope="module")
def open_bandit():
    """Policy, campaign → data frame."""
    try:
        files = importlib.metadata.files("obp") or []
    except importlib.metadata.PackageNotFoundError:
        message = "Open Bandit Pipeline is not installed: pip install --no-deps -r tests/requirements-data.txt"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)

    def log(policy, campaign):
        (csv,) = (file for file in files if file.parts[-3:] == (policy, campaign, f"{campaign}.csv"))
        return pl.read_csv(csv.locate())

    return log


def columns(log):
    """Action, propensity and reward [N], position 0 to 2 [N]."""
    action, position = log["item_id"].to_numpy(), log["position"].to_numpy() - 1
    return action, log["propensity_score"].to_numpy(), log["click"].to_numpy().astype(float), position


def shares(of, position):
    """A policy that shows each item as often as it was shown at the same position of another log: [N, A]."""
    action, _, _, there = columns(of)
    count = np.full((POSITIONS, action.max() + 1), 0.5)
    np.add.at(count, (there, action), 1.0)
    return (count / count.sum(axis=1, keepdims=True))[position]


def click_rates(log):
    """A model: the click rate of an item among users of one kind, drawn to the mean by ten showings: [N, A]."""
    action, _, reward, _ = columns(log)
    kind = np.unique(log["user_feature_0"].to_numpy(), return_inverse=True)[1]
    shown, clicked = np.zeros((2, kind.max() + 1, action.max() + 1))
    np.add.at(shown, (kind, action), 1.0)
    np.add.at(clicked, (kind, action), reward)
    return ((clicked + 10 * reward.mean()) / (shown + 10))[kind]


@pytest.mark.parametrize("campaign", ["all", "men"])
@pytest.mark.parametrize(("logging", "candidate"), [("random", "bts"), ("bts", "random"), ("bts", "bts")])
def test_all_estimators_agree_to_nine_digits(open_bandit, tmp_path, logging, candidate, campaign):
    log = open_bandit(logging, campaign)
    action, propensity, reward, position = columns(log)
    target, model = shares(open_bandit(candidate, campaign), position), click_rates(log)
    assert len(log) == ROWS

    np.savez(tmp_path / "log.npz", action=action, propensity=propensity, reward=reward, candidate=target, model=model)
    script = Path(__file__).with_name("open_bandit_reference.py")
    run = subprocess.run(
        [sys.executable, script, tmp_path / "log.npz"], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    theirs = json.loads(run.stdout)

    logged = logged_decisions(action, propensity, reward)
    for name, value in theirs.items():
        models = () if name in {"ips", "snips"} else (model,)
        ours = getattr(off_policy, name)(logged, target, *models).value
        assert ours == pytest.approx(value, rel=1e-9, abs=0.0), name
    assert len({round(value, 9) for value in theirs.values()}) == 5  # no two coincide


def test_the_click_rate_of_thompson_sampling_follows_from_the_log_of_random_choice(open_bandit):
    action, propensity, reward, position = columns(open_bandit("random", "all"))
    thompson = open_bandit("bts", "all")
    found = estimate(off_policy.snips(logged_decisions(action, propensity, reward), shares(thompson, position)))
    assert found.lower < thompson["click"].mean() < found.upper


def test_random_choice_cannot_be_valued_from_the_log_of_thompson_sampling(open_bandit):
    action, propensity, reward, _ = columns(open_bandit("bts", "all"))
    uniform = np.full((ROWS, 80), 1 / 80)
    with pytest.raises(NotSupported, match=r"340\.4 of 10000 decisions, at least 500\.0 are needed"):
        estimate(off_policy.snips(logged_decisions(action, propensity, reward), uniform))
