"""What a figure was measured on: without it, it says nothing."""

from __future__ import annotations

import os
from importlib.metadata import version


def machine() -> str:
    """Cores, architecture and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {os.uname().machine}, {memory:.0f} GB"


def versions() -> dict[str, str]:
    """Of the packages that the figures depend on."""
    return {name: version(name) for name in ("confluent-kafka", "faust-streaming", "jax", "msgspec", "numpy")}
