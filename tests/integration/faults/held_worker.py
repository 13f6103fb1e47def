"""`repricer worker` that says how far its cut is, and stays where it is told to: for faults at chosen points.

A process: ``python held_worker.py FOLDER``. Every point of the cut that it reaches becomes a line of FOLDER/points. At
the point that FOLDER/hold names it writes ``held POINT`` and stays until that file says something else.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from pathlib import Path

from streams import app, cli
from streams.transaction import TransactionWriter


class Points:
    """Written without a buffer: what a SIGKILL leaves is what happened."""

    def __init__(self, folder: Path) -> None:
        self._log = os.open(folder / "points", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._hold = folder / "hold"

    def reach(self, point: str) -> None:
        self._say(point)
        if self._is_held(point):
            self._say(f"held {point}")
            while self._is_held(point):
                time.sleep(0.002)

    def _say(self, what: str) -> None:
        os.write(self._log, f"{what}\n".encode())

    def _is_held(self, point: str) -> bool:
        try:
            return self._hold.read_text() == point
        except FileNotFoundError:
            return False


if __name__ == "__main__":
    app.TransactionWriter = functools.partial(TransactionWriter, at_point=Points(Path(sys.argv[1])).reach)
    sys.argv[1:] = ["worker"]
    cli.main()
