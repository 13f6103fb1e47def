"""What the records of one model come to: its versions, what became of each, and which one is live."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from pricing_core.model_file import label_of
from schemas.models import ModelPinned, ModelPublished, ModelSetLive, ModelStatusSet, Said, Status
from streams.errors import InputRefused


@dataclass(slots=True)
class Registered:
    """One model, by its name."""

    name: str
    versions: dict[int, ModelPublished] = field(default_factory=dict)
    statuses: dict[int, ModelStatusSet] = field(default_factory=dict)
    live: ModelSetLive | None = None
    pin: ModelPinned | None = None

    def hear(self, said: Said) -> None:
        """Take over what a record says; the first manifest of a version counts, for versions never change."""
        if isinstance(said, ModelPublished):
            self.versions.setdefault(said.version, said)
        elif isinstance(said, ModelStatusSet):
            self.statuses[said.version] = said
        elif isinstance(said, ModelSetLive):
            self.live = said
        elif isinstance(said, ModelPinned):
            self.pin = said

    @property
    def is_pinned(self) -> bool:
        """Whether a person has said that what is live stays."""
        return self.pin is not None and self.pin.pinned

    def status_of(self, version: int) -> Status:
        """What has become of a version."""
        if self.live is not None and self.live.version == version:
            return "live"
        said = self.statuses.get(version)
        return "candidate" if said is None else said.status

    def get(self, version: int) -> ModelPublished:
        """Return the manifest of a version.

        Raises:
            InputRefused: There is none.
        """
        if version not in self.versions:
            known = ", ".join(f"{self.name}/{one}" for one in sorted(self.versions)) or "none"
            raise InputRefused(f"no model {self.name}/{version} was published; there are: {known}")
        return self.versions[version]


def label(published: ModelPublished) -> str:
    """As decisions name the model."""
    return label_of(published.name, published.version, published.sha256)


def manifest_bytes(published: ModelPublished) -> bytes:
    """The manifest as `pricing_core.model_file` reads it."""
    return msgspec.json.encode(published.manifest)


def parse_name(text: str) -> tuple[str, int]:
    """Read ``NAME/VERSION``.

    Raises:
        InputRefused: It is something else.
    """
    name, _, version = text.partition("/")
    if not name or not version.isascii() or not version.isdigit():
        raise InputRefused(f"which model? {text!r} is not like default/3")
    return name, int(version)
