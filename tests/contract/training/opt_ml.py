"""An /opt/ml-shaped folder, fed and run by hand: what SageMaker gives the training source."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from PIL import Image, ImageDraw

from menulens.core.recordio import frame

REPOSITORY = Path(__file__).resolve().parents[3]
COLOURS = [(210, 60, 40), (40, 160, 70), (50, 80, 210)]
CLASSES = ["meal", "drink", "fruit"]
LABELS = {0: 0, 1: 1, 3: 2}  # label 2 does not train


def any_photo(seed: int, place: int, form: str = "JPEG", size: tuple[int, int] = (90, 70)) -> bytes:
    """A shape whose colour tells its class, on a ground that does not."""
    draw_from = random.Random(seed)
    image = Image.new("RGB", size, tuple(draw_from.randrange(90, 200) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, r = draw_from.randrange(size[0]), draw_from.randrange(size[1]), draw_from.randrange(8, 25)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=COLOURS[place])
    stream = io.BytesIO()
    image.save(stream, form)
    return stream.getvalue()


def any_pairs(count: int, seed: int) -> list[tuple[bytes, int]]:
    labels = sorted(LABELS)
    return [
        (any_photo(seed * 1000 + step, step % 3, "PNG" if step % 4 == 0 else "JPEG"), labels[step % 3])
        for step in range(count)
    ]


class OptMl:
    """One job's folder."""

    def __init__(self, folder: Path, backbone: Path, **hyperparameters: object) -> None:
        self.folder = folder
        for part in ("input/data", "input/config", "model", "output/data", "tmp"):
            (folder / part).mkdir(parents=True)
        (folder / "input/data/backbone").symlink_to(backbone)
        values: dict[str, object] = {
            "classes": json.dumps(CLASSES),
            "label_to_class": json.dumps({str(label): place for label, place in LABELS.items()}),
            "image_size": 64,
            "batch_size": 8,
            "head_epochs": 2,
            "epochs": 1,
            "learning_rate": 1e-3,
            "max_undecodable_share": 0.1,
            "max_pixels": 1_000_000,
            "max_bytes": 1_000_000,
            "dataset": "demo-1",
            "model_version": "job-1",
            **hyperparameters,
        }
        told = {key: json.dumps(value) for key, value in values.items()}
        (folder / "input/config/hyperparameters.json").write_text(json.dumps(told))

    def feed(self, channel: str, pairs: list[tuple[bytes, int]], epochs: int, tail: bytes = b"") -> None:
        content = b"".join(frame(photo) + frame(str(label).encode()) for photo, label in pairs) + tail

        def write() -> None:
            for epoch in range(epochs):
                fifo = self.folder / f"input/data/{channel}_{epoch}"
                os.mkfifo(fifo)
                # Unbuffered: what a buffer still holds when the job is gone would be flushed, and fail, once more.
                with fifo.open("wb", buffering=0) as stream:
                    rest = memoryview(content)
                    try:
                        while rest:
                            rest = rest[stream.write(rest) :]
                    except BrokenPipeError:
                        return

        threading.Thread(target=write, daemon=True).start()

    def start(self) -> subprocess.Popen[str]:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("SM_")},
            "SAGEMAKER_BASE_DIR": str(self.folder),
            "PYTHONPATH": str(REPOSITORY),
            "TMPDIR": str(self.folder / "tmp"),  # a container's own; a job that is told to stop leaves files there
        }
        return subprocess.Popen(
            [sys.executable, str(REPOSITORY / "training_src/train.py")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> tuple[int, str]:
        child = self.start()
        output, _ = child.communicate(timeout=300)
        return child.returncode, output

    def run_and_stop(self, after: str) -> tuple[int, str, float]:
        """Run until a line holds ``after``, send SIGTERM; return code, output, and seconds from signal to end."""
        child = self.start()
        lines = []
        for line in child.stdout:
            lines.append(line)
            if after in line:
                break
        child.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        rest, _ = child.communicate(timeout=60)
        return child.returncode, "".join(lines) + rest, time.monotonic() - sent

    @property
    def failure(self) -> str:
        return (self.folder / "output/failure").read_text()

    def json(self, path: str) -> dict:
        return json.loads((self.folder / path).read_text())

    def lines(self, path: str) -> list[dict]:
        return [json.loads(line) for line in (self.folder / path).read_text().splitlines()]
