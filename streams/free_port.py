"""A port of this machine that nobody listens on, for a process that is about to start."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Ask the system for one. Another process could take it before ours does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
