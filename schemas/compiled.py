"""Loops over bytes and integers, compiled to machine code by Numba when first called, and kept on disk."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from inspect import getsourcefile
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit

F = TypeVar("F", bound=Callable[..., Any])

KERNELS: list[Any] = []
"""All kernels that were imported."""


def kernel(function: F) -> F:
    """Compile a function that makes no array: it works on those that it is given, without the interpreter's lock.

    ``_nrt=False`` leaves out Numba's own reference counts, which took four fifths of the scanner's time. The option
    has no public name; a test holds that it does what is said here.
    """
    compiled = njit(nogil=True, _nrt=False)(function)
    folder = _folder(getsourcefile(function) or "")
    if folder is not None:
        config.CACHE_DIR = str(folder)
        compiled.enable_caching()
    KERNELS.append(compiled)
    return cast(F, compiled)


def compilations() -> int:
    """How often a kernel was compiled or read from the disk: once for each combination of argument types."""
    return sum(len(compiled.signatures) for compiled in KERNELS)


@cache
def _folder(source: str) -> Path | None:
    """Where the kernels of a file are kept; None if nothing can be written: they are compiled at every start then.

    Numba looks at the date of the kernel's own file only, and would go on with what it made of a changed function
    that the kernel calls. So the folder's name holds the contents of that file and of this package, where all
    functions are that are called from elsewhere.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in (*files, Path(source)))).hexdigest()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "repricer" / "kernels" / digest[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"there is room")
    except OSError:
        return None
    return folder
