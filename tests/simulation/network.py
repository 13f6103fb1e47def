"""Between client and broker: requests take time, get lost with their answers, arrive after their senders' end.

Every request passes three *points* (`sent`, `arrived`, `answered`) at which a scenario may do harm; the points of a
cut in `streams.transaction` are the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import confluent_kafka as ck

from tests.simulation.broker import Broker
from tests.simulation.group import Refused
from tests.simulation.world import Gone, Process, Strand, World

Code = ck.KafkaError
BACKOFF_S = 0.02
ASK_TIMEOUT_S = 20.0
PREEMPTED = 0.03
"""How often a thread stands still at a point while others go on."""
RETRIED = frozenset({Code.CONCURRENT_TRANSACTIONS, Code.UNSTABLE_OFFSET_COMMIT, Code._TRANSPORT})


class Outcome(NamedTuple):
    """What a client hears of a request. A lost answer is `_TRANSPORT`: it may have been served or not."""

    value: Any = None
    code: int | None = None


class Network:
    """The way to the broker and back."""

    def __init__(self, world: World, broker: Broker) -> None:
        self.world, self.broker = world, broker
        self.on_point: Callable[[Process, str], None] = lambda _process, _point: None
        self.delays: dict[tuple[Process, str], float] = {}
        """Requests that hang on the way, each once: a request of this name takes so much longer."""
        self.slow = False
        """Requests take tenths of a second: a busy broker, or a long way."""

    def point(self, process: Process, name: str) -> None:
        """A step of the protocol: here the scenario may kill or freeze the process."""
        self.on_point(process, name)
        strand, random = self.world.strand, self.world.random
        if strand is not None and not process.dead and (process.frozen or random.random() < PREEMPTED):
            strand.park(0)  # after the thaw
            strand.park(random.uniform(0, 0.05))  # other threads may be first
        if process.dead:
            raise Gone

    def send(
        self, sender: Process, name: str, serve: Callable[[], Any], hear: Callable[[Outcome], None], **held: bool
    ) -> None:
        """Let the broker serve a request, and the sender hear of it.

        ``held``: ``later=True`` if ``serve`` itself takes ``answer`` as an argument and calls it in its own time.
        """
        self.point(sender, f"{name} sent")

        def arrive() -> None:
            if self.broker.down:
                self._answer(sender, name, Outcome(code=Code._TRANSPORT), hear, self.broker.life)
                return
            life = self.broker.life
            if held.get("later"):
                serve(lambda outcome: self._answer(sender, name, outcome, hear, life))  # type: ignore[call-arg]
                return
            try:
                outcome = Outcome(serve())
            except Refused as refusal:
                outcome = Outcome(code=refusal.code)
                if refusal.code not in RETRIED:
                    self.world.note("broker", f"{sender.name} {name}: {refusal}")
            self._answer(sender, name, outcome, hear, life)

        delay = self.delays.pop((sender, name), 0.0) + self._latency()
        self.world.later(delay, self.broker.process, arrive)

    def _answer(self, sender: Process, name: str, outcome: Outcome, hear: Callable[[Outcome], None], life: int) -> None:
        if not sender.dead:
            self.on_point(sender, f"{name} arrived")

        def deliver() -> None:
            lost = life != self.broker.life
            self.point(sender, f"{name} answered")
            hear(Outcome(code=Code._TRANSPORT) if lost else outcome)

        self.world.later(self._latency(), sender, deliver)

    def call(self, sender: Process, name: str, serve: Callable[[], Any], timeout: float) -> Any:
        """From a thread: ask until there is an answer that counts.

        Raises:
            KafkaException: The broker's refusal, or a timeout; what became of the request is unknown then.
        """
        deadline = self.world.now + timeout
        while True:
            outcome = self._ask(sender, name, serve, deadline)
            if outcome is None:
                raise failure(Code._TIMED_OUT, name)
            if outcome.code is None:
                return outcome.value
            if outcome.code not in RETRIED:
                raise failure(outcome.code, name)
            self._strand.park(BACKOFF_S)

    async def ask(self, sender: Process, name: str, serve: Callable[..., Any], **held: bool) -> Outcome:
        """From an event loop: the outcome, a timeout among them."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def hear(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        self.send(sender, name, serve, hear, **held)
        await asyncio.wait([future], timeout=ASK_TIMEOUT_S)
        return future.result() if future.done() else Outcome(code=Code._TIMED_OUT)

    @property
    def _strand(self) -> Strand:
        assert self.world.strand is not None, "an event loop must not wait for the broker"
        return self.world.strand

    def _ask(self, sender: Process, name: str, serve: Callable[[], Any], deadline: float) -> Outcome | None:
        heard: list[Outcome] = []
        wakers: list[Callable[[], None]] = []

        def hear(outcome: Outcome) -> None:
            heard.append(outcome)
            for wake in wakers:
                wake()

        self.send(sender, name, serve, hear)
        if not heard:
            wakers.append(self._strand.waker())
            self._strand.park(max(0.0, deadline - self.world.now))
        return heard[0] if heard else None

    def _latency(self) -> float:
        random = self.world.random
        if self.slow:
            return random.uniform(0.005, 0.08)
        return random.uniform(0.01, 0.2) if random.random() < 0.02 else random.uniform(0.0002, 0.003)


def failure(code: int, what: str) -> ck.KafkaException:
    """As librdkafka says it."""
    retriable = code in {Code._TIMED_OUT, *RETRIED}
    return ck.KafkaException(ck.KafkaError(code, what, fatal=code == Code._FENCED, retriable=retriable))
