"""Weights on disk: a safetensors file and a JSON manifest beside it, refused unless everything fits.

::

    ModelFileError
    ├── ModelUnreadable     no such file, or not safetensors and JSON
    ├── HashMismatch        the weights are not those that the manifest describes
    ├── FormatMismatch      made for other features, moves or half-lives
    ├── ShapeMismatch       a parameter is missing, unknown, or of another shape or type
    └── NonFiniteWeights    a weight is NaN or infinite
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as decode_tensors
from safetensors.numpy import save as encode_tensors

from pricing_core.decayed_demand import HALF_LIVES_DAYS
from pricing_core.features import CANDIDATE_FEATURES, FEATURES, MOVES_BP, Feature
from pricing_core.q_function import Params, parameter_shapes


class ModelFileError(Exception):
    """Root of the refusals. The message is one line for a person."""


class ModelUnreadable(ModelFileError):
    """No such file, or not safetensors and JSON."""


class HashMismatch(ModelFileError):
    """The weights are not those that the manifest describes."""


class FormatMismatch(ModelFileError):
    """Made for other features, moves or half-lives than this program computes."""


class ShapeMismatch(ModelFileError):
    """A parameter is missing, unknown, or of another shape or type."""


class NonFiniteWeights(ModelFileError):
    """A weight is NaN or infinite."""


class FeatureEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feature as the manifest lists it."""

    name: str
    unit: str
    scale: float


class ModelFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the weights presuppose. Weights of another format mean nothing here."""

    features: tuple[FeatureEntry, ...]
    candidate_features: tuple[FeatureEntry, ...]
    moves_bp: tuple[int, ...]
    half_lives_days: tuple[float, ...]


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the weights come from, enough to make them again."""

    preset: str
    seed: int
    backend: str
    jax: str
    score: dict[str, dict[str, float]]
    """Policy → measure → value, on held-out markets; empty if not scored."""
    parent: str | None = None
    """Label of the model from which training went on."""
    trained_on: dict[str, tuple[int, int]] = {}
    """``topic/partition`` → the first offset that was learned from, and the one behind the last."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describes one weights file."""

    name: str
    version: int
    sha256: str
    epsilon: float
    format: ModelFormat
    training: Training


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded Q-function."""

    name: str
    version: int
    sha256: str
    params: Params
    epsilon: float
    """Share of exploring decisions."""
    manifest: Manifest

    @property
    def label(self) -> str:
        """As records name it: ``name/version@`` and the start of the hash of the weights."""
        return label_of(self.name, self.version, self.sha256)


def label_of(name: str, version: int, sha256: str) -> str:
    """As records name a model: ``name/version@`` and the start of the hash of the weights."""
    return f"{name}/{version}@{sha256[:12]}"


def current_format() -> ModelFormat:
    """Describe what this program computes."""
    return ModelFormat(_entries(FEATURES), _entries(CANDIDATE_FEATURES), MOVES_BP, HALF_LIVES_DAYS)


def load_model(path: Path | None = None) -> Model:
    """Read a model, or refuse it.

    Args:
        path: The ``.safetensors`` file; its manifest has the same name and ends in ``.json``. None means the
            model that ships with the package.

    Raises:
        ModelFileError: One of the branches above.
    """
    return verified(*read_model(path))


def read_model(path: Path | None = None) -> tuple[bytes, bytes]:
    """Weights and manifest as they are on disk; ``path`` as of `load_model`.

    Raises:
        ModelUnreadable: There is no such file.
    """
    shipped = resources.files("pricing_core") / "models"
    file = shipped / "default.safetensors" if path is None else path
    beside = shipped / "default.json" if path is None else path.with_suffix(".json")
    try:
        return file.read_bytes(), beside.read_bytes()
    except OSError as error:
        raise ModelUnreadable(f"cannot read model {file}: {error}") from error


def read_manifest(manifest: bytes) -> Manifest:
    """Decode a manifest.

    Raises:
        ModelUnreadable: It is none.
    """
    try:
        return msgspec.json.decode(manifest, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ModelUnreadable(f"cannot read a manifest: {error}") from error


def verified(weights: bytes, manifest: bytes) -> Model:
    """Make a model of bytes, wherever they come from, or refuse it.

    Args:
        weights: A safetensors file.
        manifest: JSON of a `Manifest`.

    Raises:
        ModelFileError: One of the branches above.
    """
    said = read_manifest(manifest)
    digest = hashlib.sha256(weights).hexdigest()
    if digest != said.sha256:
        raise HashMismatch(f"weights have SHA-256 {digest}, the manifest says {said.sha256}")
    if said.format != current_format():
        raise FormatMismatch(f"model {said.name!r} was made for other {_difference(said.format)}: train it again")
    if not 0.0 <= said.epsilon < 1.0:
        raise FormatMismatch(f"epsilon is {said.epsilon}, expected a share in [0, 1)")
    return Model(said.name, said.version, digest, _checked(weights), said.epsilon, said)


def save_model(directory: Path, params: Params, *, name: str, version: int, epsilon: float, training: Training) -> Path:
    """Write ``NAME.safetensors`` and ``NAME.json``. Equal weights give equal bytes.

    Returns:
        Path of the weights.
    """
    tensors = {
        f"{layer}.{leaf}": np.asarray(value) for layer, leaves in params.items() for leaf, value in leaves.items()
    }
    weights = encode_tensors(dict(sorted(tensors.items())))
    digest = hashlib.sha256(weights).hexdigest()
    manifest = Manifest(name, version, digest, epsilon, current_format(), training)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.safetensors"
    path.write_bytes(weights)
    path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    return path


def _entries(features: tuple[Feature, ...]) -> tuple[FeatureEntry, ...]:
    return tuple(FeatureEntry(*feature) for feature in features)


def _difference(found: ModelFormat) -> str:
    expected = current_format()
    names = [n for n in ModelFormat.__struct_fields__ if getattr(found, n) != getattr(expected, n)]
    return ", ".join(names).replace("_", " ")


@cache  # tracing the network takes ten times as long as all else, and a worker verifies models while it prices
def _shapes() -> dict[str, tuple[int, ...]]:
    return {f"{layer}.{leaf}": shape for layer, leaves in parameter_shapes().items() for leaf, shape in leaves.items()}


def _checked(weights: bytes) -> Params:
    try:
        tensors: dict[str, NDArray[Any]] = decode_tensors(weights)
    except SafetensorError as error:
        raise ModelUnreadable(f"weights are not a safetensors file: {error}") from error
    shapes = _shapes()
    if odd := sorted(shapes.keys() ^ tensors.keys()):
        raise ShapeMismatch(f"missing or unknown parameters: {', '.join(odd)}")
    for name, tensor in tensors.items():
        if tensor.shape != shapes[name] or tensor.dtype != np.float32:
            raise ShapeMismatch(f"{name} is {tensor.dtype}{tensor.shape}, expected float32{shapes[name]}")
        if not np.isfinite(tensor).all():
            raise NonFiniteWeights(f"{name} holds a NaN or an infinity")
    params: Params = {}
    for name in shapes:
        layer, _, leaf = name.partition(".")
        params.setdefault(layer, {})[leaf] = jnp.asarray(tensors[name])
    return params
