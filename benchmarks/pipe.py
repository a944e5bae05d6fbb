"""Photo and label pairs a second from a FIFO: our reader beside the others, in one run.

    python benchmarks/pipe.py [--pairs N] [--bytes N]

PipeModeDataset needs Python 3.10 with tensorflow-cpu 2.14.1 and sagemaker-tensorflow: $MENULENS_PYTHON310, or
python3.10 on PATH, gets an environment in a cache folder. Where it can't be measured, its line says why.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from menulens.core.recordio import frame  # noqa: E402

PEER = ["tensorflow-cpu==2.14.1", "sagemaker-tensorflow==2.14.0.1.20.0", "numpy<2"]

# Each program reads one FIFO; the pairs go through tf.data and are counted there where the reader is a dataset.
PROGRAMS = {
    "ours: tf.data": """
        import pipe_dataset, numpy as np
        channel = pipe_dataset.PipeChannel(path, {3: 0})
        count = lambda dataset: sum(int(photos.shape[0]) for photos, *_ in dataset.batch(64))
        dataset = pipe_dataset.pipe_dataset(channel)
        timed(lambda: count(dataset))
    """,
    "ours: Python only": """
        import pipe_dataset
        channel = pipe_dataset.PipeChannel(path, {3: 0})
        timed(lambda: sum(len(chunk.photos) for chunk in channel.chunks()))
    """,
    "plain Python": """
        from menulens.core.recordio import read_records
        timed(lambda: sum(1 for _ in read_records(open(path + "_0", "rb", buffering=0))) // 2)
    """,
    "from_generator, a pair at a time": """
        import tensorflow as tf
        from menulens.core.recordio import read_records
        def pairs():
            records = read_records(open(path + "_0", "rb", buffering=0))
            yield from zip(records, records)
        signature = (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.string))
        dataset = tf.data.Dataset.from_generator(pairs, output_signature=signature)
        timed(lambda: sum(int(photos.shape[0]) for photos, _ in dataset.batch(64)))
    """,
    "PipeModeDataset": """
        import json, pathlib
        from sagemaker_tensorflow import PipeModeDataset
        base = pathlib.Path(path).parent
        for folder in ("config", "state"):
            (base / folder).mkdir(exist_ok=True)
        told = {"TrainingInputMode": "Pipe", "RecordWrapperType": "RecordIO", "S3DistributionType": "FullyReplicated"}
        (base / "config/inputdataconfig.json").write_text(json.dumps({"train": told}))
        dataset = PipeModeDataset(channel="train", record_format="RecordIO", state_dir=str(base / "state"),
                                  pipe_dir=str(base), config_dir=str(base / "config"))
        timed(lambda: sum(int(pairs.shape[0]) for pairs in dataset.batch(2).batch(64)))
    """,
}

FRAME = """
import os, sys, time, json
path = sys.argv[1]
def timed(read):
    started = time.perf_counter()
    pairs = read()
    print(json.dumps({"pairs": pairs, "seconds": time.perf_counter() - started}))
"""


def feed(fifo: Path, pairs: int, size: int) -> int:
    """Write pairs into a new FIFO from a process of its own; return its id."""
    os.mkfifo(fifo)
    child = os.fork()
    if child:
        return child
    block = frame(os.urandom(size)) + frame(b"3")
    try:
        with fifo.open("wb", buffering=1 << 20) as stream:
            for _ in range(pairs):
                stream.write(block)
    except BrokenPipeError:
        os._exit(1)
    os._exit(0)


def measure(program: str, python: str, pairs: int, size: int) -> float:
    """Return pairs a second of one reader."""
    with tempfile.TemporaryDirectory() as folder:
        child = feed(Path(folder) / "train_0", pairs, size)
        code = FRAME + textwrap.dedent(program)
        environment = {
            **os.environ,
            "PYTHONPATH": f"{REPOSITORY / 'training_src'}:{REPOSITORY}",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        try:
            told = subprocess.run(
                [python, "-c", code, f"{folder}/train"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        finally:
            os.kill(child, 15)
            os.waitpid(child, 0)
        if told.returncode:
            raise RuntimeError(told.stderr.strip().splitlines()[-1])
        result = json.loads(told.stdout.strip().splitlines()[-1])
        assert abs(result["pairs"] - pairs) <= 1, result
        return float(result["pairs"] / result["seconds"])


def peer_python() -> tuple[str | None, str]:
    """Return a Python 3.10 that has PipeModeDataset, installed if need be; or None and why there is none."""
    variable = os.environ.get("MENULENS_PYTHON310")
    base = variable or shutil.which("python3.10")
    if base is None:
        return None, "no python3.10 on PATH; MENULENS_PYTHON310 may name one"
    # A version manager's python3.10 may be on PATH and still not run.
    try:
        said = subprocess.run([base, "-V"], capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        return None, f"MENULENS_PYTHON310: {error}"
    if said.returncode or not said.stdout.startswith("Python 3.10."):
        found = (said.stdout or said.stderr).strip().partition("\n")[0]
        return None, f"{base} is no working Python 3.10 ({found}); MENULENS_PYTHON310 may name one"
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "menulens/pipemode"
    python = home / "bin/python"
    if not (home / "ready").exists():
        for command in (
            [base, "-m", "venv", "--clear", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEER],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
                return None, f"{' '.join(PEER)} can't be installed: {last}"
        (home / "ready").touch()
    return str(python), ""


def main() -> None:
    """Measure every reader and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    peer, why_not = peer_python()
    print(
        f"{options.pairs:,} pairs of {options.bytes:,} bytes, median of {options.rounds} rounds, {os.cpu_count()} cores"
    )
    speeds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(options.rounds):  # rounds outside, so that a busy moment does not hit one reader alone
        for name, program in PROGRAMS.items():
            python = peer if name == "PipeModeDataset" else sys.executable
            if python is not None:
                speeds[name].append(measure(program, python, options.pairs, options.bytes))
    for name, found in speeds.items():
        if found:
            print(f"  {name:<34} {sorted(found)[len(found) // 2]:>8,.0f} pairs/s", flush=True)
        else:
            print(f"  {name:<34} not measured: {why_not}")
    print(time.strftime("  %Y-%m-%d"))


if __name__ == "__main__":
    main()
