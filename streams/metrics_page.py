"""The pages of `http_server` for a program without an event loop: they are served by a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from streams.http_server import HealthServer
from streams.metrics import Metrics
from streams.settings import Settings


@contextlib.contextmanager
def metrics_page(settings: Settings, metrics: Metrics) -> Iterator[None]:
    """Serve the pages as long as the block runs.

    Raises:
        ConfigurationError: The address is taken or not ours.
    """
    loop = asyncio.new_event_loop()
    server = HealthServer(settings, list, metrics)  # no reasons not to be ready: who serves it is at work
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever, name="pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(server.stop())
        loop.close()
