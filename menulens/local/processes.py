"""Child processes of jobs and endpoints: a session each, output logged, stopped by SIGTERM and then SIGKILL."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

_TAIL_LINES = 60


class Child:
    """A running program.

    Parameters
    ----------
    command, cwd, env
        As for :class:`subprocess.Popen`.
    on_line
        Gets every line of output, from both streams.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> None:
        self.command = list(command)
        self.errors: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process = subprocess.Popen(
            self.command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream, keep, on_line), daemon=True)
            for stream, keep in ((self._process.stdout or (), False), (self._process.stderr or (), True))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Iterable[str], keep: bool, on_line: Callable[[str], None]) -> None:
        for line in stream:
            text = line.rstrip("\n")
            if keep:
                self.errors.append(text)
            on_line(text)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program still runs."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end and for the last line of output; None if the time was over first."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._signal(signal.SIGKILL)  # what the program left behind in its session
        for reader in self._readers:
            reader.join(2.0)
        return code

    def stop(self, grace: float) -> None:
        """End the program: SIGTERM to its session, SIGKILL after ``grace`` seconds."""
        if self.running:
            self._signal(signal.SIGTERM)
            if self.wait(grace) is None:
                self._signal(signal.SIGKILL)
        self.wait(5.0)

    def kill(self) -> None:
        """End the program at once."""
        self.stop(0.0)

    def error_tail(self, characters: int) -> str:
        """Return the end of what the program wrote to its error stream."""
        text = "\n".join(self.errors).strip()
        return text if len(text) <= characters else "…" + text[-(characters - 1) :]

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def describe_exit(code: int) -> str:
    """Return an exit code in words: ``exit code 1``, or ``killed by SIGKILL (exit code 137)``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name} (exit code {128 - code})"
