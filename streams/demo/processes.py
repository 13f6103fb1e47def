"""Child processes of the demo: started together, watched, stopped in order, never left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from streams.errors import RepricerError

STOP_S = 20.0
"""A child that has not ended this long after SIGTERM is killed."""
LAST_LINES = 15


class ChildDied(RepricerError):
    """A process of the demo ended by itself; the message holds the last lines of its log."""


class Children:
    """Processes of this machine, by name; each with its log in ``folder``. Leaving the context ends them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._running.values():
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for process in self._running.values():
            _wait_or_kill(process, deadline)

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Run ``repricer <arguments>`` with the Python of this process, and its environment if no other is given."""
        with self._log(name).open("wb") as log:
            # An own session: Ctrl-C reaches the demo alone, and the demo stops the children in order.
            self._running[name] = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-m", "streams.cli", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Nobody may have ended by itself.

        Raises:
            ChildDied: with the name, the exit code and the end of the log.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ChildDied(self._obituary(name, process.returncode))

    def running(self) -> dict[str, bool]:
        """Whether each child still runs, by name."""
        return {name: process.poll() is None for name, process in self._running.items()}

    def stop(self, name: str) -> None:
        """End a child in order and wait for it.

        Raises:
            ChildDied: it ended with an error, or had to be killed.
        """
        process = self._running.pop(name)
        _signal(process, signal.SIGTERM)
        _wait_or_kill(process, time.monotonic() + STOP_S)
        if process.returncode not in {0, -signal.SIGTERM}:  # the latter: it was still starting
            raise ChildDied(self._obituary(name, process.returncode))

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _obituary(self, name: str, code: int) -> str:
        lines = self._log(name).read_text(errors="replace").splitlines()[-LAST_LINES:]
        ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return "\n".join([f"the {name} {ended}; its last words:", *(f"  {line}" for line in lines)])


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        process.send_signal(number)


def _wait_or_kill(process: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
