"""Decode photos where a hostile one harms nothing but itself.

:class:`Decoder` starts a server: a small process of one thread, without the caller's environment (so without its
credentials) and sockets, that has imported everything. For each photo it forks a child; the child gives up the right
to open anything, takes on limits of memory and time, decodes, answers through a pipe and ends. A child that crashes,
hangs or asks for too much memory is a reason beside its photo, and the next photo gets a fresh child.

``multiprocessing`` needs ``/dev/shm``, which Lambda does not have; forking the caller itself, which has threads, is not
safe. Hence pipes and ``os.fork`` in a server of our own.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import os
import queue
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from types import TracebackType
from typing import BinaryIO, Final, Self

from menulens.portal import decoding
from menulens.portal.decoding import Caps, DisplayCopy, DisplayFault, NotShownError
from menulens.portal.near_duplicates import BEST_QUALITY, COLOUR_BYTES, HASH_BITS, Fingerprint

CPU_SECONDS: Final = 10  # ten times what the slowest sound photo of 50 megapixels took
WALL_SECONDS: Final = 45.0
LARGEST_ANSWER: Final = 16 << 20
BASE_MEMORY: Final = 192 << 20
BYTES_A_PIXEL: Final = (
    9  # a progressive JPEG of four colours keeps two bytes a pixel and colour; and a little to work with
)

_LENGTH: Final = struct.Struct(">Q")
_BOOT: Final = (
    "import json,sys; sys.path[:] = json.loads(sys.argv[1]); from menulens.portal import sandbox; sandbox.serve()"
)
_STARTING_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use: address space beyond what the server has, processor time, time on the clock."""

    memory: int
    cpu_seconds: int = CPU_SECONDS
    wall_seconds: float = WALL_SECONDS


def memory_for(max_pixels: int) -> int:
    """Return the bytes that decoding a photo of so many pixels may take, whatever kind of photo it is."""
    return BASE_MEMORY + BYTES_A_PIXEL * max_pixels


class DecoderError(Exception):
    """The decoding server can't be started: nothing is known of any photo."""


class Decoder:
    """A server that decodes one photo at a time; used by one thread at a time.

    Parameters
    ----------
    caps
        What a photo may be.
    limits
        What decoding may use; by default memory for the largest photo allowed.
    """

    def __init__(self, caps: Caps, limits: Limits | None = None) -> None:
        self._caps = caps
        self._limits = limits or Limits(memory_for(caps.max_pixels))
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._server = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The server's process id; None if it does not run."""
        return None if self._server is None else self._server.pid

    def close(self) -> None:
        """End the server."""
        server, self._server = self._server, None
        if server is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # its child, too
        for end in (server.stdin, server.stdout):
            if end is not None:
                with contextlib.suppress(OSError):  # what was not written went down with the server
                    end.close()
        server.wait()

    def decode(self, data: bytes) -> DisplayCopy:
        """Make a photo's display copy.

        Raises
        ------
        NotShownError
            If it is no photo, over a cap, broken, or took more memory or time than allowed, or crashed the decoder.
        DecoderError
            If the server can't be started.
        """
        for attempt in (1, 2):
            server = self._server = self._server or self._start()
            try:
                return self._asked(server, data)
            except (EOFError, OSError):
                # The server itself is gone, by another hand than the photo's: it never looks at one. Once more.
                self.close()
                if attempt == 2:
                    break
            except TimeoutError:
                self.close()
                raise _too_slow() from None
        raise NotShownError(DisplayFault.CRASHED, "Decoding it ended the decoding server, twice.")

    def _start(self) -> subprocess.Popen[bytes]:
        limits = [self._limits.memory, self._limits.cpu_seconds, self._limits.wall_seconds]
        server = subprocess.Popen(
            [sys.executable, "-I", "-c", _BOOT, json.dumps(sys.path), json.dumps([*limits, *astuple(self._caps)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # Neither credentials nor a second thread: what has one thread can fork.
            env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PATH": os.defpath, "LANG": "C.UTF-8"}
            | {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
            start_new_session=True,
        )
        try:
            ready = b"".join(_read(server, _LENGTH.size, time.monotonic() + _STARTING_SECONDS))
            if ready != _LENGTH.pack(0):
                raise EOFError
        except (EOFError, OSError) as error:
            server.kill()
            raise DecoderError(
                f"The decoding server did not start (exit code {server.wait()}): {error}. Its own message stands in "
                "the log; it needs Pillow and numpy for this interpreter."
            ) from None
        return server

    def _asked(self, server: subprocess.Popen[bytes], data: bytes) -> DisplayCopy:
        if server.stdin is None:
            raise EOFError("no pipe to the decoding server")
        view = memoryview(_LENGTH.pack(len(data)) + data)
        while view:
            view = view[server.stdin.write(view) or 0 :]
        deadline = time.monotonic() + self._limits.wall_seconds + 10
        (length,) = _LENGTH.unpack(b"".join(_read(server, _LENGTH.size, deadline)))
        return _answer(b"".join(_read(server, length, deadline)), self._caps)


class Decoders:
    """Some decoders that threads share: each photo waits for one that is free."""

    def __init__(self, count: int, caps: Caps, limits: Limits | None = None) -> None:
        self._all = [Decoder(caps, limits) for _ in range(count)]
        self._free: queue.SimpleQueue[Decoder] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            for decoder in self._all:
                self._free.put(started.enter_context(decoder))
            self._stack = started.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def decode(self, data: bytes) -> DisplayCopy:
        """Make a photo's display copy; see :meth:`Decoder.decode`."""
        decoder = self._free.get()
        try:
            return decoder.decode(data)
        finally:
            self._free.put(decoder)


def _too_slow() -> NotShownError:
    return NotShownError(DisplayFault.TOO_SLOW, "It takes longer to decode than is allowed.")


def _read(server: subprocess.Popen[bytes], count: int, deadline: float) -> Iterator[bytes]:
    """Yield the next bytes of the server's answer, piece by piece."""
    if server.stdout is None:
        raise EOFError("no pipe from the decoding server")
    while count:
        if not select.select([server.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError("the decoding server does not answer")
        piece = os.read(server.stdout.fileno(), min(count, 1 << 20))
        if not piece:
            raise EOFError("the decoding server ended")
        count -= len(piece)
        yield piece


def _answer(message: bytes, caps: Caps) -> DisplayCopy:
    """Read what a child said; it dealt with hostile bytes, so nothing in it is taken on trust."""
    text, _, jpeg = message.partition(b"\n")
    try:
        told = json.loads(text)
        if "code" in told:
            raise NotShownError(str(told["code"])[:40], str(told["reason"])[:500])
        width, height, bits, quality = told["width"], told["height"], told["hash"], told["quality"]
        colours = base64.b64decode(told["colours"], validate=True)
        sound = (
            all(isinstance(side, int) and 1 <= side <= caps.longest_side for side in (width, height))
            and len(bytes.fromhex(bits)) * 8 == HASH_BITS
            and bits == bits.lower()
            and isinstance(quality, int)
            and 0 <= quality <= BEST_QUALITY
            and len(colours) == COLOUR_BYTES
            and jpeg.startswith(b"\xff\xd8\xff")
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise NotShownError(DisplayFault.CRASHED, "The decoder ended without a usable answer.")
    return DisplayCopy(jpeg, width, height, Fingerprint(bits, quality, colours))


# --- in the server ----------------------------------------------------------------------------------------


def serve() -> None:
    """Fork a child for each photo that comes in, and send on what it answers; ends when the caller is gone."""
    memory, cpu_seconds, wall_seconds, *caps_given = json.loads(sys.argv[2])
    limits, caps = Limits(memory, cpu_seconds, wall_seconds), Caps(*caps_given)
    decoding.warm_up()
    # A child shares the server's memory until one of them writes to it, and collecting garbage writes everywhere.
    gc.freeze()
    gc.disable()
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    _send(outgoing, b"")
    while head := incoming.read(_LENGTH.size):
        (length,) = _LENGTH.unpack(head)
        data = incoming.read(length)
        if len(data) < length:
            return
        _send(outgoing, _from_child(data, caps, limits))


def _send(outgoing: BinaryIO, message: bytes) -> None:
    outgoing.write(_LENGTH.pack(len(message)) + message)
    outgoing.flush()


def _from_child(data: bytes, caps: Caps, limits: Limits) -> bytes:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _confine(limits)
            message = _decoded(data, caps)
            view = memoryview(message)
            while view:
                view = view[os.write(writing, view) :]
        finally:
            os._exit(0)  # without the server's clean-up, whatever happened
    os.close(writing)
    answer = bytearray()
    with open(reading, "rb", buffering=0) as pipe:  # noqa: PTH123 (a descriptor, not a path)
        while piece := pipe.read(1 << 16):
            answer += piece
            if len(answer) > LARGEST_ANSWER:
                os.kill(child, signal.SIGKILL)
                break
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return _failure(os.WTERMSIG(status))
    return bytes(answer)


def _confine(limits: Limits) -> None:
    """Give up what decoding does not need: memory, time, files, sockets, processes."""
    os.close(0)
    os.close(1)
    used = int(open("/proc/self/statm", "rb").read().split()[0]) * resource.getpagesize()  # noqa: SIM115, PTH123
    # The signal of the lower limit tells why it ended.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    for kind, most in (
        (resource.RLIMIT_AS, used + limits.memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),  # no new one; those open stay
    ):
        resource.setrlimit(kind, (most, most))
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)


def _decoded(data: bytes, caps: Caps) -> bytes:
    try:
        made = decoding.make_copy(data, caps)
    except NotShownError as fault:
        return _told({"code": fault.code, "reason": fault.reason})
    told = {
        "width": made.width,
        "height": made.height,
        "hash": made.fingerprint.bits,
        "quality": made.fingerprint.quality,
        "colours": base64.b64encode(made.fingerprint.colours).decode(),
    }
    return _told(told) + made.jpeg


def _failure(number: int) -> bytes:
    if number in (signal.SIGALRM, signal.SIGXCPU):
        fault = _too_slow()
    elif number == signal.SIGKILL:  # of the kernel, when the machine's memory is at its end
        fault = decoding.too_much_memory()
    else:
        name = signal.Signals(number).name if number in signal.valid_signals() else str(number)
        fault = NotShownError(DisplayFault.CRASHED, f"Decoding it ended the decoder by {name}.")
    return _told({"code": fault.code, "reason": fault.reason})


def _told(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
