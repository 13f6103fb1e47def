"""What the learner keeps on disk: a log of rows in segments, and a checkpoint that says how much of it counts.

A checkpoint is durable in this order:

1. rows go to the end of the log, and are synced;
2. the checkpoint is written beside the last one, synced, and takes its place; then the folder is synced;
3. segments that no one needs any more are removed.

Dying between any two steps is safe: what lies behind the checkpoint's count is cut off at the next start.
"""

from __future__ import annotations

import fcntl
import io
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from streams.errors import ConfigurationError
from streams.learner.rows import Rows

FORMAT = 2
SEGMENT_ROWS = 4096


class Checkpoint(msgspec.Struct):
    """Where the learner stands. It wins over the offsets of the group."""

    parent: str
    """Label of the model from which learning began."""
    offsets: dict[int, int] = {}
    """Next offset of ``transitions``, by partition."""
    begins: dict[int, int] = {}
    """First offset that was read."""
    taken: int = 0
    """Transitions that were read: those that were learned from, and those that were left out."""
    digest: int = 0
    """Sum of the ids of all of them, modulo 2 ** 64."""
    left_out: dict[str, int] = {}
    """By reason."""
    rows: int = 0
    """Rows that were ever written to the log."""
    learner: bytes = b""
    """`checkpoint.to_bytes` of it; empty before the first row."""
    losses: dict[str, float] = {}
    capacity: int = 0
    """Rows that are remembered: where each is in the memory follows from it."""
    format: int = FORMAT


class Store:
    """The folder of one learner. Nobody else may have it open.

    Raises:
        ConfigurationError: It is open elsewhere, of another format, or of other features than this program's.
    """

    def __init__(self, folder: Path, capacity: int) -> None:
        """Open a folder, or begin one; ``capacity`` is how many rows are kept at least."""
        self._folder, self._capacity = folder, capacity
        (folder / "rows").mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise ConfigurationError(f"another learner works in {folder}") from error
        self._added = 0

    def close(self) -> None:
        """Let others have it."""
        self._lock.close()

    def load(self) -> Checkpoint | None:
        """Read the checkpoint, None if there is none, and cut off what lies behind it."""
        path = self._folder / "checkpoint"
        try:
            checkpoint = msgspec.msgpack.decode(path.read_bytes(), type=Checkpoint) if path.exists() else None
        except msgspec.MsgspecError as error:
            raise ConfigurationError(f"{path} is no checkpoint of a learner: {error}") from error
        if checkpoint is not None and checkpoint.format != FORMAT:
            raise ConfigurationError(f"{path} has format {checkpoint.format}, this program has {FORMAT}")
        self._added = 0 if checkpoint is None else checkpoint.rows
        for segment in self._segments():
            kept = min(max(self._added - segment * SEGMENT_ROWS, 0), SEGMENT_ROWS)
            if kept == 0:
                self._path(segment).unlink()
            else:
                os.truncate(self._path(segment), kept * self._layout().itemsize)
        return checkpoint

    def recent(self) -> Rows | None:
        """Read the last rows, at most ``capacity``, oldest first; None if there are none."""
        first = max(self._added - self._capacity, 0)
        parts = [
            np.fromfile(self._path(segment), self._layout())[max(first - segment * SEGMENT_ROWS, 0) :]
            for segment in self._segments()
            if (segment + 1) * SEGMENT_ROWS > first
        ]
        return np.concatenate(parts) if parts else None

    def append(self, rows: Rows) -> None:
        """Put rows at the end of the log. They count from the next checkpoint on.

        Raises:
            ConfigurationError: They are of other features than those that are there.
        """
        if not self._added:
            layout = io.BytesIO()
            np.save(layout, rows[:0])
            write_durably(self._folder / "layout.npy", layout.getvalue())
        elif self._layout() != rows.dtype:
            raise ConfigurationError(f"{self._folder} was begun for other features: give the learner a new folder")
        while len(rows):
            room = SEGMENT_ROWS - self._added % SEGMENT_ROWS
            with self._path(self._added // SEGMENT_ROWS).open("ab") as file:
                rows[:room].tofile(file)
                file.flush()
                os.fsync(file.fileno())  # 1
            self._added += len(rows[:room])
            rows = rows[room:]

    def save(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint durable."""
        _sync_folder(self._folder / "rows")
        write_durably(self._folder / "checkpoint", msgspec.msgpack.encode(checkpoint))  # 2
        for segment in self._segments():  # 3
            if (segment + 1) * SEGMENT_ROWS <= self._added - self._capacity:
                self._path(segment).unlink()

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in (self._folder / "rows").glob("*.bin"))

    def _path(self, segment: int) -> Path:
        return self._folder / "rows" / f"{segment:08d}.bin"

    def _layout(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.load(self._folder / "layout.npy").dtype
        return dtype


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that after a crash it is there whole, or the one before is."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
