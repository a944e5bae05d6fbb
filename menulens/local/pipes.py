"""Pipe channels of a training job: one feeder process a channel, so that a slow reader never holds up the cloud."""

from __future__ import annotations

import contextlib
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from menulens.local.config import LocalConfig
from menulens.local.processes import Child, describe_exit


class PipeChannels:
    """The feeders of one job."""

    def __init__(
        self, config: LocalConfig, channels: list[dict[str, Any]], folder: Path, on_line: Callable[[str], None]
    ) -> None:
        self._config = config
        self._channels = channels
        self._folder = folder
        self._on_line = on_line
        self._feeders: dict[str, Child] = {}

    def start(self) -> None:
        """Start a feeder for each channel; the FIFO of its first epoch is there when this returns."""
        from menulens.local.feeder import make_fifo  # noqa: PLC0415 (the feeder imports much that a server does not need)

        for channel in self._channels:
            name = channel["ChannelName"]
            make_fifo(self._folder / f"{name}_0")
            order = json.dumps(
                {
                    "channel": channel,
                    "folder": str(self._folder),
                    "endpoint_url": self._config.endpoint_url,
                    "region": self._config.region,
                    "account": self._config.account,
                }
            )
            self._feeders[name] = Child(
                [sys.executable, "-m", "menulens.local.feeder", order],
                cwd=self._config.project,
                env={**self._config.child_environment(), "PYTHONPATH": str(self._config.project)},
                on_line=self._on_line,
            )

    def fault(self) -> str | None:
        """Return why a feeder ended, None while all run; a feeder ends by itself only when it can't go on."""
        for name, feeder in self._feeders.items():
            code = feeder.exit_code
            if code is not None:
                feeder.wait(1.0)
                said = feeder.errors[-1] if feeder.errors else describe_exit(code)
                return f"ClientError: Data download failed: channel {name}: {said}"
        return None

    def stop(self) -> None:
        """End the feeders and remove their FIFOs."""
        for feeder in self._feeders.values():
            feeder.kill()
        for path in self._folder.iterdir():
            if stat.S_ISFIFO(path.lstat().st_mode):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
