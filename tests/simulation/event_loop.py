"""An asyncio event loop whose clock and threads are those of the simulated world."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from tests.simulation.world import Gone, Process, Strand, World


class EventLoop(asyncio.AbstractEventLoop):
    """Handles are events of the world. Executors run one job at a time, as ours have one thread each."""

    def __init__(self, world: World, process: Process) -> None:
        self._world, self._process = world, process
        self._jobs: dict[Any, deque[tuple[Callable[[], Any], asyncio.Future[Any]]]] = defaultdict(deque)
        self._tasks: list[asyncio.Task[Any]] = []
        self.complaints: list[str] = []
        process.last_rites = self._abandon

    def time(self) -> float:
        return self._world.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._process.dead

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        return self.call_later(0, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_later(when - self._world.now, callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._process.dead:
            self._world.later(max(0.0, delay), self._process, lambda: self._run(handle))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._process.dead:
            self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        future = self.create_future()
        self._jobs[executor].append((lambda: func(*args), future))
        if len(self._jobs[executor]) == 1:
            self._start(executor)
        return future

    async def threads_done(self) -> None:
        """What shutting an executor down would wait for, without standing still."""
        for jobs in list(self._jobs.values()):
            if jobs:
                await asyncio.wait([future for _, future in jobs])

    def _run(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        asyncio._set_running_loop(self)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(None)

    def _start(self, executor: Any) -> None:
        work, future = self._jobs[executor][0]

        def done(result: Any, error: BaseException | None) -> None:
            self._jobs[executor].popleft()
            if self._jobs[executor]:
                self._start(executor)
            self.call_soon(self._settle, future, result, error)

        Strand(self._world, self._process, work, done)

    @staticmethod
    def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def _abandon(self) -> None:
        """The process is dead: its coroutines never go on. Closed here, or they would complain when collected."""
        for task in self._tasks:
            task._log_destroy_pending = False
            with contextlib.suppress(
                RuntimeError, ValueError, Gone
            ):  # running just now, or awaiting while it is closed
                task.get_coro().close()
        self._tasks.clear()
        self._jobs.clear()
