"""Third-party code inside Lambda assets: pinned wheels for the interpreter that will run the function.

In an account that is Python 3.13 on Graviton, on the local cloud the interpreter that runs MiniStack. Wheels come from
``requirements/lambda.txt``, by hash, through uv and its cache: nothing is compiled and no container is needed. What a
function does not need at run time is left out, so that the same lock gives the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "lambda.txt"
STORE = ROOT / "build" / "wheels"

DISTRIBUTIONS: Final = {
    "PIL": "pillow",
    "aws_lambda_powertools": "aws-lambda-powertools",
    "numpy": "numpy",
    "pydantic": "pydantic",
    "segno": "segno",
}
"""What a function may import beside the standard library and boto3: import name to distribution."""

MAX_UNPACKED = 250 * 1024 * 1024
"""What Lambda takes, unzipped, in bytes."""

_LEFT_OUT_FOLDERS: Final = frozenset({"__pycache__", "bin", "include", "tests"})
_LEFT_OUT_SUFFIXES: Final = frozenset({".a", ".h", ".pxd", ".pyi"})
# How and when a wheel was installed is no part of it, and RECORD names files that are left out.
_LEFT_OUT_NAMES: Final = frozenset({"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json", ".lock"})


class WheelsError(Exception):
    """Third-party code that can't be put into an asset; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """The interpreter that runs a function.

    Attributes
    ----------
    python
        Its version, as in ``3.13``.
    platform
        What uv calls its machine; None for the machine and the interpreter that run now.
    """

    python: str
    platform: str | None

    @property
    def options(self) -> list[str]:
        """What uv is told of it."""
        if self.platform is None:
            return ["--python", sys.executable]
        return ["--python-version", self.python, "--python-platform", self.platform]

    @property
    def name(self) -> str:
        """What tells its wheels from those of another."""
        return f"{self.python} {self.platform or f'{sys.platform} {platform.machine()} {sys.implementation.cache_tag}'}"


GRAVITON = Target("3.13", "aarch64-manylinux_2_28")
"""Runtime ``python3.13`` on ``arm64``: Amazon Linux 2023, whose glibc is 2.34."""

HERE = Target(f"{sys.version_info.major}.{sys.version_info.minor}", None)
"""What runs functions on the local cloud."""


def copy_into(folder: Path, distributions: Collection[str], target: Target) -> None:
    """Bring distributions, and what they need, into the folder of an asset.

    Where the file system allows it the files are links to those of the store, which nobody may change.

    Raises
    ------
    WheelsError
        If the lock does not hold them, a wheel for the target is missing, or the asset grows too large.
    """
    if not distributions:
        return
    shutil.copytree(_installed(frozenset(distributions), target), folder, dirs_exist_ok=True, copy_function=_linked)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if size > MAX_UNPACKED:
        raise WheelsError(
            f"{', '.join(sorted(distributions))}: {size:,} bytes unpacked; Lambda takes {MAX_UNPACKED:,}. "
            "Import fewer distributions in one function."
        )


def _linked(source: str, place: str) -> None:
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)


@cache
def _installed(distributions: frozenset[str], target: Target) -> Path:
    """Return a folder that holds the wheels' content; made once for a lock, and kept."""
    lock = LOCK.read_text(encoding="utf-8")
    pins = {name: f"{name}=={version}" for name, version in re.findall(r"^([a-z0-9-]+)==([^ \\]+)", lock, re.MULTILINE)}
    unknown = sorted(distributions - pins.keys())
    if unknown:
        raise WheelsError(f"{LOCK.name} does not hold {', '.join(unknown)}. Add to requirements/lambda.in; make lock.")
    roots = sorted(pins[name] for name in distributions)
    rules = sorted(_LEFT_OUT_FOLDERS | _LEFT_OUT_SUFFIXES | _LEFT_OUT_NAMES)
    made_of = "\n".join([*roots, target.name, *rules, lock])
    place = STORE / hashlib.sha256(made_of.encode()).hexdigest()[:16]
    if not place.is_dir():
        STORE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=STORE, prefix=".making-") as workshop:
            made = Path(workshop) / "wheels"
            _install(roots, target, made)
            for unwanted in list(_left_out(made)):
                shutil.rmtree(unwanted) if unwanted.is_dir() else unwanted.unlink(missing_ok=True)
            try:
                made.rename(place)
            except OSError:
                # Another synth was quicker; what it made is the same.
                if not place.is_dir():
                    raise
    return place


def _install(roots: list[str], target: Target, folder: Path) -> None:
    wanted = folder.parent / "wanted.txt"
    wanted.write_text("\n".join(roots) + "\n", encoding="utf-8")
    command = [
        _uv(),
        "pip",
        "install",
        "--quiet",
        *target.options,
        *("--target", str(folder)),
        *("--only-binary", ":all:"),
        "--require-hashes",
        *("--constraint", str(LOCK)),
        *("--requirement", str(wanted)),
        # Files of uv's cache may be linked to by other environments: an asset gets its own.
        *("--link-mode", "copy"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder.parent)
    if done.returncode:
        raise WheelsError(
            f"{', '.join(roots)} for Python {target.name}: {done.stderr.strip()}\n"
            "Wheels come from the package index or from uv's cache; is either there?"
        )


def _left_out(folder: Path) -> Iterator[Path]:
    """Yield what an asset does not need, the outermost folder of each."""
    for path, folders, files in os.walk(folder):
        for name in [name for name in folders if name in _LEFT_OUT_FOLDERS]:
            folders.remove(name)
            yield Path(path, name)
        yield from (
            Path(path, name) for name in files if name in _LEFT_OUT_NAMES or Path(name).suffix in _LEFT_OUT_SUFFIXES
        )


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if not found:
        raise WheelsError("uv is not there; it installs wheels for functions. make setup brings it.")
    return found
