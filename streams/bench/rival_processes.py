"""The rivals as processes: how each is run, and on how many events. They are slow: rates are compared."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

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
            command = [
                str(python.absolute()),
                str(self._program),
                settings.bootstrap_servers,
                settings.topic_prefix,
                str(count),
                folder,
            ]
            done = subprocess.run(  # noqa: S603  # a program of ours
                command, capture_output=True, text=True, check=False, timeout=DEADLINE_S, cwd=folder, env=_quiet()
            )
        if done.returncode:
            raise NotReady(f"{self.name} failed with exit code {done.returncode}: {done.stderr[-500:]}")
        return float(json.loads(done.stdout.splitlines()[-1])["per_s"])


RIVALS = (
    Rival("stock_faust", "stock_faust.py", 0.03),
    Rival("quix", "quix.py", 0.2),
    Rival("bytewax", "bytewax_map.py", 0.4),
)
STOCK_FAUST_RECOVERY = Rival("stock_faust", "stock_faust_recovery.py", 0.1)
"""Rebuilds rows of a table instead of counting events."""


def _quiet() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "ignore"}
