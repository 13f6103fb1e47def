"""The registry of models: Q-functions that were published, what became of each, and which one prices.

All records of a model (a *name*) lie in one partition, in order, and those of one act in one transaction: whoever reads
a manifest has its weights behind him, and whoever reads what is live has read its manifest.

| key | value |
|---|---|
| ``name/version/part`` | `WeightsPart`, one for each part |
| ``name/version`` | `ModelPublished`: the manifest, written last; it never changes |
| ``name/version/status`` | `ModelStatusSet` |
| ``name/live`` | `ModelSetLive` |
| ``name/pinned`` | `ModelPinned` |
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.events import Timestamp

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Of the model: workers follow one name.")]
Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="Of the whole weights.")]
By = Annotated[str, Meta(min_length=1, max_length=128)]
Why = Annotated[str, Meta(min_length=1, max_length=512)]
Status = Literal["candidate", "shadow", "live", "retired"]
Settable = Literal["candidate", "shadow", "retired"]
"""What is said of a version; which one is live is said by ``name/live`` alone."""

_KEY = re.compile(rb"([A-Za-z0-9._-]{1,64})/(?:(live)|pinned|([0-9]{1,10})(?:/(?:(status)|([0-9]{1,6})))?)")


class WeightsPart(msgspec.Struct, frozen=True, gc=False):
    """A stretch of a model's weights, a safetensors file. Topic ``q-models``, key ``name/version/part``."""

    name: Name
    version: Version
    part: Annotated[int, Meta(ge=0)]
    data: Annotated[bytes, Meta(description="Base64.")]


class ModelPublished(msgspec.Struct, frozen=True):
    """The manifest of a version. Topic ``q-models``, key ``name/version``. A version never changes.

    The weights are in ``parts`` records before this one, or, where they are too large for that, in the file that
    ``uri`` names.
    """

    name: Name
    version: Version
    sha256: Sha256
    size: Annotated[int, Meta(ge=1, description="Bytes of the weights.")]
    parts: Annotated[int, Meta(ge=0, description="0: the weights are where the URI says.")]
    uri: Annotated[str | None, Meta(description="file:///…, readable by every worker.")]
    manifest: Annotated[
        dict[str, Any],
        Meta(
            description="As beside the weights on disk: features and moves that they presuppose, share of exploration, "
            "how they were trained (parent, offsets of the transitions, scores)."
        ),
    ]
    by: By
    why: Why
    at: Annotated[Timestamp, Meta(description="Wall clock of who published it.")]


class ModelStatusSet(msgspec.Struct, frozen=True):
    """What became of a version. Topic ``q-models``, key ``name/version/status``; a candidate where there is none.

    Whether a version is live is said by ``name/live`` alone.
    """

    name: Name
    version: Version
    status: Settable
    reasons: Annotated[list[str], Meta(description="Why the gate did not let it pass; empty if it was not asked.")]
    by: By
    why: Why
    at: Timestamp
    against: Annotated[
        str | None, Meta(description="Label of the model beside which the gate judged it; null: it was not asked.")
    ] = None


class ModelSetLive(msgspec.Struct, frozen=True):
    """All workers that follow the name price with this version. Topic ``q-models``, key ``name/live``.

    No version: each with the model of its own settings, as before anything was promoted.
    """

    name: Name
    version: Version | None
    sha256: Sha256 | None
    before: Annotated[list[Version | None], Meta(description="What was live before, the last one last.")]
    by: By
    why: Why
    at: Timestamp


class ModelPinned(msgspec.Struct, frozen=True, gc=False):
    """Whether what is live stays live until a person says otherwise. Topic ``q-models``, key ``name/pinned``.

    `repricer promoter` heeds it; persons may act all the same.
    """

    name: Name
    pinned: bool
    by: By
    why: Why
    at: Timestamp


def part_key(name: str, version: int, part: int) -> bytes:
    """Key of a stretch of weights."""
    return f"{name}/{version}/{part}".encode()


def manifest_key(name: str, version: int) -> bytes:
    """Key of a manifest."""
    return f"{name}/{version}".encode()


def status_key(name: str, version: int) -> bytes:
    """Key of a status."""
    return f"{name}/{version}/status".encode()


def live_key(name: str) -> bytes:
    """Key of what is live."""
    return f"{name}/live".encode()


def pinned_key(name: str) -> bytes:
    """Key of whether it is pinned."""
    return f"{name}/pinned".encode()


Said = WeightsPart | ModelPublished | ModelStatusSet | ModelSetLive | ModelPinned


def decode_model_record(key: bytes | None, value: bytes | None) -> Said | None:
    """Decode a record of ``q-models``; None for a tombstone.

    Raises:
        ValueError: It is not what its key says. Somebody else wrote it.
    """
    found = _KEY.fullmatch(key or b"")
    if found is None:
        raise ValueError(f"the key {(key or b'')[:80]!r} names no model")
    if value is None:
        return None
    name, is_live, version, is_status, part = found.groups()
    kind: type[Said]
    if version is None:
        kind = ModelSetLive if is_live else ModelPinned
    else:
        kind = ModelStatusSet if is_status else ModelPublished if part is None else WeightsPart
    try:
        said = msgspec.json.decode(value, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the record under {(key or b'').decode()} cannot be read: {error}") from error
    known = {"name": name.decode()} | ({"version": int(version)} if version else {})
    known |= {"part": int(part)} if part else {}
    if any(getattr(said, field) != expected for field, expected in known.items()):
        raise ValueError(f"the record under {(key or b'').decode()} speaks of another")
    return said
