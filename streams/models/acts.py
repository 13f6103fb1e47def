"""What persons and learners do with models: publish, promote, roll back, retire.

An act is one Kafka transaction. All acts on a model share a transactional id: whoever begins one ends what another has
left open, and an act that another has overtaken fails. So what an act has read is still true when it is committed, and
versions never change, however many publish at once.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import confluent_kafka as ck
import msgspec

from pricing_core.model_file import ModelFileError, read_model, verified
from schemas.cloud_events import EVENT_TYPES
from schemas.codec import encode
from schemas.models import (
    ModelPublished,
    ModelSetLive,
    ModelStatusSet,
    Said,
    Settable,
    WeightsPart,
    live_key,
    manifest_key,
    part_key,
    status_key,
)
from schemas.timestamps import format_ms
from schemas.topics import Q_MODELS
from streams.clock import wall_ms
from streams.errors import BrokerUnreachable, ConfigurationError, InputRefused, ModelRefused, Overtaken
from streams.models.read import place_of, read_settled
from streams.models.registered import Registered
from streams.operate.who import name_of
from streams.settings import Settings
from streams.topic_presence import require_present

PART_BYTES = 512 * 1024
"""As base64 a third more, and still below what Kafka takes as one record."""
MOST_BYTES = 64 * 1024 * 1024
"""Of weights in parts: larger ones go by URI."""
MOST_BEFORE = 32
"""So many models that were live before are remembered, to go back to."""
REQUEST_S = 15.0

Record = tuple[bytes, Said]


class Act:
    """One act on one model: what is known of it, and who acts, when and why."""

    def __init__(self, settings: Settings, name: str, by: str | None, why: str) -> None:
        """Begin.

        Raises:
            ConfigurationError: Nobody knows who you are.
            TopicMismatch: The topic is missing.
            BrokerUnreachable: No broker answered.
        """
        self._place = place_of(settings, name, require_present(settings, (Q_MODELS,)))
        self._source = f"/{settings.group}/models"
        self.by, self.why, self.wall = name_of(by), why, wall_ms()
        self._producer = ck.Producer(
            {
                **settings.producer_config(),
                "transactional.id": f"{settings.topic_prefix}-models-{name}",
                "transaction.timeout.ms": int(2 * REQUEST_S * 1000),
                "retry.backoff.ms": 2,
                "log_level": 0,
            }
        )
        with _refused_by_the_broker(name):
            self._producer.init_transactions(REQUEST_S)  # from here on no other act on this model commits
        self.model: Registered = read_settled(settings, name)

    @property
    def at(self) -> str:
        """Wall clock of the act."""
        return format_ms(self.wall)

    def require_unchanged(self, judged: Registered) -> None:
        """Refuse an act that rests on a judgement which something has overtaken.

        Raises:
            Overtaken: Another model is live than when it was judged, or a person has pinned it.
        """
        if (self.model.live, self.model.pin) != (judged.live, judged.pin):
            raise Overtaken(f"what is live of {self.model.name}, or whether it is pinned, has changed: judge again")

    def write(self, *records: Record) -> None:
        """Write records, in this order, all or none.

        Raises:
            ConfigurationError: A name or reason is empty or too long.
            BrokerUnreachable: Nothing was written, or another act came in between: do it again.
        """
        values = [(key, type(said), _encoded(said)) for key, said in records]
        with _refused_by_the_broker(self.model.name):
            self._producer.begin_transaction()
            for number, (key, kind, value) in enumerate(values):
                event_id = f"{key.decode()}-{self.wall}-{number}"
                headers = EVENT_TYPES[kind].headers(event_id=event_id, source=self._source, time_ms=self.wall)
                self._producer.produce(*self._place[:1], value, key, self._place.partition, headers=headers)
                self._producer.poll(0)
            self._producer.commit_transaction(REQUEST_S)

    def status(
        self, version: int, status: Settable, why: str, reasons: Sequence[str] = (), against: str | None = None
    ) -> Record:
        """Say what becomes of a version, and what it was judged beside."""
        said = ModelStatusSet(self.model.name, version, status, list(reasons), self.by, why, self.at, against)
        return status_key(self.model.name, version), said


@contextlib.contextmanager
def _refused_by_the_broker(name: str) -> Iterator[None]:
    try:
        yield
    except (ck.KafkaException, BufferError) as error:
        raise BrokerUnreachable(f"nothing was said about {name}: {error}; do it again") from error


def _encoded(said: Said) -> bytes:
    value = encode(said)
    try:
        msgspec.json.decode(value, type=type(said))  # limits are in the types
    except msgspec.ValidationError as error:
        raise ConfigurationError(str(error)) from error
    return value


def publish(settings: Settings, path: Path, by: str | None, why: str, *, by_uri: bool = False) -> tuple[str, bool]:
    """Publish a model file as a candidate.

    Args:
        settings: Where the topic is.
        path: The ``.safetensors`` file; its manifest is beside it.
        by: Who; your user name if None.
        why: For the record.
        by_uri: Leave the weights where they are, and name the file; workers must be able to read it there.

    Returns:
        ``name/version``, and whether it is new: to publish the same once more changes nothing.

    Raises:
        ModelRefused: The file is no good, or the version was published with other content.
        BrokerUnreachable: Nothing was published.
    """
    try:
        weights, manifest = read_model(path)
        model = verified(weights, manifest)
    except ModelFileError as error:
        raise ModelRefused(f"{path} is refused: {error}") from error
    if len(weights) > MOST_BYTES and not by_uri:
        raise ModelRefused(f"{path} has {len(weights):,} bytes: put it where all workers can read it, and add --by-uri")
    act = Act(settings, model.name, by, why)
    stretches = [] if by_uri else [weights[i : i + PART_BYTES] for i in range(0, len(weights), PART_BYTES)]
    said = ModelPublished(
        name=model.name,
        version=model.version,
        sha256=hashlib.sha256(weights).hexdigest(),
        size=len(weights),
        parts=len(stretches),
        uri=path.resolve().as_uri() if by_uri else None,
        manifest=msgspec.json.decode(manifest),
        by=act.by,
        why=why,
        at=act.at,
    )
    name = f"{model.name}/{model.version}"
    before = act.model.versions.get(model.version)
    if before is not None:
        if (before.sha256, before.manifest) != (said.sha256, said.manifest):
            raise ModelRefused(f"{name} was published with other content, and versions never change: give it another")
        return name, False
    parts = [WeightsPart(model.name, model.version, part, data) for part, data in enumerate(stretches)]
    act.write(
        *((part_key(model.name, model.version, part.part), part) for part in parts),
        (manifest_key(model.name, model.version), said),
    )
    return name, True


def promote(
    settings: Settings,
    name: str,
    version: int,
    by: str | None,
    why: str,
    *,
    retired_too: bool = False,
    judged: Registered | None = None,
) -> None:
    """Let all workers that follow the name price with a version. The one that did so far is retired.

    ``judged`` is what was known of the model when the version was judged; None: it was not.

    Raises:
        InputRefused: There is no such version, it is live, or it is retired and that was not meant.
        Overtaken: It was judged beside another model than the one that is live.
        BrokerUnreachable: Nothing was said.
    """
    act = Act(settings, name, by, why)
    if judged is not None:
        act.require_unchanged(judged)
    published, live = act.model.get(version), act.model.live
    if live is not None and live.version == version:
        raise InputRefused(f"{name}/{version} is live already")
    if act.model.status_of(version) == "retired" and not retired_too:
        said = act.model.statuses[version]
        raise InputRefused(
            f"{name}/{version} was retired by {said.by}: {said.why} (`--force` promotes it all the same)"
        )
    present = None if live is None else live.version
    before = [*([] if live is None else live.before), present][-MOST_BEFORE:]
    retired = [] if present is None else [act.status(present, "retired", f"{name}/{version} was promoted: {why}"[:512])]
    act.write(*retired, live_record(act, version, published.sha256, before))


def rollback(
    settings: Settings,
    name: str,
    by: str | None,
    why: str,
    *,
    reasons: Sequence[str] = (),
    judged: Registered | None = None,
) -> tuple[int, int | None]:
    """Go back to what was live before, and retire what is live now.

    ``reasons`` are what was found against that, and ``judged`` what was known of the model then; None: nothing was.

    Returns:
        The version that was live, and the one that is; None: the model of each worker's own settings.

    Raises:
        InputRefused: Nothing is live, or nothing is known to have been before.
        Overtaken: What was found concerns another model than the one that is live.
        BrokerUnreachable: Nothing was said.
    """
    act = Act(settings, name, by, why)
    if judged is not None:
        act.require_unchanged(judged)
    live = act.model.live
    if live is None or live.version is None or not live.before:
        raise InputRefused(f"no version of {name} was promoted, so there is none to go back from")
    *before, version = live.before
    sha256 = None if version is None else act.model.get(version).sha256
    act.write(act.status(live.version, "retired", why, reasons), live_record(act, version, sha256, before))
    return live.version, version


def set_status(
    settings: Settings,
    name: str,
    version: int,
    *,
    status: Settable | None,
    by: str | None,
    why: str,
    reasons: Sequence[str] = (),
    against: str | None = None,
) -> None:
    """Say what becomes of a version that is not live; None: it stays what it is, and why.

    Raises:
        InputRefused: There is no such version, or it is live.
        BrokerUnreachable: Nothing was said.
    """
    act = Act(settings, name, by, why)
    act.model.get(version)
    present = act.model.status_of(version)
    if present == "live":
        raise InputRefused(f"{name}/{version} is live: promote another, or roll back")
    act.write(act.status(version, status or present, why, reasons, against))


def live_record(act: Act, version: int | None, sha256: str | None, before: Sequence[int | None]) -> Record:
    """Say which version prices; ``before`` are those that did, the last one last."""
    said = ModelSetLive(act.model.name, version, sha256, list(before), act.by, act.why, act.at)
    return live_key(act.model.name), said
