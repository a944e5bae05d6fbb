"""Feeds a Pipe channel as SageMaker does: a real FIFO, a writer of its own."""

import os
import threading
from pathlib import Path


def feed(channel: Path, content: bytes, epoch: int = 0) -> threading.Thread:
    fifo = channel.with_name(f"{channel.name}_{epoch}")
    os.mkfifo(fifo)

    def write() -> None:
        try:
            with fifo.open("wb") as stream:
                stream.write(content)
        except BrokenPipeError:
            return  # the reader found a fault and left

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread
