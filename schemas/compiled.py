"""Loops over bytes and integers, compiled to machine code by Numba when first called, and kept in its cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

KERNELS: list[Any] = []
"""All kernels that were imported."""


def kernel(function: F) -> F:
    """Compile a function that makes no array: it works on those that it is given, without the interpreter's lock.

    ``_nrt=False`` leaves out Numba's own reference counts, which took four fifths of the scanner's time. The option
    has no public name; a test holds that it does what is said here.
    """
    compiled = njit(cache=True, nogil=True, _nrt=False)(function)
    KERNELS.append(compiled)
    return cast(F, compiled)


def compilations() -> int:
    """How often a kernel was compiled or read from the cache: once for each combination of argument types."""
    return sum(len(compiled.signatures) for compiled in KERNELS)
