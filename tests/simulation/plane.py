"""Below data plane and log reader: the fake consumer's messages as columns, as those of `transport.librdkafka`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import confluent_kafka as ck
import numpy as np

from schemas.binary import BinaryArray
from tests.simulation.clients import Consumer
from tests.simulation.fake_log import Place
from tests.simulation.network import Network
from tests.simulation.world import Process


class PlaneMessages:
    """As `streams.transport.librdkafka.RawMessages`; every message is a run of its own."""

    def __init__(self, messages: list[ck.Message]) -> None:
        errors = [message.error() for message in messages]
        self.code = np.array([0 if error is None else error.code() for error in errors], np.int64)
        self.errors = {row: error.str() for row, error in enumerate(errors) if error is not None}
        self.names = dict(enumerate(sorted({str(message.topic()) for message in messages})))
        numbers = {name: number for number, name in self.names.items()}
        self.topic = np.array([numbers[str(message.topic())] for message in messages], np.int64)
        self.partition = np.array([message.partition() for message in messages], np.int64)
        self.offset = np.array([message.offset() for message in messages], np.int64)
        self.keys = BinaryArray.of(map(ck.Message.key, messages))
        self.values = BinaryArray.of(map(ck.Message.value, messages))

    def __len__(self) -> int:
        return len(self.code)

    def runs(self) -> list[tuple[int, int]]:
        return [(row, row + 1) for row in range(len(self))]


NOTHING = PlaneMessages([])


class PlaneConsumer:
    """As `streams.transport.librdkafka.Consumer`."""

    def __init__(self, network: Network, process: Process, config: Mapping[str, Any], max_records: int) -> None:
        self._consumer = Consumer(network, process, config)
        self._max_records = max_records

    def assign(self, positions: Mapping[Place, int]) -> None:
        self._consumer.assign([ck.TopicPartition(*place, offset) for place, offset in positions.items()])

    def consume(self, wait_s: float = 0.0) -> PlaneMessages:
        messages = self._consumer.consume(self._max_records, wait_s)
        return PlaneMessages(messages) if messages else NOTHING

    def close(self) -> None:
        self._consumer.close()
