"""`repricer bench swaps`: the latency of `repricer bench latency` while models are swapped, beside the same without.

The two models have the same weights under two versions, so that the decisions are the same and only the swaps differ.
Apart from that, how long an event loop stands still beside a thread that verifies models without a break.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from pricing_core.model_file import read_manifest, read_model
from streams.bench import load, turn
from streams.bench.latency import Found, Plan, Stream, prime
from streams.bench.machine import machine, versions
from streams.bench.rounds import spread
from streams.bench.stall import longest_stalls
from streams.bench.under_test import bench_settings
from streams.models.acts import Act, live_record, publish
from streams.settings import Settings

EVERY_S = 0.5
FIRST_VERSION = 1_000_001
WHY = "benchmark"


def measure(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Run the benchmark at the first rate of the plan; returns the object that ``--json`` prints.

    Raises:
        NotReady: If a process stops, or too many orders are not answered.
    """
    own = bench_settings(settings, "swaps", decide_during_catch_up=False)
    own = own.model_copy(update={"model_name": _publish_two(own)})
    rate, stream, worker = plan.rates[0], Stream(event=2 * load.CHUNK), turn.CONTESTANTS[""]
    prime(own, 2 * plan.orders * plan.rounds)
    found, swaps = {"": Found(), "swaps_": Found()}, [0]
    for _ in range(plan.rounds):
        tasks = [stream.take(rate, plan) for _ in found]
        with ExitStack() as stack:
            publishers = [stack.enter_context(turn.publisher(own, task)) for task in tasks]
            alive = stack.enter_context(worker.start(own))
            for publisher in publishers:
                turn.expect_ready(publisher)
            for (prefix, one), task, publisher in zip(found.items(), tasks, publishers, strict=True):
                with _swapping(own, swaps) if prefix else nullcontext():
                    one.add(task, turn.answers(own, task, publisher, worker.topic, alive), worker.name)
    ratios = [ours / its for ours, its in zip(found["swaps_"].p99s(), found[""].p99s(), strict=True)]
    figures = {name: value for prefix, one in found.items() for name, value in one.figures(prefix).items()}
    figures |= longest_stalls(plan.seconds / 2)
    about = {"rate": rate, "rounds": plan.rounds, "seconds": plan.seconds, "machine": machine(), "versions": versions()}
    return {**figures, **spread("p99_ratio_swaps", ratios, digits=2), "swaps": swaps[0], **about}


def _publish_two(settings: Settings) -> str:
    """Publish the model of the settings under two versions. Returns its name."""
    weights, manifest = read_model(settings.model_path)
    with TemporaryDirectory() as folder:
        for version in (FIRST_VERSION, FIRST_VERSION + 1):
            path = Path(folder) / f"{version}.safetensors"
            path.write_bytes(weights)
            content = msgspec.json.decode(manifest) | {"version": version}
            path.with_suffix(".json").write_bytes(msgspec.json.encode(content))
            publish(settings, path, WHY, WHY)
    return read_manifest(manifest).name


@contextmanager
def _swapping(settings: Settings, swaps: list[int]) -> Iterator[None]:
    """Make one of the two live after the other for as long as the block lasts, and count how often."""
    over, act = threading.Event(), Act(settings, settings.model_name, WHY, WHY)
    sha256 = act.model.get(FIRST_VERSION).sha256

    def swap() -> None:
        while not over.wait(EVERY_S):
            act.write(live_record(act, FIRST_VERSION + swaps[0] % 2, sha256, ()))
            swaps[0] += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
