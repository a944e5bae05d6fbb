"""Photos a second of a served model archive, and how long a client waits, at 1 and 8 clients.

    python benchmarks/serving.py [MODEL_DIR] [--seconds S] [--python PYTHON]

MODEL_DIR is an unpacked model.tar.gz; without one, EfficientNet-Lite0 under an untrained head is served, which costs
the same. The server runs in the serving environment (.venv-serving). The floor is the model called in a process, no
HTTP, no base64, one photo at a time and eight.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import requests
from PIL import Image, ImageDraw

REPOSITORY = Path(__file__).resolve().parents[1]


def any_photo(seed: int) -> bytes:
    """Return a JPEG of 800×600 with something in it."""
    chance = random.Random(seed)
    image = Image.new("RGB", (800, 600), tuple(chance.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(120):
        x, y, r = chance.randrange(800), chance.randrange(600), chance.randrange(5, 90)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=tuple(chance.randrange(256) for _ in range(3)))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88)
    return stream.getvalue()


def load(url: str, photos: list[bytes], clients: int, seconds: float) -> tuple[float, float, float]:
    """Ask for some time; return photos a second, and the median and 95th percentile of milliseconds waited."""
    waits: list[float] = []
    errors: list[Exception] = []
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        session = requests.Session()
        step = number
        try:
            while time.monotonic() < end:
                started = time.monotonic()
                answer = session.post(
                    f"{url}/invocations",
                    data=photos[step % len(photos)],
                    headers={"Content-Type": "image/jpeg"},
                    timeout=60,
                )
                answer.raise_for_status()
                waits.append((time.monotonic() - started) * 1000)
                step += clients
        except requests.RequestException as error:
            errors.append(error)

    started = time.monotonic()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise SystemExit(f"a request failed: {errors[0]}")
    waits.sort()
    return len(waits) / (time.monotonic() - started), waits[len(waits) // 2], waits[int(len(waits) * 0.95)]


def any_archive(folder: Path) -> Path:
    """Write an archive of EfficientNet-Lite0 with a head of zeros, in a process that TensorFlow leaves with it."""
    program = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/training_src"]
from backbone import Classifier, load_backbone
from export import write_archive
from photo_ops import PhotoLimits
from menulens.storage import Storage
from menulens.training.backbones import stage
folder = Path(sys.argv[2])
staged = stage("efficientnet_lite0", storage=Storage(), models=str(folder))
model, card = load_backbone(Path(staged.uri))
facts = {"model_version": "none", "classes": ["a", "b"], "vector_width": card.width, "l2_normalised": True}
limits = PhotoLimits(224, 20_000_000, 50_000_000)
write_archive(Classifier(model, card, ["a", "b"]), limits, facts, {}, folder / "model")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(REPOSITORY), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the archive can't be made:\n{done.stderr}")
    return folder / "model"


FLOOR = """
import sys, time
from pathlib import Path
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
photos = [file.read_bytes() for file in sorted(Path(sys.argv[2]).iterdir())]
for batch in (1, 8):
    groups = [tf.constant(photos[start : start + batch]) for start in range(0, len(photos), batch)]
    for group in groups[:2]:
        serve(photo=group)
    started, done = time.monotonic(), 0
    while time.monotonic() - started < float(sys.argv[3]):
        serve(photo=groups[done % len(groups)])
        done += 1
    print(batch, batch * done / (time.monotonic() - started))
"""


def floor(model_dir: Path, photos: list[bytes], seconds: float, python: str) -> None:
    """Print the photos a second of the model alone."""
    with tempfile.TemporaryDirectory() as folder:
        for number, photo in enumerate(photos):
            Path(folder, f"{number:03d}.jpg").write_bytes(photo)
        done = subprocess.run(
            [python, "-c", FLOOR, str(model_dir / "1"), folder, str(seconds)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"the model can't be called:\n{done.stderr}")
    for line in done.stdout.splitlines():
        batch, rate = line.split()
        print(f"  floor: the model alone, {batch} at a time    {float(rate):6.1f} photos/s", flush=True)


def main() -> None:
    """Start the server, load it, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model_dir", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--python", default=str(REPOSITORY / ".venv-serving/bin/python"))
    options = parser.parse_args()
    if not Path(options.python).exists():
        raise SystemExit(f"{options.python} is missing: make setup")
    with tempfile.TemporaryDirectory() as folder:
        measure(options.model_dir or any_archive(Path(folder)), options.seconds, options.python)


def measure(model_dir: Path, seconds: float, python: str) -> None:
    """Serve an archive and load it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        python,
        "-m",
        "menulens.local.serving",
        "--model-dir",
        str(model_dir.resolve()),
        "--port",
        str(port),
    ]
    photos = [any_photo(seed) for seed in range(32)]
    size = sum(map(len, photos)) / len(photos) / 1000
    print(f"JPEG 800×600, {size:.0f} KB, {seconds:.0f} s each, {os.cpu_count()} cores for clients, too", flush=True)
    floor(model_dir, photos, seconds, python)
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, cwd=REPOSITORY, stderr=log)
        try:
            wait_for(f"{url}/ping", server, log)
            load(url, photos, 8, 3)  # every batch size traced and warm
            for clients in (1, 8):
                rate, median, slow = load(url, photos, clients, seconds)
                who = f"{clients} client{'s' * (clients > 1)}"
                print(f"  {who:<36} {rate:6.1f} photos/s   p50 {median:.0f}, p95 {slow:.0f} ms", flush=True)
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < end:
        try:
            if requests.get(url, timeout=2).status_code == requests.codes.ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    log.seek(0)
    raise SystemExit(f"the server does not answer:\n{log.read().decode(errors='replace')}")


if __name__ == "__main__":
    main()
