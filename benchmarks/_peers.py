"""Where the benchmarks' peers are installed: an environment of their own, beside the one that everything else uses."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
BENCH_PYTHON = REPOSITORY / ".venv-bench/bin/python"
HOW = "make bench sets it up"


def python_with_peers() -> str:
    """Return the interpreter of ``.venv-bench``, or this one where there is none."""
    return str(BENCH_PYTHON) if BENCH_PYTHON.exists() else sys.executable
