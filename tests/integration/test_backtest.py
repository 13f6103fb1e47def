"""`repricer backtest` on a real Kafka: transitions of a time, and the model that is live."""

import subprocess
import sys

import msgspec
import orjson
import pytest

from pricing_core.model_file import load_model, save_model
from schemas.codec import encode
from schemas.examples import TRANSITION
from schemas.timestamps import format_ms
from schemas.topics import offer_key
from schemas.transitions import TransitionClosed
from streams.models import acts
from streams.models.transitions import TRANSITIONS
from tests.integration.shop import Publisher, new_settings
from tests.integration.worker_process import ROOT, environment_of
from tests.pricing_core.events import DAY, T0
from tests.streams.followed_decisions import played

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(580)]


def backtest(settings, *arguments):
    command = [sys.executable, "-m", "streams.cli", "backtest", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment_of(settings), capture_output=True, text=True, timeout=300, check=False
    )


def closed(one):
    """The whole record as it stands on the topic."""
    said = msgspec.to_builtins(TRANSITION) | {k: v for k, v in msgspec.to_builtins(one).items() if k != "happened"}
    return msgspec.convert(said | {"happened": msgspec.to_builtins(one.happened)}, TransitionClosed)


def test_transitions_of_a_time_say_what_the_live_model_would_have_earned(kafka, tmp_path):
    settings = new_settings(kafka, partitions=2)
    found = backtest(settings)
    assert found.returncode == 7
    assert "0 transitions" in found.stderr

    producer, topic = Publisher(settings).producer, TRANSITIONS.full_name(settings.topic_prefix)
    for one in played(offers=60, days=25):
        producer.produce(topic, encode(closed(one)), offer_key(one.channel, one.sku), int(one.sku) % 2)
    producer.flush(30)
    model = load_model()
    file = save_model(tmp_path, model.params, name="default", version=7, epsilon=0.1, training=model.manifest.training)
    acts.publish(settings, file, "ann", "try it")
    acts.promote(settings, "default", 7, "ann", "try it")

    page = tmp_path / "page.html"
    times = ("--from", format_ms(T0 + 2 * DAY), "--to", format_ms(T0 + 25 * DAY))
    found = backtest(settings, *times, "--json", "--html", str(page))
    assert found.returncode == 0, found.stderr
    said = orjson.loads(found.stdout)
    assert said["model"].startswith("default/7@")
    assert said["transitions"] == 60 * 23
    assert said["since"] >= format_ms(T0 + 2 * DAY)
    (whole,) = (group for group in said["groups"] if group["kind"] == "all")
    assert whole["refusals"] == []
    assert whole["gain"]["lower"] <= 0.0 <= whole["gain"]["upper"]
    assert "would have earned" in page.read_text("utf-8")
