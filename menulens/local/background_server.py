"""An ASGI application served on a loopback port, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time

import uvicorn
from starlette.types import ASGIApp

_START_SECONDS = 10.0


class BackgroundServer:
    """Serves one application."""

    def __init__(self, application: ASGIApp, port: int, name: str) -> None:
        self._port = port
        settings = uvicorn.Config(
            application,
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._serve, daemon=True, name=name)

    def _serve(self) -> None:
        asyncio.run(self._server.serve())

    def start(self) -> None:
        """Start to serve.

        Raises
        ------
        OSError
            If the port can't be had.
        """
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise OSError(f"{self._thread.name} did not start on port {self._port}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop to serve."""
        self._server.should_exit = True
        self._thread.join(5.0)
