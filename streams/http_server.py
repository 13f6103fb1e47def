"""``/livez``, ``/readyz`` and ``/metrics``, served inside the worker's event loop; on loopback unless asked.

Faust's own web server is switched off: its default binds every address and shows table values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from streams import metrics as definitions
from streams.errors import ConfigurationError
from streams.metrics import Metrics
from streams.settings import Settings


class HealthServer:
    """The three pages.

    Attributes:
        port: where it listens, once started (of use when ``http_port`` is 0).
    """

    def __init__(self, settings: Settings, readiness: Callable[[], list[str]], metrics: Metrics) -> None:
        """``readiness`` says why the worker is not ready, [] if it is; asked at every request: answer at once."""
        self.port = settings.http_port
        self._host = settings.http_host
        self._readiness = readiness
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: the address is taken or not ours.
        """
        app = web.Application()
        app.add_routes(
            [web.get("/livez", self._livez), web.get("/readyz", self._readyz), web.get("/metrics", self._metrics_page)]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self.port).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigurationError(
                f"cannot listen on {self._host}:{self.port} ({error.strerror}); "
                "set REPRICER_HTTP_PORT to another port (0: any free one)"
            ) from error
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening; nothing if it never started."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        return _answer("alive", [])  # this loop still turns; a worker that must not go on has ended itself

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer("ready", self._readiness())

    async def _metrics_page(self, _request: web.Request) -> web.Response:
        # the header is set whole: aiohttp's content_type argument refuses one with parameters
        return web.Response(body=self._metrics.render(), headers={"Content-Type": definitions.CONTENT_TYPE})


def _answer(what: str, reasons: list[str]) -> web.Response:
    body: dict[str, Any] = {what: not reasons, "reasons": reasons}
    return web.Response(body=orjson.dumps(body), status=503 if reasons else 200, content_type="application/json")
