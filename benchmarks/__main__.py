"""Run every benchmark: ``python -m benchmarks [name …]``. Each prints its figures beside its peers and a floor."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; the exit code counts the ones that failed."""
    have = sorted(file.stem for file in FOLDER.glob("*.py") if not file.stem.startswith("_"))
    unknown = sorted(set(names) - set(have))
    if unknown:
        print(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(have)}.", file=sys.stderr)
        return 2
    failed = []
    for name in names or have:
        print(f"\n=== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nFailed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
