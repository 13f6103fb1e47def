"""A learner as bytes: learning goes on from them as if it had never stopped, to the last bit."""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from safetensors import SafetensorError
from safetensors.numpy import load, save

Tree = TypeVar("Tree")


def to_bytes(tree: Tree) -> bytes:
    """Write arrays and keys as safetensors, each under its path in the tree."""
    written: bytes = save({name: np.asarray(_plain(leaf)) for name, leaf in _named(tree).items()})
    return written


def from_bytes(data: bytes, like: Tree) -> Tree:
    """Read what `to_bytes` wrote.

    Args:
        data: The bytes.
        like: A tree of the same structure, shapes and types; its values do not matter.

    Raises:
        ValueError: They are not safetensors, or were written from another tree.
    """
    try:
        found = load(data)
    except SafetensorError as error:
        raise ValueError(f"not a checkpoint: {error}") from error
    wanted = _named(like)
    for name, leaf in wanted.items():
        plain = _plain(leaf)
        if name not in found or found[name].shape != plain.shape or found[name].dtype != plain.dtype:
            raise ValueError(f"the checkpoint is of another learner: {name} is missing or different")
    leaves = [_alike(jnp.asarray(found[name]), leaf) for name, leaf in wanted.items()]
    restored: Tree = jax.tree.unflatten(jax.tree.structure(like), leaves)
    return restored


def _named(tree: object) -> dict[str, Array]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _plain(leaf: Array) -> Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _alike(plain: Array, leaf: Array) -> Array:
    return jax.random.wrap_key_data(plain) if _is_key(leaf) else plain


def _is_key(leaf: Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))
