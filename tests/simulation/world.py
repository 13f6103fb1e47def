"""A world with one clock: processes, their event loops and their threads, of which exactly one runs at a time.

Whatever happens is an event on one heap, ordered by fake time. What the next event does is decided by nobody but the
seed: the same seed gives the same run, to the last step. Blocking code runs in real threads, but each has to hold
the baton, and hands it back wherever the real one would wait for the broker.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar


class Gone(BaseException):  # no error: what the code of a dead process never gets to see
    """The process is dead: unwinds its threads. No client does anything for it any more."""


class Process:
    """Something that dies and freezes as a whole: a worker, or the broker."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = self.frozen = False
        self.held: list[Callable[[], None]] = []
        """What happened while it was frozen, in that order."""
        self.strands: dict[Strand, None] = {}
        """In the order in which they began."""
        self.last_rites: Callable[[], None] = lambda: None


class World:
    """Clock, heap, randomness, trace."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 1_000.0
        self.strand: Strand | None = None
        """The thread that runs now; None while an event loop or the broker does."""
        self.running: Process | None = None
        self.driver: Strand | None = None
        """The parked thread that runs events while it waits; None while the main thread does."""
        self.ready: deque[Strand] = deque()
        """Woken, and waiting for the baton."""
        self.failure: BaseException | None = None
        """Raised by an event in a driver's thread; for the main thread."""
        self._until = 0.0
        self.trace: list[tuple[float, str, str]] = []
        self._heap: list[tuple[float, int, Process | None, Callable[[], None]]] = []
        self._events = 0

    def note(self, who: str, what: str) -> None:
        self.trace.append((self.now, who, what))

    def later(self, delay: float, process: Process | None, action: Callable[[], None]) -> None:
        """Do something after ``delay``, if the process is alive then; after its thaw, if it is frozen."""
        self._events += 1
        heapq.heappush(self._heap, (self.now + delay, self._events, process, action))

    def run(self, until: float) -> None:
        self._until = until
        while self.ready or self.step():
            if self.ready:
                self.ready.popleft().resume()
            if self.failure is not None:
                raise self.failure
        self.now = max(self.now, until)

    def step(self) -> bool:
        """Let the next event happen. Returns whether there was one in time."""
        if not self._heap or self._heap[0][0] > self._until:
            return False
        when, _, process, action = heapq.heappop(self._heap)
        self.now = max(self.now, when)
        if process is not None and process.frozen:
            process.held.append(action)
        elif process is None or not process.dead:
            self.running = process
            with contextlib.suppress(Gone):
                action()
        return True

    def kill(self, process: Process) -> None:
        """SIGKILL, or the end of the process by itself: nothing of it runs any more."""
        if process.dead:
            return
        process.dead, process.frozen = True, False
        process.held.clear()
        for strand in list(process.strands):
            strand.unwind()
        process.last_rites()

    @staticmethod
    def freeze(process: Process) -> None:
        """SIGSTOP."""
        process.frozen = not process.dead

    def thaw(self, process: Process) -> None:
        """SIGCONT: everything that happened meanwhile, answers and timers alike, is there at once."""
        held, process.held, process.frozen = process.held, [], False
        for action in held:
            self.later(0, process, action)


class Strand:
    """Blocking code of a process. It runs while it has the baton.

    While it waits, its thread runs the world's events itself: handing the baton over costs more than most events do.
    Only when another thread is woken does it give the baton back.
    """

    def __init__(self, world: World, process: Process, work: Callable[[], Any], done: Callable[..., None]) -> None:
        """Begin at once. ``done`` gets the result and the exception, one of which is None."""
        self._world, self._process = world, process
        self._work, self._done = work, done
        self._ticket = 0
        self._woken = False
        self._carrier: _Carrier | None = None
        process.strands[self] = None
        world.later(0, process, self.waker())

    def park(self, delay: float | None) -> None:
        """Wait for `waker`'s answer, and no longer than ``delay``."""
        if self._process.dead:
            raise Gone
        if delay is not None:
            self._world.later(delay, self._process, self.waker())
        assert self._carrier is not None
        self._world.strand, self._world.driver = None, self
        woken = self._drive()
        self._world.driver = None
        if not woken:
            self._carrier.give_back()
        self._world.strand, self._world.running = self, self._process
        self._ticket, self._woken = self._ticket + 1, False  # whoever else wanted to wake it comes too late
        if self._process.dead:
            raise Gone

    def waker(self) -> Callable[[], None]:
        """What ends the next `park`, and nothing but that one."""
        ticket = self._ticket

        def wake() -> None:
            if ticket == self._ticket and not self._woken:
                self._woken = True
                self._world.ready.append(self)

        return wake

    def unwind(self) -> None:
        """The process is dead."""
        if self._carrier is None:
            self._process.strands.pop(self, None)  # has not begun, and never will
        elif self not in {self._world.strand, self._world.driver}:  # which find out by themselves
            self.resume()

    def resume(self) -> None:
        """Hand the baton over, and wait until it comes back."""
        if self not in self._process.strands:
            return
        if self._carrier is None:
            self._carrier = _Carrier.free.pop() if _Carrier.free else _Carrier()
            self._carrier.job = self._run
            self._ticket, self._woken = 1, False
        before, self._world.strand, self._world.running = self._world.strand, self, self._process
        self._carrier.go_on()
        self._world.strand = before

    def _drive(self) -> bool:
        """Run events until this thread is woken (True), or somebody else has to go on (False)."""
        world = self._world
        while not self._process.dead:
            if world.ready:
                if world.ready[0] is not self:
                    return False
                world.ready.popleft()
                return True
            try:
                if not world.step():
                    return False
            except BaseException as error:  # noqa: BLE001  # not of this thread's making
                world.failure = error
                return False
        return True

    def _run(self) -> None:
        result = error = None
        try:
            result = self._work()
        except Gone:
            return
        except BaseException as raised:  # noqa: BLE001  # as a thread pool hands it over
            error = raised
        finally:
            self._process.strands.pop(self, None)
        self._done(result, error)


class _Carrier:
    """A real thread. Kept for the next strand, because starting one costs more than a whole step."""

    free: ClassVar[list[_Carrier]] = []

    def __init__(self) -> None:
        self.job: Callable[[], None] = lambda: None
        self._mine, self._theirs = threading.Lock(), threading.Lock()
        self._mine.acquire()
        self._theirs.acquire()
        threading.Thread(target=self._serve, daemon=True).start()

    def go_on(self) -> None:
        self._mine.release()
        self._theirs.acquire()

    def give_back(self) -> None:
        self._theirs.release()
        self._mine.acquire()

    def _serve(self) -> None:
        while True:
            self._mine.acquire()
            self.job()
            _Carrier.free.append(self)
            self._theirs.release()
