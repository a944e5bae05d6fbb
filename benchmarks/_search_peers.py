"""faiss Flat on the vectors and queries of ``benchmarks/search.py``: ``python _search_peers.py FOLDER K WARM``.

Reads ``vectors.npy`` and ``queries.npy``; prints JSON: the milliseconds of each query, and the places it answers.
"""

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np


def main(folder: Path, k: int, warm: int) -> None:
    vectors = np.load(folder / "vectors.npy")
    queries = np.load(folder / "queries.npy")
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    for query in queries[:warm]:
        flat.search(query[None], k)
    times, answers = [], []
    for query in queries:
        began = time.perf_counter()
        _, places = flat.search(query[None], k)
        times.append((time.perf_counter() - began) * 1000)
        answers.append(places[0].tolist())
    print(json.dumps({"version": faiss.__version__, "milliseconds": times, "places": answers}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
