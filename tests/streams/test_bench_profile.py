"""The profile on a tiny load: every seam of the serving path is where the profile looks for it."""

import math
import subprocess
import sys

import orjson
import pytest

from streams.bench import stages
from streams.errors import RepricerError
from streams.pipeline import Pipeline


def test_every_stage_is_seen_and_the_stages_add_up():
    command = [sys.executable, "-m", "streams.cli", "bench", "profile", "--events", "2000", "--offers", "200"]
    done = subprocess.run([*command, "--poll", "500", "--json"], capture_output=True, check=True)
    result = orjson.loads(done.stdout)  # nothing but the answer: logs go to stderr
    assert all(stage["calls"] > 0 for stage in result["stages"].values())
    parts = sum(stage["us_per_event"] for stage in result["stages"].values()) + result["unwatched_us_per_event"]
    assert math.isclose(parts, result["us_per_event"], abs_tol=0.02)  # of rounding
    assert 0 < result["decode_to_structs_us_per_event"] < result["us_per_event"]
    assert result["events_per_decision"] <= 20


def test_a_seam_that_is_gone_is_named(monkeypatch):
    gone = stages.Seam("fold", "pricing_core.engine", "PricingEngine.fold_it")
    monkeypatch.setattr(stages, "SEAMS", (gone,))
    with (
        pytest.raises(RepricerError, match=r"pricing_core\.engine\.PricingEngine\.fold_it, which is gone"),
        stages.watched(),
    ):
        pass


def test_seams_are_left_as_they_were():
    before = Pipeline.apply
    with stages.watched():
        assert Pipeline.apply is not before
    assert Pipeline.apply is before
