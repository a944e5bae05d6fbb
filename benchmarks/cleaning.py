"""Cleaning speed beside its peers: one realistic manifest, each way in its own process on one core.

Runs are interleaved (everyone once, then everyone again), and medians are told, so that a busy machine is unfair to
nobody. Then the size in the field, from a file and through S3: a local cloud's, in a process of its own on loopback.

``python -m benchmarks.cleaning [--lines 1000000] [--more-lines 3000000] [--python PYTHON_WITH_PEERS]``
"""

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3

from benchmarks._cleaning_peers import CATEGORIES, PEERS
from menulens.local.cloud_state import CloudState
from menulens.local.config import ACCOUNT
from menulens.local.hosting import free_port
from menulens.local.lifecycle import start_server, stop

PROJECT = Path(__file__).parent.parent
PEERS_PYTHON = PROJECT / ".venv-bench/bin/python"
PEERS_FILE = Path(__file__).with_name("_cleaning_peers.py")
JQ = """
select((."source-ref" // "" | startswith("s3://menu-photos/photos/"))
  and ."menu-category" != null and ."menu-category" < 5
  and $names[."menu-category"] == ."menu-category-metadata"."class-name")
"""


def write_manifest(path: Path, lines: int) -> None:
    """Write lines as Ground Truth does.

    2 % of the lines show a photo again (a fifth of them with another label), 1 % are unlabeled, 5 % are not to train.
    """
    draw = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        for number in range(lines):
            photo = number if draw.random() > 0.02 else draw.randrange(number + 1)
            category = 5 if photo * 40503 % 20 == 0 else photo * 2654435761 % 4294967296 % 5
            if photo != number and draw.random() < 0.2:
                category = (category + 1) % 5
            source = f"s3://menu-photos/photos/r{photo * 7919 % 20011:05d}/{photo:08x}-menu.jpg"
            kind = draw.random()
            if kind < 0.01:
                file.write(f'{{"source-ref":"{source}"}}\n')
                continue
            label = (category + 1) % 5 if kind < 0.012 else category
            human = "no" if draw.random() < 0.1 else "yes"
            stamp = f"2026-11-{draw.randrange(1, 29):02d}T10:{draw.randrange(60):02d}:07.{draw.randrange(10**6):06d}"
            file.write(
                f'{{"source-ref":"{source}","menu-category":{label},"menu-category-metadata":{{'
                f'"class-name":"{CATEGORIES[category]}","job-name":"labeling-job/menu-photos-2026-11",'
                f'"confidence":{draw.randrange(50, 101) / 100},"type":"groundtruth/image-classification",'
                f'"human-annotated":"{human}","creation-date":"{stamp}"}}}}\n'
            )


Figures = dict[str, Any]
JQ_NAME = "jq (filter only)"
IN_S3 = "s3://menulens-benchmark/in.manifest"


def measure(peer: str, source: Path | str, python: str, folder: Path, **more: str) -> Figures | None:
    """Return the figures of one run, or None if the peer is not installed."""
    core = max(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(dir=folder) as out:
        environment = os.environ | {"POLARS_MAX_THREADS": "1", "PYTHONPATH": str(PROJECT)} | more
        done = subprocess.run(
            ["taskset", "-c", str(core), python, PEERS_FILE, peer, str(source), out],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        if "ModuleNotFoundError" in done.stderr:
            return None
        raise SystemExit(f"{peer} failed:\n{done.stderr}")
    figures: Figures = json.loads(done.stdout)
    return figures


def measure_jq(manifest: Path) -> Figures | None:
    """Return jq's figures: filter and write alone, for it has no set of photos that would do for the rest."""
    if not shutil.which("jq"):
        return None
    core = max(os.sched_getaffinity(0))
    names = json.dumps(CATEGORIES)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryFile(dir=manifest.parent) as out:
        command = ["taskset", "-c", str(core), "jq", "-c", "--argjson", "names", names, JQ, str(manifest)]
        subprocess.run(command, stdout=out, check=True)
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        out.seek(0)
        kept = sum(block.count(b"\n") for block in iter(lambda: out.read(1 << 20), b""))
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"kept": kept, "seconds": seconds, "processor": processor, "peak": 0}


def compare(manifest: Path, python: str, repeats: int) -> dict[str, list[Figures]]:
    """Run everyone in turn, as often as asked; who is not installed has no figures."""
    found: dict[str, list[Figures]] = {peer: [] for peer in [*PEERS, JQ_NAME]}
    for repeat in range(repeats):
        for peer, runs in found.items():
            if repeat and not runs:
                continue
            if peer == JQ_NAME:
                figures = measure_jq(manifest)
            else:
                figures = measure(peer, manifest, sys.executable if peer == "menulens" else python, manifest.parent)
            if figures:
                runs.append(figures)
    return found


def middle(runs: list[Figures], key: str) -> float:
    """Return the median of a figure."""
    return float(statistics.median(run[key] for run in runs))


def show(found: dict[str, list[Figures]], lines: int) -> None:
    """Print the table."""
    floor, stdlib = (middle(found[peer], "processor") for peer in ("read only", "stdlib json"))
    print(f"{'':18} {'k lines/s':>9} {'wall':>7} {'× stdlib':>8} {'of floor':>8} {'peak MiB':>8} {'kept':>9}")
    for peer, runs in found.items():
        if not runs:
            print(f"{peer:18} not installed")
            continue
        processor = middle(runs, "processor")
        rate, wall = lines / processor / 1000, lines / middle(runs, "seconds") / 1000
        peak = max(run["peak"] for run in runs) or "-"
        print(
            f"{peer:18} {rate:9.0f} {wall:7.0f} {stdlib / processor:8.2f} {floor / processor:8.3f} {peak:>8} "
            f"{runs[0]['kept']:9,}",
            flush=True,
        )


def measure_field_size(manifest: Path, lines: int) -> None:
    """Clean many lines from a file, and through S3, and print speed and memory of our process."""
    show_one("from a file", measure("menulens", manifest, sys.executable, manifest.parent), lines)
    state = CloudState(manifest.parent / "cloud")
    try:
        record = start_server(state, port=free_port())
        access = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{record.port}",
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": ACCOUNT,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        os.environ.update(access)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="menulens-benchmark")
        s3.upload_file(str(manifest), "menulens-benchmark", "in.manifest")
        show_one("through S3", measure("menulens", IN_S3, sys.executable, manifest.parent), lines)
    finally:
        stop(state)


def show_one(way: str, figures: Figures | None, lines: int) -> None:
    """Print one run of ours."""
    assert figures
    rate, wall = (lines / figures[key] / 1000 for key in ("processor", "seconds"))
    print(
        f"menulens, {lines:,} lines {way}: {rate:.0f} k lines/s of processor time, {wall:.0f} of wall time, "
        f"peak {figures['peak']} MiB (limit 128)",
        flush=True,
    )


def main() -> None:
    """Make the manifest, run everyone, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--more-lines", type=int, default=3_000_000, help="ours once more, for its memory; 0: not")
    parser.add_argument(
        "--python",
        default=str(PEERS_PYTHON if PEERS_PYTHON.exists() else sys.executable),
        help="the interpreter that has the peers' packages; .venv-bench's, where there is one",
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--folder", type=Path, help="where the manifest is made; a temporary folder if not given")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        manifest = Path(folder, "manifest")
        write_manifest(manifest, given.lines)
        size = manifest.stat().st_size / 1e6
        print(f"{given.lines:,} lines, {size:.0f} MB, one core, median of {given.repeats}; processor time unless said")
        show(compare(manifest, given.python, given.repeats), given.lines)
    if given.more_lines:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            manifest = Path(folder, "manifest")
            write_manifest(manifest, given.more_lines)
            measure_field_size(manifest, given.more_lines)


if __name__ == "__main__":
    main()
