"""The rivals as processes: how each is run, and on how many events. They are slow: rates are compared."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streams.errors import NotReady
from streams.settings import Settings

FOLDER = Path(__file__).with_name("rivals")
DEADLINE_S = 300.0


class Rival:
    """One program of `streams.bench.rivals`."""

    def __init__(self, name: str, program: str, share: float) -> None:
        """Name it.

        Args:
            name: Of its figures.
            program: File of it.
            share: Of the events, so that its turn takes about as long as the others'.
        """
        self.name = name
        self.share = share
        self._program = FOLDER / program

    def run(self, python: Path, settings: Settings, events: int) -> float:
        """Let it read from the beginning of the topics; returns its events a second.

        Raises:
            NotReady: It failed; its last words are in the message.
        """
        count = max(int(events * self.share), 1_000)
        with tempfile.TemporaryDirectory(prefix="rival-") as folder:
            arguments = (settings.bootstrap_servers, settings.topic_prefix, count, folder)
            said = answer(self.name, python, self._program, arguments, deadline_s=DEADLINE_S, cwd=Path(folder))
        return float(said["per_s"])


RIVALS = (
    Rival("stock_faust", "stock_faust.py", 0.03),
    Rival("quix", "quix.py", 0.2),
    Rival("bytewax", "bytewax_map.py", 0.4),
)
STOCK_FAUST_RECOVERY = Rival("stock_faust", "stock_faust_recovery.py", 0.1)
"""Rebuilds rows of a table instead of counting events."""


def answer(
    name: str, python: Path, program: Path, arguments: Sequence[object], *, deadline_s: float, cwd: Path | None = None
) -> dict[str, Any]:
    """Run a program with the rival's Python; returns the JSON object in its last line.

    Raises:
        NotReady: It failed; its last words are in the message.
    """
    done = subprocess.run(  # noqa: S603  # a program of ours
        [str(python.absolute()), str(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=deadline_s,
        cwd=cwd,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    if done.returncode:
        raise NotReady(f"{name} failed with exit code {done.returncode}: {done.stderr[-500:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
