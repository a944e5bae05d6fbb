"""Exact search: 200,000 x 1,024, cosine, the ten nearest; beside a bare product and faiss.

The floor is what the index can't beat with numpy: one matrix-vector product and an argpartition, no checks, no ids, no
order among equals. faiss Flat is the peer, in a process of its own, as it lives in ``.venv-bench``. Each answers the
same queries, one at a time, on all cores; answers are compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from benchmarks._peers import HOW, python_with_peers
from menulens.search.index import ExactIndex, Vectors, normalised

ROWS, WIDTH, K, QUERIES, WARM = 200_000, 1024, 10, 60, 5


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(5)
    vectors = np.empty((ROWS, WIDTH), np.float32)
    for start in range(0, ROWS, 10_000):
        vectors[start : start + 10_000] = normalised(rng.standard_normal((10_000, WIDTH), np.float32))
    # Near a stored vector, as a menu photo is near others; pure noise has no neighbours.
    queries = normalised(
        vectors[rng.integers(0, ROWS, QUERIES)] + 0.03 * rng.standard_normal((QUERIES, WIDTH), np.float32)
    )
    ids = [f"photos/{number:06d}.jpg" for number in range(ROWS)]
    size = vectors.nbytes / 2**20
    print(
        f"{ROWS:,} x {WIDTH} float32 ({size:.0f} MiB), k = {K}, {QUERIES} queries one at a time, {os.cpu_count()} cores"
    )

    before = _rss()
    began = time.perf_counter()
    index = ExactIndex(ids, vectors)
    built = time.perf_counter() - began
    ours = _measure("menulens ExactIndex", queries, lambda query: [hit.id for hit in index.search(query, K)[0]])
    print(
        f"  built and checked in {built:.2f} s; {_rss() - before:.0f} MiB beyond the vectors, {_rss():.0f} MiB in all"
    )

    def floor(query: Vectors) -> list[str]:
        scores = vectors @ query
        best = np.argpartition(scores, ROWS - K)[ROWS - K :]
        return [ids[place] for place in best[np.argsort(-scores[best])]]

    _same(ours, _measure("floor: x @ q, argpartition", queries, floor), "the floor")
    _faiss(vectors, queries, ids, ours)


def _faiss(vectors: Vectors, queries: Vectors, ids: list[str], ours: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "vectors.npy"), vectors)
        np.save(Path(folder, "queries.npy"), queries)
        command = [python_with_peers(), str(Path(__file__).with_name("_search_peers.py")), folder, str(K), str(WARM)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No module named 'faiss'" in done.stderr:
        print(f"{'faiss Flat':<28} not measured: faiss is not installed here ({HOW})")
        return
    if done.returncode:
        raise SystemExit(f"faiss failed:\n{done.stderr}")
    told = json.loads(done.stdout)
    _print(f"faiss {told['version']} Flat", told["milliseconds"])
    _same(ours, [[ids[place] for place in places] for places in told["places"]], "faiss")


def _measure(name: str, queries: Vectors, ask: Callable[[Vectors], list[str]]) -> list[list[str]]:
    for query in queries[:WARM]:
        ask(query)
    times, answers = [], []
    for query in queries:
        began = time.perf_counter()
        answers.append(ask(query))
        times.append((time.perf_counter() - began) * 1000)
    _print(name, times)
    return answers


def _print(name: str, times: list[float]) -> None:
    print(f"{name:<28} p50 {np.percentile(times, 50):7.1f} ms   p95 {np.percentile(times, 95):7.1f} ms", flush=True)


def _same(ours: list[list[str]], theirs: list[list[str]], who: str) -> None:
    share = np.mean([len(set(one) & set(other)) / K for one, other in zip(ours, theirs, strict=True)])
    print(f"  the same ten as {who}: {share:.2%}")
    if share < 0.999:
        raise SystemExit(f"ExactIndex and {who} differ: {share:.2%} of the neighbours are the same.")


def _rss() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


if __name__ == "__main__":
    main()
