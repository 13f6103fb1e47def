"""`repricer learner`: read ``transitions``, learn, and commit offsets only after what they stand for is durable.

1. read records of all partitions, from where the checkpoint stands;
2. leave out what was there before, and what nothing can be learned from, each counted by its reason;
3. put the rows at the end of the log on disk and into the memory on the device, and do the updates that are due;
4. now and then, make a checkpoint durable: learner, counts, and the next offsets to read;
5. commit the same offsets to the group, for lag tools only: a restart reads on from the checkpoint;
6. write a candidate model when one is due: its number follows from the checkpoint, so that none is made twice, and
   its version is the next one that nobody has published;
7. publish it: to publish the same once more changes nothing, and if somebody was faster it gets another version.

Dying between any two steps is safe: a restart begins where the last checkpoint stands, and what was done after it is as
if it had not been. One learner has all partitions: two would learn two models, each from a part.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import confluent_kafka as ck
import msgspec
import structlog

from pricing_core.learning.recall import Recall
from pricing_core.model_file import Model
from schemas.topics import TRANSITIONS
from schemas.transitions import TransitionClosed
from streams.errors import BrokerUnreachable, ConfigurationError, ModelRefused
from streams.learner.rows import RowMaker, id_of, obstacle
from streams.learner.store import Checkpoint, Store
from streams.learner.student import Student
from streams.metrics import CANDIDATE_MODELS, LEARNED_TRANSITIONS, LEARNER_LOSS, LEARNER_UPDATES, Metrics
from streams.metrics_page import metrics_page
from streams.models.acts import publish
from streams.models.read import read_one
from streams.polled import is_record
from streams.settings import Settings
from streams.stop_signal import stop_signal
from streams.topic_presence import require_present

RECORDS_AT_ONCE = 2048
POLL_S = 0.2
LEARNER = "learner"
"""Who publishes candidates."""
CHECKPOINT_TRANSITIONS = 4096
"""After so many a checkpoint is made, whatever the time."""

log = structlog.get_logger(__name__)


class LearnerProcess:
    """One learner with its folder and its consumer."""

    def __init__(self, settings: Settings, store: Store, parent: Model, folder: Path, metrics: Metrics) -> None:
        self._settings, self._store, self._metrics = settings, store, metrics
        self._parent, self._candidates = parent, folder / "candidates"
        self._rows = RowMaker(Recall(parent))
        self._student = Student(parent, settings.learner_capacity, settings.seed)
        self.checkpoint = store.load() or Checkpoint(parent.label, capacity=settings.learner_capacity)
        if self.checkpoint.parent != parent.label:
            raise ConfigurationError(
                f"{folder} began with {self.checkpoint.parent}, not with {parent.label}: give the learner a new folder"
            )
        if (kept := self.checkpoint.capacity) != settings.learner_capacity:
            raise ConfigurationError(
                f"{folder} remembers {kept:,} rows, and not {settings.learner_capacity:,}: set "
                f"REPRICER_LEARNER_CAPACITY to {kept}, or give the learner a new folder"
            )
        rows = store.recent()
        self._student.restore(self.checkpoint, rows)
        self._known: dict[int, None] = {} if rows is None else dict.fromkeys(rows["id"].tolist())
        """Ids of the rows that are remembered, oldest first."""
        self._decode = msgspec.json.Decoder(TransitionClosed).decode
        self._saved_taken, self._saved_at = self.checkpoint.taken, time.monotonic()
        self._published = 0
        self._consumer = self._assigned()

    def close(self) -> None:
        """Keep what was learned, and leave."""
        self.save()
        self._consumer.close()

    def step(self) -> None:
        """Read, learn, and keep what was learned if that is due."""
        polled: list[Any] = self._consumer.consume(RECORDS_AT_ONCE, POLL_S)  # 1
        records = [record for record in polled if is_record(record)]
        if records:
            self._take(records)
        new = self.checkpoint.taken - self._saved_taken
        if new >= CHECKPOINT_TRANSITIONS or (
            new and time.monotonic() >= self._saved_at + self._settings.learner_checkpoint_s
        ):
            self.save()

    def save(self) -> None:
        """Make what was learned durable, and only then commit; write the candidate that is due."""
        kept = self.checkpoint
        if kept.taken != self._saved_taken:
            kept.learner, kept.losses = self._student.written(), self._student.losses
            self._store.save(kept)  # 4
            self._commit()  # 5
            self._saved_taken, self._saved_at = kept.taken, time.monotonic()
            log.info("checkpoint", taken=kept.taken, rows=kept.rows, updates=self._student.updates, **kept.losses)
        self.offer_candidate_if_due()

    def _commit(self) -> None:
        try:
            self._consumer.commit(offsets=self._positions(), asynchronous=False)
        except ck.KafkaException as error:  # the checkpoint says where it stands
            log.warning("offsets not committed", error=str(error))

    def offer_candidate_if_due(self) -> None:
        """Write and publish the candidate of the last full number of rows, unless it is there."""
        kept, every = self.checkpoint, self._settings.learner_candidate_every
        number = kept.rows // every
        if number <= self._published:
            return
        folder = self._candidates / str(number)
        try:
            if not folder.exists():
                self._write_candidate(number)
            (path,) = folder.glob("*.safetensors")
            name, _ = publish(self._settings, path, LEARNER, f"learned from {kept.rows:,} transitions")  # 7
        except BrokerUnreachable as error:  # or somebody acted on this model meanwhile: after the next checkpoint, then
            log.warning("candidate not published", folder=str(folder), error=str(error))
            return
        except ModelRefused as error:  # somebody has published its version meanwhile: it is written again as another
            log.warning("candidate refused", folder=str(folder), error=str(error))
            shutil.rmtree(folder)
            return
        self._published = number
        log.info("candidate published", model=name)

    def _write_candidate(self, number: int) -> None:
        """Write the model as it is now, as the next version that nobody has published."""
        kept, parent = self.checkpoint, self._parent
        known = read_one(self._settings, parent.name).versions
        version = max((parent.version, *known)) + 1
        path = self._student.write_candidate(self._candidates, number, version, kept)  # 6
        self._metrics.add(CANDIDATE_MODELS)
        log.info("candidate model", path=str(path), parent=kept.parent, transitions=kept.taken, rows=kept.rows)

    def _take(self, records: list[Any]) -> None:
        kept, usable = self.checkpoint, []
        counts: Counter[str] = Counter()
        for record in records:
            kept.begins.setdefault(record.partition(), record.offset())
            kept.offsets[record.partition()] = record.offset() + 1
            one = self._usable(record, counts)  # 2
            if one is not None:
                usable.append(one)
        rows, rowless = self._rows.rows(usable)
        counts += rowless
        kept.left_out = dict(Counter(kept.left_out) + counts)
        if rows is not None:
            self._store.append(rows)  # 3
            self._student.take(rows)
            kept.rows += len(rows)
            counts["learned"] = len(rows)
        self._metrics.add_each(LEARNED_TRANSITIONS, counts)
        self._metrics.add(LEARNER_UPDATES, self._student.study())
        for name, loss in self._student.losses.items():
            self._metrics.set(LEARNER_LOSS, loss, name)

    def _usable(self, record: Any, left_out: Counter[str]) -> TransitionClosed | None:
        """A transition that something can be learned from. Each is counted with its id, whatever becomes of it."""
        kept = self.checkpoint
        kept.taken += 1
        try:
            one = self._decode(record.value() or b"")
        except msgspec.MsgspecError as error:
            log.warning("record not understood", partition=record.partition(), offset=record.offset(), error=str(error))
            left_out["not understood"] += 1
            return None
        number = id_of(one.decision_id)
        kept.digest = (kept.digest + number) % 2**64
        why = "there before" if number in self._known else obstacle(one)
        if why is not None:
            left_out[why] += 1
            return None
        self._remember(number)
        return one

    def _remember(self, number: int) -> None:
        self._known[number] = None
        if len(self._known) > self._settings.learner_capacity:
            del self._known[next(iter(self._known))]

    def _assigned(self) -> Any:
        """A consumer of all partitions, from where the checkpoint stands; what has expired since is an error."""
        partitions = require_present(self._settings, (TRANSITIONS,))
        begun = bool(self.checkpoint.offsets)
        consumer = ck.Consumer(
            {
                **self._settings.consumer_config(),
                "group.id": f"{self._settings.group}-learner",
                "auto.offset.reset": "error" if begun else "earliest",
            }
        )
        name = TRANSITIONS.full_name(self._settings.topic_prefix)
        places = [(p, self.checkpoint.offsets.get(p, ck.OFFSET_BEGINNING)) for p in range(partitions)]
        consumer.assign([ck.TopicPartition(name, partition, offset) for partition, offset in places])
        return consumer

    def _positions(self) -> list[ck.TopicPartition]:
        name = TRANSITIONS.full_name(self._settings.topic_prefix)
        return [ck.TopicPartition(name, partition, offset) for partition, offset in self.checkpoint.offsets.items()]


def run_learner(settings: Settings, folder: Path, parent: Model) -> Checkpoint:
    """Learn until SIGTERM or Ctrl-C.

    Args:
        settings: The workers' own.
        folder: Of this learner; begun if it is not there.
        parent: Model from which to learn on.

    Returns:
        Where it stands.

    Raises:
        TopicMismatch: The topic is missing.
        SourceUnreadable: It cannot be read, or has lost what was not read yet.
        ConfigurationError: The folder is in use, or of another learner.
    """
    metrics = Metrics()
    with stop_signal() as stopping, metrics_page(settings, metrics):
        store = Store(folder, settings.learner_capacity)
        try:
            process = LearnerProcess(settings, store, parent, folder, metrics)
            process.offer_candidate_if_due()  # killed before it could
            while not stopping.is_set():
                process.step()
            process.close()
            return process.checkpoint
        finally:
            store.close()
