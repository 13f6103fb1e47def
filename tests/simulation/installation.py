"""Puts the fake broker's clients and the fake clock into the modules that the delivery protocol is made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck
import pytest

from streams import cutter, log_reader
from streams.transport import data_plane
from tests.simulation.clients import AdminClient, Consumer, Producer
from tests.simulation.network import Network
from tests.simulation.plane import PlaneConsumer
from tests.simulation.world import Process, World

CUTTER_POLL_S = 0.03


class Log:
    """Takes the place of structlog's loggers: what they say goes into the trace."""

    def __init__(self, world: World) -> None:
        self._world = world

    def info(self, event: str, **values: Any) -> None:
        running = self._world.running
        self._world.note(running.name if running is not None else "-", f"  {event} {values}")

    warning = info


@contextmanager
def installed(network: Network, processes: Mapping[str, Process]) -> Iterator[pytest.MonkeyPatch]:
    """Within the block, clients of ``bootstrap.servers`` are those of the process with that name."""
    world = network.world
    names: dict[str, Any] = {
        "time": SimpleNamespace(monotonic=lambda: world.now, time_ns=lambda: int(world.now * 1e9)),
        "log": Log(world),
        "AdminClient": lambda config: AdminClient(network, processes[config["bootstrap.servers"]]),
        "ck": SimpleNamespace(
            **{name: value for name, value in vars(ck).items() if not name.startswith("_")}
            | {
                "Consumer": lambda config: Consumer(network, processes[config["bootstrap.servers"]], config),
            }
        ),
        "Producer": lambda config, **_: Producer(network, processes[config["bootstrap.servers"]], config),
    }

    def plane_consumer(config: Mapping[str, Any], max_records: int) -> PlaneConsumer:
        return PlaneConsumer(network, processes[config["bootstrap.servers"]], config, max_records)

    with pytest.MonkeyPatch.context() as patch:
        for module in [module for name, module in sys.modules.items() if name.startswith("streams.")]:
            for name in names.keys() & vars(module).keys():
                patch.setattr(module, name, names[name])
        for module in (data_plane, log_reader):
            patch.setattr(module, "Consumer", plane_consumer)
        patch.setattr(cutter, "POLL_S", CUTTER_POLL_S)
        yield patch
