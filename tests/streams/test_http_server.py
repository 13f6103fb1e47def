from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import pytest

from streams.errors import ConfigurationError
from streams.http_server import HealthServer
from streams.metrics import EVENTS, Metrics
from streams.settings import Settings


def ready():
    return []


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def ask(readiness, *paths, metrics=None):
    async def run():
        server = HealthServer(Settings(http_port=0), readiness, metrics or Metrics())
        await server.start()
        answers = [await asyncio.to_thread(get, server.port, path) for path in paths]
        await server.stop()
        return answers

    return asyncio.run(run())


def test_a_worker_that_is_not_ready_says_why_and_is_alive_all_the_same():
    live, ready = ask(lambda: ["shard 3 is being rebuilt"], "/livez", "/readyz")

    assert live[0] == 200
    assert ready[0] == 503
    assert json.loads(ready[1]) == {"ready": False, "reasons": ["shard 3 is being rebuilt"]}


def test_a_ready_worker_answers_200_and_shows_its_metrics():
    metrics = Metrics()
    metrics.add(EVENTS, 7, "orders")

    health, page = ask(ready, "/readyz", "/metrics", metrics=metrics)

    assert health[0] == 200
    assert b'repricer_events_total{topic="orders"} 7.0' in page[1]


def test_a_taken_port_is_one_clear_error():
    async def run():
        first = HealthServer(Settings(http_port=0), ready, Metrics())
        await first.start()
        try:
            await HealthServer(Settings(http_port=first.port), ready, Metrics()).start()
        finally:
            await first.stop()

    with pytest.raises(ConfigurationError, match=r"cannot listen on 127\.0\.0\.1:.*REPRICER_HTTP_PORT"):
        asyncio.run(run())
