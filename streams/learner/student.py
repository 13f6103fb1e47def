"""The learner's mind: rows go into the memory on the device, updates follow, candidate models come out."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from pricing_core.learning import checkpoint as learner_bytes
from pricing_core.learning.logged import Learner, Recipe, Transitions, learn, put, room_for, start
from pricing_core.model_file import Model, Training, save_model
from schemas.topics import TRANSITIONS
from streams.errors import ConfigurationError
from streams.learner.rows import Rows, transitions_of
from streams.learner.store import Checkpoint

RECIPE = Recipe()
ROWS_AN_UPDATE = 64
"""New rows for each update."""
LUMP = 16
"""Updates of one call."""
PUT_AT_ONCE = 512
"""Rows of one call: short of that they are padded."""


class Student:
    """Learns. Everything that a checkpoint must hold of it is in `written`."""

    def __init__(self, parent: Model, capacity: int, seed: int) -> None:
        self._parent, self._capacity, self._seed = parent, capacity, seed
        self._learner: Learner | None = None
        self._memory: Transitions | None = None
        self.rows = 0
        """That were ever taken in."""
        self.updates = 0
        self.losses: dict[str, float] = {}

    def take(self, rows: Rows) -> None:
        """Put rows into the memory, each in the place of the oldest."""
        if self._memory is None:
            new = transitions_of(rows)
            self._memory = room_for(new, self._capacity)
            if self._learner is None:
                self._learner = start(self._parent.params, new.seen[0].shape[1], RECIPE, self._seed)
        for first in range(0, len(rows), PUT_AT_ONCE):
            part = rows[first : first + PUT_AT_ONCE]
            padded = np.zeros(PUT_AT_ONCE, rows.dtype)
            padded[: len(part)] = part
            at = np.full(PUT_AT_ONCE, self._capacity)
            at[: len(part)] = (self.rows + np.arange(len(part))) % self._capacity
            self._memory = put(self._memory, transitions_of(padded), at)
            self.rows += len(part)

    def study(self) -> int:
        """Do the updates that are due for the rows that were taken in; returns how many."""
        if self._learner is None or self._memory is None:
            return 0
        done = self.updates
        filled = jnp.asarray(min(self.rows, self._capacity), jnp.int32)
        while self.rows // ROWS_AN_UPDATE - self.updates >= LUMP:
            self._learner, losses = learn(RECIPE, self._learner, self._memory, filled, updates=LUMP)
            self.updates += LUMP
            self.losses = {name: float(loss) for name, loss in losses._asdict().items()}
        return self.updates - done

    def written(self) -> bytes:
        """All of it but the memory, which is on disk anyway; empty before the first row."""
        return b"" if self._learner is None else learner_bytes.to_bytes(self._learner)

    def restore(self, kept: Checkpoint, rows: Rows | None) -> None:
        """Go on from a checkpoint.

        Args:
            kept: It.
            rows: The last ones that were taken in, oldest first, as many as there are and are remembered.

        Raises:
            ConfigurationError: It is of another learner.
        """
        if rows is None:
            return
        self.rows = kept.rows - len(rows)
        self.take(rows)
        try:
            self._learner = learner_bytes.from_bytes(kept.learner, self._learner)
        except ValueError as error:
            raise ConfigurationError(f"{error}: give the learner a new folder") from error
        assert self._learner is not None
        self.updates, self.losses = int(self._learner.updates), dict(kept.losses)

    def write_candidate(self, folder: Path, number: int, version: int, kept: Checkpoint) -> Path:
        """Write the model as it is now, whole or not at all: ``FOLDER/NUMBER/NAME.safetensors`` and its manifest.

        Args:
            folder: Of all candidates.
            number: Of this one, from 1 on.
            version: Of the model.
            kept: The checkpoint whose model it is.
        """
        assert self._learner is not None
        unfinished, finished = folder / f"{number}.unfinished", folder / str(number)
        shutil.rmtree(unfinished, ignore_errors=True)
        name = self._parent.name
        params, epsilon = self._learner.params, self._parent.epsilon
        origin = Training(
            preset="transitions",
            seed=self._seed,
            backend=jax.default_backend(),
            jax=jax.__version__,
            score={
                "learner": {
                    **_finite(kept.losses),
                    "transitions": kept.taken,
                    "rows": kept.rows,
                    "updates": self.updates,
                }
            },
            parent=self._parent.label,
            trained_on=_range(kept.begins, kept.offsets),
        )
        path = save_model(unfinished, params, name=name, version=version, epsilon=epsilon, training=origin)
        unfinished.replace(finished)
        return finished / path.name


def _finite(losses: Mapping[str, float]) -> dict[str, float]:
    """JSON has no other numbers."""
    return {name: loss for name, loss in losses.items() if math.isfinite(loss)}


def _range(begins: Mapping[int, int], offsets: Mapping[int, int]) -> dict[str, tuple[int, int]]:
    return {f"{TRANSITIONS.name}/{partition}": (begins[partition], end) for partition, end in sorted(offsets.items())}
