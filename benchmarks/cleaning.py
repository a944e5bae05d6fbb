"""Cleaning speed beside its peers: one realistic manifest, each way in its own process on one core.

``python -m benchmarks.cleaning [--lines 1000000] [--more-lines 3000000] [--python PYTHON_WITH_PEERS]``
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._cleaning_peers import CATEGORIES, PEERS

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


def measure(peer: str, manifest: Path, python: str, repeats: int) -> dict[str, Any] | None:
    """Return the figures of a peer's best run, or None if it is not installed."""
    best: dict[str, Any] | None = None
    core = max(os.sched_getaffinity(0))
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(dir=manifest.parent) as folder:
            environment = os.environ | {"POLARS_MAX_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
            done = subprocess.run(
                ["taskset", "-c", str(core), python, PEERS_FILE, peer, str(manifest), folder],
                env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
        if done.returncode:
            if "ModuleNotFoundError" in done.stderr:
                return None
            raise SystemExit(f"{peer} failed:\n{done.stderr}")
        figures = json.loads(done.stdout)
        if best is None or figures["processor"] < best["processor"]:
            best = figures
    return best


def measure_jq(manifest: Path) -> dict[str, Any] | None:
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


def main() -> None:
    """Make the manifest, run everyone, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--more-lines", type=int, default=3_000_000, help="ours once more, for its memory; 0: not")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the peers' packages")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each; the best counts")
    parser.add_argument("--folder", type=Path, help="where the manifest is made; a temporary folder if not given")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        manifest = Path(folder, "manifest")
        write_manifest(manifest, given.lines)
        size = manifest.stat().st_size / 1e6
        print(f"{given.lines:,} lines, {size:.0f} MB, one core, best of {given.repeats}; k lines/s of processor time")
        figures: dict[str, dict[str, Any] | None] = {}
        for peer in PEERS:
            python = sys.executable if peer == "menulens" else given.python
            figures[peer] = measure(peer, manifest, python, given.repeats)
            if peer == "duckdb":
                figures["jq (filter only)"] = measure_jq(manifest)
        floor, stdlib = figures["read only"], figures["stdlib json"]
        assert floor and stdlib
        print(f"{'':18} {'k lines/s':>9} {'wall':>7} {'× stdlib':>8} {'of floor':>8} {'peak MiB':>8} {'kept':>9}")
        for peer, found in figures.items():
            if found is None:
                print(f"{peer:18} not installed")
                continue
            rate, wall = (given.lines / found[key] / 1000 for key in ("processor", "seconds"))
            times, part = (other["processor"] / found["processor"] for other in (stdlib, floor))
            peak = f"{found['peak']}" if found["peak"] else "-"
            print(
                f"{peer:18} {rate:9.0f} {wall:7.0f} {times:8.2f} {part:8.3f} {peak:>8} {found['kept']:9,}", flush=True
            )
    if given.more_lines:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            manifest = Path(folder, "manifest")
            write_manifest(manifest, given.more_lines)
            found = measure("menulens", manifest, sys.executable, 1)
            assert found
            rate = given.more_lines / found["processor"] / 1000
            print(f"menulens, {given.more_lines:,} lines: {rate:.0f} k lines/s, peak {found['peak']} MiB (limit 128)")


if __name__ == "__main__":
    main()
