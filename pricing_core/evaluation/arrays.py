"""What every estimator asks of its arrays; a ValueError names the argument, the first bad row and the cure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

SUM_TOLERANCE = 1e-5
"""Probabilities may come from float32 columns, nine or so of which add up to 1 within this."""


def finite(name: str, values: ArrayLike, shape: tuple[int, ...] | None = None) -> Float64:
    """Take real numbers as float64, of one shape if it is given.

    Raises:
        ValueError: Another shape, or a NaN or an infinity.
    """
    array = np.asarray(values, np.float64)
    _same_shape(name, array, shape)
    _all(name, np.isfinite(array), "is not finite")
    return array


def propensities(name: str, values: ArrayLike, shape: tuple[int, ...] | None = None) -> Float64:
    """Take probabilities of what did happen: in (0, 1].

    Raises:
        ValueError: Another shape, or a value outside.
    """
    array = finite(name, values, shape)
    _all(name, (array > 0) & (array <= 1), "is outside (0, 1]: leave out decisions that chose nothing")
    return array


def distribution(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Float64:
    """Take probabilities of all actions: the last axis sums to 1.

    Raises:
        ValueError: Another shape, a value outside [0, 1], or another sum.
    """
    array = finite(name, values, shape)
    _all(name, (array >= 0) & (array <= 1), "is outside [0, 1]")
    _all(name, np.abs(array.sum(axis=-1) - 1) <= SUM_TOLERANCE, "does not sum to 1 over the actions")
    return array


def labels(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Int64:
    """Take whole numbers that name something.

    Raises:
        ValueError: Another shape, or not integers.
    """
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} is {array.dtype}, expected integers")
    _same_shape(name, array, shape)
    return array.astype(np.int64)


def _same_shape(name: str, array: NDArray[Any], shape: tuple[int, ...] | None) -> None:
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")


def _all(name: str, good: NDArray[np.bool_], complaint: str) -> None:
    if not good.all():
        first = tuple(int(i) for i in np.argwhere(~good)[0])
        raise ValueError(f"{name}{list(first)} {complaint} (so are {int((~good).sum())} of {good.size})")
