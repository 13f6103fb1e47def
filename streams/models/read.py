"""Models as the topic has them now: manifests by name, weights by version, and whole models by their label."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import confluent_kafka as ck
import structlog

from pricing_core.model_file import Model, ModelFileError, ModelUnreadable, verified
from schemas.models import ModelPublished, Said, WeightsPart, decode_model_record
from schemas.topics import Q_MODELS
from streams.errors import BrokerUnreachable, ModelRefused
from streams.log_reader import Cancelled, Offsets, read_ranges
from streams.models.registered import Registered, label, manifest_bytes
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.state.old_shard import deadline
from streams.topic_presence import require_present
from streams.transport.partition import Partition

DEADLINE_S = 60.0

log = structlog.get_logger(__name__)


def place_of(settings: Settings, name: str, partitions: int) -> Partition:
    """Where all records of a model are: one partition, so that they are read in the order in which they were said."""
    return Partition(Q_MODELS.full_name(settings.topic_prefix), partition_of(name.encode(), partitions))


def read_all(settings: Settings) -> dict[str, Registered]:
    """Read every model's manifests, statuses and what is live, by name.

    Raises:
        BrokerUnreachable: No broker answered.
        TopicMismatch: The topic is missing.
    """
    partitions = require_present(settings, (Q_MODELS,))
    topic = Q_MODELS.full_name(settings.topic_prefix)
    found: dict[str, Registered] = {}
    for said in _said(settings, _ranges(settings, [Partition(topic, p) for p in range(partitions)])):
        found.setdefault(said.name, Registered(said.name)).hear(said)
    return found


def read_one(settings: Settings, name: str) -> Registered:
    """Read one model; errors as of `read_all`. There is one even if nothing was ever said of it."""
    return read_to_the_end(settings, name)[0]


def read_settled(settings: Settings, name: str) -> Registered:
    """As `read_one`, with all that was committed until now.

    What is committed behind the beginning of another model's open transaction is not to be seen before that ends: it
    is waited for, as long as the broker lets one be open.
    """
    return _read_up_to(settings, name, committed=False)[0]


def read_to_the_end(settings: Settings, name: str) -> tuple[Registered, ck.TopicPartition]:
    """As `read_one`; and from where on there is more to be read."""
    return _read_up_to(settings, name, committed=True)


def _read_up_to(settings: Settings, name: str, *, committed: bool) -> tuple[Registered, ck.TopicPartition]:
    place, found = place_of(settings, name, require_present(settings, (Q_MODELS,))), Registered(name)
    ranges = _ranges(settings, [place], committed=committed)
    for said in _said(settings, ranges):
        if said.name == name:
            found.hear(said)
    return found, ck.TopicPartition(*place, ranges[place][1])


def load_published(settings: Settings, published: ModelPublished) -> Model:
    """Fetch the weights of a version, and verify them as those of a file.

    Raises:
        ModelFileError: They are missing, damaged, or made for another version of this program.
        BrokerUnreachable: No broker answered.
    """
    model = verified(_weights(settings, published), manifest_bytes(published))
    if (model.name, model.version, model.sha256) != (published.name, published.version, published.sha256):
        raise ModelUnreadable(f"the manifest under {published.name}/{published.version} is that of {model.label}")
    return model


class PublishedModels:
    """Models by the labels that decisions name them by, loaded when they are asked for."""

    def __init__(self, settings: Settings, registered: Mapping[str, Registered]) -> None:
        self._settings = settings
        self._published = {label(one): one for each in registered.values() for one in each.versions.values()}
        self._loaded: dict[str, Model] = {}

    @property
    def labels(self) -> frozenset[str]:
        """Of all that were published."""
        return frozenset(self._published)

    def get(self, wanted: str) -> Model | None:
        """Return the model of a label; None if none was published under it.

        Raises:
            ModelRefused: It was, and cannot be used.
            BrokerUnreachable: No broker answered.
        """
        published = self._published.get(wanted)
        if published is not None and wanted not in self._loaded:
            try:
                self._loaded[wanted] = load_published(self._settings, published)
            except ModelFileError as error:
                raise ModelRefused(f"{wanted}, which was published, is refused: {error}") from error
        return self._loaded.get(wanted)


def models_of(settings: Settings) -> PublishedModels:
    """Look at all models that were published; errors as of `read_all`."""
    return PublishedModels(settings, read_all(settings))


def _ranges(settings: Settings, tps: list[Partition], *, committed: bool = True) -> dict[Partition, tuple[int, int]]:
    """Where what is committed, or begun, begins and ends."""
    with _readable():
        offsets = Offsets(settings.consumer_config())
        starts, ends = offsets.start(tps), offsets.end(tps, committed=committed)
        return {tp: (starts[tp], ends[tp]) for tp in tps}


def _said(settings: Settings, ranges: Mapping[Partition, tuple[int, int]]) -> Iterator[Said]:
    """What the records say, in order. Those that say nothing are somebody else's: left out, with a warning."""
    with _readable():
        for tp, records in read_ranges(settings.consumer_config(), ranges, cancelled=deadline(DEADLINE_S)):
            for offset, key, value in records:
                said = understood(key, value, tp.partition, offset)
                if said is not None:
                    yield said


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (ck.KafkaException, Cancelled) as error:
        raise BrokerUnreachable(f"{Q_MODELS.name} cannot be read: {error or 'too slow'}") from error


def understood(key: bytes | None, value: bytes | None, partition: int, offset: int) -> Said | None:
    """Decode a record; None, with a warning, if it is not what its key says."""
    try:
        return decode_model_record(key, value)
    except ValueError as error:
        log.warning("model_record_not_understood", partition=partition, offset=offset, error=str(error))
        return None


def _weights(settings: Settings, published: ModelPublished) -> bytes:
    return _from_file(published) if published.uri is not None else _from_parts(settings, published)


def _from_parts(settings: Settings, published: ModelPublished) -> bytes:
    wanted = (published.name, published.version)
    place = place_of(settings, published.name, require_present(settings, (Q_MODELS,)))
    parts = {
        said.part: said.data
        for said in _said(settings, _ranges(settings, [place]))
        if isinstance(said, WeightsPart) and (said.name, said.version) == wanted
    }
    missing = sorted(set(range(published.parts)) - parts.keys())
    if missing:
        raise ModelUnreadable(f"{published.name}/{published.version} lacks parts {missing} of its weights")
    return b"".join(parts[part] for part in range(published.parts))


def _from_file(published: ModelPublished) -> bytes:
    address = urlsplit(published.uri or "")
    if address.scheme != "file" or address.netloc:
        raise ModelUnreadable(f"{published.uri} is not like file:///models/big.safetensors")
    path = Path(unquote(address.path))
    try:
        if path.stat().st_size != published.size:  # before a file of any size is read
            raise ModelUnreadable(f"{path} has {path.stat().st_size} bytes, the manifest says {published.size}")
        return path.read_bytes()
    except OSError as error:
        raise ModelUnreadable(f"cannot read model {path}: {error}") from error
