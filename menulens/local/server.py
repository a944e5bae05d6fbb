"""The process of a local cloud: MiniStack on loopback with the SageMaker service in it, and the front door.

Run as ``python -m menulens.local.server``; :mod:`menulens.local.lifecycle` starts it with its settings in the
environment, which MiniStack reads while it is imported.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config as HypercornConfig

from menulens.local import ministack_hooks as hooks
from menulens.local.background_server import BackgroundServer
from menulens.local.cfn import Resources
from menulens.local.cfn_cognito import CognitoResources
from menulens.local.config import LocalConfig
from menulens.local.context import Context
from menulens.local.events import Events
from menulens.local.front_door import FrontDoor
from menulens.local.integrations import Integrations
from menulens.local.service import SageMaker

_log = logging.getLogger("menulens.local")
_DRAIN_SECONDS = 3.0


def assemble(config: LocalConfig) -> SageMaker:
    """Put the SageMaker service into MiniStack."""
    hooks.check()
    service = SageMaker(Context(config, Events(hooks.put_event)))
    hooks.add_service("sagemaker", service.handle, "SageMaker")
    Integrations(service).register()
    Resources(service).register()
    CognitoResources(config).register()
    hooks.stop_executions_tasks()
    hooks.name_handler_exceptions()
    hooks.serve_origins()
    hooks.keep_groups_on_refresh()
    hooks.check_reset_codes()
    hooks.mail_what_topics_tell()
    return service


async def run(config: LocalConfig) -> None:
    """Serve until SIGTERM or SIGINT, then end every job, endpoint and door."""
    service = assemble(config)
    door = BackgroundServer(FrontDoor(config).application, config.labeling_port, "front-door")
    ended, closed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    door.start()
    settings = HypercornConfig()
    settings.bind = [f"127.0.0.1:{config.port}"]
    settings.keep_alive_timeout = 75
    settings.graceful_timeout = _DRAIN_SECONDS
    settings.accesslog = None
    server = asyncio.create_task(serve(hooks.application(), settings, shutdown_trigger=closed.wait))
    await ended.wait()
    await asyncio.to_thread(service.close)  # while the AWS endpoint still answers: ending jobs write to it
    door.stop()
    closed.set()
    await asyncio.wait([server], timeout=_DRAIN_SECONDS + 2)


def main() -> None:
    """Run the process."""
    logging.getLogger("hypercorn").setLevel(logging.WARNING)
    config = LocalConfig.from_environment()
    asyncio.run(_run_and_leave(config))


async def _run_and_leave(config: LocalConfig) -> None:
    await run(config)
    # MiniStack's worker threads and Lambda pools would hold the interpreter; `down` counts on a prompt end.
    _log.info("the local cloud of %s ended", Path(config.state).name)
    logging.shutdown()
    threading.Timer(0.0, os._exit, args=(0,)).start()


if __name__ == "__main__":
    main()
